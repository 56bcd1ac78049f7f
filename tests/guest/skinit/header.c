// The header is taken as it is: any entry, any length, also one that leaves the entry out of what is
// measured.
#include "launch.h"

void test(void)
{
  static const struct {
    unsigned entry, length;
  } t[] = {{4, 0}, {4, 1}, {4, 3}, {4, 65535}, {0x7ff1, 17}, {0xff00, 65535}, {0xff01, 4}};
  for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++) {
    uint32_t slb = (uint32_t)(word)slb_new(t[i].entry, t[i].length);
    launch(slb);
    CHECK_EQ(found.ax, slb);
    CHECK_EQ(found.ip, slb + t[i].entry + 5);
    stgi();
  }
}
