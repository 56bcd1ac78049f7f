// The names of exit codes, as the manual has them, and their places in tables of counters. APM2 appendix C.
//
// A slot is a small number that stands for an exit code: counters are arrays of SVM_SLOTS.
#ifndef CPU_SVM_EXITCODE_H
#define CPU_SVM_EXITCODE_H

#include "cpu/svm/vmcb.h"

enum svm_slot {
  SLOT_NPF = VMEXIT_TLBSYNC + 1, // the codes below are slots of their own
  SLOT_INVALID,
  SVM_SLOTS
};

// The code must be one that svm_exit raises.
static inline unsigned svm_slot(uint64_t code)
{
  if (code < SLOT_NPF)
    return (unsigned)code;
  return code == VMEXIT_NPF ? SLOT_NPF : SLOT_INVALID;
}
uint64_t svm_slot_code(unsigned slot);

// "VMEXIT_CPUID".
const char *svm_exit_name(uint64_t code);

#endif
