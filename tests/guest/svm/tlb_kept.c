// An entry of the TLB outlives world switches, and is seen by its own address space only. APM2 15.16.
#include "stale.h"

static void test_one(bool nested)
{
  two_guests(nested);
  LEAVES(&one, NOTHING, );
  LEAVES(
      &one, NOTHING, for (unsigned i = 0; i < 20; i++) {
        enter(&one, TLB_KEEP);
        enter(&two, TLB_KEEP);
      });
  // what VMRUN loads is no MOV to CR3 or CR4: it flushes nothing
  uint64_t other = (uint64_t)page_new();
  *(uint64_t *)other = *(uint64_t *)one.guest.root;
  LEAVES(&one, NOTHING, {
    one.v->cr3 = other;
    enter(&one, TLB_KEEP);
    one.v->cr3 = one.guest.root;
    one.v->cr4 &= ~(uint64_t)CR4_PGE;
    enter(&one, TLB_KEEP);
    one.v->cr4 |= CR4_PGE;
  });
}

void test(void)
{
  both_pagings(test_one);
}
