// ASIDs that lie far apart, and PCIDs of one ASID and another, have nothing to do with each other: a flush
// removes no entry that only looks alike. APM2 15.16.
#include "flushes.h"
#include "stale.h"

static void test_one(bool nested)
{
  two_guests(nested);
  uint32_t far = svm_asids() - 1;
  two.v->asid = far;
  LEAVES(&one, "oooonn", {
    invlpga(LOCAL, far);
    invlpga(GLOBAL, far);
  });
  LEAVES(&one, "oonooo", CHECK_EQ(guest(one.v, guest_cr3), X_VMMCALL));
  LEAVES(&one, "oooono", CHECK_EQ(guest(two.v, guest_cr3), X_VMMCALL));
  if (svm_has(SVM_FLUSH_ASID)) {
    LEAVES(&one, "oonnoo", enter(&one, TLB_ASID));
    LEAVES(&one, "oooonn", enter(&two, TLB_ASID));
    LEAVES(&one, "oonooo", enter(&one, TLB_ASID_NONGLOBAL));
    LEAVES(&one, "oooono", enter(&two, TLB_ASID_NONGLOBAL));
  }
  uint32_t r[4];
  cpuid(1, 0, r);
  if (!(r[2] >> 17 & 1))
    return;
  // every PCID of the host's is emptied; its own entries are those of PCID 0
  uint64_t cr3 = read_cr3();
  write_cr4(read_cr4() | CR4_PCIDE);
  LEAVES(&one, NOTHING, {
    for (unsigned pcid = 1; pcid < 4096; pcid++)
      write_cr3(cr3 | pcid);
    write_cr3(cr3 | 1ull << 63);
  });
  write_cr4(read_cr4() & ~(uint64_t)CR4_PCIDE);
}

void test(void)
{
  both_pagings(test_one);
}
