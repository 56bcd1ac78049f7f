// Without V_INTR_MASKING the guest's IF and CR8 rule physical interrupts; with it, the host's IF at VMRUN and
// the APIC's TPR do, and the guest has an IF and a TPR of its own. APM2 15.21.1, 15.21.2.
#include "svm.h"

static struct vmcb *v;
static volatile unsigned order, cr8_seen;

static void on_event(struct frame *f)
{
  order = order << 8 | f->vector;
  eoi();
}
static void g_nop(void)
{
  asm volatile("nop; nop; nop; vmmcall");
}
static void g_sti(void)
{
  asm volatile("sti; nop; nop; cli; vmmcall");
}
static void g_cr8(void)
{
  write_cr8(6);
  cr8_seen = read_cr8();
  vmmcall();
}
static void g_read_cr8(void)
{
  cr8_seen = read_cr8();
  vmmcall();
}

static uint64_t go(void (*fn)(void), uint64_t vintr, uint64_t flags, bool host_if)
{
  order = 0;
  v->vintr = vintr;
  v->rflags = 2 | flags;
  v->shadow = 0;
  vmcb_entry(v, fn);
  clgi();
  self_ipi(0x41);
  return host_if ? run_if(v) : run(v);
}
static void drain(bool pending)
{
  order = 0;
  asm volatile("sti; nop; nop; cli" ::: "memory");
  CHECK_EQ(order, pending ? 0x41 : 0);
}

void test(void)
{
  svm_on();
  lapic_on();
  v = vmcb_new();
  handler[0x41] = on_event;
  // without masking: the guest's IF, whatever the host's was
  for (unsigned host_if = 0; host_if < 2; host_if++) {
    CHECK_EQ(go(g_nop, 0, 0, host_if), X_VMMCALL);
    CHECK_EQ(order, host_if ? 0 : 0);
    drain(true);
    CHECK_EQ(go(g_sti, 0, 0, host_if), X_VMMCALL);
    CHECK_EQ(order, 0x41);
    drain(false);
  }
  intercept(v, X_INTR);
  CHECK_EQ(go(g_nop, 0, 0, true), X_VMMCALL); // the intercept needs IF too
  drain(true);
  CHECK_EQ(go(g_sti, 0, 0, false), X_INTR);
  CHECK_EQ(v->rip, (uint64_t)g_sti + 2);
  CHECK_EQ(order, 0);
  drain(true);
  // with masking: the host's IF, whatever the guest's is
  CHECK_EQ(go(g_nop, V_MASKING, 0, true), X_INTR);
  CHECK_EQ(v->rip, g_nop);
  drain(true);
  CHECK_EQ(go(g_nop, V_MASKING, 0x200, false), X_VMMCALL);
  drain(true);
  CHECK_EQ(go(g_sti, V_MASKING, 0, false), X_VMMCALL);
  drain(true);
  pass_on(v, X_INTR);
  CHECK_EQ(go(g_nop, V_MASKING, 0, true), X_VMMCALL); // taken in the guest
  CHECK_EQ(order, 0x41);
  drain(false);
  // the APIC's TPR masks physical interrupts, V_TPR does not
  intercept(v, X_INTR);
  CHECK_EQ(go(g_nop, V_MASKING | 15, 0, true), X_INTR);
  drain(true);
  write_cr8(4);
  CHECK_EQ(go(g_nop, V_MASKING, 0, true), X_VMMCALL);
  CHECK_EQ(order, 0);
  write_cr8(0);
  drain(true);
  // CR8
  CHECK_EQ(go(g_cr8, V_MASKING | 3, 0, false), X_VMMCALL);
  CHECK_EQ(cr8_seen, 6);
  CHECK_EQ(v->vintr & V_TPR, 6);
  CHECK_EQ(read_cr8(), 0);
  drain(true);
  CHECK_EQ(go(g_read_cr8, V_MASKING | 3, 0, false), X_VMMCALL);
  CHECK_EQ(cr8_seen, 3);
  drain(true);
  CHECK_EQ(go(g_cr8, 3, 0, false), X_VMMCALL);
  CHECK_EQ(cr8_seen, 6);
  CHECK_EQ(v->vintr & V_TPR, 6);
  CHECK_EQ(read_cr8(), 6); // both
  CHECK_EQ(apic_read(A_TPR), 0x60);
  order = 0;
  asm volatile("sti; nop; cli");
  CHECK_EQ(order, 0);
  CHECK_EQ(go(g_read_cr8, 3, 0, false), X_VMMCALL);
  CHECK_EQ(cr8_seen, 6); // the APIC's
  write_cr8(0);
  drain(true);
}
