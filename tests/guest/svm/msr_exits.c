// RDMSR and WRMSR exit by two bits of the permission map for each MSR of its three ranges, and always outside
// of them; after the check of privilege, before what the MSR itself has to say. APM2 15.11.
#include "svm.h"

static struct vmcb *v;
static void g_read(void)
{
  asm volatile("rdmsr; vmmcall" ::: "rax", "rdx", "memory");
}
static void g_write(void)
{
  asm volatile("xor %%eax, %%eax; xor %%edx, %%edx; wrmsr; vmmcall" ::: "rax", "rdx", "memory");
}
USER static void u_read(void)
{
  asm volatile("mov $0x174, %%ecx; rdmsr; int $0x80" ::: "rax", "rcx", "rdx");
}
static void g_user(void)
{
  user(u_read);
}

static uint64_t go(void (*fn)(void), uint32_t msr)
{
  vmcb_privileged(v);
  vmcb_entry(v, fn);
  v->exitinfo1 = 0x5555;
  regs.cx = 0xdeadbeef00000000 | msr; // ECX counts
  return run(v);
}

// Of an MSR that exists, is harmless and has its own bits.
static void exact(uint32_t msr)
{
  uint64_t value = rdmsr(msr);
  for (unsigned bits = 0; bits < 4; bits++) {
    msrpm_set(v, msr, bits & 1, bits & 2);
    CHECK_EQ(go(g_read, msr), bits & 1 ? X_MSR : X_VMMCALL);
    if (bits & 1)
      CHECK_EQ(v->exitinfo1, 0);
    CHECK_EQ(go(g_write, msr), bits & 2 ? X_MSR : X_VMMCALL);
    if (bits & 2) {
      CHECK_EQ(v->exitinfo1, 1);
      CHECK_EQ(rdmsr(msr), value);
      if (svm_has(SVM_NRIP))
        CHECK_EQ(v->nrip, v->rip + 2);
    }
    wrmsr(msr, value);
    // no other bit of the map matters
    for (unsigned i = 0; i < 0x2000; i++)
      ((uint8_t *)v->msrpm)[i] ^= 0xff;
    msrpm_set(v, msr, bits & 1, bits & 2);
    CHECK_EQ(go(g_read, msr), bits & 1 ? X_MSR : X_VMMCALL);
    CHECK_EQ(go(g_write, msr), bits & 2 ? X_MSR : X_VMMCALL);
    wrmsr(msr, value);
    for (unsigned i = 0; i < 0x2000; i++)
      ((uint8_t *)v->msrpm)[i] = 0;
  }
}

void test(void)
{
  svm_on();
  v = vmcb_new();
  intercept(v, X_MSR);
  v->exceptions = 1 << GP;
  exact(0x174);
  exact(0x176);
  exact(0xc0000081); // STAR
  exact(0xc0000102); // KERNEL_GS_BASE
  if (svm_has(SVM_LOCK))
    exact(MSR_SVM_KEY); // reads as 0
  // outside: always
  static const uint32_t outside[] = {0x2000,     0x2001,     0x40000000, 0x7fffffff, 0x80000000, 0xbfffffff,
                                     0xc0002000, 0xc000ffff, 0xc0012000, 0xc0020000, 0xffffffff};
  for (unsigned i = 0; i < sizeof outside / sizeof *outside; i++) {
    CHECK_EQ(go(g_read, outside[i]), X_MSR);
    CHECK_EQ(v->exitinfo1, 0);
    CHECK_EQ(go(g_write, outside[i]), X_MSR);
    CHECK_EQ(v->exitinfo1, 1);
  }
  // the first and the last of each range, none of which exists: the intercept, else #GP
  static const uint32_t edges[] = {0x1fff, 0xc0001fff, 0xc0011fff, 0x1ffe, 0xc0001ffe, 0xc0011ffe};
  for (unsigned i = 0; i < sizeof edges / sizeof *edges; i++) {
    CHECK_EQ(go(g_read, edges[i]), X_EXCP + GP);
    CHECK_EQ(go(g_write, edges[i]), X_EXCP + GP);
    msrpm_set(v, edges[i], true, false);
    CHECK_EQ(go(g_read, edges[i]), X_MSR);
    CHECK_EQ(go(g_write, edges[i]), X_EXCP + GP);
    msrpm_set(v, edges[i], false, true);
    CHECK_EQ(go(g_read, edges[i]), X_EXCP + GP);
    CHECK_EQ(go(g_write, edges[i]), X_MSR);
    msrpm_set(v, edges[i], false, false);
  }
  // privilege comes first
  msrpm_set(v, 0x174, true, true);
  CHECK_EQ(go(g_user, 0x174), X_EXCP + GP);
  CHECK_EQ(v->cpl, 3);
  // without the intercept the map does not matter, and neither do the ranges
  pass_on(v, X_MSR);
  v->exceptions = 0;
  CHECK_EQ(go(g_read, 0x174), X_VMMCALL);
  v->exceptions = 1 << GP;
  CHECK_EQ(go(g_read, 0x2000), X_EXCP + GP);
}
