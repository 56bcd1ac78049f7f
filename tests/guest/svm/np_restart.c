// An instruction that ends in a nested page fault can be run again: nothing of it has happened, but for what
// a repeated string instruction had done by then. Tables of the processor's own are reached like any memory,
// and their accessed and busy bits are writes. APM2 15.25.6.
#include "space.h"

#define HOLE (VA + 0x1000)

static struct space s;
static uint8_t *pages;
static uint64_t *hole; // the nested entry of the second page

asm("r_movs: rep movsb; vmmcall\n"
    "r_stos: rep stosb; vmmcall\n"
    "r_push: push %rbx; vmmcall\n"
    "r_call: call *%rbx\n"
    "r_int: int $0x80\n"
    "r_enter: enter $16, $1; vmmcall\n"
    "r_lock: lock incl (%rax); vmmcall\n"
    "r_xchg: xchg %rbx, (%rax); vmmcall\n"
    "r_cmpxchg: lock cmpxchg16b (%rsi); vmmcall\n"
    "r_ds: mov %bx, %ds; vmmcall\n"
    "r_ltr: ltr %bx; vmmcall\n");
extern uint8_t r_movs[], r_stos[], r_push[], r_call[], r_int[], r_enter[], r_lock[], r_xchg[], r_cmpxchg[],
    r_ds[], r_ltr[];

static void set_hole(uint64_t rights)
{
  *hole = rights ? (uint64_t)(pages + 4096) | rights : 0;
  s.v->tlb_control = flush_guest();
}

static uint64_t go(const uint8_t *code)
{
  s.v->rip = (uint64_t)code;
  return run_own(s.v);
}

#define FAULTS(code, error, gpa)                                                                             \
  do {                                                                                                       \
    CHECK_EQ(go(code), X_NPF);                                                                               \
    CHECK_EQ(s.v->exitinfo1, error);                                                                         \
    CHECK_EQ(s.v->exitinfo2, gpa);                                                                           \
    CHECK_EQ(s.v->rip, code);                                                                                \
  } while (0)
#define NPF(bits) (NPF_FINAL | PF_U | (bits))

static void strings(void)
{
  for (unsigned i = 0; i < 0x20; i++)
    pages[0x100 + i] = (uint8_t)(i + 1);
  set_hole(0);
  regs.si = VA + 0x100;
  regs.di = HOLE - 8;
  regs.cx = 0x20;
  FAULTS(r_movs, NPF(PF_W), GPA + 0x1000);
  CHECK_EQ(regs.cx, 0x18);
  CHECK_EQ(regs.si, VA + 0x108);
  CHECK_EQ(regs.di, HOLE);
  set_hole(PT_ALL);
  CHECK_EQ(run_own(s.v), X_VMMCALL);
  for (unsigned i = 0; i < 0x20; i++)
    CHECK_EQ(pages[0xff8 + i], i + 1);
  // downwards, out of a page that is there
  set_hole(PT_ALL);
  uint64_t *first = tables_entry(&s.nested, GPA, 1), was = *first;
  *first = 0;
  regs.di = HOLE + 3;
  regs.cx = 8;
  s.v->rax = 0x99;
  s.v->rflags = 0x402; // DF
  FAULTS(r_stos, NPF(PF_W), GPA + 0xfff);
  CHECK_EQ(regs.cx, 4);
  CHECK_EQ(regs.di, HOLE - 1);
  *first = was;
  CHECK_EQ(run_own(s.v), X_VMMCALL);
  CHECK_EQ(pages[0xffc], 0x99);
  CHECK_EQ(pages[0xffb], 4);
  s.v->rflags = 2;
  // an element is read before it is written: the guest's own fault at the source comes first
  set_hole(0);
  regs.si = VA + 0x5000;
  regs.di = HOLE;
  regs.cx = 4;
  CHECK_EQ(go(r_movs), X_EXCP + PF);
  CHECK_EQ(s.v->exitinfo1, 0);
  CHECK_EQ(s.v->exitinfo2, VA + 0x5000);
  CHECK_EQ(regs.cx, 4);
}

