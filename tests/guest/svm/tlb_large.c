// Large pages in the TLB: one address is enough to remove the page whole, as the guest's tables have it, also
// where the nested tables have smaller ones; a small page of the guest goes alone, whatever the nested tables
// have. APM2 5.5.3, 15.25.
#include "flushes.h"
#include "stale.h"

#define LARGE (VA + 0x40000000)
enum { OLD = 0x2000000, NEW = 0x2200000, MB2 = 0x200000 };

static const uint32_t pieces[] = {0, 0x5000, 0x1ff000};

// Spots 0 to 2: pieces of a 2 MB page of the guest. 3 and 4: pieces of the one behind it. 5 and 6: small
// pages.
static void test_one(bool nested)
{
  for (unsigned split = 0; split <= nested; split++) {
    spot_count = 0;
    write_cr4(read_cr4() | CR4_PGE);
    one = space_new(1, nested);
    for (uint32_t off = 0; off < MB2; off += 4096) {
      *(uint32_t *)(word)(OLD + off) = 'o';
      *(uint32_t *)(word)(NEW + off) = 'n';
    }
    if (split) // the nested tables have small pages where the guest has large ones
      for (uint64_t a = OLD; a < OLD + 2 * MB2; a += MB2) {
        tables_map(&one.nested, a, 2, 0);
        for (uint64_t off = 0; off < MB2; off += 4096)
          space_nest(&one, a + off, (a + off) | PT_ALL);
      }
    for (unsigned i = 0; i < 5; i++)
      spots[spot_count++] = (struct spot){.s = &one,
                                          .va = LARGE + (i < 3 ? pieces[i] : MB2 + pieces[i - 2]),
                                          .entry = tables_entry(&one.guest, LARGE + (i < 3 ? 0 : MB2), 2),
                                          .old_page = OLD | PT_ALL | PT_PS | (i < 3 ? 0 : PT_G),
                                          .new_page = NEW | PT_ALL | PT_PS | (i < 3 ? 0 : PT_G)};
    for (unsigned i = 0; i < 2; i++)
      spots[spot_count++] = (struct spot){.s = &one,
                                          .va = VA + pieces[i],
                                          .entry = tables_entry(&one.guest, VA + pieces[i], 1),
                                          .old_page = (OLD + pieces[i]) | PT_ALL,
                                          .new_page = (NEW + pieces[i]) | PT_ALL};
    LEAVES(&one, "ooooooo", );
    for (unsigned i = 0; i < 3; i++) {
      argument = LARGE + pieces[i] + 0x123;
      LEAVES(&one, "nnnoooo", guest(one.v, guest_invlpg));
      LEAVES(&one, "nnnoooo", invlpga(argument, 1));
    }
    argument = LARGE + 0x100000; // a piece that was never used
    LEAVES(&one, "nnnoooo", guest(one.v, guest_invlpg));
    LEAVES(&one, "nnnoooo", invlpga(argument, 1));
    argument = LARGE + MB2 + 0x100000; // global
    LEAVES(&one, "ooonnoo", guest(one.v, guest_invlpg));
    LEAVES(&one, "ooonnoo", invlpga(argument, 1));
    argument = LARGE + 2 * MB2;
    LEAVES(&one, "ooooooo", guest(one.v, guest_invlpg));
    LEAVES(&one, "ooooooo", invlpga(LARGE, 2));
    argument = VA;
    LEAVES(&one, "ooooono", guest(one.v, guest_invlpg));
    LEAVES(&one, "oooooon", invlpga(VA + 0x5000, 1));
    if (svm_has(SVM_FLUSH_ASID))
      LEAVES(&one, "nnnoonn", enter(&one, TLB_ASID_NONGLOBAL));
  }
}

void test(void)
{
  both_pagings(test_one);
}
