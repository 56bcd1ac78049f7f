// VM_CR.SVMDIS keeps EFER.SVME clear, VM_CR.LOCK holds it, and only the key opens the lock; VM_HSAVE_PA takes
// a page of physical memory. APM2 15.30, 15.31.
#include "svm.h"

enum { SVMDIS = 16, LOCK = 8 };
static uint64_t vm_cr(void)
{
  return rdmsr(MSR_VM_CR) & (SVMDIS | LOCK);
}

void test(void)
{
  uint32_t r[4];
  svm_need(SVM_LOCK);
  if (vm_cr()) { // firmware was here first
    print("locked; ");
    return;
  }
  svm_on();
  uint64_t other = rdmsr(MSR_VM_CR) & 7;
  CHECK_EQ(rdmsr(MSR_SVM_KEY), 0);
  for (unsigned bit = 5; bit < 64; bit++)
    CHECK_EQ(TRY(wrmsr(MSR_VM_CR, other | 1ull << bit)), GP);
  // not while EFER.SVME is 1, locked or not
  CHECK_EQ(TRY(wrmsr(MSR_VM_CR, other | SVMDIS)), GP);
  wrmsr(MSR_SVM_KEY, 0x1122334455667788);
  CHECK_EQ(rdmsr(MSR_SVM_KEY), 0);
  wrmsr(MSR_VM_CR, other | LOCK);
  CHECK_EQ(vm_cr(), LOCK);
  CHECK_EQ(TRY(wrmsr(MSR_VM_CR, other | SVMDIS | LOCK)), GP);
  wrmsr(MSR_SVM_KEY, 0x1122334455667788);
  CHECK_EQ(vm_cr(), 0);

  wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
  wrmsr(MSR_VM_CR, other | SVMDIS);
  CHECK_EQ(vm_cr(), SVMDIS);
  CHECK_EQ(TRY(wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME)), GP);
  CHECK_EQ(TRY(clgi()), UD);
  cpuid(0x80000001, 0, r);
  CHECK(r[2] & 4); // CPUID still tells
  wrmsr(MSR_VM_CR, other | SVMDIS | LOCK);
  wrmsr(MSR_VM_CR, other); // ignored
  CHECK_EQ(vm_cr(), SVMDIS | LOCK);
  CHECK_EQ(TRY(wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME)), GP);
  wrmsr(MSR_SVM_KEY, 0x1122334455667789); // wrong
  wrmsr(MSR_SVM_KEY, 0);
  CHECK_EQ(vm_cr(), SVMDIS | LOCK);
  wrmsr(MSR_SVM_KEY, 0x1122334455667788);
  CHECK_EQ(vm_cr(), SVMDIS); // the lock alone is gone
  wrmsr(MSR_VM_CR, other);
  CHECK_EQ(vm_cr(), 0);
  CHECK_EQ(TRY(wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME)), NONE);

  cpuid(0x80000008, 0, r);
  uint64_t beyond = 1ull << (r[0] & 0xff);
  CHECK_EQ(TRY(wrmsr(MSR_HSAVE, (uint64_t)host_save + 1)), GP);
  CHECK_EQ(TRY(wrmsr(MSR_HSAVE, (uint64_t)host_save + 0x800)), GP);
  CHECK_EQ(TRY(wrmsr(MSR_HSAVE, beyond)), GP);
  CHECK_EQ(TRY(wrmsr(MSR_HSAVE, 1ull << 63)), GP);
  CHECK_EQ(rdmsr(MSR_HSAVE), host_save);
  // a key of zero opens nothing: the last thing, for only a reset undoes it
  wrmsr(MSR_SVM_KEY, 0);
  wrmsr(MSR_VM_CR, other | LOCK);
  wrmsr(MSR_SVM_KEY, 0);
  CHECK_EQ(vm_cr(), LOCK);
}
