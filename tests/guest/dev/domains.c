// A map gives a unit of a bus its domain; who is in no map is in domain 0. Needs two functions with units 5
// and 9.
#include "dev.h"

static struct dma a, b;

static void map_unit(unsigned map, unsigned second, unsigned bus, unsigned unit, unsigned domain)
{
  dev_set(0, MAP, map,
          second ? unit << 6 | 1u << 11 | bus << 12 | domain << 26
                 : unit | 1u << 5 | bus << 12 | domain << 20);
}

void test(void)
{
  CHECK(dma_find(&a, 0) && dma_find(&b, 1));
  CHECK_EQ(a.reg[D_REQUESTER] >> 16 & 31, 5);
  CHECK_EQ(b.reg[D_REQUESTER] >> 16 & 31, 9);
  uint32_t *page = page_new(), *other = page_new();
  dev_on(0);
  exclude(TABLE(0), page, true);
  clear(TABLE(1));
  exclude(TABLE(1), other, true);
  dev_set(0, BASE_LO, 3, (uint32_t)(word)TABLE(1) | BASE_V);
  dev_invalidate(0);
  CHECK(!dma_writes(&a, page) && !dma_writes(&b, page));
  CHECK(dma_writes(&a, other) && dma_writes(&b, other));
  map_unit(1, 0, 0, 5, 3); // a: domain 3
  CHECK(dma_writes(&a, page) && !dma_writes(&a, other));
  CHECK(!dma_writes(&b, page) && dma_writes(&b, other));
  map_unit(2, 1, 0, 9, 2); // b: domain 2, which has no table
  CHECK(dma_writes(&b, page) && dma_writes(&b, other));
  map_unit(1, 0, 1, 5, 3); // another bus
  CHECK(!dma_writes(&a, page) && dma_writes(&a, other));
  dev_set(0, MAP, 2, 9 << 6 | 2u << 26); // not valid
  CHECK(!dma_writes(&b, page));
}
