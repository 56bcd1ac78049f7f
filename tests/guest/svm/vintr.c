// V_IRQ is taken when the guest's IF, V_TPR and interrupt shadow let it, once, by V_INTR_VECTOR; its
// intercept exits in that moment and leaves it pending. APM2 15.21.4, 15.13.5.
#include "svm.h"

static struct vmcb *v;
static volatile unsigned order, cr8_seen;
static uint64_t taken_at;

static void on_event(struct frame *f)
{
  order = order << 8 | f->vector;
  taken_at = f->ip;
  if (f->vector == 0x41)
    eoi();
}
extern uint8_t sti_at[], sti_shadow[], sti_after[], cr8_after[];
static void g_sti(void)
{
  asm volatile(
      ".globl sti_at, sti_shadow, sti_after; sti_at: sti; sti_shadow: nop; sti_after: nop; cli; vmmcall");
}
static void g_off(void)
{
  asm volatile("nop; nop; vmmcall");
}
static void g_cr8(void) // lowers the priority that masks it
{
  asm volatile(
      "sti; nop; nop; mov $4, %%eax; mov %%rax, %%cr8; .globl cr8_after; cr8_after: nop; cli; vmmcall" ::
          : "rax", "memory");
}

static uint64_t go(void (*fn)(void), uint64_t vintr)
{
  order = 0;
  return guest_vintr(v, fn, vintr);
}

void test(void)
{
  svm_on();
  lapic_on();
  v = vmcb_new();
  handler[0x51] = handler[0x41] = on_event;
  const uint64_t irq = V_IRQ | V_PRIO(5) | V_VECTOR(0x51);
  // IF
  CHECK_EQ(go(g_off, irq), X_VMMCALL);
  CHECK_EQ(order, 0);
  CHECK(v->vintr & V_IRQ); // still pending
  CHECK_EQ(go(g_sti, irq), X_VMMCALL);
  CHECK_EQ(order, 0x51); // once
  CHECK_EQ(taken_at, sti_after);
  CHECK(!(v->vintr & V_IRQ));
  vmcb_entry(v, g_off); // from the first instruction on, if IF is set
  v->rflags = 0x202;
  v->vintr = irq;
  order = 0;
  CHECK_EQ(run(v), X_VMMCALL);
  CHECK_EQ(order, 0x51);
  CHECK_EQ(taken_at, g_off);
  // V_TPR masks its own priority and those below
  for (unsigned tpr = 0; tpr < 16; tpr++) {
    CHECK_EQ(go(g_sti, irq | V_MASKING | tpr), X_VMMCALL);
    CHECK_EQ(order, tpr < 5 ? 0x51 : 0);
    CHECK_EQ(v->vintr & V_TPR, tpr);
    CHECK_EQ(go(g_sti, irq | V_MASKING | tpr | V_IGN_TPR), X_VMMCALL);
    CHECK_EQ(order, 0x51);
  }
  CHECK_EQ(go(g_cr8, irq | V_MASKING | 9), X_VMMCALL);
  CHECK_EQ(order, 0x51);
  CHECK_EQ(taken_at, cr8_after);
  CHECK_EQ(v->vintr & V_TPR, 4);
  CHECK_EQ(apic_read(A_TPR), 0);
  // the intercept
  intercept(v, X_VINTR);
  CHECK_EQ(go(g_off, irq), X_VMMCALL);
  CHECK_EQ(go(g_sti, irq), X_VINTR);
  CHECK_EQ(order, 0);
  CHECK_EQ(v->rip, sti_after);
  CHECK(v->vintr & V_IRQ);
  pass_on(v, X_VINTR);
  CHECK_EQ(run(v), X_VMMCALL);
  CHECK_EQ(order, 0x51);
  // it ends HLT
  vmcb_entry(v, g_off);
  // nothing stays behind in the host
  v->vintr = irq;
  order = 0;
  CHECK_EQ(run(v), X_VMMCALL);
  stgi();
  asm volatile("sti; nop; nop; cli");
  CHECK_EQ(order, 0);
  // physical interrupts come first
  clgi();
  self_ipi(0x41);
  order = 0;
  v->vintr = irq;
  v->rflags = 0x202;
  vmcb_entry(v, g_off);
  svm_switch((uint64_t)v, &regs);
  stgi();
  CHECK_EQ(v->exitcode, X_VMMCALL);
  CHECK_EQ(order, 0x4151);
  // an intercepted exception in its delivery: EXITINTINFO has it, and it is no longer pending
  vmcb_entry(v, g_off);
  v->vintr = irq;
  v->rflags = 0x202;
  v->idtr.base = 0x8000000000;
  v->exceptions = 1 << PF;
  CHECK_EQ(run(v), X_EXCP + PF);
  CHECK_EQ(v->exitintinfo, EV_VALID | EV_INTR | 0x51);
  CHECK(!(v->vintr & V_IRQ));
}
