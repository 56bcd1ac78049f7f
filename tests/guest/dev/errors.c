// The first denial is kept with kind, destination and address, a second one sets overflow; software clears
// it.
#include "dev.h"

static struct dma d;

void test(void)
{
  CHECK(dma_find(&d, 0));
  uint32_t *page = page_new(), *other = page_new();
  dev_on(0);
  exclude(TABLE(0), page, true);
  exclude(TABLE(0), other, true);
  exclude(TABLE(0), (void *)d.reg, true);
  dev_invalidate(0);
  CHECK_EQ(dev_get(0, ERR_STATUS, 0), 0);
  CHECK(!dma_writes(&d, page + 3));
  CHECK_EQ(dev_get(0, ERR_STATUS, 0), ERR_VALID | ERR_ADDR | ERR(DRAM, true));
  CHECK_EQ(dev_get(0, ERR_LO, 0), (uint32_t)(word)(page + 3));
  CHECK_EQ(dev_get(0, ERR_HI, 0), 0);
  CHECK(!dma_reads(&d, other));
  CHECK_EQ(dev_get(0, ERR_STATUS, 0), ERR_VALID | ERR_OVERFLOW | ERR_ADDR | ERR(DRAM, true));
  CHECK_EQ(dev_get(0, ERR_LO, 0), (uint32_t)(word)(page + 3));
  dev_set(0, ERR_STATUS, 0, 0);
  CHECK_EQ(dma_run(&d, D_READ, (word)d.reg, 0, 4), D_DONE | D_ABORT);
  CHECK_EQ(dev_get(0, ERR_STATUS, 0), ERR_VALID | ERR_ADDR | ERR(MMIO, false));
  CHECK_EQ(config_read(d.bus, d.slot, d.fn, 4) >> 29 & 1, 1); // the device received a master abort
}
