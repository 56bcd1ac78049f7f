// Application processors start by INIT and SIPI at the page that the SIPI names; interrupts between
// processors reach whom they are sent to; LOCK makes additions whole. Needs several CPUs. APM2 14.1.3, 16.5.
#include "rt.h"

static volatile unsigned started, seen[16], ready, go, counter, nmis;

static unsigned my_id(void)
{
  return apic_read(A_ID) >> 24;
}

static void on_ipi(struct frame *f)
{
  seen[my_id()]++;
  eoi();
}

static void on_nmi(struct frame *f)
{
  __atomic_fetch_add(&nmis, 1, __ATOMIC_SEQ_CST);
}

static void ap(void)
{
  CHECK(!(rdmsr(0x1b) & 1 << 8)); // not the bootstrap processor
  apic_write(A_SVR, 0x1ff);
  __atomic_fetch_add(&started, 1, __ATOMIC_SEQ_CST);
  sti();
  while (!go)
    asm volatile("pause");
  for (unsigned i = 0; i < 10000; i++)
    asm volatile("lock incl %0" : "+m"(counter));
  __atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
  for (;;)
    asm volatile("hlt");
}

static void send(unsigned id, uint32_t v)
{
  apic_write(A_ICR2, id << 24);
  apic_write(A_ICR, v);
  while (apic_read(A_ICR) & 0x1000)
    ;
}

static void until(volatile unsigned *what, unsigned value)
{
  for (unsigned i = 0; i < 1000000 && *what != value; i++)
    asm volatile("pause");
  CHECK_EQ(*what, value);
}

void test(void)
{
  enum { APS = 3 };
  CHECK(rdmsr(0x1b) & 1 << 8);
  handler[0x61] = on_ipi;
  handler[NMI] = on_nmi;
  apic_write(A_SVR, 0x1ff);
  for (unsigned id = 1; id <= APS; id++) {
    ap_start(id, ap);
    until(&started, id);
  }
  send(2, 0x4608); // a SIPI to a processor that runs does nothing
  go = 1;
  until(&ready, APS);
  CHECK_EQ(counter, APS * 10000);
  CHECK_EQ(started, APS);
  send(2, 0x61);
  until(&seen[2], 1);
  send(0, 0xc0061); // all others
  until(&seen[1], 1);
  until(&seen[2], 2);
  until(&seen[3], 1);
  CHECK_EQ(seen[0], 0);
  sti();
  send(0, 0x80061); // all
  until(&seen[3], 2);
  until(&seen[0], 1);
  send(0, 0xc0400);
  until(&nmis, APS);
  // INIT stops it, SIPI starts it anew
  send(3, 0x4500);
  send(3, 0x61);
  for (unsigned i = 0; i < 10000; i++)
    asm volatile("pause");
  CHECK_EQ(seen[3], 2);
  started = ready = 0;
  ap_start(3, ap);
  until(&ready, 1);
  CHECK_EQ(counter, (APS + 1) * 10000);
}
