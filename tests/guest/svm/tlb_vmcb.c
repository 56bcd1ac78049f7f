// Entries belong to an ASID, not to a VMCB: one VMCB with a new ASID starts with nothing, and finds its old
// entries when it gets the old one back; two VMCBs with one ASID share them. ASIDs up to the last one work.
// APM2 15.16.
#include "stale.h"

static void test_one(bool nested)
{
  spot_count = 0;
  write_cr4(read_cr4() | CR4_PGE);
  one = space_new(1, nested);
  spot_guest(&one, LOCAL, 0);
  spot_guest(&one, GLOBAL, PT_G);
  struct vmcb *v = one.v, *copy = page_new();
  unsigned last_asid = svm_asids() - 1;
  LEAVES(&one, "oo", );
  LEAVES(&one, "nn", v->asid = 2);
  v->asid = 1;
  LEAVES(&one, "nn", v->asid = last_asid);
  v->asid = 1;
  LEAVES(&one, "oo", {
    v->asid = 2;
    SPOTS_ARE("nn");
    v->asid = last_asid;
    SPOTS_ARE("nn");
    v->asid = 1;
  });
  LEAVES(&one, "oo", {
    *copy = *v;
    one.v = copy;
  });
  LEAVES(&one, "nn", copy->asid = 3);
  one.v = v;
  SPOTS_ARE("oo");
  CHECK(svm_asids() > 2);
  v->asid = 0;
  CHECK_EQ(guest(v, vmmcall), X_INVALID);
  v->asid = last_asid + 1;
  CHECK_EQ(guest(v, vmmcall), X_INVALID);
}

void test(void)
{
  both_pagings(test_one);
}
