// With guest mode execute trap the U bit of the nested tables speaks of instruction fetches alone: clear,
// code of privilege 0 to 2 may run there, set, code of privilege 3. APM2 15.25.13.
#include "space.h"

#define ALIAS (GPA + 0x200000) // of the page with the snippets, for privilege 0

void test(void)
{
  svm_on();
  svm_need(SVM_NP | SVM_GMET);
  uint64_t page = (uint64_t)page_new(), code = (uint64_t)space_read & ~0xfffull;
  struct space s = space_new(1, true);
  space_map(&s, VA, GPA | PT_ALL);
  space_map(&s, VA + 4096, ALIAS | PT_ALL);
  space_nest(&s, ALIAS, code | PT_P);
  uint64_t *n = tables_entry(&s.nested, GPA, 1);
  for (unsigned gmet = 0; gmet < 2; gmet++)
    for (unsigned i = 0; i < 4 * 2 * ACCESSES; i++) {
      unsigned user = i & 1, nx = i >> 1 & 1, cpl = i & 4 ? 3 : 0;
      enum access how = i / 8;
      s.v->np = NP_ENABLE | (gmet ? NP_GMET : 0);
      tables_map(&s.nested, ALIAS, 1, code | PT_P | (gmet ? 0 : PT_U));
      *n = page | PT_P | PT_W | (user ? PT_U : 0) | (nx ? PT_NX : 0);
      *(uint64_t *)page = VMMCALL_CODE;
      regs.bx = VMMCALL_CODE;
      bool may = gmet ? how != FETCH || (!nx && user == (cpl == 3)) : user && !(nx && how == FETCH);
      s.v->tlb_control = flush_guest();
      s.v->cpl = cpl;
      s.v->cs.attrib = 0xa9b | cpl << 5;
      s.v->ss.attrib = 0xc93 | cpl << 5;
      uint8_t *at = how == READ ? space_read : how == WRITE ? space_write : space_fetch;
      s.v->rip = cpl == 3 ? (uint64_t)at : VA + 4096 + (uint64_t)at % 4096;
      s.v->rax = VA;
      CHECK_EQ(run(s.v), may ? X_VMMCALL : X_NPF);
      if (!may) { // the U bit is left to the processor
        CHECK_EQ(s.v->exitinfo1 & ~(uint64_t)PF_U, NPF_FINAL | PF_P |
                                                       (how == WRITE   ? PF_W
                                                        : how == FETCH ? PF_I
                                                                       : 0));
        CHECK_EQ(s.v->exitinfo2, GPA);
      }
    }
}
