// What a world switch costs: a bare-metal image on the runtime of tests/guest and tests/guest/svm. Between
// the marks of an item (see work.c) it does rounds of VMRUN and #VMEXIT and nothing else; all guests have
// nested paging. ROUNDS and ITEMS come from the compiler's command line; ITEMS is a mask:
//   1  one guest that executes VMMCALL
//   2  1, 8 and 64 guests by turns, each with its own ASID; each reads PAGES pages of its own in a round.
//   Each
//      item comes twice: with nothing else in the TLB, and after each guest has read FILL pages.
//
// Invariant: GIF is clear and interrupts are off, so nothing else ends a round.
#include "svm.h"

enum { ASIDS = 64, PAGES = 4, FILL = 64 };
#define DATA 0x10000000000ull // linear, in 4 KB pages

static struct turn {
  struct vmcb *vmcb;
  uint64_t data;
} guests[ASIDS];

// RAX and RSP are the guest's own, the other registers pass through: RSI is its data, RCX how many pages it
// reads. It goes on behind its VMMCALL in the next round.
asm(".text\n"
    "call_out: vmmcall; jmp call_out\n"
    "reader: mov (%rsi), %edi\n"
    "  add $4096, %rsi\n"
    "  dec %ecx\n"
    "  jnz reader\n"
    "  vmmcall\n"
    "  jmp reader\n"
    "turns: push %rbx; push %rbp; push %r12\n"
    "  mov %rdi, %r8; mov %rdi, %rbx; mov %rsi, %r9; mov %rdx, %rbp; mov %rcx, %r12\n"
    "  clgi\n"
    "1: mov (%rbx), %rax\n"
    "  mov 8(%rbx), %rsi\n"
    "  mov %r12, %rcx\n"
    "  vmrun %rax\n"
    "  addq $3, 0x578(%rax)\n"
    "  add $16, %rbx\n"
    "  cmp %r9, %rbx\n"
    "  cmove %r8, %rbx\n"
    "  dec %rbp\n"
    "  jnz 1b\n"
    "  stgi\n"
    "  pop %r12; pop %rbp; pop %rbx\n"
    "  ret");
void turns(struct turn *first, struct turn *end, uint64_t rounds, uint64_t pages);
void call_out(void);
void reader(void);

static void mark(const char *what, const char *item, uint64_t value, bool with)
{
  print("@@ ");
  print(what);
  print(" ");
  print(item);
  if (with) {
    print(" ");
    print_hex(value);
  }
  print("\n");
}

static void item(const char *name, unsigned count, void (*code)(void), uint64_t fill, uint64_t pages)
{
  for (unsigned i = 0; i < count; i++) {
    guests[i].vmcb->tlb_control = 3; // this ASID
    vmcb_entry(guests[i].vmcb, code);
  }
  turns(guests, guests + count, count, fill);
  for (unsigned i = 0; i < count; i++)
    guests[i].vmcb->tlb_control = 0;
  mark("begin", name, 0, false);
  turns(guests, guests + count, ROUNDS, pages);
  mark("end", name, 0, false);
  for (unsigned i = 0; i < count; i++)
    CHECK_EQ(guests[i].vmcb->exitcode, X_VMMCALL);
  mark("result", name, ROUNDS, true);
}

void test(void)
{
  svm_on();
  svm_need(SVM_NP);
  struct vmcb *shape = vmcb_new();
  vmcb_nested(shape);
  for (unsigned i = 0; i < ASIDS; i++) {
    struct turn *g = &guests[i];
    g->vmcb = page_new();
    *g->vmcb = *shape;
    g->vmcb->asid = i + 1;
    g->data = DATA + i * FILL * 4096ull;
    for (unsigned k = 0; k < FILL; k++)
      map(g->data + k * 4096, (uint64_t)page_new() | PT_P | PT_W | PT_A | PT_D);
  }
  print("@@ userland\n");
  if (ITEMS & 1)
    item("vmrun", 1, call_out, 1, 1);
  if (ITEMS & 2) {
    item("asids1", 1, reader, 1, PAGES);
    item("asids1full", 1, reader, FILL, PAGES);
    item("asids8", 8, reader, 1, PAGES);
    item("asids8full", 8, reader, FILL, PAGES);
    item("asids64", 64, reader, 1, PAGES);
    item("asids64full", 64, reader, FILL, PAGES);
  }
  print("@@ done\n");
}
