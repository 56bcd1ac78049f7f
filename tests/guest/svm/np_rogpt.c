// With read-only guest page tables, tables in nested pages that may not be written can be used as long as no
// accessed or dirty bit is to be set. APM2 15.25 (NP_CONTROL bit 6).
#include "space.h"

#define NP_ROGPT 0x40

void test(void)
{
  svm_on();
  svm_need(SVM_NP | SVM_ROGPT);
  uint64_t page = (uint64_t)page_new();
  struct space s = space_new(1, true);
  space_map(&s, VA, GPA | PT_ALL);
  space_nest(&s, GPA, page | PT_ALL);
  uint64_t *leaf = tables_entry(&s.guest, VA, 1), *upper = tables_entry(&s.guest, VA, 2);
  // the guest finds its last table at an address of its own
  uint64_t table = (uint64_t)leaf & ~0xfffull, gpa = GPA + 0x10000;
  uint64_t *n = tables_entry(&s.nested, gpa, 1);
  *upper = gpa | PT_ALL;
  regs.bx = 5;
  for (unsigned rogpt = 0; rogpt < 2; rogpt++) {
    s.v->np = NP_ENABLE | (rogpt ? NP_ROGPT : 0);
    for (unsigned write = 0; write < 2; write++)
      for (unsigned marked = 0; marked < 3; marked++) {
        unsigned mark = marked == 0 ? 0 : marked == 1 ? PT_A : PT_A | PT_D;
        *leaf = GPA | PT_ALL | mark;
        *n = table | PT_P | PT_U;
        s.v->tlb_control = flush_guest();
        bool may = rogpt && marked > write;
        CHECK_EQ(space_access(&s, 0, write ? WRITE : READ, VA), may ? X_VMMCALL : X_NPF);
        if (!may) {
          CHECK_EQ(s.v->exitinfo1, NPF_TABLE | PF_P | PF_W | PF_U);
          CHECK_EQ(s.v->exitinfo2, gpa);
          CHECK_EQ(*leaf, GPA | PT_ALL | mark);
          *n |= PT_W;
          CHECK_EQ(run(s.v), X_VMMCALL);
          CHECK_EQ(*leaf & (PT_A | PT_D), write ? PT_A | PT_D : mark | PT_A);
        }
      }
  }
}
