// Entering a guest; leaving it is in svm.h.
#ifndef CPU_SVM_WORLD_H
#define CPU_SVM_WORLD_H

#include "cpu/svm/svm.h"

// VMRUN of the VMCB at a physical address that has been checked to be aligned and within memory. Afterwards
// c->next_ip is where execution goes on, in the guest or, if VMRUN ended at once, in the host.
bool svm_vmrun(struct cpu *c, uint64_t pa);
// An SMI is taken in a guest, and RSM comes back to it. host: EFER, CR4, CR3 and CR0 of the host, with nested
// paging. False: there is no VMCB.
void svm_suspend(struct cpu *c);
bool svm_resume(struct cpu *c, uint64_t pa, uint64_t vintr, bool host_if, const uint64_t *host);
// V_IRQ, V_NMI or what it depends on changed: makes the engine look.
static inline void svm_vintr_update(struct cpu *c)
{
  if (c->guest && (c->svm->vintr & (VINTR_IRQ | (c->svm->vnmi ? VINTR_NMI : 0))))
    cpu_request(c, PEND_VINTR);
  else
    c->pending &= ~PEND_VINTR;
}

#endif
