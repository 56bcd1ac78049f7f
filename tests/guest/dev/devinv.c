// A table is believed as it was read until DEVINV, in both directions.
#include "dev.h"

static struct dma d;

void test(void)
{
  CHECK(dma_find(&d, 0));
  uint32_t *page = page_new();
  dev_on(0);
  CHECK(dma_writes(&d, page));
  exclude(TABLE(0), page, true);
  CHECK(dma_writes(&d, page));
  dev_invalidate(0);
  CHECK(!dma_writes(&d, page));
  exclude(TABLE(0), page, false);
  CHECK(!dma_writes(&d, page));
  dev_invalidate(0);
  CHECK(dma_writes(&d, page));
}
