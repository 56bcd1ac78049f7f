// An intercepted SMI exits, says that it came from outside, and stays pending; HWCR.SMMLOCK takes the
// intercept away. APM2 15.13.3, 15.22.2, 15.32.
#include "svm.h"

#define HWCR 0xc0010015u
static struct vmcb *v;

static void send_smi(void)
{
  apic_write(A_ICR2, apic_read(A_ID));
  apic_write(A_ICR, 0x200);
  while (apic_read(A_ICR) & 0x1000)
    ;
}
static void g_send(void)
{
  send_smi();
  asm volatile("nop; nop; vmmcall");
}

void test(void)
{
  svm_on();
  lapic_on();
  if (rdmsr(HWCR) & 1) {
    print("firmware has locked SMM; ");
    return;
  }
  v = vmcb_new();
  intercept(v, X_SMI);
  uint64_t rip = v->rip;
  clgi();
  send_smi();
  svm_switch((uint64_t)v, &regs);
  CHECK_EQ(v->exitcode, X_SMI);
  CHECK_EQ(v->rip, rip);
  CHECK_EQ(v->exitinfo1 & 1, 1);       // external
  CHECK_EQ(v->exitinfo1 >> 33 & 1, 0); // not in an I/O instruction
  svm_switch((uint64_t)v, &regs);
  CHECK_EQ(v->exitcode, X_SMI); // it is still there
  stgi();                       // now firmware has it
  asm volatile("nop");
  CHECK_EQ(run(v), X_VMMCALL);
  CHECK_EQ(guest(v, g_send), X_SMI);
  // locked: the guest does not exit
  wrmsr(HWCR, rdmsr(HWCR) | 1);
  CHECK_EQ(run(v), X_VMMCALL);
  CHECK_EQ(guest(v, g_send), X_VMMCALL);
}