static void stack(void)
{
  set_hole(0);
  regs.bx = 0x1234;
  s.v->rsp = HOLE + 0x80;
  FAULTS(r_push, NPF(PF_W), GPA + 0x1078);
  CHECK_EQ(s.v->rsp, HOLE + 0x80);
  FAULTS(r_call, NPF(PF_W), GPA + 0x1078);
  CHECK_EQ(s.v->rsp, HOLE + 0x80);
  s.v->rsp = HOLE + 8; // the first push reaches the hole, then the frame does not
  regs.bp = VA + 0x800;
  FAULTS(r_enter, NPF(PF_W), GPA + 0x1000);
  CHECK_EQ(s.v->rsp, HOLE + 8);
  CHECK_EQ(regs.bp, VA + 0x800);
  // a frame that begins in a page that the guest does not have and goes on in the hole
  s.v->rsp = HOLE + 0x1010;
  CHECK_EQ(go(r_int), X_EXCP + PF);
  CHECK_EQ(s.v->exitinfo1, PF_W);
  CHECK_EQ(s.v->exitinfo2, HOLE + 0x1008);
  s.v->rsp = HOLE + 8;
  set_hole(PT_ALL);
  CHECK_EQ(go(r_push), X_VMMCALL);
  CHECK_EQ(*(uint64_t *)(pages + 0x1000), 0x1234);
}

static void both_ways(void)
{
  uint64_t *p = (uint64_t *)(pages + 0x1200);
  p[0] = 7;
  p[1] = 9;
  set_hole(PT_P | PT_U); // may be read
  s.v->rax = HOLE + 0x200;
  regs.bx = 0x55;
  FAULTS(r_lock, NPF(PF_P | PF_W), GPA + 0x1200);
  FAULTS(r_xchg, NPF(PF_P | PF_W), GPA + 0x1200);
  CHECK_EQ(regs.bx, 0x55);
  regs.si = HOLE + 0x200; // a comparison that fails writes too
  s.v->rax = 1;
  regs.dx = 2;
  FAULTS(r_cmpxchg, NPF(PF_P | PF_W), GPA + 0x1200);
  CHECK_EQ(s.v->rax, 1);
  CHECK_EQ(p[0], 7);
  set_hole(PT_ALL);
  CHECK_EQ(run_own(s.v), X_VMMCALL);
  CHECK_EQ(s.v->rax, 7);
  CHECK_EQ(regs.dx, 9);
}

// Which part of the descriptor is written is left to the processor.
#define DESCRIPTOR_FAULTS(code, gpa)                                                                         \
  do {                                                                                                       \
    CHECK_EQ(go(code), X_NPF);                                                                               \
    CHECK_EQ(s.v->exitinfo1, NPF(PF_P | PF_W));                                                              \
    CHECK_EQ(s.v->exitinfo2 & ~7ull, gpa);                                                                   \
    CHECK_EQ(s.v->rip, code);                                                                                \
  } while (0)

static void descriptors(void)
{
  uint64_t *table = (uint64_t *)(pages + 0x1000);
  table[1] = descriptor(0, 0xfffff, 0x92, 0xc); // not accessed
  table[2] = descriptor(0, 0xfff, 0x89, 0);     // a TSS that is not busy
  table[3] = 0;
  s.v->gdtr = (struct vseg){.base = HOLE, .limit = 0x1f};
  set_hole(0);
  regs.bx = 8;
  CHECK_EQ(go(r_ds), X_NPF);
  CHECK_EQ(s.v->exitinfo1 & ~(uint64_t)PF_W, NPF(0)); // a processor may lock the descriptor at once
  CHECK_EQ(s.v->exitinfo2 & ~7ull, GPA + 0x1008);
  set_hole(PT_P | PT_U);
  DESCRIPTOR_FAULTS(r_ds, GPA + 0x1008);
  CHECK_EQ(table[1] >> 40 & 0xff, 0x92);
  set_hole(PT_ALL);
  CHECK_EQ(run_own(s.v), X_VMMCALL);
  CHECK_EQ(s.v->ds.selector, 8);
  CHECK_EQ(table[1] >> 40 & 0xff, 0x93);
  set_hole(PT_P | PT_U);
  CHECK_EQ(go(r_ds), X_VMMCALL); // nothing is to be written any more
  regs.bx = 0x10;
  DESCRIPTOR_FAULTS(r_ltr, GPA + 0x1010);
  CHECK_EQ(table[2] >> 40 & 0xff, 0x89);
  set_hole(PT_ALL);
  CHECK_EQ(run_own(s.v), X_VMMCALL);
  CHECK_EQ(table[2] >> 40 & 0xff, 0x8b);
}

void test(void)
{
  svm_on();
  svm_need(SVM_NP);
  pages = pages_new(2);
  s = space_new(1, true);
  for (unsigned i = 0; i < 2; i++) {
    space_map(&s, VA + 4096 * i, (GPA + 4096 * i) | PT_ALL);
    space_nest(&s, GPA + 4096 * i, (uint64_t)(pages + 4096 * i) | PT_ALL);
  }
  hole = tables_entry(&s.nested, GPA + 4096, 1);
  strings();
  stack();
  both_ways();
  descriptors();
}
