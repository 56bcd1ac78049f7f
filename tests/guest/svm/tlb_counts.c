// The subject of counts.py: so many ASIDs take turns, so many times, and at each turn execute one page and
// read so many others. Both stages have pages of 4 KB and four levels, and every table is a page of its own.
#include "space.h"

enum { ASIDS = 100 };

// 64-bit code that depends on nothing: reads RCX pages from RAX on.
asm(".text\n.align 16\n"
    "turn: jrcxz 2f; 1: mov (%rax), %bl; add $4096, %rax; loop 1b; 2: vmmcall\n"
    "turn_end:");
extern uint8_t turn[], turn_end[];

static unsigned number(const char **s)
{
  unsigned n = 0;
  while (**s == ' ')
    ++*s;
  while (**s >= '0' && **s <= '9')
    n = n * 10 + (unsigned)(*(*s)++ - '0');
  return n;
}

void test(void)
{
  svm_on();
  svm_need(SVM_NP);
  const char *s = "";
  if (rt_multiboot && *(uint32_t *)(word)rt_multiboot & 4)
    s = (const char *)(word)((uint32_t *)(word)rt_multiboot)[4];
  while (*s && *s != ' ') // the image's name
    s++;
  unsigned asids = number(&s), turns = number(&s), reads = number(&s);
  CHECK(asids <= ASIDS && asids < svm_asids() && reads < 512);
  struct tables nested = tables_new(4, 0);
  uint64_t page[2] = {(uint64_t)page_new(), (uint64_t)pages_new(reads + 1)};
  for (uint8_t *c = turn; c < turn_end; c++)
    ((uint8_t *)page[0])[c - turn] = *c;
  struct vmcb *first = vmcb_new(), *v[ASIDS + 1];
  for (unsigned asid = 1; asid <= asids; asid++) {
    // the tables of the guest: from here on nothing else is taken, so they lie in a row
    uint64_t from = (uint64_t)page_new() + 4096;
    struct tables t = tables_new(4, GPA);
    tables_map(&t, VA, 1, (GPA + page[0]) | PT_ALL);
    for (unsigned i = 0; i < reads; i++)
      tables_map(&t, VA + 4096 * (i + 1), 1, (GPA + page[1] + 4096 * i) | PT_ALL);
    uint64_t to = (uint64_t)page_new();
    for (uint64_t a = from; a < to; a += 4096)
      tables_map(&nested, GPA + a, 1, a | PT_ALL);
    v[asid] = page_new();
    *v[asid] = *first;
    v[asid]->asid = asid;
    v[asid]->cr3 = tables_cr3(&t);
    v[asid]->np = NP_ENABLE;
    v[asid]->ncr3 = nested.root;
    v[asid]->exceptions = ~0u;
  }
  tables_map(&nested, GPA + page[0], 1, page[0] | PT_ALL);
  for (unsigned i = 0; i < reads; i++)
    tables_map(&nested, GPA + page[1] + 4096 * i, 1, (page[1] + 4096 * i) | PT_ALL);
  for (unsigned turn = 0; turn < turns; turn++)
    for (unsigned asid = 1; asid <= asids; asid++) {
      v[asid]->rip = VA;
      v[asid]->rax = VA + 4096;
      regs.cx = reads;
      CHECK_EQ(run(v[asid]), X_VMMCALL);
    }
}
