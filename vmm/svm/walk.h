// The guest's own page tables, walked as its CPU would: every mode of APM2 chapter 5 but five levels.
#ifndef SVM_WALK_H
#define SVM_WALK_H

#include "host/types.h"

struct vcpu;

struct walk {
  uint64_t gpa;
  unsigned shift; // of the page: 12, 21, 22, 30; 32 without paging
  bool w, u, nx;  // rights of all levels together
  bool dirty;     // the last entry has D, now
  uint32_t error; // of the page fault, if there is one
};

// Translates for an access of the kind (PF_W, PF_U, PF_ID). Sets accessed and dirty bits. False: a page fault
// with w->error.
bool walk(struct vcpu *v, uint64_t linear, uint32_t access, struct walk *w);
// Copies from or to the guest's linear memory with the rights of privilege 0 (`user`: of privilege 3). False:
// *fault is the address and *error the code of the page fault; UINT32_MAX as code: not RAM.
bool walk_copy(struct vcpu *v, uint64_t linear, void *data, unsigned len, uint32_t access, uint64_t *fault,
               uint32_t *error);
// The bytes of the instruction at CS:rIP; returns how many could be had, up to 15.
unsigned walk_fetch(struct vcpu *v, uint8_t bytes[15]);

#endif
