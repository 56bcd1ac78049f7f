// A guest that halts is woken by its virtual interrupt if that can be taken, by a physical one, or by an exit
// for it; one that must wait does not wake it. APM2 15.13.1, 15.21.4.
#include "svm.h"

static struct vmcb *v;
static volatile unsigned order;
static void on_event(struct frame *f)
{
  order = order << 8 | f->vector;
  if (f->vector == 0x41)
    eoi();
}
extern uint8_t after_hlt[];
static void g_halt(void)
{
  asm volatile("sti; hlt; .globl after_hlt; after_hlt: cli; vmmcall");
}
static void timer(void)
{
  apic_write(A_DIVIDE, 0xb);
  apic_write(A_TIMER, 0x41);
  apic_write(A_INITIAL, 50000);
}
static uint64_t go(uint64_t vintr)
{
  order = 0;
  v->rflags = 2;
  v->shadow = 0;
  v->vintr = vintr;
  vmcb_entry(v, g_halt);
  clgi();
  return run_if(v);
}
static void drain(void)
{
  apic_write(A_INITIAL, 0);
  asm volatile("sti; nop; cli");
}

void test(void)
{
  svm_on();
  lapic_on();
  v = vmcb_new();
  handler[0x41] = handler[0x51] = handler[NMI] = on_event;
  const uint64_t irq = V_IRQ | V_PRIO(5) | V_VECTOR(0x51) | V_MASKING;
  CHECK_EQ(go(irq), X_VMMCALL);
  CHECK_EQ(order, 0x51);
  // taken in the guest
  timer();
  CHECK_EQ(go(0), X_VMMCALL);
  CHECK_EQ(order, 0x41);
  // a virtual one that V_TPR masks does not wake it, the timer does
  timer();
  CHECK_EQ(go(irq | 9), X_VMMCALL);
  CHECK_EQ(order, 0x41);
  CHECK(v->vintr & V_IRQ);
  // exits: behind HLT
  intercept(v, X_INTR);
  timer();
  CHECK_EQ(go(irq | 9), X_INTR);
  CHECK_EQ(v->rip, after_hlt);
  drain();
  timer();
  CHECK_EQ(go(0), X_INTR);
  CHECK_EQ(v->rip, after_hlt);
  drain();
  intercept(v, X_VINTR);
  CHECK_EQ(go(irq), X_VINTR);
  CHECK(v->vintr & V_IRQ);
  pass_on(v, X_VINTR);
  if (svm_has(SVM_GIF)) { // nor does one that the virtual GIF masks
    timer();
    CHECK_EQ(go(irq | V_GIF_ENABLE), X_INTR);
    CHECK_EQ(v->rip, after_hlt);
    drain();
  }
  if (svm_has(SVM_VNMI)) { // nor a virtual NMI that is masked
    intercept(v, X_NMI);
    timer();
    CHECK_EQ(go(V_MASKING | V_NMI_ENABLE | V_NMI | V_NMI_MASK), X_INTR);
    CHECK_EQ(v->rip, after_hlt);
    drain();
  }
}
