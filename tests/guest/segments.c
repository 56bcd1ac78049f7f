// Protected mode: limits, expand-down and read-only segments, 16-bit code and stacks, null selectors,
// accessed bits, LAR, LSL, VERR, VERW, ARPL. APM2 4.7 to 4.9.
#include "rt.h"

enum { S = GDT_FREE };

static void seg(unsigned byte5, uint32_t limit, unsigned fl)
{
  gdt[S / 8] = descriptor(0, limit, byte5, fl);
}
static unsigned load(unsigned sel)
{
  return TRY(asm volatile("mov %w0, %%fs" ::"r"(sel)));
}
static unsigned read8(uint32_t at)
{
  return TRY(asm volatile("movb %%fs:(%0), %%al" ::"r"(at) : "eax"));
}
static unsigned read32(uint32_t at)
{
  return TRY(asm volatile("movl %%fs:(%0), %%eax" ::"r"(at) : "eax"));
}
static unsigned write8(uint32_t at)
{
  return TRY(asm volatile("movb %%al, %%fs:(%0)" ::"r"(at) : "memory"));
}
static word zf(void)
{
  return flags() >> 6 & 1;
}

static uint32_t sp16(void)
{
  uint32_t v;
  // a 16-bit stack: SP wraps, the upper half of ESP stays
  asm volatile(
      "mov %%esp, %%edx; mov %%ss, %%ecx; mov %w1, %%ss; mov $0x12340000, %%esp; push %%ax; mov %%esp, %0\n"
      "mov %%cx, %%ss; mov %%edx, %%esp"
      : "=&a"(v)
      : "r"(K_DATA16)
      : "ecx", "edx", "memory");
  return v;
}

void test(void)
{
  seg(0x92, 0xfff, 4); // data, writable, not accessed
  CHECK_EQ(load(S), NONE);
  CHECK_EQ(gdt[S / 8] >> 40 & 1, 1);
  CHECK_EQ(read8(0xfff), NONE);
  CHECK_EQ(read8(0x1000), GP);
  CHECK_EQ(last.error, 0);
  CHECK_EQ(read32(0xffc), NONE);
  CHECK_EQ(read32(0xffd), GP);
  CHECK_EQ(read32(0xffffffff), GP); // wraps
  seg(0x92, 1, 12);                 // in pages: 8 KB
  CHECK_EQ(load(S), NONE);
  CHECK_EQ(read8(0x1fff), NONE);
  CHECK_EQ(read8(0x2000), GP);
  seg(0x90, 0xfff, 4); // read only
  CHECK_EQ(load(S), NONE);
  CHECK_EQ(read8(0), NONE);
  CHECK_EQ(write8(0), GP);
  seg(0x96, 0xfff, 4); // expands down: from the limit + 1 to 4 GB
  CHECK_EQ(load(S), NONE);
  CHECK_EQ(read8(0xfff), GP);
  CHECK_EQ(read8(0x1000), NONE);
  CHECK_EQ(read8(0x100000), NONE);
  seg(0x96, 0xfff, 0); // to 64 KB
  CHECK_EQ(load(S), NONE);
  CHECK_EQ(read8(0xffff), NONE);
  CHECK_EQ(read8(0x10000), GP);
  CHECK_EQ(read32(0xfffd), GP);
  seg(0x98, 0xfff, 4); // code, not readable
  CHECK_EQ(load(S), GP);
  CHECK_EQ(last.error, S);
  seg(0x9a, 0xfff, 4); // code, readable
  CHECK_EQ(load(S), NONE);
  CHECK_EQ(write8(0), GP);
  CHECK_EQ(load(0), NONE);
  CHECK_EQ(read8(0), GP);
  CHECK_EQ(TRY(asm volatile("mov %w0, %%ss" ::"r"(0))), GP);
  CHECK_EQ(last.error, 0);
  seg(0x12, 0xfff, 4);
  CHECK_EQ(load(S), NP);
  CHECK_EQ(last.error, S);
  seg(0x82, 0xfff, 4); // an LDT is no data
  CHECK_EQ(load(S), GP);
  CHECK_EQ(sp16(), 0x1234fffe);

  // looking at descriptors
  uint32_t v;
  seg(0x92, 0x12345, 12);
  asm volatile("lsl %1, %0" : "=r"(v) : "r"(S));
  CHECK_EQ(v, 0x12345fff);
  asm volatile("lar %1, %0" : "=r"(v) : "r"(S));
  CHECK_EQ(v & 0xf0ff00, 0xc09200);
  asm volatile("verw %w0" ::"r"(S));
  CHECK_EQ(zf(), 1);
  seg(0x90, 0x12345, 12);
  asm volatile("verw %w0" ::"r"(S));
  CHECK_EQ(zf(), 0);
  asm volatile("verr %w0" ::"r"(S));
  CHECK_EQ(zf(), 1);
  asm volatile("verr %w0" ::"r"(0x1000));
  CHECK_EQ(zf(), 0);
  v = 0x11223344;
  asm volatile("lsl %1, %0" : "+r"(v) : "r"(0x1000));
  CHECK_EQ(v, 0x11223344);
  v = 8;
  asm volatile("arpl %w1, %w0" : "+r"(v) : "r"(3));
  CHECK_EQ(v, 11);
  CHECK_EQ(zf(), 1);
  // a local table
  static uint64_t ldt[4];
  ldt[1] = descriptor(0x1000, 0xff, 0x92, 4);
  gdt[S / 8] = descriptor((uint32_t)ldt, 15, 0x82, 0);
  asm volatile("lldt %w0" ::"r"(S));
  CHECK_EQ(load(8 | 4), NONE);
  CHECK_EQ(read8(0x100), GP);
  CHECK_EQ(load(16 | 4), GP); // beyond its limit
  CHECK_EQ(last.error, 16 | 4);
}
