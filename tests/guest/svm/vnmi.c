// A virtual NMI is taken when none is in progress, clears V_NMI and sets V_NMI_MASK until IRET, and is not
// subject to the NMI intercept, which it needs. APM2 15.21.10.
#include "svm.h"

static struct vmcb *v;
static volatile unsigned order;
static uint64_t taken_at;
static void on_nmi(struct frame *f)
{
  order = order << 4 | 1;
  taken_at = f->ip;
  asm volatile("nop; nop");
  order = order << 4 | 2;
}
static volatile bool leave;
static void on_nmi_leaving(struct frame *f)
{
  order = order << 4 | 1;
  vmmcall();
  order = order << 4 | 2;
}
extern uint8_t g_first[], g_second[];
static void g_nop(void)
{
  asm volatile(".globl g_first, g_second; g_first: nop; g_second: nop; nop; vmmcall");
}
static void g_iret(void)
{
  asm volatile(
      "mov %%rsp, %%rcx; mov %%ss, %%eax; push %%rax; push %%rcx; push $2; mov %%cs, %%eax; push %%rax;"
      "lea 1f(%%rip), %%rax; push %%rax; iretq; 1: nop; nop; vmmcall" ::
          : "rax", "rcx", "memory");
}
static void g_stgi(void)
{
  asm volatile("nop; stgi; nop; nop; vmmcall");
}

static uint64_t go(void (*fn)(void), uint64_t vintr)
{
  order = 0;
  return guest_vintr(v, fn, vintr);
}
enum { PENDING = 1, MASK = 2 };
static unsigned state(void)
{
  return (v->vintr & V_NMI ? PENDING : 0) | (v->vintr & V_NMI_MASK ? MASK : 0);
}

void test(void)
{
  svm_need(SVM_VNMI);
  svm_on();
  lapic_on();
  v = vmcb_new();
  handler[NMI] = on_nmi;
  CHECK_EQ(go(g_nop, V_NMI_ENABLE), X_INVALID);
  CHECK_EQ(go(g_nop, V_NMI), X_VMMCALL); // not enabled: nothing
  CHECK_EQ(order, 0);
  intercept(v, X_NMI);
  // taken before the first instruction, IF or not
  CHECK_EQ(go(g_nop, V_NMI_ENABLE | V_NMI), X_VMMCALL);
  CHECK_EQ(order, 0x12);
  CHECK_EQ(taken_at, g_first);
  CHECK_EQ(state(), 0); // IRET has opened it
  // masked: waits for IRET
  CHECK_EQ(go(g_nop, V_NMI_ENABLE | V_NMI | V_NMI_MASK), X_VMMCALL);
  CHECK_EQ(order, 0);
  CHECK_EQ(state(), PENDING | MASK);
  CHECK_EQ(go(g_iret, V_NMI_ENABLE | V_NMI | V_NMI_MASK), X_VMMCALL);
  CHECK_EQ(order, 0x12);
  CHECK_EQ(state(), 0);
  // in its handler
  handler[NMI] = on_nmi_leaving;
  CHECK_EQ(go(g_nop, V_NMI_ENABLE | V_NMI), X_VMMCALL);
  CHECK_EQ(order, 1);
  CHECK_EQ(state(), MASK);
  v->vintr |= V_NMI; // the next one waits
  v->rip += 3;
  CHECK_EQ(run(v), X_VMMCALL);
  CHECK_EQ(order, 0x121); // after the first is through
  v->rip += 3;
  CHECK_EQ(run(v), X_VMMCALL);
  CHECK_EQ(order, 0x1212);
  handler[NMI] = on_nmi;
  // the interrupt shadow
  order = 0;
  v->shadow = 1;
  v->vintr = V_NMI_ENABLE | V_NMI;
  CHECK_EQ(guest(v, g_nop), X_VMMCALL);
  CHECK_EQ(taken_at, g_second);
  // the virtual GIF
  if (svm_has(SVM_GIF)) {
    CHECK_EQ(go(g_nop, V_NMI_ENABLE | V_NMI | V_GIF_ENABLE), X_VMMCALL);
    CHECK_EQ(order, 0);
    CHECK_EQ(state(), PENDING);
    CHECK_EQ(go(g_stgi, V_NMI_ENABLE | V_NMI | V_GIF_ENABLE), X_VMMCALL);
    CHECK_EQ(order, 0x12);
  }
  // an NMI by EVENTINJ masks
  handler[NMI] = on_nmi_leaving;
  v->eventinj = EV_VALID | EV_NMI;
  CHECK_EQ(go(g_nop, V_NMI_ENABLE), X_VMMCALL);
  v->eventinj = 0;
  CHECK_EQ(order, 1);
  CHECK_EQ(state(), MASK);
  handler[NMI] = on_nmi;
  // an exit in its delivery: it is in EXITINTINFO, not masking
  uint64_t idt_base = v->idtr.base;
  v->idtr.base = 0x8000000000;
  v->exceptions = 1 << PF;
  CHECK_EQ(go(g_nop, V_NMI_ENABLE | V_NMI), X_EXCP + PF);
  CHECK_EQ(v->exitintinfo & 0xffffffff, EV_VALID | EV_NMI | NMI);
  CHECK_EQ(state(), 0);
  v->idtr.base = idt_base;
  // a physical one exits, and first
  clgi();
  send_nmi();
  CHECK_EQ(go(g_nop, V_NMI_ENABLE | V_NMI), X_NMI);
  CHECK_EQ(state(), PENDING);
  CHECK_EQ(order, 0x12); // the host's, after STGI
}
