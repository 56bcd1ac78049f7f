// Translations of code are kept and removed like those of data: what runs is what the TLB says, across world
// switches, until a flush that reaches it. APM2 15.16, 5.5.
#include "flushes.h"
#include "stale.h"

// One world alone at these addresses, so that nothing but the flush can make room for the new code.
static void alone(bool nested, bool host)
{
  spot_count = 0;
  spot_code = true;
  write_cr4(read_cr4() | CR4_PGE);
  one = space_new(1, nested);
  if (host) {
    spot_host(LOCAL, 0);
    spot_host(GLOBAL, PT_G);
    LEAVES(&one, "oo", );
    LEAVES(&one, "no", invlpg(LOCAL));
    LEAVES(&one, "on", invlpga(GLOBAL, 0));
    LEAVES(&one, "no", write_cr3(read_cr3()));
    LEAVES(&one, "oo", enter(&one, TLB_KEEP));
    LEAVES(&one, "nn", enter(&one, TLB_ALL));
    return;
  }
  spot_guest(&one, LOCAL, 0);
  spot_guest(&one, GLOBAL, PT_G);
  LEAVES(&one, "oo", );
  argument = LOCAL;
  LEAVES(&one, "no", guest(one.v, guest_invlpg));
  argument = GLOBAL;
  LEAVES(&one, "on", guest(one.v, guest_invlpg));
  LEAVES(&one, "no", guest(one.v, guest_cr3));
  LEAVES(&one, "nn", guest(one.v, guest_pge));
  LEAVES(&one, "no", invlpga(LOCAL, 1));
  LEAVES(&one, "on", invlpga(GLOBAL, 1));
  LEAVES(&one, "oo", enter(&one, TLB_KEEP));
  if (svm_has(SVM_FLUSH_ASID)) {
    LEAVES(&one, "nn", enter(&one, TLB_ASID));
    LEAVES(&one, "no", enter(&one, TLB_ASID_NONGLOBAL));
  }
}

static void test_one(bool nested)
{
  alone(nested, false);
  alone(nested, true);
  spot_code = true;
  two_guests(nested);
  LEAVES(&one, NOTHING, );
  LEAVES(
      &one, NOTHING, for (unsigned i = 0; i < 5; i++) {
        enter(&one, TLB_KEEP);
        enter(&two, TLB_KEEP);
      });
  SPOTS_ARE(NOTHING); // and once more, from wherever it is remembered now
  LEAVES(&one, "nnnnnn", enter(&two, TLB_ALL));
  SPOTS_ARE("nnnnnn");
  if (svm_has(SVM_FLUSH_ASID)) {
    LEAVES(&one, "oonnoo", enter(&one, TLB_ASID));
    LEAVES(&one, "oooono", enter(&two, TLB_ASID_NONGLOBAL));
  }
  LEAVES(&one, "oonooo", invlpga(LOCAL, 1));
  LEAVES(&one, "ooooon", invlpga(GLOBAL, 2));
  LEAVES(&one, "nooooo", invlpga(LOCAL, 0));
  argument = LOCAL;
  LEAVES(&one, "oonooo", guest(one.v, guest_invlpg));
  argument = GLOBAL;
  LEAVES(&one, "ooooon", guest(two.v, guest_invlpg));
  LEAVES(&one, "oonooo", guest(one.v, guest_cr3));
  LEAVES(&one, "oooonn", guest(two.v, guest_pge));
  LEAVES(&one, "onoooo", invlpg(GLOBAL));
  LEAVES(&one, "nooooo", write_cr3(read_cr3()));
  LEAVES(&one, "nnoooo", {
    write_cr4(read_cr4() ^ CR4_PGE);
    write_cr4(read_cr4() ^ CR4_PGE);
  });
  if (!nested)
    return;
  // nested entries
  spot_count = 0;
  spot_code = false;
  spot_nested(&one, LOCAL, GPA, 0);
  spot_nested(&two, LOCAL, GPA, 0);
  spot_code = true;
  for (unsigned i = 0; i < 2; i++) {
    *(uint64_t *)(spots[i].old_page & 0xffffffffff000) = 'o' << 8 | 0xb8 | VMMCALL_CODE << 40;
    *(uint64_t *)(spots[i].new_page & 0xffffffffff000) = 'n' << 8 | 0xb8 | VMMCALL_CODE << 40;
  }
  LEAVES(&one, "oo", );
  LEAVES(&one, "oo", guest(one.v, guest_invlpg));
  LEAVES(&one, "nn", enter(&two, TLB_ALL));
  if (svm_has(SVM_FLUSH_ASID))
    LEAVES(&one, "no", enter(&one, TLB_ASID));
}

void test(void)
{
  both_pagings(test_one);
}
