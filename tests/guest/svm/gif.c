// While GIF is 0, interrupts and NMIs wait and breakpoints are lost; single-step traps are not held back.
// STGI lets in what waited, the most urgent first; VMRUN sets GIF for the guest. APM2 15.17, table 15-10.
#include "svm.h"

static volatile unsigned order, debugs;
static volatile uint64_t watched;

static void on_event(struct frame *f)
{
  order = order << 8 | f->vector;
  if (f->vector >= 32)
    eoi();
}
static void on_db(struct frame *f)
{
  debugs++;
  f->flags &= ~0x100ull;
}

void test(void)
{
  svm_on();
  lapic_on();
  handler[NMI] = handler[0x41] = on_event;
  handler[DB] = on_db;
  struct vmcb *v = vmcb_new();
  // interrupts
  clgi();
  self_ipi(0x41);
  asm volatile("sti; nop; nop");
  CHECK_EQ(order, 0);
  stgi();
  asm volatile("nop");
  CHECK_EQ(order, 0x41);
  // STGI is not enough with IF clear
  cli();
  order = 0;
  clgi();
  self_ipi(0x41);
  stgi();
  asm volatile("nop");
  CHECK_EQ(order, 0);
  clgi();
  // NMI first, then the interrupt
  send_nmi();
  asm volatile("sti; nop; nop");
  CHECK_EQ(order, 0);
  stgi();
  asm volatile("nop; nop");
  cli();
  CHECK(order == 0x0241 ||
        order == 0x4102); // the NMI's handler is entered first, or interrupts the other at once
  // breakpoints are ignored and discarded
  write_dr0((uint64_t)&watched);
  write_dr7(0xd0401 | 0x400); // writes of 4 bytes
  watched = 1;
  CHECK_EQ(debugs, 1);
  clgi();
  watched = 2;
  asm volatile("nop");
  stgi();
  asm volatile("nop; nop");
  CHECK_EQ(debugs, 1);
  clgi();
  asm volatile(
      "lea 1f(%%rip), %%rax; mov %%rax, %%dr0; mov $0x402, %%eax; mov %%rax, %%dr7; 1: nop; stgi; nop" ::
          : "rax", "memory");
  CHECK_EQ(debugs, 1);
  write_dr7(0x400);
  // a trace trap comes
  clgi();
  asm volatile("pushf; orl $0x100, (%%rsp); popf; nop; nop" ::: "memory", "cc");
  CHECK_EQ(debugs, 2);
  stgi();
  CHECK_EQ(debugs, 2);
  // after #VMEXIT it is 0, in the guest it was 1
  order = 0;
  clgi();
  self_ipi(0x41);
  intercept(v, X_INTR);
  v->rflags |= 0x200;
  uint64_t rip = v->rip;
  svm_switch((uint64_t)v, &regs);
  CHECK_EQ(v->exitcode, X_INTR);
  CHECK_EQ(v->rip, rip); // before the first instruction
  asm volatile("sti; nop; nop");
  CHECK_EQ(order, 0);
  stgi();
  asm volatile("nop");
  CHECK_EQ(order, 0x41);
  cli();
  clgi();
  send_nmi();
  intercept(v, X_NMI);
  order = 0;
  svm_switch((uint64_t)v, &regs);
  CHECK_EQ(v->exitcode, X_NMI);
  CHECK_EQ(v->rip, rip);
  CHECK_EQ(order, 0);
  stgi();
  asm volatile("nop");
  CHECK_EQ(order, NMI);
  // a VMRUN that is refused leaves it 0 too
  v->asid = 0;
  order = 0;
  send_nmi();
  asm volatile("nop");
  CHECK_EQ(order, NMI);
  order = 0;
  clgi();
  svm_switch((uint64_t)v, &regs);
  CHECK_EQ(v->exitcode, X_INVALID);
  send_nmi();
  asm volatile("nop; nop");
  CHECK_EQ(order, 0);
  stgi();
  asm volatile("nop");
  CHECK_EQ(order, NMI);
}
