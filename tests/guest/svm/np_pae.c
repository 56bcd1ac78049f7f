// Under nested paging the page-directory pointers of a guest with PAE paging are read by the walk, not by the
// load of CR3: one that is illegal is no reason for #GP, and a change needs no MOV CR3. APM2 15.25.9.
#include "space.h"

CODE(32, set_cr3, "mov %ebx, %cr3; set_cr3_read: mov (%eax), %eax; vmmcall");
extern uint8_t set_cr3_read[];

enum { AT = 0x80001000u };
static struct vmcb *v;
static uint64_t *pointers;

static uint64_t go(const void *code)
{
  v->tlb_control = flush_guest();
  v->rip = (uint64_t)code;
  v->rax = AT;
  return run(v);
}

void test(void)
{
  svm_on();
  svm_need(SVM_NP);
  struct space s = space_new(1, true);
  v = s.v;
  vmcb_protected32(v, set_cr3_read);
  struct tables t = tables_new(3, 0);
  uint64_t *a = page_new(), *b = page_new();
  *a = 0xaaaa;
  *b = 0xbbbb;
  for (unsigned i = 0; i < 8; i++)
    tables_map(&t, (uint64_t)i << 21, 2, (uint64_t)i << 21 | PT_ALL | PT_PS);
  tables_map(&t, AT, 1, (uint64_t)a | PT_ALL);
  tables_map(&t, AT + (1u << 30), 1, (uint64_t)b | PT_ALL);
  // the four pointers are not at the start of their page
  uint64_t *first = (uint64_t *)t.root;
  pointers = first + 4 * 17;
  for (unsigned i = 0; i < 4; i++) {
    pointers[i] = first[i];
    first[i] = 0;
  }
  v->cr0 |= 1u << 31;
  v->cr4 = 0x20;
  v->cr3 = (uint64_t)pointers;
  regs.bx = v->cr3;
  CHECK_EQ(go(set_cr3_read), X_VMMCALL);
  CHECK_EQ(v->rax, 0xaaaa);
  // changed in memory
  uint64_t was = pointers[2];
  pointers[2] = pointers[3];
  CHECK_EQ(go(set_cr3_read), X_VMMCALL);
  CHECK_EQ(v->rax, 0xbbbb);
  // illegal: seen when it is used
  static const uint64_t illegal[] = {1ull << 51, PT_NX};
  for (unsigned i = 0; i < 2; i++) {
    pointers[2] = was | illegal[i];
    CHECK_EQ(go(set_cr3), X_EXCP + PF);
    CHECK_EQ(v->rip, set_cr3_read);
    CHECK_EQ(v->exitinfo1, PF_P | PF_RSVD);
    CHECK_EQ(v->exitinfo2, AT);
  }
  pointers[3] = was | 1ull << 51; // nobody uses it
  pointers[2] = was;
  CHECK_EQ(go(set_cr3), X_VMMCALL);
  CHECK_EQ(v->rax, 0xaaaa);
  pointers[2] = 0;
  CHECK_EQ(go(set_cr3), X_EXCP + PF);
  CHECK_EQ(v->exitinfo1, 0);
  pointers[2] = was;
  // the page of the pointers is not in the nested tables: the load of CR3 does not read it
  uint64_t gpa = 0xd0000000;
  regs.bx = gpa + (uint32_t)(uint64_t)pointers % 4096;
  uint64_t *n = tables_entry(&s.nested, gpa, 2);
  *n = 0;
  tables_map(&s.nested, gpa, 1, 0);
  CHECK_EQ(go(set_cr3), X_NPF);
  CHECK_EQ(v->exitinfo1 & ~(uint64_t)PF_I, NPF_TABLE | PF_W | PF_U);
  CHECK(v->exitinfo2 >= regs.bx && v->exitinfo2 < regs.bx + 32);
  CHECK_EQ(v->cr3, regs.bx);
  tables_map(&s.nested, gpa, 1, ((uint64_t)pointers & ~0xfffull) | PT_ALL);
  CHECK_EQ(run(v), X_VMMCALL);
  CHECK_EQ(v->rax, 0xaaaa);
}
