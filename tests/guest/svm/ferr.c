// Without CR0.NE an x87 error freezes the processor before the next waiting instruction; the intercept exits
// instead. With IGNNE nothing happens. APM2 15.14.2, 15.30.2.
#include "svm.h"

#define HWCR     0xc0010015u
#define IGNNE_EM (1ull << 8)
extern uint8_t wait_at[];
static void g_error(void)
{
  asm volatile("fninit; push $0x33b; fldcw (%%rsp); pop %%rax; fld1; fldz; fdivrp;"
               ".globl wait_at; wait_at: fwait; fninit; vmmcall" ::
                   : "rax", "memory");
}

void test(void)
{
  svm_on();
  struct vmcb *v = vmcb_new();
  v->cr0 &= ~0x20ull; // NE
  intercept(v, X_FERR);
  uint64_t hwcr = rdmsr(HWCR);
  wrmsr(HWCR, hwcr | IGNNE_EM);
  wrmsr(MSR_IGNNE, 0);
  CHECK_EQ(guest(v, g_error), X_FERR);
  CHECK_EQ(v->rip, wait_at);
  CHECK_EQ(run(v), X_FERR); // and again
  asm volatile("fninit");
  wrmsr(MSR_IGNNE, 1);
  CHECK_EQ(guest(v, g_error), X_VMMCALL);
  wrmsr(MSR_IGNNE, 0);
  // with NE it is #MF
  v->cr0 |= 0x20;
  v->exceptions = 1 << MF;
  CHECK_EQ(guest(v, g_error), X_EXCP + MF);
  asm volatile("fninit");
  wrmsr(HWCR, hwcr);
}
