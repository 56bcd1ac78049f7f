// With virtual VMLOAD and VMSAVE a guest's operand is guest-physical, and a missing page is a nested page
// fault; where that cannot be, both exit. APM2 15.33.1.
#include "svm.h"

static struct vmcb *v;
#define GPA (5ull << 30)
static void g_vmsave(void)
{
  asm volatile("mov %0, %%rax; vmsave %%rax; vmmcall" ::"i"(GPA) : "rax", "memory");
}
static void g_vmload(void)
{
  asm volatile("mov %0, %%rax; vmload %%rax; vmmcall" ::"i"(GPA) : "rax", "memory");
}

void test(void)
{
  svm_need(SVM_VMLOAD | SVM_NP);
  svm_on();
  v = vmcb_new();
  struct vmcb *page = page_new(), *host = page_new();
  vmcb_nested(v);
  uint64_t *l3 = (uint64_t *)(*(uint64_t *)v->ncr3 & ~0xfffull), *l2 = page_new(), *l1 = page_new();
  l3[GPA >> 30] = (uint64_t)l2 | PT_P | PT_W | PT_U;
  l2[0] = (uint64_t)l1 | PT_P | PT_W | PT_U;
  v->virt = VIRT_VMLOAD;
  vmsave(host);
  // not there
  CHECK_EQ(guest(v, g_vmsave), X_NPF);
  CHECK_EQ(v->exitinfo2 & ~0xfffull, GPA);
  CHECK_EQ(v->exitinfo1 & PF_P, 0);
  CHECK_EQ(guest(v, g_vmload), X_NPF);
  // read-only: enough for VMLOAD
  l1[0] = (uint64_t)page | PT_P | PT_U;
  v->tlb_control = TLB_ALL;
  page->kernel_gs_base = 0x1234000;
  page->tr = host->tr;
  CHECK_EQ(guest(v, g_vmsave), X_NPF);
  CHECK_EQ(v->exitinfo1 & (PF_P | PF_W), PF_P | PF_W);
  CHECK_EQ(guest(v, g_vmload), X_VMMCALL);
  CHECK_EQ(rdmsr(0xc0000102), 0x1234000);
  // there
  l1[0] |= PT_W;
  wrmsr(0xc0000102, 0x5678000);
  CHECK_EQ(guest(v, g_vmsave), X_VMMCALL);
  CHECK_EQ(page->kernel_gs_base, 0x5678000);
  vmload(host);
  // the intercepts go before it where it is off
  v->virt = 0;
  intercept(v, X_VMLOAD);
  intercept(v, X_VMSAVE);
  CHECK_EQ(guest(v, g_vmload), X_VMLOAD);
  CHECK_EQ(guest(v, g_vmsave), X_VMSAVE);
  pass_on(v, X_VMLOAD);
  pass_on(v, X_VMSAVE);
  // enabled without nested paging: they exit
  v = vmcb_new();
  v->virt = VIRT_VMLOAD;
  v->asid = 2;
  CHECK_EQ(guest(v, g_vmload), X_VMLOAD);
  CHECK_EQ(guest(v, g_vmsave), X_VMSAVE);
}
