// VMCB state caching: what the clean bits of a VMCB let the processor keep between VMRUNs. APM2 15.15.
//
// The processor keeps the cached fields of the last few VMCBs that it ran, by their physical address. A VMRUN
// takes a field whose clean bit is set from there, so that a hypervisor that changed the field but left the
// bit alone gets what it would get from hardware: the old value.
//
// Invariant: a copy holds, of every cached field, what the last VMRUN used or, if #VMEXIT writes the field,
// what the last #VMEXIT wrote. So what is loaded anew needs the checks only if it is something else: what it
// was has passed them, unless the guest made it.
#ifndef CPU_SVM_CLEAN_H
#define CPU_SVM_CLEAN_H

#include "cpu/svm/svm.h"

#define CLEAN_NOTHING 0u

#define SVM_CACHED_VMCBS 4
struct svm_cached {
  uint64_t pa; // SVM_NO_VMCB: free
  uint64_t used;
  uint32_t checked; // clean bits of groups whose fields passed the checks as they are
  struct vmcb copy; // only the fields of clean.c
};

bool clean_new(struct cpu *c);
void clean_free(struct cpu *c);
void clean_reset(struct cpu *c);

// Clean bits of groups that were taken from memory just now; LBR, DT, CR2 are never among them.
struct clean_news {
  uint32_t changed;   // something of it is not what it was when this VMCB was left
  uint32_t unchecked; // the checks of VMRUN have not seen it like this
};

// The fields that VMRUN is to use. v itself if the model has no clean bits.
const struct vmcb *clean_load(struct cpu *c, uint64_t pa, const struct vmcb *v, struct clean_news *news);
// What #VMEXIT has written to the VMCB that runs.
void clean_save(struct cpu *c, const struct vmcb *v);
// For RSM: the fields that its VMRUN used, or v if they are not kept.
const struct vmcb *clean_peek(struct cpu *c, uint64_t pa, const struct vmcb *v);
// VMRUN of it failed.
void clean_forget(struct cpu *c, uint64_t pa);

#endif
