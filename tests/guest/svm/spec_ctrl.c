// A guest's SPEC_CTRL lies in its VMCB; the host's is neither seen nor changed by it. APM2 15.5.1, 3.2.9,
// table B-2.
#include "svm.h"

static struct vmcb *v;
static volatile uint64_t seen;
static void g_read(void)
{
  seen = rdmsr(0x48);
  wrmsr(0x48, 5);
  vmmcall();
}

void test(void)
{
  svm_need(SVM_SPEC_CTRL);
  svm_on();
  v = vmcb_new();
  if (TRY(wrmsr(0x48, 5)) != NONE) {
    print("no IBRS or SSBD; ");
    return;
  }
  wrmsr(0x48, 1);
  v->spec_ctrl = 4;
  CHECK_EQ(guest(v, g_read), X_VMMCALL);
  CHECK_EQ(seen, 4);
  CHECK_EQ(v->spec_ctrl, 5);
  CHECK_EQ(rdmsr(0x48), 1);
  wrmsr(0x48, 0);
  CHECK_EQ(guest(v, g_read), X_VMMCALL);
  CHECK_EQ(seen, 5);
  CHECK_EQ(rdmsr(0x48), 0);
}
