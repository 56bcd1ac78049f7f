// The local APIC's timer: one-shot, periodic, TSC deadline, mask, divider, stop. APM2 16.4.1.
#include "rt.h"

static volatile unsigned count;

static void on_timer(struct frame *f)
{
  count++;
  eoi();
}

static void wait(uint64_t cycles)
{
  uint64_t t = rdtsc();
  while (rdtsc() - t < cycles)
    ;
}

// TSC cycles until a one-shot count of n is over.
static uint64_t measure(uint32_t divide, uint32_t n)
{
  apic_write(A_DIVIDE, divide);
  count = 0;
  uint64_t t = rdtsc();
  apic_write(A_INITIAL, n);
  while (!count)
    ;
  return rdtsc() - t;
}

void test(void)
{
  enum { V = 0x70, MASKED = 1 << 16, PERIODIC = 1 << 17, DEADLINE = 1 << 18, BY_1 = 11, BY_4 = 1 };
  handler[V] = on_timer;
  apic_write(A_SVR, 0x1ff);
  apic_write(A_TIMER, V);
  sti();
  uint64_t by_1 = measure(BY_1, 1000000), by_4 = measure(BY_4, 1000000);
  CHECK(by_4 > by_1 * 3 && by_4 < by_1 * 5);
  CHECK_EQ(apic_read(A_CURRENT), 0);
  wait(2 * by_1);
  CHECK_EQ(count, 1); // one shot

  apic_write(A_DIVIDE, BY_1);
  apic_write(A_TIMER, V | MASKED);
  apic_write(A_INITIAL, 1000000);
  uint32_t first = apic_read(A_CURRENT), second = apic_read(A_CURRENT);
  CHECK(first && first < 1000000 && second < first);
  wait(2 * by_1);
  CHECK_EQ(count, 1);
  CHECK_EQ(apic_read(A_CURRENT), 0);

  count = 0;
  apic_write(A_TIMER, V | PERIODIC);
  uint64_t t = rdtsc();
  apic_write(A_INITIAL, 100000);
  while (count < 10)
    asm volatile("hlt");
  t = rdtsc() - t;
  CHECK(t > by_1 / 2 && t < 3 * by_1);
  apic_write(A_INITIAL, 0); // stops
  asm volatile("nop");
  unsigned was = count;
  wait(by_1);
  CHECK_EQ(count, was);

  uint32_t r[4];
  cpuid(1, 0, r);
  if (!(r[2] >> 24 & 1))
    return;
  count = 0;
  apic_write(A_TIMER, V | DEADLINE);
  apic_write(A_INITIAL, 1000); // has no effect now
  wait(by_1 / 10);
  CHECK_EQ(count, 0);
  t = rdtsc();
  wrmsr(0x6e0, t + 1000000);
  CHECK(rdmsr(0x6e0) == t + 1000000 || count);
  while (!count)
    asm volatile("hlt");
  CHECK(rdtsc() >= t + 1000000);
  CHECK_EQ(rdmsr(0x6e0), 0);
  wrmsr(0x6e0, t); // in the past: at once
  asm volatile("nop");
  CHECK_EQ(count, 2);
  wrmsr(0x6e0, rdtsc() + 1000000);
  wrmsr(0x6e0, 0); // disarmed
  wait(2000000);
  CHECK_EQ(count, 2);
}
