// The consistency checks of VMRUN, a row each. APM2 15.5.1.
#ifndef CPU_SVM_CHECKS_H
#define CPU_SVM_CHECKS_H

#include "cpu/svm/svm.h"

struct svm_check {
  const char *id;      // short and stable: what tests and logs name
  uint32_t groups;     // clean bits of what it looks at; 0: it looks at something that is never cached
  const char *section; // of APM2
  bool (*fails)(const struct cpu *c, const struct vmcb *v);
  const char *field; // that the value is of
  uint64_t (*value)(const struct vmcb *v);
  const char *rule; // what must hold
};

// The first check that fails, or NULL. c is the host that executes VMRUN. dirty: clean bits of the groups
// that may not be as they were in a VMRUN that passed; all ones: any.
const struct svm_check *svm_check(const struct cpu *c, const struct vmcb *v, uint32_t dirty);
// All of them, for documentation and tests; ends with a row whose id is NULL.
extern const struct svm_check svm_checks[];

#endif
