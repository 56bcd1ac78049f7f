// The instructions of SVM are undefined without EFER.SVME and outside of protected mode, are for privilege 0,
// and refuse a VMCB that is not a page of physical memory. APM2 15.4, 15.5, 15.17, 15.18; APM3 chapter 4.
#include "svm.h"

#define INSN(name, text)                                                                                     \
  USER static void name(void)                                                                                \
  {                                                                                                          \
    asm volatile("mov %0, %%rax; xor %%ecx, %%ecx; " text "; int $0x80" ::"r"(address) : "rax", "rcx");      \
  }
USER_DATA static uint64_t address;
INSN(i_vmrun, "vmrun %%rax")
INSN(i_vmload, "vmload %%rax")
INSN(i_vmsave, "vmsave %%rax")
INSN(i_clgi, "clgi")
INSN(i_stgi, "stgi")
INSN(i_invlpga, "invlpga %%rax, %%ecx")
INSN(i_vmmcall, "vmmcall")

static struct vmcb *v;
static void (*const all[])(void) = {i_vmrun, i_vmload, i_vmsave, i_clgi, i_invlpga};

CODE(16, real_vmrun, "vmrun %eax; vmmcall");
CODE(16, real_vmload, "vmload %eax; vmmcall");
CODE(16, real_vmsave, "vmsave %eax; vmmcall");
CODE(16, real_clgi, "clgi; vmmcall");
CODE(16, real_stgi, "stgi; vmmcall");
CODE(16, real_invlpga, "invlpga %eax, %ecx; vmmcall");
CODE(16, real_vmmcall, "vmmcall");

void test(void)
{
  uint32_t r[4];
  cpuid(0x80000001, 0, r);
  bool skinit = r[2] & 0x1000;
  svm_on();
  v = vmcb_new();
  address = (uint64_t)v;
  // privilege 3: #GP
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
    CHECK_EQ(TRY(user(all[i])), GP);
    CHECK_EQ(last.error, 0);
  }
  CHECK_EQ(TRY(user(i_stgi)), GP);
  CHECK_EQ(TRY(user(i_vmmcall)), UD);
  // no SVME: #UD at any privilege
  wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
    CHECK_EQ(TRY(user(all[i])), UD);
    CHECK_EQ(TRY(all[i]()), UD);
  }
  CHECK_EQ(TRY(i_vmmcall()), UD);
  CHECK_EQ(TRY(stgi()), svm_has(SVM_LOCK) || skinit ? NONE : UD);
  wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
  CHECK_EQ(TRY(i_vmmcall()), UD); // nobody intercepts it
  CHECK_EQ(TRY(clgi()), NONE);
  CHECK_EQ(TRY(stgi()), NONE);
  CHECK_EQ(TRY(vmsave(v)), NONE);
  CHECK_EQ(TRY(vmload(v)), NONE);
  CHECK_EQ(TRY(invlpga(0x123456, 1)), NONE);
  // rAX
  cpuid(0x80000008, 0, r);
  uint64_t beyond = 1ull << (r[0] & 0xff);
  const uint64_t bad[] = {(uint64_t)v + 1, (uint64_t)v + 0x800, beyond, beyond + (uint64_t)v, 1ull << 63};
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
    CHECK_EQ(TRY(vmrun((void *)bad[i])), GP);
    CHECK_EQ(TRY(vmload((void *)bad[i])), GP);
    CHECK_EQ(TRY(vmsave((void *)bad[i])), GP);
  }
  // the address size says how much of rAX counts
  v->kernel_gs_base = 0x5000;
  asm volatile("vmload %%eax" ::"a"((uint64_t)v | 0xffffffff00000000) : "memory");
  CHECK_EQ(rdmsr(0xc0000102), 0x5000);
  // real mode: #UD, whatever is intercepted
  const void *const real[] = {real_vmrun, real_vmload, real_vmsave, real_clgi, real_stgi, real_invlpga};
  for (unsigned i = 0; i < sizeof real / sizeof *real; i++) {
    vmcb_real(v, real[i]);
    v->exceptions = 1 << UD;
    v->vector4 |= 0x3f;
    intercept(v, X_INVLPGA);
    v->rax = (uint64_t)v;
    CHECK_EQ(run(v), X_EXCP + UD);
    CHECK_EQ(v->rip, 0);
  }
  vmcb_real(v, real_vmmcall); // but for this one
  CHECK_EQ(run(v), X_VMMCALL);
}
