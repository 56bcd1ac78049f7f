// Devices are shut out of the block, on every node, until software clears SL_DEV there; the memory around it
// is open.
#include "../dev/dev.h"
#include "launch.h"

static struct dma d;

void test(void)
{
  unsigned nodes = (config_read(0, 0x18, 0, 0x60) >> 4 & 7) + 1;
  CHECK(dma_find(&d, 0));
  uint32_t *slb = (uint32_t *)slb_new(4, 64), *end = slb + SLB_SIZE / 4;
  CHECK(dma_writes(&d, slb + 64));
  launch((uint32_t)(word)slb);
  for (unsigned n = 0; n < nodes; n++)
    CHECK(dev_get(n, CR, 0) & CR_SL);
  CHECK(!dma_writes(&d, slb));
  CHECK(!dma_writes(&d, end - 1));
  CHECK(!dma_reads(&d, slb + 0x1000));
  CHECK(dma_writes(&d, slb - 1));
  CHECK(dma_writes(&d, end));
  slb[100] = 1; // the processor is not shut out
  CHECK_EQ(slb[100], 1);
  for (unsigned n = 0; n < nodes; n++) {
    if (n != d.node)
      dev_set(n, CR, 0, 0);
  }
  CHECK(!dma_writes(&d, slb));
  dev_set(d.node, CR, 0, 0);
  CHECK(dma_writes(&d, slb));
  CHECK(dma_reads(&d, slb + 0x1000));
}
