// With nested paging the guest has a PAT of its own, G_PAT of the VMCB, and the host keeps its own; without,
// there is one PAT for both. APM2 15.25.4.
#include "svm.h"

enum { MSR_PAT = 0x277 };
#define HOSTS  0x0007040600070406ull
#define GUESTS 0x0406040604060406ull
#define THIRD  0x0000000000070605ull

static uint64_t seen;
static unsigned vector;
static void reads(void)
{
  seen = rdmsr(MSR_PAT);
  vmmcall();
}
static void writes(void)
{
  seen = rdmsr(MSR_PAT);
  wrmsr(MSR_PAT, THIRD);
  vmmcall();
}
static void writes_bad(void)
{
  vector = TRY(wrmsr(MSR_PAT, 0x2));
  vmmcall();
}

void test(void)
{
  svm_on();
  struct vmcb *v = vmcb_new();
  wrmsr(MSR_PAT, HOSTS);
  if (svm_has(SVM_NP)) {
    vmcb_nested(v);
    v->g_pat = GUESTS;
    CHECK_EQ(guest(v, reads), X_VMMCALL);
    CHECK_EQ(seen, GUESTS);
    CHECK_EQ(rdmsr(MSR_PAT), HOSTS);
    CHECK_EQ(guest(v, writes), X_VMMCALL);
    CHECK_EQ(seen, GUESTS);
    CHECK_EQ(rdmsr(MSR_PAT), HOSTS);
    CHECK_EQ(v->g_pat, THIRD);
    CHECK_EQ(guest(v, writes_bad), X_VMMCALL);
    CHECK_EQ(vector, GP);
    CHECK_EQ(v->g_pat, THIRD);
    CHECK_EQ(guest(v, reads), X_VMMCALL);
    CHECK_EQ(seen, THIRD);
    v->g_pat = 2; // no memory type
    CHECK_EQ(guest(v, reads), X_INVALID);
    v->np = 0;
  }
  // G_PAT means nothing now
  v->g_pat = 2;
  CHECK_EQ(guest(v, reads), X_VMMCALL);
  CHECK_EQ(seen, HOSTS);
  CHECK_EQ(guest(v, writes), X_VMMCALL);
  CHECK_EQ(rdmsr(MSR_PAT), THIRD);
}
