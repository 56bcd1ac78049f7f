// Waits for ever, woken 250 times a second by a tick that nobody needs, as a system at its prompt; idle.py
// runs it.
#include "rt.h"

static void on_tick(struct frame *f)
{
  eoi();
}

void test(void)
{
  enum { V = 0x70, PERIODIC = 1 << 17, BY_1 = 11 };
  handler[V] = on_tick;
  apic_write(A_SVR, 0x1ff);
  apic_write(A_DIVIDE, BY_1);
  apic_write(A_TIMER, V | PERIODIC);
  apic_write(A_INITIAL, 4000000);
  print("waiting\n");
  for (;;)
    asm volatile("sti; hlt");
}
