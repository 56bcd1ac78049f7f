// SKINIT needs privilege 0, and EFER.SVME where CPUID does not show it; STGI likewise, CLGI always.
#include "launch.h"

USER void at_user(void)
{
  skinit(0);
  USER_END;
}

void test(void)
{
  uint32_t r[4];
  cpuid(0x80000001, 0, r);
  bool shown = r[2] >> 12 & 1;
  wrmsr(EFER, rdmsr(EFER) & ~EFER_SVME);
  if (!shown) {
    CHECK_EQ(TRY(skinit(0)), UD);
    CHECK_EQ(TRY(stgi()), UD);
    wrmsr(EFER, rdmsr(EFER) | EFER_SVME);
  }
  CHECK_EQ(TRY(stgi()), NONE);
  CHECK_EQ(TRY(user(at_user)), GP);
  CHECK_EQ(last.error, 0);
  uint32_t slb = (uint32_t)(word)slb_new(4, 64);
  launch(slb);
  CHECK_EQ(found.ax, slb);
  stgi();
  wrmsr(EFER, rdmsr(EFER) & ~EFER_SVME);
  CHECK_EQ(TRY(clgi()), UD);
}
