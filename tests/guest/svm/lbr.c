// With LBR virtualization the guest has a DEBUGCTL and last-branch registers of its own in the VMCB, and the
// host's come back as they were; without it the VMCB's are not touched. APM2 15.23.1.
#include "svm.h"

enum { DEBUGCTL = 0x1d9, BR_FROM = 0x1db, BR_TO, INT_FROM, INT_TO };
static struct vmcb *v;
extern uint8_t b_from[], b_to[], h_from[], h_to[], i_at[];

static void g_branch(void)
{
  asm volatile(".globl b_from, b_to; b_from: jmp b_to; nop; b_to: vmmcall");
}
static void g_ud(void)
{
  asm volatile(".globl i_at; i_at: ud2");
}
static void on_ud(struct frame *f)
{
  vmmcall();
}
static void g_set(void)
{
  wrmsr(DEBUGCTL, 1);
  vmmcall();
}

static uint64_t host[4];
static void remember(void)
{
  for (unsigned i = 0; i < 4; i++)
    host[i] = rdmsr(BR_FROM + i);
}
static void same(void)
{
  for (unsigned i = 0; i < 4; i++)
    CHECK_EQ(rdmsr(BR_FROM + i), host[i]);
}

void test(void)
{
  svm_need(SVM_LBR);
  svm_on();
  v = vmcb_new();
  // a branch of the host's to remember
  wrmsr(DEBUGCTL, 1);
  asm volatile(".globl h_from, h_to; h_from: jmp h_to; nop; h_to: nop");
  wrmsr(DEBUGCTL, 0);
  remember();
  v->virt = VIRT_LBR;
  v->dbgctl = 1;
  v->br_from = 0x11;
  v->br_to = 0x22;
  v->int_from = 0x33;
  v->int_to = 0x44;
  CHECK_EQ(guest(v, g_branch), X_VMMCALL);
  CHECK_EQ(v->dbgctl & 1, 1);
  CHECK_EQ(v->br_from, b_from);
  CHECK_EQ(v->br_to, b_to);
  CHECK_EQ(v->int_from, 0x33);
  CHECK_EQ(v->int_to, 0x44);
  CHECK_EQ(rdmsr(DEBUGCTL), 0);
  same();
  // not recording: they keep their values
  v->dbgctl = 0;
  v->br_from = 0x55;
  CHECK_EQ(guest(v, g_branch), X_VMMCALL);
  CHECK_EQ(v->br_from, 0x55);
  // switched on by the guest
  CHECK_EQ(guest(v, g_set), X_VMMCALL);
  CHECK_EQ(v->dbgctl, 1);
  CHECK_EQ(rdmsr(DEBUGCTL), 0);
  // an exception
  handler[UD] = on_ud;
  v->dbgctl = 1;
  v->int_from = 0;
  CHECK_EQ(guest(v, g_ud), X_VMMCALL);
  CHECK_EQ(v->int_from, i_at);
  CHECK_EQ(v->int_to, idt_stub(UD));
  same();
  // the host records, its guest does not
  wrmsr(DEBUGCTL, 1);
  v->dbgctl = 0;
  v->br_from = 0x66;
  CHECK_EQ(guest(v, g_branch), X_VMMCALL);
  CHECK_EQ(v->br_from, 0x66);
  CHECK_EQ(rdmsr(DEBUGCTL) & 1, 1);
  wrmsr(DEBUGCTL, 0);
  // without it
  v->virt = 0;
  v->dbgctl = 1;
  v->br_from = 0x77;
  CHECK_EQ(guest(v, g_branch), X_VMMCALL);
  CHECK_EQ(v->br_from, 0x77);
  CHECK_EQ(rdmsr(DEBUGCTL), 0);
}
