// TLB_CONTROL 1 removes everything of everybody, 3 what has the guest's ASID, 7 of that what is not global.
// APM2 15.16.2.
#include "stale.h"

static void test_one(bool nested)
{
  two_guests(nested);
  LEAVES(&one, "nnnnnn", enter(&one, TLB_ALL));
  LEAVES(&one, "nnnnnn", enter(&two, TLB_ALL));
  if (!svm_has(SVM_FLUSH_ASID)) {
    one.v->tlb_control = TLB_ASID;
    CHECK_EQ(guest(one.v, vmmcall), X_INVALID);
    one.v->tlb_control = TLB_ASID_NONGLOBAL;
    CHECK_EQ(guest(one.v, vmmcall), X_INVALID);
    one.v->tlb_control = TLB_KEEP;
    return;
  }
  LEAVES(&one, "oonnoo", enter(&one, TLB_ASID));
  LEAVES(&one, "oooonn", enter(&two, TLB_ASID));
  LEAVES(&one, "oonooo", enter(&one, TLB_ASID_NONGLOBAL));
  LEAVES(&one, "oooono", enter(&two, TLB_ASID_NONGLOBAL));
  // each value is carried out at the entry, once
  LEAVES(&one, "oonnoo", {
    enter(&one, TLB_ASID);
    enter(&one, TLB_KEEP);
  });
  // an entry that fails does not flush, or does; the others stay in any case
  LEAVES(&one, "oo??oo", {
    one.v->efer &= ~EFER_SVME;
    one.v->tlb_control = TLB_ASID;
    CHECK_EQ(guest(one.v, vmmcall), X_INVALID);
    one.v->efer |= EFER_SVME;
    one.v->tlb_control = TLB_KEEP;
  });
}

void test(void)
{
  both_pagings(test_one);
}
