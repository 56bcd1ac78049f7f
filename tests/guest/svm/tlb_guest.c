// What a guest flushes is its own: INVLPG, MOV to CR3, CR4.PGE, INVPCID reach neither the host nor other
// ASIDs, and spare global pages as outside of a guest. APM2 15.16.1, 5.5.
#include "flushes.h"
#include "stale.h"

static uint64_t kind;
static void guest_invpcid(void)
{
  uint64_t d[2] = {0, argument};
  asm volatile("invpcid %0, %1" ::"m"(d), "r"(kind) : "memory");
  vmmcall();
}

static bool has_invpcid;

static void test_one(bool nested)
{
  two_guests(nested);
  argument = LOCAL;
  LEAVES(&one, "oonooo", guest(one.v, guest_invlpg));
  LEAVES(&one, "oooono", guest(two.v, guest_invlpg));
  argument = GLOBAL;
  LEAVES(&one, "ooonoo", guest(one.v, guest_invlpg));
  LEAVES(&one, "oonooo", guest(one.v, guest_cr3));
  LEAVES(&one, "oooono", guest(two.v, guest_cr3));
  LEAVES(&one, "oonnoo", guest(one.v, guest_pge));
  LEAVES(&one, "oooonn", guest(two.v, guest_pge));
  if (!has_invpcid)
    return;
  static const char *const local[] = {"oonooo", "oonooo", "oonnoo",
                                      "oonooo"}; // by kind, for a page that is not global
  argument = LOCAL;
  for (kind = 0; kind < 4; kind++)
    LEAVES(&one, local[kind], guest(one.v, guest_invpcid));
  argument = GLOBAL;
  kind = 0;
  LEAVES(&one, "ooo?oo", guest(one.v, guest_invpcid));
  CHECK_EQ(one.v->exitcode, X_VMMCALL);
}

void test(void)
{
  uint32_t r[4];
  cpuid(7, 0, r);
  has_invpcid = r[1] >> 10 & 1;
  both_pagings(test_one);
}
