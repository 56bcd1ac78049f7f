// Every node has a northbridge at 00:18.0 + n that knows its number, how many nodes and how many CPUs there
// are; a CPU's APIC ID is its node and its number there, and CPUID says the same. BKDG 31116: F0x60, F3xE8;
// APM3 Fn8000_0008, Fn8000_001E.
#include "nodes.h"

static volatile unsigned started, wrong;

static void look(unsigned want_id)
{
  uint32_t r[4];
  unsigned bits = core_bits();
  cpuid(1, 0, r);
  wrong += r[1] >> 24 != want_id;
  wrong += apic_read(A_ID) >> 24 != want_id;
  cpuid(0x80000008, 0, r);
  wrong += (r[2] & 0xff) + 1 > 1u << bits;
  cpuid(0x80000000, 0, r);
  if (r[0] >= 0x8000001e) {
    cpuid(0x8000001e, 0, r);
    wrong += r[0] != want_id;
    wrong += (r[2] & 0xff) != want_id >> bits;
    wrong += (r[1] & 0xff) != (want_id & ((1u << bits) - 1));
  }
}

static volatile unsigned expected;

static void ap(void)
{
  look(expected);
  __atomic_fetch_add(&started, 1, __ATOMIC_SEQ_CST);
  for (;;)
    asm volatile("hlt");
}

void test(void)
{
  unsigned n = nodes(), all = cpus(), k8 = nb(0, 0, 0) == 0x11001022;
  for (unsigned i = 0; i < NODES_MAX; i++) {
    if (i >= n) {
      CHECK_EQ(nb(i, 0, 0), ONES);
      continue;
    }
    for (unsigned f = 0; f < (k8 ? 4 : 5); f++)
      CHECK_EQ(nb(i, f, 0), (k8 ? 0x11001022 : 0x12001022) + (f << 16));
    CHECK_EQ(nb(i, 0, 0x60) & 7, i);
    CHECK_EQ(nb(i, 0, 0x60) >> 4 & 7, n - 1);
    CHECK_EQ(nb(i, 0, 0x60) >> 16 & 31, all - 1);
  }
  look(0);
  CHECK_EQ(wrong, 0);
  unsigned bits = core_bits(), count = 1;
  for (unsigned i = 0; i < n; i++) {
    unsigned here = (nb(i, 3, 0xe8) >> 12 & 3) + 1;
    CHECK(here <= 1u << bits);
    for (unsigned core = i == 0; core < here; core++, count++) {
      expected = i << bits | core;
      ap_start(expected, ap);
      for (unsigned k = 0; k < 1000000 && started != count; k++)
        asm volatile("pause");
      CHECK_EQ(started, count);
      CHECK_EQ(wrong, 0);
    }
  }
  CHECK_EQ(count, all);
}
