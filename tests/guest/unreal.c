// Big real mode: a segment keeps the limit that it was loaded with in protected mode, until it is loaded
// again, and then still the limit; only the base follows the selector. APM2 4.5.2.
#include "rt.h"

static struct real_regs r;

CODE16(big,
       "mov %cr0, %eax; or $1, %al; mov %eax, %cr0; jmp 1f; 1: mov $0x40, %cx; mov %cx, %ds; mov %cx, %ss\n"
       "and $0xfe, %al; mov %eax, %cr0; jmp 2f; 2: mov $0x200000, %eax\n"
       "addr32 mov (%eax), %ebx\n"                                         // above 64 KB, by the old limit
       "mov $0x1000, %cx; mov %cx, %ds; addr32 mov -0x10000(%eax), %edx\n" // base 10000h, same limit
       "xor %cx, %cx; mov %cx, %ds; addr32 mov 4(%eax), %esi\n"
       "mov %cx, %ss; addr32 movl $0x77, %ss:16(%eax); ret");

void test(void)
{
  gdt[GDT_FREE / 8] = descriptor(0, 0xfffff, 0x93, 8); // 4 GB, but a 16-bit stack
  *(volatile uint32_t *)0x200000 = 0x11223344;
  *(volatile uint32_t *)0x200004 = 0x55667788;
  REAL(big, &r);
  CHECK_EQ(r.bx, 0x11223344);
  CHECK_EQ(r.dx, 0x11223344);
  CHECK_EQ(r.si, 0x55667788);
  CHECK_EQ(*(volatile uint32_t *)0x200010, 0x77);
}
