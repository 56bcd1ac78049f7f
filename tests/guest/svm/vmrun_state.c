// VMRUN puts the host's registers into the host save area and #VMEXIT brings exactly them back, whatever the
// guest made of its own; what is not in the list stays the guest's. APM2 15.5.1, 15.6.
#include "svm.h"

static void scramble(void)
{
  asm volatile("xor %%eax, %%eax; mov %%eax, %%ds; mov %%eax, %%es; mov %%eax, %%ss" ::: "eax");
  write_cr4(read_cr4() ^ 0x80); // PGE
  write_cr0(read_cr0() ^ 8);    // TS
  write_cr2(0x1234567);
  write_dr0(0x5678);
  wrmsr(MSR_EFER, rdmsr(MSR_EFER) ^ 1); // SCE
  wrmsr(0xc0000102, 0x77777000);        // KERNEL_GS_BASE
  asm volatile("std; push $0xcd7; popf; mov $0x77, %%eax; vmmcall" ::: "rax", "memory");
}

static uint64_t host_rsp, host_rax, host_flags;

// VMRUN by hand, to look at each register around it.
static void bare(struct vmcb *v, uint64_t flag_bits)
{
  asm volatile("push %%rbx; push %%rbp; push %[f]; clgi; popf;"
               "mov %%rsp, %[sp]; vmrun %%rax; mov %%rax, %[ax];"
               "pushf; pop %[fl]; cmp %%rsp, %[sp]; je 1f; movq $0, %[sp]; 1:"
               "cld; push $2; popf; stgi; pop %%rbp; pop %%rbx"
               : [sp] "=m"(host_rsp), [ax] "=m"(host_rax), [fl] "=m"(host_flags)
               : "a"(v), [f] "r"(flag_bits)
               : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory",
                 "cc");
}

static unsigned seg_ds(void)
{
  unsigned s;
  asm volatile("mov %%ds, %0" : "=r"(s));
  return s;
}
static unsigned seg_ss(void)
{
  unsigned s;
  asm volatile("mov %%ss, %0" : "=r"(s));
  return s;
}

void test(void)
{
  svm_on();
  struct vmcb *v = vmcb_new();
  uint64_t cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4(), efer = rdmsr(MSR_EFER);
  uint64_t kernel_gs = rdmsr(0xc0000102);
  write_cr2(0x1111);
  CHECK(kernel_gs != 0x77777000);
  vmcb_entry(v, scramble);
  v->cr2 = 0x2222;
  v->dr7 = 0x455;
  write_dr7(0x403);
  bare(v, 0x2 | 0x4d5 | 0x800 | 0x3000 | 0x200000); // arithmetic flags, DF, IOPL, ID
  CHECK_EQ(v->exitcode, X_VMMCALL);
  // the host's
  CHECK_EQ(host_rax, v);
  CHECK(host_rsp != 0);
  CHECK_EQ(host_flags, 0x2 | 0x4d5 | 0x800 | 0x3000 | 0x200000);
  CHECK_EQ(read_cr0(), cr0);
  CHECK_EQ(read_cr3(), cr3);
  CHECK_EQ(read_cr4(), cr4);
  CHECK_EQ(rdmsr(MSR_EFER), efer);
  CHECK_EQ(seg_ds(), K_DATA);
  CHECK_EQ(seg_ss(), K_DATA);
  CHECK_EQ(read_dr7(), 0x400); // all breakpoints are off
  // the guest's
  CHECK_EQ(v->rax, 0x77);
  CHECK_EQ(v->cr0, cr0 ^ 8);
  CHECK_EQ(v->cr4, cr4 ^ 0x80);
  CHECK_EQ(v->efer, efer ^ 1);
  CHECK_EQ(v->cr2, 0x1234567);
  CHECK_EQ(v->rflags & ~0x2ull, 0xcd5);
  CHECK_EQ(v->ds.selector, 0);
  CHECK_EQ(v->cpl, 0);
  // what neither saves
  CHECK_EQ(read_dr0(), 0x5678);
  CHECK_EQ(rdmsr(0xc0000102), 0x77777000);
  CHECK_EQ(read_cr2(), 0x1234567);
}
