// After a launch INIT comes as #SX, error code 1, once GIF is set; with R_INIT cleared by software it would
// be INIT again.
#include "launch.h"

enum { SX = 30 };

static volatile unsigned count;
static volatile word error;

static void on_sx(struct frame *f)
{
  count++;
  error = f->error;
}

void test(void)
{
  launch((uint32_t)(word)slb_new(4, 64));
  handler[SX] = on_sx;
  apic_write(A_SVR, 0x1ff);
  unsigned self = apic_read(A_ID);
  apic_write(A_ICR2, self);
  apic_write(A_ICR, 0x4500); // INIT to itself by its ID
  for (unsigned i = 0; i < 1000; i++)
    asm volatile("pause");
  CHECK_EQ(count, 0); // GIF holds it back
  stgi();
  CHECK_EQ(count, 1);
  CHECK_EQ(error, 1);
  apic_write(A_ICR2, self);
  apic_write(A_ICR, 0x4500);
  for (unsigned i = 0; i < 1000; i++)
    asm volatile("pause");
  CHECK_EQ(count, 2);
  // One that GIF held back before the launch is held back through it.
  wrmsr(EFER, rdmsr(EFER) | EFER_SVME);
  clgi();
  apic_write(A_ICR2, self);
  apic_write(A_ICR, 0x4500);
  for (unsigned i = 0; i < 1000; i++)
    asm volatile("pause");
  launch((uint32_t)(word)slb_new(4, 64));
  CHECK_EQ(count, 2);
  stgi();
  CHECK_EQ(count, 3);
}
