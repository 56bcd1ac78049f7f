// Process-context identifiers belong to an ASID: the same one in two guests and in the host stands for three
// address spaces, world switches keep them all, and a guest's flush of one reaches only its own. APM2 5.5.1,
// 15.16.
#include "stale.h"

enum { CONTEXTS = 3 }; // of each world: PCIDs 1, 2 and 0
#define KEEP (1ull << 63)

asm("pcid_read: mov %rbx, %cr3\n"
    "pcid_read_only: mov (%rax), %rax; vmmcall");
extern uint8_t pcid_read[], pcid_read_only[];

static uint64_t *entry[3][CONTEXTS], root[3][CONTEXTS], old_page[3][CONTEXTS], new_page[3][CONTEXTS];
static struct space *const guests[3] = {NULL, &one, &two};

// The page that a context of a world sees; without `keep` the context is emptied by a load of CR3 first.
static uint64_t look(unsigned world, unsigned context, uint64_t keep)
{
  uint64_t cr3 = root[world][context] | context | keep;
  if (!world) {
    uint64_t was = read_cr3();
    write_cr3(cr3);
    enter(&one, TLB_KEEP); // and back
    uint64_t v = *(volatile uint64_t *)VA;
    write_cr3(was | KEEP);
    return v;
  }
  struct vmcb *v = guests[world]->v;
  v->rip = (uint64_t)(keep ? pcid_read_only : pcid_read); // VMRUN removes nothing either
  if (keep)
    v->cr3 = cr3 & ~KEEP;
  v->rax = VA;
  regs.bx = cr3;
  CHECK_EQ(run(v), X_VMMCALL);
  CHECK_EQ(v->cr3, cr3 & ~KEEP);
  return v->rax;
}

static void arm(void)
{
  for (unsigned pass = 0; pass < 3; pass++)
    for (unsigned w = 0; w < 3; w++)
      for (unsigned c = 0; c < CONTEXTS; c++)
        if (pass == 1)
          CHECK_EQ(look(w, c, 0), *(uint64_t *)(old_page[w][c] & ~0xfffull));
        else
          *entry[w][c] = pass ? new_page[w][c] : old_page[w][c];
}

// One letter for each world and context.
static void are(const char *where, const char *want)
{
  char have[10] = "";
  for (unsigned i = 0; i < 9; i++) {
    uint64_t v = look(i / 3, i % 3, KEEP);
    have[i] = v == *(uint64_t *)(old_page[i / 3][i % 3] & ~0xfffull)   ? 'o'
              : v == *(uint64_t *)(new_page[i / 3][i % 3] & ~0xfffull) ? 'n'
                                                                       : '-';
  }
  for (unsigned i = 0; i < 9; i++)
    if (have[i] != want[i]) {
      print(have);
      print(" should be ");
      print(want);
      fail(where, " what the TLB holds", 0, 1);
    }
}
#define ARE(want) are(HERE, want)

static void guest_invpcid(void)
{
  uint64_t d[2] = {2, VA}, kind = regs.bx;
  asm volatile("invpcid %0, %1" ::"m"(d), "r"(kind) : "memory");
  vmmcall();
}

static void test_one(bool nested)
{
  one = space_new(1, nested);
  two = space_new(2, nested);
  one.v->cr4 |= CR4_PCIDE;
  two.v->cr4 |= CR4_PCIDE;
  for (unsigned i = 0; i < 9; i++) {
    struct tables t = tables_new(4, 0);
    uint64_t *p = page_new(), *q = page_new();
    *(uint64_t *)t.root = *(uint64_t *)one.guest.root;
    *p = 0x100 + i;
    *q = 0x200 + i;
    root[i / 3][i % 3] = t.root;
    entry[i / 3][i % 3] = tables_entry(&t, VA, 1);
    old_page[i / 3][i % 3] = (uint64_t)p | PT_ALL;
    new_page[i / 3][i % 3] = (uint64_t)q | PT_ALL;
  }
  arm();
  ARE("ooooooooo");
  ARE("ooooooooo");
  look(1, 2, 0); // MOV CR3 without bit 63
  ARE("ooooonooo");
  arm();
  look(0, 1, 0);
  ARE("onooooooo");
  arm();
  invlpga(VA, 2); // all contexts of the ASID, as none is named
  ARE("oooooonnn");
  uint32_t r[4];
  cpuid(7, 0, r);
  if (r[1] >> 10 & 1)
    for (uint64_t kind = 0; kind < 4; kind++) {
      arm();
      regs.bx = kind;
      CHECK_EQ(guest(two.v, guest_invpcid), X_VMMCALL);
      ARE(kind < 2 ? "oooooooon" : "oooooonnn");
    }
  if (svm_has(SVM_FLUSH_ASID)) {
    arm();
    enter(&one, TLB_ASID);
    ARE("ooonnnooo");
    arm();
    enter(&one, TLB_ASID_NONGLOBAL);
    ARE("ooonnnooo");
  }
  arm();
  enter(&one, TLB_ALL);
  ARE("nnnnnnnnn");
}

void test(void)
{
  uint32_t r[4];
  cpuid(1, 0, r);
  if (!(r[2] >> 17 & 1)) {
    print("no PCIDs; ");
    pass();
  }
  write_cr4(read_cr4() | CR4_PCIDE);
  both_pagings(test_one);
}
