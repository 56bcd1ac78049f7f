// SVM on a physical CPU: whether it is there, turning it on, ASIDs, and what all guests share.
// APM2 15.4, 15.10, 15.11, 15.16.
#ifndef SVM_SVM_H
#define SVM_SVM_H

#include "host/types.h"

struct cpu;
struct vcpu;

// CPUID Fn8000_000A EDX
struct svm_features {
  bool npt, nrip, flush_by_asid, decode_assists;
  bool rdtscp;
  uint32_t asids;
  uint64_t reserved; // address bits of a page-table entry that do not exist
  uint64_t cr4;      // bits that exist, but for those that shadow paging does not offer
};
extern struct svm_features svm_features;

// Looks at CPUID and VM_CR and makes the permission maps. What is missing ends the hypervisor with a line.
void svm_init(void);
void svm_enable(struct cpu *c);
// Tags for the TLB, each CPU's its own. 0: none is left, so the guest gets 1 and flushes at each switch.
uint32_t svm_asid_alloc(struct cpu *c);
void svm_asid_free(struct cpu *c, uint32_t asid);
// I/O and MSR permission maps: every port, and every MSR but those that VMLOAD and VMSAVE switch.
uint64_t svm_iopm(void);
uint64_t svm_msrpm(void);

#endif
