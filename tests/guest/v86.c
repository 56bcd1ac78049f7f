// Virtual-8086 mode: entered by IRET, left by an interrupt with all segments on the stack of privilege 0;
// IOPL decides about flags and INT, the TSS about ports and, with CR4.VME, about INT. APM2
// chapter 10.8, 8.10.
#include "rt.h"

enum { VM = 1 << 17, IF = 1 << 9, VIF = 1 << 19, VIP = 1 << 20, CODE = 0x7000, STACK = 0x6ff0 };

struct vm_frame { // what struct frame has, and the four segments above it
  struct frame f;
  word es, ds, fs, gs;
};
static struct vm_frame vm;

static void __attribute__((noreturn)) leave(struct frame *f)
{
  vm = *(struct vm_frame *)f;
  last = *f;
  rt_back(&rt_env);
}

static void __attribute__((noreturn, noinline)) enter(word fl)
{
  asm volatile("push $0x4444; push $0x3333; push $0x2222; push $0x1111\n" // GS FS DS ES
               "push $0; push %1; push %0; push $0; push %2; iret" ::"r"(fl | VM | 2),
               "i"(STACK), "i"(CODE));
  __builtin_unreachable();
}

static unsigned run(const uint8_t *code, const uint8_t *end, word fl)
{
  for (unsigned i = 0; i < (unsigned)(end - code); i++)
    ((volatile uint8_t *)CODE)[i] = code[i];
  if (!rt_set(&rt_env))
    enter(fl);
  return vm.f.vector;
}
#define RUN(name, fl) run(name, name##_end, fl)

CODE16(plain, "mov $0x1234, %ax; mov %ax, %ds; mov 0x10, %bx; mov %cs, %cx; hlt");
CODE16(pushes, "pushf; pop %ax; hlt");
CODE16(ints, "mov $0x55, %ax; int $0x60; mov $0x66, %ax; hlt");
CODE16(ports, "in $0x80, %al; mov $1, %bx; in $0x81, %al; hlt");
CODE16(flags16, "pushf; pop %ax; sti; pushf; pop %bx; cli; pushf; pop %cx; hlt");
CODE16(redirected, "mov $0x77, %bx; iret");
CODE16(bound, "mov $0xffff, %bx; mov (%bx), %ax; hlt");

void test(void)
{
  handler[GP] = handler[UD] = handler[0x60] = handler[SS] = leave;
  idt_set(0x60, idt_stub(0x60), K_CODE, 0xee, 0);
  *(volatile uint16_t *)0x12350 = 0x5678;
  // HLT is of privilege 0: the way out
  CHECK_EQ(RUN(plain, 3 << 12), GP);
  CHECK_EQ(last.error, 0);
  CHECK_EQ(vm.f.bx & 0xffff, 0x5678);
  CHECK_EQ(vm.f.cx & 0xffff, 0);
  CHECK_EQ(vm.ds, 0x1234);
  CHECK_EQ(vm.es, 0x1111);
  CHECK_EQ(vm.fs, 0x3333);
  CHECK_EQ(vm.gs, 0x4444);
  CHECK_EQ(vm.f.sp, STACK);
  CHECK_EQ(vm.f.cs, 0);
  CHECK(vm.f.flags & VM);
  uint16_t ds;
  asm volatile("mov %%fs, %0" : "=r"(ds)); // the data segments were emptied
  CHECK_EQ(ds, 0);
  CHECK_EQ(RUN(bound, 3 << 12), GP); // limits are 64 KB
  // IOPL below 3: PUSHF and INT fault
  CHECK_EQ(RUN(pushes, 0), GP);
  CHECK_EQ(last.ip, CODE);
  CHECK_EQ(RUN(pushes, 3 << 12), GP);
  CHECK_EQ(vm.f.ax & 0x3000, 0x3000);
  CHECK_EQ(RUN(ints, 0), GP);
  CHECK_EQ(last.error, 0);
  CHECK_EQ(last.ip, CODE + 3);
  CHECK_EQ(RUN(ints, 3 << 12), 0x60); // by the gate, whose code must have privilege 0
  CHECK_EQ(last.ip, CODE + 5);
  // ports: the bitmap decides, whatever IOPL is
  tss.bitmap[0x80 / 8] = 0xfe;
  CHECK_EQ(RUN(ports, 3 << 12), GP);
  CHECK_EQ(vm.f.bx & 0xffff, 1);
  CHECK_EQ(last.ip, CODE + 5);
  tss.bitmap[0x80 / 8] = 0xff;

  // VME: INT through the real-mode table where the redirection bitmap has a 0
  uint32_t r[4];
  cpuid(1, 0, r);
  if (!(r[3] >> 1 & 1))
    return;
  write_cr4(read_cr4() | 1);
  static uint8_t table[32]; // the redirection bitmap lies below the port bitmap: move that up to make room
  tss.iomap = offsetof(struct tss, bitmap) + sizeof table;
  for (unsigned i = 0; i < sizeof table; i++)
    tss.bitmap[i] = 0;
  for (unsigned i = 0; i < (unsigned)(redirected_end - redirected); i++)
    ((volatile uint8_t *)0x6000)[i] = redirected[i];
  *(volatile uint32_t *)(0x60 * 4) = 0x6000;
  CHECK_EQ(RUN(ints, 0), GP); // the HLT at the end
  CHECK_EQ(vm.f.bx & 0xffff, 0x77);
  CHECK_EQ(vm.f.ax & 0xffff, 0x66);
  CHECK_EQ(vm.f.sp, STACK);
  tss.bitmap[0x60 / 8] = 1;
  CHECK_EQ(RUN(ints, 3 << 12), 0x60);
  CHECK_EQ(RUN(ints, 0), GP);
  CHECK_EQ(last.ip, CODE + 3);
  // the virtual interrupt flag
  CHECK_EQ(RUN(flags16, 0), GP);
  CHECK_EQ(last.ip, CODE + 8);
  CHECK_EQ(vm.f.ax & IF, 0);
  CHECK_EQ(vm.f.bx & IF, IF);
  CHECK_EQ(vm.f.bx & 0x3000, 0x3000); // IOPL is shown as 3
  CHECK_EQ(vm.f.cx & IF, 0);
  CHECK_EQ(vm.f.flags & (IF | VIF), 0);
  CHECK_EQ(RUN(flags16, VIP), GP); // STI while an interrupt waits
  CHECK_EQ(last.ip, CODE + 2);
}
