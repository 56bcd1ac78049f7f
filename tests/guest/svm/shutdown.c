// A triple fault of the guest exits as shutdown and leaves the host whole. APM2 15.14.3.
#include "svm.h"

CODE(16, real16, "ud2");
static void g_ud(void)
{
  asm volatile("ud2");
}

void test(void)
{
  svm_on();
  struct vmcb *v = vmcb_new();
  struct vseg idtr = v->idtr;
  intercept(v, X_SHUTDOWN);
  v->idtr.limit = 0; // no vector at all
  for (unsigned i = 0; i < 3; i++) {
    v->rflags = 2;
    CHECK_EQ(guest(v, g_ud), X_SHUTDOWN);
  }
  v = vmcb_new();
  v->idtr = idtr;
  intercept(v, X_SHUTDOWN);
  CHECK_EQ(guest(v, vmmcall), X_VMMCALL);
  v->idtr.base = 0x8000000000; // nothing there: #PF three times
  CHECK_EQ(guest(v, g_ud), X_SHUTDOWN);
  v->exceptions = 1 << DF; // the second of them
  CHECK_EQ(guest(v, g_ud), X_EXCP + DF);
  vmcb_real(v, real16);
  v->exceptions = 0;
  v->idtr.limit = 3;
  CHECK_EQ(run(v), X_SHUTDOWN);
}
