// RAM above the hole below 4 GB: all of it is there, once, and nothing else. APM2 7.9 (TOP_MEM, TOP_MEM2).
#include "rt.h"

enum { TOP_MEM = 0xc001001a, TOP_MEM2 = 0xc001001d };
#define GB (1ull << 30)

static volatile uint64_t *at(uint64_t pa)
{
  uint64_t va = 0xffff800000000000 + pa;
  *pt_entry(va, 2) = (pa & ~0x1fffffull) | PT_P | PT_W | PT_PS;
  invlpg(va);
  return (volatile uint64_t *)va;
}

static uint8_t cmos(uint8_t reg)
{
  outb(0x70, reg);
  return inb(0x71);
}

void test(void)
{
  uint64_t low = rdmsr(TOP_MEM), top = rdmsr(TOP_MEM2), step = 256 << 20;
  CHECK(low >= GB && low < 4 * GB);
  CHECK(top > 4 * GB);
  uint64_t blocks = cmos(0x5b) | cmos(0x5c) << 8 | (uint64_t)cmos(0x5d) << 16;
  CHECK_EQ(4 * GB + (blocks << 16), top);
  // Each piece keeps what is its own.
  for (uint64_t pa = 4 * GB; pa < top; pa += step) {
    CHECK_EQ(*at(pa), 0);
    *at(pa) = ~pa;
    *at(pa + step - 8) = pa;
  }
  for (uint64_t pa = 64 << 20; pa + step <= low; pa += step)
    *at(pa) = pa + 1;
  for (uint64_t pa = 4 * GB; pa < top; pa += step) {
    CHECK_EQ(*at(pa), ~pa);
    CHECK_EQ(*at(pa + step - 8), pa);
  }
  // Behind it nobody answers, nor does anybody in the hole.
  CHECK_EQ(*at(top), ~0ull);
  *at(top) = 1;
  CHECK_EQ(*at(top), ~0ull);
  CHECK_EQ(*at(4 * GB), ~(4 * GB));
  CHECK_EQ(*at(low), ~0ull);
}
