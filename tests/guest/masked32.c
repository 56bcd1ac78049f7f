// Masked moves against the limit of a segment: each element that is moved counts, and no other.
// APM4, VMASKMOV, MASKMOVDQU; APM2 4.12.
#include "rt.h"

static uint8_t data[4096] __attribute__((aligned(4096)));
static uint32_t masks[8];

static void segment(uint32_t limit, bool down)
{
  gdt[GDT_FREE / 8] = descriptor((uint32_t)data, limit, down ? 0x96 : 0x92, 4);
  asm volatile("mov %w0, %%fs" ::"r"(GDT_FREE));
}
static void mask_dwords(unsigned from, unsigned count)
{
  for (unsigned i = 0; i < 8; i++)
    masks[i] = i >= from && i < from + count ? 0x80000000 : 0;
}
static unsigned load(uint32_t at)
{
  return TRY(
      asm volatile("vmovups (%1), %%ymm1; vmaskmovps %%fs:(%0), %%ymm1, %%ymm2" ::"r"(at), "r"(masks)));
}
static unsigned store(uint32_t at)
{
  return TRY(asm volatile("vmovups (%1), %%ymm1; vmaskmovpd %%ymm2, %%ymm1, %%fs:(%0)" ::"r"(at), "r"(masks)
                          : "memory"));
}
static unsigned bytes(uint32_t at)
{
  return TRY(asm volatile("movups (%1), %%xmm1; fs maskmovdqu %%xmm1, %%xmm0" ::"D"(at), "r"(masks)
                          : "memory"));
}

static void avx(void)
{
  segment(0xff, false);
  mask_dwords(0, 4);
  CHECK_EQ(load(0xf0), NONE);
  CHECK_EQ(load(0xf1), GP);
  mask_dwords(0, 5);
  CHECK_EQ(load(0xf0), GP);
  mask_dwords(4, 4); // of which only the odd ones select a quadword
  CHECK_EQ(load(0xe0), NONE);
  CHECK_EQ(load(0xe1), GP);
  CHECK_EQ(store(0xe0), NONE);
  CHECK_EQ(store(0xe8), GP);
  mask_dwords(0, 2);
  CHECK_EQ(store(0xf8), NONE);
  CHECK_EQ(store(0xf9), GP);
  mask_dwords(0, 0);
  CHECK_EQ(load(0x100), NONE);
  CHECK_EQ(store(0x100), NONE);
  segment(0xff, true); // expands down: from 100h on
  mask_dwords(4, 4);
  CHECK_EQ(load(0xf0), NONE);
  CHECK_EQ(load(0xef), GP);
  CHECK_EQ(store(0xf0), NONE);
}

void test(void)
{
  write_cr4(read_cr4() | 0x600); // OSFXSR, OSXMMEXCPT
  segment(0xff, false);
  masks[0] = masks[1] = 0x80808080;
  CHECK_EQ(bytes(0xf8), NONE);
  CHECK_EQ(bytes(0xf9), GP);
  masks[0] = 0x80;
  masks[1] = 0;
  CHECK_EQ(bytes(0xff), NONE);
  CHECK_EQ(bytes(0x100), GP);
  masks[0] = 0;
  CHECK_EQ(bytes(0x100), NONE);
  uint32_t r[4];
  cpuid(1, 0, r);
  if (!(r[2] >> 28 & 1)) // AVX
    return;
  write_cr4(read_cr4() | 1 << 18); // OSXSAVE
  asm volatile("xsetbv" ::"a"(7), "d"(0), "c"(0) : "memory");
  avx();
}
