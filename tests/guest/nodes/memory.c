// All northbridges have the same map of DRAM; its ranges follow on each other up to the top of memory, each
// is there, and what a device of any node writes into any node's memory arrives. BKDG 31116: F1x40, F2x40.
#include "nodes.h"

void test(void)
{
  unsigned n = nodes();
  uint64_t at = 0;
  allow_extended();
  for (unsigned i = 0; i < NODES_MAX; i++) {
    uint32_t base = nb(0, 1, 0x40 + 8 * i), limit = nb(0, 1, 0x44 + 8 * i);
    for (unsigned other = 1; other < n; other++) {
      CHECK_EQ(nb(other, 1, 0x40 + 8 * i), base);
      CHECK_EQ(nb(other, 1, 0x44 + 8 * i), limit);
    }
    CHECK_EQ(limit & 7, i); // owned by the node of its number
    CHECK_EQ(base & 3, i < n ? 3 : 0);
    if (i >= n)
      continue;
    CHECK_EQ(dram_base(i), at);
    at = dram_last(i) + 1;
    CHECK(nb(i, 2, 0x40) & 1); // a chip select
  }
  CHECK_EQ(at, rdmsr(TOP_MEM));
  for (unsigned from = 0; from < n; from++) {
    struct dma d = dma_of(from);
    CHECK_EQ(d.reg[R_REQUESTER] >> 24 & 7, from);
    CHECK_EQ(d.reg[R_REQUESTER] >> 16 & 31, d.device); // its unit ID
    for (unsigned to = 0; to < n; to++) {
      volatile uint32_t *cell = (volatile uint32_t *)(word)(dram_last(to) - 0x1fffff); // clear of tables
      CHECK_EQ(dma_write(d, (word)cell, 0xc0de0000 + from * 16 + to), D_DONE);
      CHECK_EQ(*cell, 0xc0de0000 + from * 16 + to);
      *cell = 0x12340000 + from * 16 + to;
      CHECK_EQ(dma_run(d, D_READ, (word)cell, 4), D_DONE);
      CHECK_EQ(d.reg[R_DATA], 0x12340000 + from * 16 + to);
    }
  }
}
