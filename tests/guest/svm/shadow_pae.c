// Without nested paging a guest with PAE paging has its page-directory pointers in registers: VMRUN and MOV
// CR3 load and check them, a walk does not. APM2 15.5.1, 5.2.3.
#include "npt.h"
#include "svm.h"

CODE(32, pae_code, "pae_read: mov (%eax), %eax; vmmcall");
CODE(32, pae_change,
     "mov %ecx, (%esi); mov (%eax), %edx; mov %ebx, %cr3; pae_changed: mov (%eax), %eax; vmmcall");
extern uint8_t pae_read[], pae_changed[];

enum { PAGE_A = 0x80001000u };
static struct vmcb *v;

static uint64_t go(const void *code)
{
  v->rip = (uint64_t)code;
  v->rax = PAGE_A;
  return run(v);
}

void test(void)
{
  svm_on();
  v = vmcb_new();
  v->exceptions = ~0u;
  vmcb_protected32(v, pae_read);
  struct tables t = tables_new(3, 0);
  uint64_t *a = page_new(), *b = page_new();
  *a = 0xaaaa;
  *b = 0xbbbb;
  for (unsigned i = 0; i < 16; i++)
    tables_map(&t, (uint64_t)i << 21, 2, (uint64_t)i << 21 | PT_ALL | PT_PS);
  tables_map(&t, PAGE_A, 1, (uint64_t)a | PT_ALL);
  tables_map(&t, PAGE_A + (1u << 30), 1, (uint64_t)b | PT_ALL);
  uint64_t *pointers = (uint64_t *)t.root, was = pointers[2];
  v->cr0 |= 1u << 31;
  v->cr4 = 0x20;
  v->cr3 = t.root;
  regs.bx = v->cr3;
  v->tlb_control = TLB_ALL;
  CHECK_EQ(go(pae_read), X_VMMCALL);
  CHECK_EQ(v->rax, 0xaaaa);
  // VMRUN loads them, illegal ones do not get in
  pointers[2] = pointers[3];
  CHECK_EQ(go(pae_read), X_VMMCALL);
  CHECK_EQ(v->rax, 0xbbbb);
  pointers[3] |= PT_W;
  CHECK_EQ(go(pae_read), X_INVALID);
  pointers[3] &= ~(uint64_t)PT_W;
  // MOV CR3 too; the guest's own write to the pointer is not seen before
  v->tlb_control = TLB_ALL;
  pointers[2] = was;
  regs.si = (uint64_t)&pointers[2];
  regs.cx = pointers[3];
  CHECK_EQ(go(pae_change), X_VMMCALL);
  CHECK_EQ(regs.dx, 0xaaaa);
  CHECK_EQ(v->rax, 0xbbbb);
  pointers[2] = was;
  regs.cx = was | PT_W;
  CHECK_EQ(go(pae_change), X_EXCP + GP);
  CHECK_EQ(v->rip, pae_changed - 3);
  CHECK_EQ(v->exitinfo1, 0);
  CHECK_EQ(regs.dx, 0xaaaa);
}
