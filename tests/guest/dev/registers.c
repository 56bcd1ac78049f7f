// The capability is the only one in its list, says how much there is, and its registers keep what exists of
// them.
#include "dev.h"

void test(void)
{
  CHECK_EQ(config_read(0, 0x18, 3, 0x34) & 0xff, 0xf0);
  CHECK_EQ(config_read(0, 0x18, 3, 4) >> 20 & 1, 1);
  uint32_t header = config_read(0, 0x18, 3, 0xf0), cap = dev_get(0, CAP, 0);
  CHECK_EQ(header & 0xff, 0x0f);
  CHECK_EQ(header >> 8 & 0xff, 0);
  CHECK_EQ(header >> 16 & 7, 0);
  CHECK_EQ(header >> 20 & 3, 1); // MceCap, no IntCap
  unsigned domains = cap >> 8 & 0xff, maps = cap >> 16 & 0xff;
  bool k8 = config_read(0, 0x18, 3, 0) == 0x11031022;
  CHECK_EQ(domains, k8 ? 4 : 8);
  CHECK_EQ(maps, k8 ? 3 : 4);
  for (unsigned i = 0; i < domains; i++)
    dev_set(0, BASE_LO, i, 0x01000000 * (i + 1));
  for (unsigned i = 0; i < domains; i++)
    CHECK_EQ(dev_get(0, BASE_LO, i), 0x01000000 * (i + 1));
  dev_set(0, BASE_LO, domains, 0x77777000);
  CHECK_EQ(dev_get(0, BASE_LO, domains), 0);
  dev_set(0, BASE_LO, 0, ~0u);
  CHECK_EQ(dev_get(0, BASE_LO, 0), 0xfffff07f);
  dev_set(0, BASE_LO, 0, 0);
  dev_set(0, BASE_HI, 0, ~0u);
  CHECK_EQ(dev_get(0, BASE_HI, 0), k8 ? 0xff : 0xffff);
  dev_set(0, CR, 0, CR_SL | CR_INV);
  CHECK_EQ(dev_get(0, CR, 0), 0); // software cannot set SL_DEV, and DEVINV is over
}
