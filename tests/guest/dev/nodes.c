// Each node checks its own devices only. The devices are on the last node.
#include "dev.h"

static struct dma d;

void test(void)
{
  unsigned nodes = (config_read(0, 0x18, 0, 0x60) >> 4 & 7) + 1;
  CHECK(dma_find(&d, 0));
  CHECK_EQ(d.node, nodes - 1);
  uint32_t *page = page_new();
  for (unsigned n = 0; n + 1 < nodes; n++) {
    dev_on(n);
    exclude(TABLE(0), page, true);
    dev_invalidate(n);
    CHECK(dma_writes(&d, page)); // others' DEV does not stop it
    CHECK_EQ(dev_get(n, ERR_STATUS, 0), 0);
  }
  dev_on(nodes - 1);
  exclude(TABLE(0), page, true);
  dev_invalidate(nodes - 1);
  CHECK(!dma_writes(&d, page));
  CHECK_EQ(dev_get(nodes - 1, ERR_STATUS, 0), ERR_VALID | ERR_ADDR | ERR(DRAM, true));
  for (unsigned n = 0; n + 1 < nodes; n++)
    CHECK_EQ(dev_get(n, ERR_STATUS, 0), 0);
  // Its machine check goes to the bank of that node's first processor, which F3x48 and 4C show.
  dev_set(nodes - 1, CR, 0, CR_EN | CR_MCE);
  CHECK(!dma_writes(&d, page));
  for (unsigned n = 0; n < nodes; n++) {
    bool there = n == nodes - 1;
    CHECK_EQ(config_read(0, 0x18 + n, 3, 0x4c) >> 31, there);
    CHECK_EQ(config_read(0, 0x18 + n, 3, 0x50), there ? (word)page : 0);
  }
}
