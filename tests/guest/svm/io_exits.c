// Port accesses exit by the permission map: a bit for each byte that the access touches, up to the three bits
// behind port FFFFh; EXITINFO1 describes the access, EXITINFO2 is the next instruction. APM2 15.10.
#include "svm.h"

static struct vmcb *v;
static uint8_t buffer[64];

#define G(name, insn)                                                                                        \
  extern uint8_t end_##name[];                                                                               \
  static void name(void)                                                                                     \
  {                                                                                                          \
    asm volatile(insn "\n.globl end_" #name "\nend_" #name ": vmmcall" ::                                    \
                     : "rax", "rcx", "rdi", "rsi", "memory");                                                \
  }
G(in8, "in %%dx, %%al")
G(in16, "in %%dx, %%ax")
G(in32, "in %%dx, %%eax")
G(out8, "out %%al, %%dx")
G(out16, "out %%ax, %%dx")
G(out32, "out %%eax, %%dx")
G(in_imm, "in $0x61, %%al")
G(ins8, "insb")
G(ins16, "insw")
G(ins32, "insl")
G(outs8, "outsb")
G(outs32, "outsl")
G(rep_ins, "rep insb")
G(rep_outs, "rep outsw")
G(repne_outs, "repne outsb")
G(outs_fs, "fs outsb")
G(outs_a32, "addr32 outsb")
G(ins_a32, "addr32 rep insw")
CODE(32, outs_a16, "mov $0x5432, %edx; addr16 outsb; after_a16: vmmcall; .globl after_a16");
CODE(32, outs_es, "mov $0x5432, %edx; es outsl; after_es: vmmcall; .globl after_es");
CODE(16, ins_16, "mov $0x5432, %dx; rep insb; after_16: vmmcall; .globl after_16");
extern uint8_t after_16[];
extern uint8_t after_a16[], after_es[];

enum {
  IN = 1,
  STR = 4,
  REP = 8,
  SZ8 = 16,
  SZ16 = 32,
  SZ32 = 64,
  A16 = 128,
  A32 = 256,
  A64 = 512,
  ES = 0,
  SS_ = 2 << 10,
  DS_ = 3 << 10,
  FS_ = 4 << 10,
  SEGMENT = 7 << 10,
  ASIZE = A16 | A32 | A64
};

static void body(const void *fn, unsigned port)
{
  vmcb_privileged(v);
  vmcb_entry(v, (void (*)(void))fn);
  regs.dx = port;
  regs.si = regs.di = (uint64_t)buffer;
  regs.cx = 3;
  v->exitinfo1 = v->exitinfo2 = 0;
}

static void exits(const void *fn, unsigned port, unsigned info, const void *end)
{
  body(fn, port);
  CHECK_EQ(run(v), X_IOIO);
  uint64_t mask = ~0ull;
  if (!(info & STR)) // the address size of an access without an address
    mask &= ~(uint64_t)(ASIZE | SEGMENT);
  else if (!svm_has(SVM_DECODE))
    mask &= ~(uint64_t)SEGMENT;
  CHECK_EQ(v->exitinfo1 & mask, (info | port << 16) & mask);
  CHECK_EQ(v->exitinfo2, end);
  if (svm_has(SVM_NRIP))
    CHECK_EQ(v->nrip, end);
  CHECK_EQ(regs.cx, 3);
}
#define EXITS(name, port, info) exits(name, port, info, end_##name)

static void at(unsigned port, bool on)
{
  iopm_set(v, port, on);
}
// An access of `size` bytes at `port` exits if and only if the bit of a port is set that it touches.
static void edges(void (*fn)(void), unsigned port, unsigned size, bool may_run)
{
  for (int d = -1; d <= (int)size; d++) {
    if (port + d > 0x10002)
      continue;
    at(port + d, true);
    body(fn, port);
    bool touches = d >= 0 && d < (int)size;
    if (touches || may_run) {
      run(v);
      if (v->exitcode != (touches ? X_IOIO : X_VMMCALL))
        fail(HERE, "the bits of the bytes touched decide", port + d, port);
    }
    at(port + d, false);
  }
}

USER static void user_in(void)
{
  asm volatile("in $0x61, %%al; int $0x80" ::: "rax");
}
static void at_user(void)
{
  user(user_in);
}

