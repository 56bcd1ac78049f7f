// VMCB state caching: what the clean bits of a VMCB let the processor keep between VMRUNs. APM2 15.15.
//
// The processor keeps the cached fields of the last few VMCBs that it ran, by their physical address. A VMRUN
// takes a field whose clean bit is set from there, so that a hypervisor that changed the field but left the
// bit alone gets what it would get from hardware: the old value.
//
// Invariant: a copy holds, of every cached field, what the last VMRUN used or, if #VMEXIT writes the field,
// what the last #VMEXIT wrote. So its fields were checked, and only those that are loaded anew need it.
#ifndef CPU_SVM_CLEAN_H
#define CPU_SVM_CLEAN_H

#include "cpu/svm/svm.h"

#define CLEAN_NOTHING 0u

#define SVM_CACHED_VMCBS 4
struct svm_cached {
  uint64_t pa; // SVM_NO_VMCB: free
  uint64_t used;
  struct vmcb copy; // only the fields of clean.c
};

bool clean_new(struct cpu *c);
void clean_free(struct cpu *c);
void clean_reset(struct cpu *c);

// The fields that VMRUN is to use. *dirty: clean bits of the groups that were taken from memory just now; the
// others are as they were when this VMCB was left. v itself if the model has no clean bits.
const struct vmcb *clean_load(struct cpu *c, uint64_t pa, const struct vmcb *v, uint32_t *dirty);
// The copy of the VMCB that runs, for #VMEXIT to write to; NULL: none is kept.
struct vmcb *clean_copy(struct cpu *c);
// For RSM: the fields that its VMRUN used, or v if they are not kept.
const struct vmcb *clean_peek(struct cpu *c, uint64_t pa, const struct vmcb *v);
// VMRUN of it failed.
void clean_forget(struct cpu *c, uint64_t pa);

#endif
