// World switches in a known number, for whoever reads what the machine counted (tests/boot/boots.py): under
// nested paging, everything in 2 MB pages.
#include "svm.h"

// 2001 instructions and an intercepted one; then 2 + 4 * 10, which read 10 pages; then VMMCALL.
asm("worker: mov $1000, %ecx\n"
    "1: dec %ecx; jnz 1b\n"
    "  cpuid\n"
    "  mov $10, %ecx; mov $0x2000000, %esi\n"
    "2: mov (%rsi), %eax; add $0x200000, %esi; dec %ecx; jnz 2b\n"
    "  vmmcall\n"
    "halting: hlt; hlt; hlt\n"
    "undefined: ud2");
void worker(void);
void halting(void);
void undefined(void);

void test(void)
{
  svm_on();
  svm_need(SVM_NP);
  struct vmcb *v = vmcb_new();
  vmcb_nested(v);
  intercept(v, X_CPUID);
  intercept(v, X_HLT);
  v->exceptions = 1 << UD;
  CHECK_EQ(guest(v, worker), X_CPUID);
  CHECK_EQ(run_past(v, 2), X_VMMCALL);
  v->asid = 2;
  CHECK_EQ(guest(v, halting), X_HLT);
  CHECK_EQ(run_past(v, 1), X_HLT);
  CHECK_EQ(run_past(v, 1), X_HLT);
  v->asid = 1; // what this needs of memory is still there
  CHECK_EQ(guest(v, undefined), X_EXCP + UD);
  v->asid = 0;
  CHECK_EQ(run(v), X_INVALID);
}
