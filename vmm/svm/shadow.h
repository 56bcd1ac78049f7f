// Shadow paging: page tables of the hypervisor's that say what the guest's tables say, but with the memory's
// real addresses. They are a TLB in software: filled at page faults, emptied when the guest empties its TLB
// (MOV CR3, INVLPG, changes of CR0, CR4, EFER). So nothing of the guest's tables is write-protected, and
// whatever the guest may not rely on need not be exact. APM2 15.16 (guest TLB management), 15.19 (paged real
// mode).
//
// A guest in long mode has four levels; any other, also in real mode and without paging, has the form of PAE.
#ifndef SVM_SHADOW_H
#define SVM_SHADOW_H

#include "host/types.h"

struct vcpu;
struct walk;

struct shadow {
  uint64_t arena; // pages: PML4, PDPT of PAE, its four page directories, then tables as needed
  unsigned pages, used;
  uint64_t split_from, split_to; // linear range in which pages of the guest's were entered in smaller pieces
  uint64_t fills, flushes, drops, faults; // what happened, for the console
};

bool shadow_init(struct vcpu *v, unsigned pages);
void shadow_free(struct vcpu *v);
uint64_t shadow_root(struct vcpu *v);
void shadow_flush(struct vcpu *v);
void shadow_drop(struct vcpu *v, uint64_t linear);
// A page fault of the guest's: its own, or an entry that was not there yet, or a device.
void shadow_fault(struct vcpu *v, uint64_t linear, uint32_t error);

#endif
