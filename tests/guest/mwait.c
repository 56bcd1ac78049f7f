// MONITOR and MWAIT: a write by another processor to the line ends the wait, and so does an interrupt; with
// ECX bit 0 even one that IF holds back. Needs two CPUs. APM3 MONITOR, MWAIT.
#include "rt.h"

static volatile uint64_t line[8] __attribute__((aligned(64)));
static volatile unsigned state, count;

static void monitor(volatile void *p)
{
  asm volatile("monitor" ::"a"(p), "c"(0), "d"(0) : "memory");
}
static void mwait(unsigned ecx)
{
  asm volatile("mwait" ::"a"(0), "c"(ecx) : "memory");
}

static void ap(void)
{
  while (!line[7]) {
    monitor(&line[0]);
    if (!line[7])
      mwait(0);
  }
  state = 1;
}

static void on_ipi(struct frame *f)
{
  count++;
  eoi();
}

USER static void user_monitor(void)
{
  asm volatile("monitor" ::"a"(0), "c"(0), "d"(0));
  USER_END;
}

void test(void)
{
  uint32_t r[4];
  cpuid(1, 0, r);
  CHECK(r[2] >> 3 & 1);
  apic_write(A_SVR, 0x1ff);
  handler[0x61] = on_ipi;
  ap_start(1, ap);
  for (unsigned i = 0; i < 20000; i++)
    asm volatile("pause");
  CHECK_EQ(state, 0);
  line[7] = 1;
  for (unsigned i = 0; i < 1000000 && !state; i++)
    asm volatile("pause");
  CHECK_EQ(state, 1);
  // a write between MONITOR and MWAIT: no wait
  monitor(&line[0]);
  line[1] = 1;
  mwait(0);
  // an interrupt
  apic_write(A_TIMER, 0x61);
  apic_write(A_DIVIDE, 11);
  monitor(&line[0]);
  sti();
  apic_write(A_INITIAL, 100000);
  mwait(0);
  CHECK_EQ(count, 1);
  cli();
  monitor(&line[0]);
  apic_write(A_INITIAL, 100000);
  mwait(1);
  CHECK_EQ(count, 1);
  sti();
  CHECK_EQ(count, 2);
  cli();
  CHECK_EQ(TRY(asm volatile("monitor" ::"a"(line), "c"(4), "d"(0))), GP);
  CHECK_EQ(TRY(asm volatile("mwait" ::"a"(0), "c"(4))), GP);
  CHECK_EQ(TRY(user(user_monitor)), UD);
}
