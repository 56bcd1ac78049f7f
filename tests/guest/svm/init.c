// INIT waits for GIF, exits where it is intercepted and waits on, becomes #SX with VM_CR.R_INIT, and else
// resets the processor. APM2 15.13.4, 15.21.8, 15.28.
#include "svm.h"

static volatile unsigned step, sx, sx_error;
static struct vmcb *v;
enum { R_INIT = 2, OTHER = 1 };

static void send_init(void)
{
  apic_write(A_ICR2, OTHER << 24);
  apic_write(A_ICR, 0x4500);
  while (apic_read(A_ICR) & 0x1000)
    ;
}
static void pause_a_while(void)
{
  for (volatile unsigned i = 0; i < 20000; i++)
    ;
}
static void wait_for(unsigned n)
{
  for (unsigned i = 0; step != n && i < 100; i++)
    pause_a_while();
  CHECK_EQ(step, n);
}
// Processor 1 says that it is ready and goes on when INIT has been sent.
static void ready(unsigned n)
{
  step = n;
  while (step != n + 1)
    asm volatile("pause");
  pause_a_while();
}

static void on_sx(struct frame *f)
{
  sx_error = f->error;
  sx++;
}

static void second(void)
{
  step = 100;
  for (;;)
    asm volatile("hlt");
}

static void other(void)
{
  wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
  wrmsr(MSR_HSAVE, (uint64_t)host_save);
  wrmsr(MSR_VM_CR, rdmsr(MSR_VM_CR) & ~(uint64_t)R_INIT);
  clgi();
  ready(1);
  // held; in the guest it exits
  intercept(v, X_INIT);
  uint64_t rip = v->rip;
  svm_switch((uint64_t)v, &regs);
  CHECK_EQ(v->exitcode, X_INIT);
  CHECK_EQ(v->rip, rip);
  // still pending: redirected, and then gone
  wrmsr(MSR_VM_CR, rdmsr(MSR_VM_CR) | R_INIT);
  CHECK_EQ(sx, 0);
  stgi();
  asm volatile("nop; nop");
  CHECK_EQ(sx, 1);
  CHECK_EQ(sx_error, 1);
  clgi();
  stgi();
  CHECK_EQ(sx, 1);
  // as an exception of the guest
  pass_on(v, X_INIT);
  clgi();
  ready(3);
  v->exceptions = 1u << 30;
  svm_switch((uint64_t)v, &regs);
  CHECK_EQ(v->exitcode, X_EXCP + 30);
  CHECK_EQ(v->exitinfo1, 1);
  CHECK_EQ(v->rip, rip);
  stgi();
  CHECK_EQ(sx, 1);
  // neither: the processor starts anew
  wrmsr(MSR_VM_CR, rdmsr(MSR_VM_CR) & ~(uint64_t)R_INIT);
  clgi();
  ready(5);
  step = 7;
  stgi();
  step = 8; // never
  for (;;)
    ;
}

void test(void)
{
  svm_on();
  lapic_on();
  v = vmcb_new();
  handler[30] = on_sx;
  ap_start(OTHER, other);
  for (unsigned n = 1; n <= 5; n += 2) {
    wait_for(n);
    send_init();
    step = n + 1;
  }
  wait_for(7);
  pause_a_while();
  CHECK_EQ(step, 7);
  ap_start(OTHER, second);
  wait_for(100);
}
