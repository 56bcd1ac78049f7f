// Halts for good, with a timer that ticks on; idle.py runs it.
#include "rt.h"

void test(void)
{
  enum { V = 0x70, PERIODIC = 1 << 17, BY_1 = 11 };
  apic_write(A_SVR, 0x1ff);
  apic_write(A_DIVIDE, BY_1);
  apic_write(A_TIMER, V | PERIODIC);
  apic_write(A_INITIAL, 4000000);
  print("halted\n");
  for (;;)
    asm volatile("cli; hlt");
}
