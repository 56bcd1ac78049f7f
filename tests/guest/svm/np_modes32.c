// See np_modes.h; here the host has two-level paging, without and with 4 MB pages, and PAE paging. Guests
// with 64-bit code run under them too, within the 4 GB that such nested tables reach.
#include "host32.h"

#include "np_modes.h"

void test(void)
{
  uint32_t r[4];
  struct vmcb *v = host32_on();
  cpuid(0x80000001, 0, r);
  bool gb = r[3] >> 26 & 1, lm = r[3] >> 29 & 1;
  host32_paging(2, true);
  np_modes(v, 2, 2, gb, lm);
  host32_paging(3, true);
  np_modes(v, 3, 2, gb, lm);
}