void test(void)
{
  svm_on();
  v = vmcb_new();
  intercept(v, X_IOIO);
  // ports where nobody is: 5430h and on
  for (unsigned p = 0x5400; p < 0x5500; p++)
    at(p, true);
  EXITS(in8, 0x5432, IN | SZ8);
  EXITS(in16, 0x5432, IN | SZ16);
  EXITS(in32, 0x5432, IN | SZ32);
  EXITS(out8, 0x5432, SZ8);
  EXITS(out16, 0x5432, SZ16);
  EXITS(out32, 0x5432, SZ32);
  EXITS(ins8, 0x5432, IN | STR | SZ8 | A64 | ES);
  EXITS(ins16, 0x5432, IN | STR | SZ16 | A64 | ES);
  EXITS(ins32, 0x5432, IN | STR | SZ32 | A64 | ES);
  EXITS(outs8, 0x5432, STR | SZ8 | A64 | DS_);
  EXITS(outs32, 0x5432, STR | SZ32 | A64 | DS_);
  EXITS(rep_ins, 0x5432, IN | STR | REP | SZ8 | A64 | ES);
  EXITS(rep_outs, 0x5432, STR | REP | SZ16 | A64 | DS_);
  EXITS(repne_outs, 0x5432, STR | REP | SZ8 | A64 | DS_);
  EXITS(outs_fs, 0x5432, STR | SZ8 | A64 | FS_);
  EXITS(outs_a32, 0x5432, STR | SZ8 | A32 | DS_);
  EXITS(ins_a32, 0x5432, IN | STR | REP | SZ16 | A32 | ES);
  at(0x61, true);
  EXITS(in_imm, 0x61, IN | SZ8);
  // an intercept before the page fault of its operand
  body(ins8, 0x5432);
  regs.di = 0x8000000000;
  CHECK_EQ(run(v), X_IOIO);
  // REP with a count of 0 does nothing
  body(rep_ins, 0x5432);
  regs.cx = 0;
  CHECK_EQ(run(v), X_VMMCALL);
  // privilege and the TSS's map come before it
  at(0x61, true);
  v->exceptions = 1 << GP;
  body(at_user, 0);
  CHECK_EQ(run(v), X_EXCP + GP);
  CHECK_EQ(v->cpl, 3);
  tss.bitmap[0x61 / 8] &= ~(1 << 0x61 % 8);
  body(at_user, 0);
  CHECK_EQ(run(v), X_IOIO);
  tss.bitmap[0x61 / 8] |= 1 << 0x61 % 8;
  // other modes
  struct vmcb *w = vmcb_new();
  w->iopm = v->iopm;
  intercept(w, X_IOIO);
  vmcb_protected32(w, outs_a16);
  CHECK_EQ(run(w), X_IOIO);
  CHECK_EQ(w->exitinfo1 & ~(uint64_t)(svm_has(SVM_DECODE) ? 0 : SEGMENT),
           (0x54320000u | STR | SZ8 | A16 | DS_) & ~(svm_has(SVM_DECODE) ? 0 : SEGMENT));
  CHECK_EQ(w->exitinfo2, after_a16);
  vmcb_protected32(w, outs_es);
  CHECK_EQ(run(w), X_IOIO);
  CHECK_EQ(w->exitinfo1 & ASIZE, A32);
  CHECK_EQ(w->exitinfo1 >> 10 & 7, 0);
  CHECK_EQ(w->exitinfo2, after_es);
  for (unsigned real = 0; real < 2; real++) { // RIP and EXITINFO2 are offsets in CS
    if (real)
      vmcb_real(w, ins_16);
    else
      vmcb_protected16(w, ins_16);
    CHECK_EQ(run(w), X_IOIO);
    CHECK_EQ(w->exitinfo1 & ~(uint64_t)SEGMENT, 0x54320000u | IN | STR | REP | SZ8 | A16);
    CHECK_EQ(w->exitinfo1 & SEGMENT, 0);
    CHECK_EQ(w->exitinfo2, after_16 - ins_16);
  }
  // which bits count
  for (unsigned p = 0; p < 0x10000; p++)
    at(p, false);
  v = vmcb_new();
  intercept(v, X_IOIO);
  for (unsigned port = 0x5437; port < 0x5441; port++) {
    edges(in8, port, 1, true);
    edges(in16, port, 2, true);
    edges(in32, port, 4, true);
  }
  edges(in32, 0x7ffe, 4, true); // in both pages of the map
  edges(out8, 0xffff, 1, true);
  edges(in16, 0xffff, 2, true);
  edges(in32, 0xffff, 4, true);
  edges(in32, 0xfffd, 4, true);
  // without the intercept the map does not matter
  for (unsigned i = 0; i < 0x3000; i++)
    vmcb_iopm(v)[i] = 0xff;
  pass_on(v, X_IOIO);
  body(in8, 0x5432);
  CHECK_EQ(run(v), X_VMMCALL);
}
