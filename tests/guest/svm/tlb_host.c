// What the host flushes of its own reaches no guest's entries. APM2 15.16.
#include "stale.h"

static void test_one(bool nested)
{
  two_guests(nested);
  LEAVES(&one, "nooooo", invlpg(LOCAL));
  LEAVES(&one, "onoooo", invlpg(GLOBAL));
  LEAVES(&one, "nooooo", write_cr3(read_cr3()));
  LEAVES(&one, "nnoooo", {
    write_cr4(read_cr4() ^ CR4_PGE);
    write_cr4(read_cr4() ^ CR4_PGE);
  });
  LEAVES(&one, NOTHING, wrmsr(MSR_HSAVE, rdmsr(MSR_HSAVE)));
  // the host's global pages stay over its loads of CR3 and entries in between
  LEAVES(&one, "nooooo", {
    enter(&one, TLB_KEEP);
    write_cr3(read_cr3());
    enter(&two, TLB_KEEP);
  });
}

void test(void)
{
  both_pagings(test_one);
}
