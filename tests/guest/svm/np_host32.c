// The host's CR4.PAE, CR4.PSE and EFER.NXE say what the nested tables mean, the guest's own registers have no
// part in it; and a host without long mode translates 32 bits of guest-physical addresses. APM2 15.25.3.
#include "host32.h"

#define AT  0x40001000u
#define NXE (1ull << 11)

static struct vmcb *v;
static uint8_t *code, *table;

static uint64_t go(uint64_t address)
{
  v->cs = (struct vseg){.attrib = 0xc9b, .limit = ~0u};
  v->ds = v->es = v->ss = (struct vseg){.attrib = 0xc93, .limit = ~0u};
  v->rflags = 2;
  v->rip = (word)code;
  v->rax = address;
  v->tlb_control = TLB_ALL;
  return np_run(v);
}

#define NPF(error, gpa)                                                                                      \
  do {                                                                                                       \
    CHECK_EQ(go(AT), X_NPF);                                                                                 \
    CHECK_EQ(v->exitinfo1, error);                                                                           \
    CHECK_EQ(v->exitinfo2, gpa);                                                                             \
  } while (0)

static void nested_identity(const struct tables *n)
{
  for (uint32_t a = 0; a < 64 << 20; a += 4096)
    tables_map(n, a, 1, a | PT_ALL);
  v->ncr3 = n->root;
}

void test(void)
{
  v = host32_on();
  code = page_new();
  *(uint32_t *)code = 0xf4008b; // mov (%eax), %eax; hlt
  uint32_t *small = page_new();
  *small = 0x5555;
  table = page_new();
  volatile uint32_t *large = (volatile uint32_t *)0x2000000;
  large[0x1000 / 4] = 0x7777;
  v->cr0 = 0x11;
  v->efer = EFER_SVME_BIT;

  // a host without paging: there is no nested paging
  v->ncr3 = (word)table;
  CHECK_EQ(go(AT), X_INVALID);

  // two levels: bit 7 of the upper one is a page of 4 MB only with the host's PSE
  struct tables n = tables_new(2, 0);
  nested_identity(&n);
  ((uint32_t *)table)[1] = (word)small | PT_ALL;
  tables_map(&n, AT, 2, 0x2000000 | PT_ALL | PT_PS);
  host32_paging(2, true);
  v->cr4 = 0;
  CHECK_EQ(go(AT), X_HLT);
  CHECK_EQ(v->rax, 0x7777);
  tables_map(&n, AT, 2, (word)table | PT_ALL | PT_PS);
  host32_paging(2, false);
  v->cr4 = 0x10;
  CHECK_EQ(go(AT), X_HLT);
  CHECK_EQ(v->rax, 0x5555);
  // such entries have no no-execute bit
  wrmsr(0xc0000080, rdmsr(0xc0000080) | NXE);
  CHECK_EQ(go(AT), X_HLT);
  tables_map(&n, AT, 2, 0);
  NPF(NPF_FINAL | PF_U, AT);

  // PAE: pointers are read by each walk; a bit that is illegal there is a nested page fault
  n = tables_new(3, 0);
  nested_identity(&n);
  tables_map(&n, AT, 1, (word)small | PT_ALL | PT_NX);
  wrmsr(0xc0000080, rdmsr(0xc0000080) & ~NXE);
  host32_paging(3, true);
  v->efer = EFER_SVME_BIT | NXE;
  v->cr4 = 0x20;
  NPF(NPF_FINAL | PF_P | PF_RSVD | PF_U, AT); // no NXE in the host
  wrmsr(0xc0000080, rdmsr(0xc0000080) | NXE);
  v->efer = EFER_SVME_BIT;
  CHECK_EQ(go(AT), X_HLT);
  CHECK_EQ(v->rax, 0x5555);
  uint64_t *pointer = tables_entry(&n, AT, 3), was = *pointer;
  *pointer = 0;
  NPF(NPF_FINAL | PF_U, AT);
  *pointer = was | 1ull << 51;
  NPF(NPF_FINAL | PF_P | PF_RSVD | PF_U, AT);
  *pointer = was;
  CHECK_EQ(go(AT), X_HLT);

  // an address of the guest's above 4 GB is nowhere, for any host without long mode
  struct tables t = tables_new(3, 0);
  for (uint32_t a = 0; a < 64 << 20; a += 1 << 21)
    tables_map(&t, a, 2, a | PT_ALL | PT_PS);
  tables_map(&t, AT, 1, 0x100002000ull | PT_ALL);
  v->cr0 |= 1u << 31;
  v->cr4 = 0x20;
  v->cr3 = t.root;
  NPF(NPF_FINAL | PF_U, 0x100002000);
}
