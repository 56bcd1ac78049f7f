// Each world has its own CR3, saved and loaded at each entry and exit; with nested paging nothing needs to be
// intercepted for that. APM2 15.25.3.
#include "space.h"

asm("cr3_code: mov %rbx, %cr3\n"
    "cr3_read: mov (%rax), %rax\n"
    "mov %cr3, %rcx; vmmcall");
extern uint8_t cr3_code[], cr3_read[];

static uint64_t go(struct space *s, const void *code)
{
  s->v->rip = (uint64_t)code;
  s->v->rax = VA;
  CHECK_EQ(run(s->v), X_VMMCALL);
  return s->v->rax;
}

static void guests(bool nested)
{
  struct space s[2];
  uint64_t other[2], cr3 = read_cr3();
  for (unsigned i = 0; i < 2; i++) {
    s[i] = space_new(1 + i, nested);
    uint64_t *a = page_new(), *b = page_new();
    *a = 0xa0 + i;
    *b = 0xb0 + i;
    space_map(&s[i], VA, (uint64_t)a | PT_ALL);
    struct tables t = tables_new(4, 0);
    *(uint64_t *)t.root = *(uint64_t *)s[i].guest.root;
    tables_map(&t, VA, 1, (uint64_t)b | PT_ALL);
    other[i] = t.root;
    CHECK_EQ(s[i].v->cr_read | s[i].v->cr_write, 0);
    s[i].v->tlb_control = flush_guest();
  }
  for (unsigned i = 0; i < 2; i++)
    CHECK_EQ(go(&s[i], cr3_read), 0xa0 + i);
  for (unsigned i = 0; i < 2; i++) {
    s[i].v->tlb_control = TLB_KEEP;
    regs.bx = other[i];
    CHECK_EQ(go(&s[i], cr3_code), 0xb0 + i);
    CHECK_EQ(regs.cx, other[i]);
    CHECK_EQ(s[i].v->cr3, other[i]);
    CHECK_EQ(read_cr3(), cr3);
    CHECK_EQ(*(volatile uint64_t *)VA, 0x77);
  }
  for (unsigned i = 0; i < 2; i++) { // what the exit has saved is what the next entry loads
    CHECK_EQ(go(&s[i], cr3_read), 0xb0 + i);
    s[i].v->tlb_control = flush_guest();
    s[i].v->cr3 = s[i].guest.root; // and what the hypervisor has put there
    CHECK_EQ(go(&s[i], cr3_read), 0xa0 + i);
    CHECK_EQ(regs.cx, s[i].guest.root);
  }
  CHECK_EQ(read_cr3(), cr3);
}

void test(void)
{
  svm_on();
  uint64_t *p = page_new();
  *p = 0x77;
  map(VA, (uint64_t)p | PT_ALL);
  guests(false);
  if (svm_has(SVM_NP))
    guests(true);
}
