// Accessed and dirty bits and the TLB: a write through an entry that came from a read sets the dirty bit;
// bits that software clears are set again once the entry is flushed. APM2 5.4.2, 15.25.5.
#include "stale.h"

enum { AD = PT_A | PT_D };

static void test_one(bool nested)
{
  write_cr4(read_cr4() | CR4_PGE);
  one = space_new(1, nested);
  uint64_t page = (uint64_t)page_new(), gpa = nested ? GPA : page;
  uint64_t *stage[2] = {tables_entry(&one.guest, VA, 1), NULL};
  *stage[0] = gpa | PT_ALL;
  if (nested) {
    stage[1] = tables_entry(&one.nested, gpa, 1);
    *stage[1] = page | PT_ALL;
  }
  flush_everything(&one);
  for (unsigned i = 0; i <= nested; i++) {
    volatile uint64_t *e = stage[i];
    regs.bx = 1 + i;
    one.v->tlb_control = flush_guest();
    *stage[0] &= ~(uint64_t)AD;
    *e &= ~(uint64_t)AD;
    CHECK_EQ(space_access(&one, 0, READ, VA), X_VMMCALL);
    CHECK_EQ(*e & AD, PT_A);
    one.v->tlb_control = TLB_KEEP;
    CHECK_EQ(space_access(&one, 0, READ, VA), X_VMMCALL);
    CHECK_EQ(*e & AD, PT_A);
    CHECK_EQ(space_access(&one, 0, WRITE, VA), X_VMMCALL);
    CHECK_EQ(*e & AD, AD);
    CHECK_EQ(*(uint64_t *)page, 1 + i);
    // the entry has them: cleared in memory they stay clear
    *e &= ~(uint64_t)AD;
    CHECK_EQ(space_access(&one, 0, READ, VA), X_VMMCALL);
    CHECK_EQ(space_access(&one, 0, WRITE, VA), X_VMMCALL);
    CHECK_EQ(*e & AD, 0);
    one.v->tlb_control = flush_guest();
    CHECK_EQ(space_access(&one, 0, WRITE, VA), X_VMMCALL);
    CHECK_EQ(*e & AD, AD);
    // the dirty bit alone
    *e &= ~(uint64_t)PT_D;
    CHECK_EQ(space_access(&one, 0, READ, VA), X_VMMCALL);
    CHECK_EQ(*e & AD, PT_A);
    one.v->tlb_control = TLB_KEEP;
    CHECK_EQ(space_access(&one, 0, WRITE, VA), X_VMMCALL);
    CHECK_EQ(*e & AD, AD);
  }
}

void test(void)
{
  both_pagings(test_one);
}
