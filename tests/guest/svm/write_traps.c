// The write traps of EFER and the control registers exit after the write took effect. APM2 table B-1, 010h;
// appendix C.
#include "svm.h"

static struct vmcb *v;
extern uint8_t efer_end[], cr0_end[], cr4_end[], clts_end[];
static void g_efer(void)
{
  asm volatile("mov $0xc0000080, %%ecx; rdmsr; xor $1, %%eax; wrmsr; .globl efer_end; efer_end: vmmcall" ::
                   : "rax", "rcx", "rdx");
}
static void g_cr0(void)
{
  asm volatile("mov %%cr0, %%rax; xor $8, %%rax; mov %%rax, %%cr0; .globl cr0_end; cr0_end: vmmcall" ::
                   : "rax");
}
static void g_cr4(void)
{
  asm volatile("mov %%cr4, %%rax; xor $4, %%rax; mov %%rax, %%cr4; .globl cr4_end; cr4_end: vmmcall" ::
                   : "rax");
}
static void g_bad(void)
{
  asm volatile("mov $1, %%rax; shl $40, %%rax; mov %%rax, %%cr4; vmmcall" ::: "rax");
}

void test(void)
{
  svm_need(SVM_GIF); // the two came with the same family, 17h; the traps have no bit of their own
  svm_on();
  v = vmcb_new();
  uint64_t efer = v->efer, cr0 = v->cr0, cr4 = v->cr4;
  CHECK_EQ(guest(v, g_efer), X_VMMCALL);
  v->efer = efer;
  intercept(v, X_EFER_TRAP);
  CHECK_EQ(guest(v, g_efer), X_EFER_TRAP);
  CHECK_EQ(v->rip, efer_end);
  CHECK_EQ(v->efer, efer ^ 1);
  CHECK_EQ(run(v), X_VMMCALL);
  intercept(v, X_CR_TRAP);
  CHECK_EQ(guest(v, g_cr4), X_VMMCALL);
  v->cr4 = cr4;
  CHECK_EQ(guest(v, g_cr0), X_CR_TRAP);
  CHECK_EQ(v->rip, cr0_end);
  CHECK_EQ(v->cr0, cr0 ^ 8);
  CHECK_EQ(v->exitinfo1, cr0 ^ 8);
  v->cr0 = cr0;
  intercept(v, X_CR_TRAP + 4);
  CHECK_EQ(guest(v, g_cr4), X_CR_TRAP + 4);
  CHECK_EQ(v->rip, cr4_end);
  CHECK_EQ(v->cr4, cr4 ^ 4);
  // the intercept of the write comes before it, and so does its exception
  v->cr4 = cr4;
  v->cr_write = 1 << 4;
  CHECK_EQ(guest(v, g_cr4), X_CR_WRITE + 4);
  CHECK_EQ(v->cr4, cr4);
  v->cr_write = 0;
  v->exceptions = 1 << GP;
  CHECK_EQ(guest(v, g_bad), X_EXCP + GP);
}
