// Real mode: segments are the selector times 16, limits are 64 KB, vectors come from the table at IDTR's
// base, exceptions push no error code. APM2 1.3.1, 8.6.
#include "rt.h"

static struct real_regs r;
#define LOW(a) (*(volatile uint16_t *)(a))
#define IVT(v) (*(volatile uint32_t *)((v)*4))

// What an exception left: at 5000h its IP, CS, FLAGS and SP; the handler goes on where BP says.
CODE16(catcher,
       "pop %cs:0x5000; pop %cs:0x5002; pop %cs:0x5004; mov %sp, %cs:0x5006; incw %cs:0x5008; jmp *%bp");

static void vector(unsigned v)
{
  for (unsigned i = 0; i < (unsigned)(catcher_end - catcher); i++)
    ((volatile uint8_t *)0x4000)[i] = catcher[i];
  IVT(v) = 0x4000;
  LOW(0x5008) = 0;
}

CODE16(segments, "mov $0x1234, %ax; mov %ax, %ds; mov %ds:0x10, %bx; mov %ds, %cx; ret");
CODE16(interrupts,
       "mov %sp, %si; sti; stc; int $0x60; 1: cli; mov %sp, %di; lea 1b - ORG, %dx; setc %al; ret");
CODE16(handler60,
       "mov %sp, %bp; mov (%bp), %bx; mov 4(%bp), %cx; pushf; pop %ax; mov %ax, 0x5010; clc; iret");
CODE16(divide, "lea 1f - ORG, %bp; mov %sp, %si; mov $0x77, %ax; xor %dx, %dx; xor %cx, %cx; 2: div %cx; mov "
               "$1, %ax; 1:\n"
               "lea 2b - ORG, %dx; ret");
CODE16(undefined, "lea 1f - ORG, %bp; 2: ud2; 1: lea 2b - ORG, %dx; lea 3f - ORG, %bp; sldt %ax; 3: ret");
CODE16(limit, "lea 1f - ORG, %bp; mov $0xffff, %bx; 2: mov (%bx), %ax; 1: lea 2b - ORG, %dx\n"
              "lea 3f - ORG, %bp; mov $0x10000, %esi; .byte 0x67; mov (%esi), %al; 3: ret");
CODE16(stack_limit, "lea 1f - ORG, %bp; mov $0xffff, %bx; mov %ss:(%bx), %ax; 1: ret");
CODE16(
    wrap,
    "mov %sp, %di; mov $0x2000, %ax; mov %ax, %ss; xor %sp, %sp; mov $0xabcd, %ax; push %ax; mov %sp, %bx\n"
    "pop %cx; mov %sp, %dx; xor %ax, %ax; mov %ax, %ss; mov %di, %sp; ret");
CODE16(high, "mov $0xffff, %ax; mov %ax, %es; mov %es:0x10, %eax; ret"); // FFFF:0010 = 100000h with A20
CODE16(fars, "lcall $0x700, $1f - ORG - 0x7000; ret; 1: mov %cs, %ax; mov %sp, %bp; mov (%bp), %bx; mov "
             "2(%bp), %cx; lret");
CODE16(
    table,
    "cli; lidt 5f - ORG; lea 1f - ORG, %bp; int $0x20; 1: mov $1, %ax; lea 2f - ORG, %bp; 3: int $0x21; 2:\n"
    "lea 3b - ORG, %dx; lidt 4f - ORG; ret; 5: .word 0x20 * 4 + 3; .long 0x3000; 4: .word 0x3ff; .long 0");

void test(void)
{
  REAL(segments, &r);
  CHECK_EQ(r.cx & 0xffff, 0x1234);
  *(volatile uint16_t *)0x12350 = 0x9abc;
  REAL(segments, &r);
  CHECK_EQ(r.bx & 0xffff, 0x9abc);

  for (unsigned i = 0; i < (unsigned)(handler60_end - handler60); i++)
    ((volatile uint8_t *)0x4100)[i] = handler60[i];
  IVT(0x60) = 0x4100;
  REAL(interrupts, &r);
  CHECK_EQ(r.bx & 0xffff, r.dx & 0xffff); // the saved IP
  CHECK_EQ(r.cx & 0x201, 0x201);          // the saved flags
  CHECK_EQ(LOW(0x5010) & 0x301, 1);       // IF is off inside, CF as it was
  CHECK_EQ(r.ax & 0xff, 1);               // and IRET brought CF back
  CHECK_EQ(r.si & 0xffff, r.di & 0xffff);

  vector(0);
  REAL(divide, &r);
  CHECK_EQ(LOW(0x5008), 1);
  CHECK_EQ(LOW(0x5000), r.dx & 0xffff); // a fault: its own IP
  CHECK_EQ(LOW(0x5006), r.si & 0xffff); // six bytes, no error code
  CHECK_EQ(r.ax & 0xffff, 0x77);
  vector(6);
  REAL(undefined, &r);
  CHECK_EQ(LOW(0x5008), 2); // SLDT too: it is not of real mode
  vector(13);
  REAL(limit, &r);
  CHECK_EQ(LOW(0x5008), 2);
  vector(12);
  REAL(stack_limit, &r);
  CHECK_EQ(LOW(0x5008), 1);
  REAL(wrap, &r);
  CHECK_EQ(r.bx & 0xffff, 0xfffe);
  CHECK_EQ(r.cx & 0xffff, 0xabcd);
  CHECK_EQ(r.dx & 0xffff, 0);
  CHECK_EQ(*(volatile uint16_t *)0x2fffe, 0xabcd);
  REAL(high, &r);
  CHECK_EQ(r.ax, *(volatile uint32_t *)0x100000);
  REAL(fars, &r);
  CHECK_EQ(r.ax & 0xffff, 0x700);
  CHECK_EQ(r.cx & 0xffff, 0);
  // the table may lie elsewhere and be short
  vector(13);
  *(volatile uint32_t *)(0x3000 + 0x20 * 4) = 0x4000;
  *(volatile uint32_t *)(0x3000 + 13 * 4) = 0x4000;
  REAL(table, &r);
  CHECK_EQ(LOW(0x5008), 2);
  CHECK_EQ(LOW(0x5000), r.dx & 0xffff);
}
