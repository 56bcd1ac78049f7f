// Compatibility mode: 32-bit and 16-bit code under long mode; segment limits count again, registers keep what
// they hold, interrupts go to 64-bit handlers and come back, SYSCALL goes to CSTAR. APM2 4.8.2, 6.1.1.
#include "rt.h"

enum { EFER = 0xc0000080, STAR = 0xc0000081, CSTAR = 0xc0000083 };

#define FAR64 "\t.byte 0xea; .long 2f; .word 0x08; .code64; 2:\n" // ljmp $K_CODE, $2f

static word run32(word a)
{
  word r = a, c;
  // to 32-bit code, where 48h is DEC EAX and addresses have 32 bits
  asm volatile("push $0x30; lea 1f(%%rip), %%rcx; push %%rcx; lretq\n"
               ".code32; 1: .byte 0x48; inc %%ecx; mov %%cs, %%ecx\n" FAR64
               : "+a"(r), "=&c"(c)::"memory", "cc");
  CHECK_EQ(c, K_CODE32);
  return r;
}

static word run16(void)
{
  word r;
  // in 16-bit code B8h takes two bytes more; the segment's base is where the code is
  asm volatile("push $0x38; push $0; lretq\n"
               ".globl code16; .code16; code16: mov $0x1234, %%ax; .byte 0x66, 0xea; .long 2f; .word 0x08; "
               ".code64; 2:\n"
               : "=a"(r)
               : "0"(-1ull)
               : "memory");
  return r;
}
extern uint8_t code16[];

static volatile unsigned ints;
static word int_cs, int_ip;
static void on_int(struct frame *f)
{
  ints++;
  int_cs = f->cs;
  int_ip = f->ip;
}

asm(".section .user.text\n.code32\n"
    "user32: mov $0xdeadbeef, %ebx; dec %ebx; push %ebx; pop %esi; mov %cs, %edi; int $0x50; int $0x80\n"
    "user32_syscall: mov $0x1234, %ebx; syscall; int3\n"
    "user32_limit: mov $0x55, %al; mov %fs:0xfff, %dl; mov %fs:0x1000, %dl; int $0x80\n"
    "user32_bad: .byte 0x0f, 0x01, 0xf8\n" // SWAPGS does not exist here
    "user32_long: .byte 0x67; mov (%bx, %si), %al; int $0x80\n"
    ".code64\n.text\n"
    ".globl cstar_entry\ncstar_entry: mov %cs, %esi; int $0x43\n");
void user32(void), user32_syscall(void), user32_limit(void), user32_bad(void), cstar_entry(void);
extern uint8_t rt_user_stack_top[];

static void __attribute__((noreturn)) user_compat(void (*ip)(void))
{
  asm volatile("push %0; push %1; push $2; push %2; push %3; iretq" ::"i"(U_DATA), "r"(rt_user_stack_top),
               "i"(U_CODE32), "r"(ip));
  __builtin_unreachable();
}

void test(void)
{
  CHECK_EQ(run32(0x100000000), 0xffffffff); // the upper half is cleared by the 32-bit result
  gdt[K_CODE16 / 8] = descriptor((uint32_t)(word)code16, 0xff, 0x9b, 0);
  CHECK_EQ(run16(), 0xffffffffffff1234);
  handler[0x50] = on_int;
  idt_set(0x50, idt_stub(0x50), K_CODE, 0xee, 0);
  CHECK_EQ(TRY(user_compat(user32)), USER_DONE);
  CHECK_EQ(ints, 1);
  CHECK_EQ(int_cs, U_CODE32);
  CHECK_EQ(last.bx, 0xdeadbeee);
  CHECK_EQ(last.si, 0xdeadbeee);
  CHECK_EQ(last.di, U_CODE32);
  CHECK_EQ(last.cs, U_CODE32);
  CHECK_EQ(last.sp, (word)rt_user_stack_top);
  CHECK_EQ(last.ip - int_ip, 2);
  // SYSCALL from 32-bit code
  wrmsr(EFER, rdmsr(EFER) | 1);
  wrmsr(STAR, (uint64_t)(U_CODE32 & ~3) << 48 | 3ull << 48 | (uint64_t)K_CODE << 32);
  wrmsr(CSTAR, (word)cstar_entry);
  CHECK_EQ(TRY(user_compat(user32_syscall)), 0x43);
  CHECK_EQ(last.cs, K_CODE);
  CHECK_EQ(last.bx, 0x1234);
  CHECK_EQ(last.si, K_CODE);
  CHECK_EQ(last.cx, (word)user32_syscall + 7);
  CHECK_EQ(TRY(user_compat(user32_bad)), UD);
  // limits
  gdt[GDT_FREE / 8] = descriptor(0x400000, 0xfff, 0xf3, 4);
  asm volatile("mov %w0, %%fs" ::"r"(GDT_FREE | 3));
  CHECK_EQ(TRY(user_compat(user32_limit)), GP);
  CHECK_EQ(last.error, 0);
  CHECK_EQ(last.ip, (word)user32_limit + 9);
}
