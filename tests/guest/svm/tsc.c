// A guest's time stamp counter is the host's times TSC_RATIO plus TSC_OFFSET, by RDTSC, RDTSCP and RDMSR; the
// host's own stays as it is. APM2 15.5.1, 15.30.5.
#include "svm.h"

static struct vmcb *v;
static volatile uint64_t seen[3];
static volatile bool have_tscp;

static void g_read(void)
{
  uint32_t lo, hi;
  seen[0] = rdtsc();
  if (have_tscp) {
    asm volatile("rdtscp" : "=a"(lo), "=d"(hi)::"rcx", "memory");
    seen[1] = lo | (uint64_t)hi << 32;
  } else {
    seen[1] = rdtsc();
  }
  seen[2] = rdmsr(0x10);
  vmmcall();
}

static uint64_t scaled(uint64_t tsc, uint64_t ratio)
{
  return (unsigned __int128)tsc * ratio >> 32;
}

static void in_range(uint64_t ratio, uint64_t offset)
{
  v->tsc_offset = offset;
  uint64_t before = rdtsc();
  CHECK_EQ(guest(v, g_read), X_VMMCALL);
  uint64_t after = rdtsc();
  CHECK(after - before < 1ull << 40); // the offset is gone
  uint64_t low = scaled(before, ratio), high = scaled(after, ratio);
  CHECK(high >= low);
  for (unsigned i = 0; i < 3; i++) {
    uint64_t have = seen[i] - offset;
    if (have < low || have > high)
      fail(HERE, "TSC of the guest", seen[i], low + offset);
    low = have; // and they follow each other
  }
}

void test(void)
{
  uint32_t r[4];
  svm_on();
  cpuid(0x80000001, 0, r);
  have_tscp = r[3] & 1 << 27;
  v = vmcb_new();
  const uint64_t one = 1ull << 32;
  in_range(one, 0);
  in_range(one, 1ull << 50);
  in_range(one, -(1ull << 20)); // below 0, perhaps
  in_range(one, -1ull);
  if (!svm_has(SVM_TSC_RATIO))
    return;
  CHECK_EQ(rdmsr(MSR_TSC_RATIO), one); // after reset
  CHECK_EQ(TRY(wrmsr(MSR_TSC_RATIO, 1ull << 40)), GP);
  CHECK_EQ(TRY(wrmsr(MSR_TSC_RATIO, 1ull << 63)), GP);
  static const uint64_t ratios[] = {2ull << 32, 1ull << 31, 0x180000000, 0x0123456789, 0xff00000000};
  for (unsigned i = 0; i < sizeof ratios / sizeof *ratios; i++) {
    wrmsr(MSR_TSC_RATIO, ratios[i]);
    CHECK_EQ(rdmsr(MSR_TSC_RATIO), ratios[i]);
    in_range(ratios[i], 0);
    in_range(ratios[i], 0x123456789abc);
    uint64_t a = rdtsc(), b = rdtsc(); // the host does not see it
    CHECK(b - a < 1000000);
  }
  wrmsr(MSR_TSC_RATIO, one);
}
