// With virtual GIF a guest's STGI and CLGI change a bit of its VMCB that masks virtual interrupts and leaves
// physical ones alone. APM2 15.33.2.
#include "svm.h"

static struct vmcb *v;
static volatile unsigned order;
static void on_event(struct frame *f)
{
  order = order << 8 | f->vector;
  if (f->vector == 0x41)
    eoi();
}
static void g_stgi(void)
{
  asm volatile("sti; nop; nop; stgi; nop; cli; vmmcall");
}
static void g_clgi(void)
{
  asm volatile("clgi; sti; nop; nop; cli; vmmcall");
}
static void g_nop(void)
{
  asm volatile("sti; nop; nop; cli; vmmcall");
}

static uint64_t go(void (*fn)(void), uint64_t vintr)
{
  order = 0;
  return guest_vintr(v, fn, vintr);
}

void test(void)
{
  svm_need(SVM_GIF);
  svm_on();
  lapic_on();
  v = vmcb_new();
  handler[0x51] = handler[0x41] = handler[NMI] = on_event;
  const uint64_t irq = V_IRQ | V_PRIO(5) | V_VECTOR(0x51) | V_GIF_ENABLE;
  CHECK_EQ(go(g_nop, irq), X_VMMCALL); // masked
  CHECK_EQ(order, 0);
  CHECK_EQ(v->vintr & (V_IRQ | V_GIF), V_IRQ);
  CHECK_EQ(go(g_nop, irq | V_GIF), X_VMMCALL);
  CHECK_EQ(order, 0x51);
  CHECK_EQ(v->vintr & (V_IRQ | V_GIF), V_GIF);
  CHECK_EQ(go(g_stgi, irq), X_VMMCALL);
  CHECK_EQ(order, 0x51);
  CHECK_EQ(v->vintr & (V_IRQ | V_GIF), V_GIF);
  CHECK_EQ(go(g_clgi, irq | V_GIF), X_VMMCALL);
  CHECK_EQ(order, 0);
  CHECK_EQ(v->vintr & (V_IRQ | V_GIF), V_IRQ);
  // without the enable bit, bit 9 means nothing
  CHECK_EQ(go(g_nop, irq & ~V_GIF_ENABLE), X_VMMCALL);
  CHECK_EQ(order, 0x51);
  // its exit waits too
  intercept(v, X_VINTR);
  CHECK_EQ(go(g_nop, irq), X_VMMCALL);
  CHECK_EQ(go(g_stgi, irq), X_VINTR);
  pass_on(v, X_VINTR);
  // physical interrupts and NMIs do not mind, nor do their exits
  v->vintr = V_GIF_ENABLE;
  v->rflags = 2;
  order = 0;
  clgi();
  self_ipi(0x41);
  CHECK_EQ(guest(v, g_clgi), X_VMMCALL);
  CHECK_EQ(order, 0x41);
  intercept(v, X_INTR);
  intercept(v, X_NMI);
  clgi();
  self_ipi(0x41);
  CHECK_EQ(go(g_clgi, V_GIF_ENABLE), X_INTR);
  asm volatile("sti; nop; cli");
  CHECK_EQ(order, 0x41);
  clgi();
  send_nmi();
  CHECK_EQ(go(g_clgi, V_GIF_ENABLE), X_NMI);
  CHECK_EQ(order, NMI);
  // the exits of the instructions themselves
  intercept(v, X_STGI);
  intercept(v, X_CLGI);
  CHECK_EQ(go(g_stgi, V_GIF_ENABLE), X_STGI);
  CHECK_EQ(go(g_clgi, V_GIF_ENABLE | V_GIF), X_CLGI);
  CHECK(v->vintr & V_GIF);
}
