// XSAVE and XRSTOR: components by mask, the header, initial values, compaction, XCR0's rules. APM2 11.5.
#include "rt.h"

static uint8_t area[4096] __attribute__((aligned(64)));
#define HEADER(i) (*(volatile uint64_t *)(area + 512 + 8 * (i)))

static void xsetbv(uint64_t v)
{
  asm volatile("xsetbv" ::"a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(0) : "memory");
}
static uint64_t xgetbv(void)
{
  uint32_t a, d;
  asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  return a | (uint64_t)d << 32;
}
static void xsave(uint64_t mask)
{
  asm volatile("xsave64 %0" : "+m"(area) : "a"((uint32_t)mask), "d"(0) : "memory");
}
static void xrstor(uint64_t mask)
{
  asm volatile("xrstor64 %0" : "+m"(area) : "a"((uint32_t)mask), "d"(0) : "memory");
}
static void set_xmm0(uint64_t v)
{
  asm volatile("movq %0, %%xmm0" ::"r"(v));
}
static uint64_t xmm0(void)
{
  uint64_t v;
  asm volatile("movq %%xmm0, %0" : "=r"(v));
  return v;
}

void test(void)
{
  enum { OSXSAVE = 1 << 18, X87 = 1, SSE = 2, AVX = 4 };
  uint32_t r[4];
  cpuid(1, 0, r);
  CHECK(r[2] >> 26 & 1);
  CHECK(!(r[2] >> 27 & 1)); // OSXSAVE
  bool avx = r[2] >> 28 & 1;
  CHECK_EQ(TRY(xgetbv()), UD);
  CHECK_EQ(TRY(xsave(3)), UD);
  write_cr4(read_cr4() | OSXSAVE);
  cpuid(1, 0, r);
  CHECK(r[2] >> 27 & 1);
  CHECK_EQ(xgetbv(), X87); // after reset
  CHECK_EQ(TRY(xsetbv(0)), GP);
  CHECK_EQ(TRY(xsetbv(SSE)), GP);
  CHECK_EQ(TRY(xsetbv(X87 | AVX)), GP);
  CHECK_EQ(TRY(xsetbv(X87 | 1ull << 62)), GP);
  CHECK_EQ(TRY(asm volatile("xsetbv" ::"a"(1), "d"(0), "c"(1))), GP);
  if (avx)
    CHECK_EQ(TRY(asm volatile("vpxor %ymm0, %ymm0, %ymm0")), UD); // XCR0 without AVX
  uint64_t all = X87 | SSE | (avx ? AVX : 0);
  xsetbv(all);
  CHECK_EQ(xgetbv(), all);
  cpuid(13, 0, r);
  CHECK_EQ(r[1], avx ? 832 : 576);
  CHECK_EQ(r[0] & all, all);

  set_xmm0(0x1122334455667788);
  asm volatile("fninit; fld1");
  xsave(all);
  CHECK_EQ(HEADER(0) & (X87 | SSE), X87 | SSE);
  CHECK_EQ(*(uint64_t *)(area + 160), 0x1122334455667788);
  CHECK_EQ(*(uint16_t *)(area + 32 + 8), 0x3fff); // 1.0
  // only what the mask names
  set_xmm0(5);
  xsave(X87);
  CHECK_EQ(*(uint64_t *)(area + 160), 0x1122334455667788);
  xrstor(X87);
  CHECK_EQ(xmm0(), 5);
  xrstor(SSE);
  CHECK_EQ(xmm0(), 0x1122334455667788);
  // a component that the header lacks is set to its initial value
  HEADER(0) = X87;
  xrstor(X87 | SSE);
  CHECK_EQ(xmm0(), 0);
  uint16_t sw;
  asm volatile("fnstsw %0" : "=a"(sw));
  CHECK_EQ(sw >> 11 & 7, 7);
  HEADER(0) = 0;
  xrstor(X87);
  asm volatile("fnstsw %0" : "=a"(sw));
  CHECK_EQ(sw, 0);
  if (avx) {
    uint64_t v[4] = {1, 2, 3, 4}, w[4];
    asm volatile("vmovdqu %0, %%ymm0" ::"m"(v));
    xsave(all);
    CHECK_EQ(*(uint64_t *)(area + 576), 3);
    asm volatile("vzeroall");
    xrstor(AVX); // the upper halves; the lower are SSE's
    asm volatile("vmovdqu %%ymm0, %0" : "=m"(w));
    CHECK_EQ(w[0], 0);
    CHECK_EQ(w[3], 4);
    asm volatile("movq %%rax, %%xmm1; vmovdqu %0, %%ymm1; vpaddd %%xmm1, %%xmm1, %%xmm1; vmovdqu %%ymm1, %1"
                 : "+m"(v), "=m"(w));
    CHECK_EQ(w[2], 0); // a VEX form of 128 bits clears the upper half
  }
  // what must not be
  HEADER(0) = all | 1ull << 61;
  CHECK_EQ(TRY(xrstor(all)), GP);
  HEADER(0) = all;
  HEADER(2) = 1;
  CHECK_EQ(TRY(xrstor(all)), GP);
  HEADER(2) = 0;
  uint32_t mxcsr = *(uint32_t *)(area + 24);
  *(uint32_t *)(area + 24) = 0x80000000;
  CHECK_EQ(TRY(xrstor(all)), GP);
  *(uint32_t *)(area + 24) = mxcsr;
  CHECK_EQ(TRY(asm volatile("xsave64 8(%0)" ::"r"(area), "a"(7), "d"(0) : "memory")), GP); // alignment
  write_cr0(read_cr0() | 8);
  CHECK_EQ(TRY(xsave(all)), NM); // TS
  write_cr0(read_cr0() & ~8ull);
  CHECK_EQ(TRY(xrstor(all)), NONE);
  cpuid(13, 1, r);
  if (r[0] & 1) { // XSAVEOPT
    asm volatile("xsaveopt64 %0" : "+m"(area) : "a"(7), "d"(0) : "memory");
    CHECK_EQ(HEADER(1), 0);
  }
  if (r[0] & 2) { // XSAVEC
    set_xmm0(0x99);
    asm volatile("xsavec64 %0" : "+m"(area) : "a"((uint32_t)(avx ? AVX | SSE : SSE)), "d"(0) : "memory");
    CHECK(HEADER(1) >> 63);
    CHECK_EQ(*(uint64_t *)(area + 160), 0x99);
    set_xmm0(0);
    xrstor(all);
    CHECK_EQ(xmm0(), 0x99);
  }
}
