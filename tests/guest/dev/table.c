// One bit of a table denies reads and writes of one page, and nothing else; beyond the table P decides; SIZE
// says how far it reaches; a domain without a table is not restricted.
#include "dev.h"

static struct dma d;

void test(void)
{
  CHECK(dma_find(&d, 0));
  uint32_t *page = page_new(), *next = page_new();
  CHECK(dma_writes(&d, page));
  dev_on(0);
  CHECK(dma_writes(&d, page));
  exclude(TABLE(0), page, true);
  dev_invalidate(0);
  CHECK(!dma_writes(&d, page));
  CHECK(!dma_writes(&d, page + 1023));
  CHECK(!dma_reads(&d, page));
  CHECK(dma_writes(&d, page - 1));
  CHECK(dma_writes(&d, next));
  CHECK(dma_reads(&d, next));
  *page = 7;
  CHECK_EQ(*page, 7); // a processor is never stopped
  // A request over both pages: the allowed one is written.
  *page = *next = 0;
  d.reg[D_PATTERN] = 0x55555555;
  CHECK_EQ(dma_run(&d, D_FILL | D_CONTINUE, 0, (word)page, 8192) & D_ABORT, D_ABORT);
  CHECK_EQ(*page, 0);
  CHECK_EQ(*next, 0x55555555);
  CHECK_EQ(d.reg[D_FAIL], (uint32_t)(word)page);
  // Device memory is covered like DRAM: the device's own registers, from itself.
  dev_set(0, CR, 0, CR_EN);
  exclude(TABLE(0), (void *)d.reg, true);
  dev_invalidate(0);
  CHECK_EQ(dma_run(&d, D_READ, (word)d.reg, 0, 4), D_DONE | D_ABORT);
  // The table covers 4 GB << SIZE. Nobody answers at 5 GB: only the error register tells a denial.
  dev_set(0, ERR_STATUS, 0, 0);
  dma_run(&d, D_READ, 5ull << 30, 0, 4);
  CHECK_EQ(dev_get(0, ERR_STATUS, 0), 0);
  dev_set(0, BASE_LO, 0, (uint32_t)(word)TABLE(0) | BASE_V | BASE_P);
  dma_run(&d, D_READ, 5ull << 30, 0, 4);
  CHECK(dev_get(0, ERR_STATUS, 0) & ERR_VALID);
  dev_set(0, ERR_STATUS, 0, 0);
  clear(TABLE(1));
  dev_set(0, BASE_LO, 0, (uint32_t)(word)TABLE(0) | BASE_V | BASE_P | 1 << 2); // 8 GB
  dev_invalidate(0);
  dma_run(&d, D_READ, 5ull << 30, 0, 4);
  CHECK_EQ(dev_get(0, ERR_STATUS, 0), 0);
  // Without V all is allowed.
  dev_set(0, BASE_LO, 0, (uint32_t)(word)TABLE(0));
  CHECK(dma_writes(&d, page));
}
