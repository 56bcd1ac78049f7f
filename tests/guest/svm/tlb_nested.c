// What the TLB keeps of nested tables stays until the ASID is flushed by TLB_CONTROL; neither the guest's own
// flushes nor those of others need to remove it. A nested page fault is not kept, so more rights need no
// flush. APM2 15.25.10, 15.16.
#include "flushes.h"
#include "stale.h"

static void guest_invpcid(void)
{
  uint64_t d[2] = {0, 0};
  asm volatile("invpcid %0, %1" ::"m"(d), "r"(argument) : "memory");
  vmmcall();
}

static void stale(void)
{
  // spots: two pages of guest one, the second one global; the same of guest two
  spot_count = 0;
  write_cr4(read_cr4() | CR4_PGE);
  one = space_new(1, true);
  two = space_new(2, true);
  spot_nested(&one, LOCAL, GPA, 0);
  spot_nested(&one, GLOBAL, GPA + 0x5000, PT_G);
  spot_nested(&two, LOCAL, GPA, 0);
  spot_nested(&two, GLOBAL, GPA + 0x5000, PT_G);
  LEAVES(&one, "oooo", );
  LEAVES(&one, "oooo", enter(&one, TLB_KEEP));
  LEAVES(&one, "oooo", write_cr3(read_cr3()));
  LEAVES(&one, "nnnn", enter(&one, TLB_ALL));
  if (svm_has(SVM_FLUSH_ASID)) {
    LEAVES(&one, "nnoo", enter(&one, TLB_ASID));
    LEAVES(&one, "oonn", enter(&two, TLB_ASID));
    LEAVES(&one, "nooo", enter(&one, TLB_ASID_NONGLOBAL));
  }
  // linear addresses: a processor may drop what belongs to them, and this one does not
  argument = LOCAL;
  LEAVES(&one, "oooo", guest(one.v, guest_invlpg));
  LEAVES(&one, "oooo", guest(one.v, guest_cr3));
  LEAVES(&one, "oooo", guest(one.v, guest_pge));
  CHECK_EQ(one.v->exitcode, X_VMMCALL);
  LEAVES(&one, "oooo", invlpga(LOCAL, 1));
  uint32_t r[4];
  cpuid(7, 0, r);
  if (r[1] >> 10 & 1)
    for (argument = 2; argument < 4; argument++) { // all, all but global pages
      LEAVES(&one, "oooo", guest(one.v, guest_invpcid));
      CHECK_EQ(one.v->exitcode, X_VMMCALL);
    }
  // a linear address that is used for the first time finds the same stale page
  uint64_t *e = tables_entry(&one.guest, VA + 0x9000, 1);
  *e = GPA | PT_ALL;
  LEAVES(&one, "oooo", CHECK_EQ(space_peek(&one, VA + 0x9000), 'o'));
  *e = 0;
}

// A guest without paging has no linear pages; its guest-physical ones are kept like any.
static void unpaged(void)
{
  static const uint8_t code[] = {0x8b, 0x00, 0xf4}; // mov (%eax), %eax; hlt
  uint32_t *old_page = page_new(), *new_page = page_new();
  uint8_t *c = page_new();
  for (unsigned i = 0; i < sizeof code; i++)
    c[i] = code[i];
  *old_page = 'o';
  *new_page = 'n';
  struct space s = space_new(3, true);
  intercept(s.v, X_HLT);
  for (unsigned control = 0; control < 8; control++) {
    if (control != TLB_KEEP && control != TLB_ALL &&
        (!svm_has(SVM_FLUSH_ASID) || (control != TLB_ASID && control != TLB_ASID_NONGLOBAL)))
      continue;
    tables_map(&s.nested, 0x80000000, 2, 0);
    space_nest(&s, 0x80000000, (uint64_t)old_page | PT_ALL);
    for (unsigned i = 0; i < 2; i++) {
      vmcb_protected32(s.v, c);
      s.v->rax = 0x80000000;
      s.v->tlb_control = i ? control : TLB_ALL;
      CHECK_EQ(run(s.v), X_HLT);
      CHECK_EQ(s.v->rax, i && control != TLB_KEEP ? 'n' : 'o');
      space_nest(&s, 0x80000000, (uint64_t)new_page | PT_ALL);
    }
  }
}

static void faults(void)
{
  uint64_t page = (uint64_t)page_new();
  uint64_t *n = tables_entry(&one.nested, GPA + 0x8000, 1);
  uint64_t va = VA + 0x8000;
  space_map(&one, va, (GPA + 0x8000) | PT_ALL);
  regs.bx = 0x1234;
  *n = 0;
  CHECK_EQ(space_access(&one, 0, READ, va), X_NPF);
  *n = page | PT_P | PT_U;
  CHECK_EQ(run(one.v), X_VMMCALL);
  CHECK_EQ(space_access(&one, 0, WRITE, va), X_NPF);
  CHECK_EQ(one.v->exitinfo1, NPF_FINAL | PF_P | PF_W | PF_U);
  *n |= PT_W;
  CHECK_EQ(run(one.v), X_VMMCALL);
  CHECK_EQ(*(uint64_t *)page, 0x1234);
  // fewer rights do need one
  *n = page | PT_P | PT_U;
  regs.bx = 0x5678;
  CHECK_EQ(space_access(&one, 0, WRITE, va), X_VMMCALL);
  CHECK_EQ(*(uint64_t *)page, 0x5678);
  *n = 0;
  CHECK_EQ(space_peek(&one, va), 0x5678);
  one.v->tlb_control = flush_guest();
  CHECK_EQ(space_access(&one, 0, READ, va), X_NPF);
  one.v->tlb_control = TLB_KEEP;
  CHECK_EQ(space_access(&one, 0, WRITE, va), X_NPF);
}

void test(void)
{
  svm_on();
  svm_need(SVM_NP);
  stale();
  unpaged();
  faults();
}
