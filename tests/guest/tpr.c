// Interrupts wait for the task priority, come in the order of their priority, and nest only above it.
// APM2 16.6.
#include "rt.h"

static volatile unsigned order, nested_at;

static void ipi(uint8_t vector)
{
  apic_write(A_ICR, 0x40000 | vector); // to itself
  while (apic_read(A_ICR) & 0x1000)
    ;
}

static void on(struct frame *f)
{
  order = order << 8 | f->vector;
  CHECK_EQ(apic_read(A_PPR) & 0xf0, f->vector & 0xf0);
  CHECK(apic_read(A_ISR + (f->vector / 32) * 16) >> (f->vector % 32) & 1);
  eoi();
}

static void nesting(struct frame *f)
{
  ipi(0x52); // the same class: waits
  ipi(0x91); // above
  sti();
  nested_at = order;
  cli();
  on(f);
}

void test(void)
{
  apic_write(A_SVR, 0x1ff);
  handler[0x41] = handler[0x52] = handler[0x91] = handler[0xf1] = on;
  ipi(0x41);
  ipi(0xf1);
  ipi(0x91);
  ipi(0x41); // already there: one interrupt
  CHECK_EQ(order, 0);
  sti();
  CHECK_EQ(order, 0xf19141);
  cli();

  order = 0;
  write_cr8(9);
  CHECK_EQ(apic_read(A_TPR), 0x90);
  ipi(0x41);
  ipi(0x91);
  ipi(0xf1);
  sti();
  CHECK_EQ(order, 0xf1);
  write_cr8(8);
  CHECK_EQ(order, 0xf191);
  apic_write(A_TPR, 0x4f);
  CHECK_EQ(read_cr8(), 4);
  CHECK_EQ(order, 0xf191);
  write_cr8(0);
  CHECK_EQ(order, 0xf19141);
  cli();

  order = 0;
  handler[0x51] = nesting;
  ipi(0x51);
  sti();
  CHECK_EQ(nested_at, 0x91);
  CHECK_EQ(order, 0x915152);
  cli();
  // a vector below 16 is an error, and no interrupt
  apic_write(A_ESR, 0);
  ipi(5);
  apic_write(A_ESR, 0);
  CHECK(apic_read(A_ESR) & 0x60);
}
