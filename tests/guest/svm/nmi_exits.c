// An intercepted NMI exits and waits for the host; one that is not is taken in the guest and blocks the next
// until IRET, which its intercept sees while it still does. APM2 15.13.2, 15.21.9.
#include "svm.h"

static struct vmcb *v;
static volatile unsigned host_nmis, guest_nmis, inside;

static void on_nmi(struct frame *f)
{
  if (f->sp >= (word)guest_stack && f->sp < (word)guest_stack + sizeof guest_stack) {
    CHECK_EQ(inside, 0);
    inside = 1;
    if (++guest_nmis == 1) {
      send_nmi(); // waits
      asm volatile("nop; nop");
    }
    inside = 0;
  } else {
    host_nmis++;
  }
}
extern uint8_t after_send[];
static void g_send(void)
{
  send_nmi();
  asm volatile("nop; nop; vmmcall");
}

void test(void)
{
  svm_on();
  lapic_on();
  v = vmcb_new();
  handler[NMI] = on_nmi;
  // not intercepted
  CHECK_EQ(guest(v, g_send), X_VMMCALL);
  CHECK_EQ(guest_nmis, 2);
  CHECK_EQ(host_nmis, 0);
  // intercepted, in spite of IF
  intercept(v, X_NMI);
  clgi();
  vmcb_entry(v, g_send);
  svm_switch((uint64_t)v, &regs);
  CHECK_EQ(v->exitcode, X_NMI);
  asm volatile("nop; nop");
  CHECK_EQ(host_nmis, 0);
  CHECK_EQ(guest_nmis, 2);
  stgi();
  asm volatile("nop");
  CHECK_EQ(host_nmis, 1);
  CHECK_EQ(run(v), X_VMMCALL);
  // the IRET intercept comes with the NMI still blocking: another one waits
  v = vmcb_new();
  guest_nmis = 0;
  intercept(v, X_IRET);
  vmcb_entry(v, g_send);
  CHECK_EQ(run(v), X_IRET);
  CHECK_EQ(guest_nmis, 1); // and the second is pending
  pass_on(v, X_IRET);
  CHECK_EQ(run(v), X_VMMCALL);
  CHECK_EQ(guest_nmis + host_nmis, 3);
}
