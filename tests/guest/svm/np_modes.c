// See np_modes.h; here the host is in long mode.
#include "svm.h"

#define EFER_SVME_BIT EFER_SVME
#define np_run        run
#include "np_modes.h"

void test(void)
{
  svm_on();
  svm_need(SVM_NP);
  uint32_t r[4];
  cpuid(0x80000001, 0, r);
  bool gb = r[3] >> 26 & 1;
  struct vmcb *v = vmcb_new();
  v->np = NP_ENABLE;
  v->exceptions = ~0u;
  intercept(v, X_HLT);
  intercept(v, X_SHUTDOWN);
  np_modes(v, 4, gb ? 3 : 2, gb, true);
}
