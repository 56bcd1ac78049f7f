// INVLPGA removes one page of one ASID, global or not, whoever runs. APM2 15.16, APM3.
#include "stale.h"

static uint64_t address, asid;
static void invalidates(void)
{
  invlpga(address, asid);
  vmmcall();
}

static void test_one(bool nested)
{
  two_guests(nested);
  LEAVES(&one, "oonooo", invlpga(LOCAL, 1));
  LEAVES(&one, "ooonoo", invlpga(GLOBAL, 1));
  LEAVES(&one, "oooono", invlpga(LOCAL, 2));
  LEAVES(&one, "ooooon", invlpga(GLOBAL + 0xfff, 2));
  LEAVES(&one, "nooooo", invlpga(LOCAL, 0));
  LEAVES(&one, "onoooo", invlpga(GLOBAL, 0));
  LEAVES(&one, NOTHING, invlpga(LOCAL, 3));
  LEAVES(&one, NOTHING, invlpga(VA + 0x3000, 1));
  LEAVES(&one, NOTHING, invlpga(LOCAL + (1ull << 47), 1)); // not canonical
  LEAVES(&one, "oonnnn", {
    invlpga(LOCAL, 1);
    invlpga(GLOBAL, 1);
    invlpga(LOCAL, 2);
    invlpga(GLOBAL, 2);
  });
  // a guest that is allowed to, of itself, of the other, of the host
  for (asid = 0; asid < 3; asid++) {
    static const char *const want[] = {"nooooo", "oonooo", "oooono"};
    address = LOCAL;
    LEAVES(&one, want[asid], CHECK_EQ(guest(one.v, invalidates), X_VMMCALL));
  }
}

void test(void)
{
  both_pagings(test_one);
}
