// Reads and writes of control registers exit by number and direction and tell the general register; CLTS,
// LMSW and SMSW count for CR0. The selective intercept looks at what MOV changes, and takes every LMSW.
// APM2 15.8.1, 15.9.
#include "svm.h"

static struct vmcb *v;
#define G(name, insn)                                                                                        \
  static void g_##name(void)                                                                                 \
  {                                                                                                          \
    asm volatile("xor %%eax, %%eax; mov %%eax, %%r8d; mov %%eax, %%r15d;" insn "; vmmcall" ::                \
                     : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r15", "memory", "cc");                \
  }
G(r0, "mov %%cr0, %%rax")
G(r0b, "mov %%cr0, %%r9")
G(r2, "mov %%cr2, %%rbx")
G(r3, "mov %%cr3, %%rsi")
G(r4, "mov %%cr4, %%rcx")
G(r8, "mov %%cr8, %%rdx")
G(w0, "mov %%rdx, %%cr0")
G(w2, "mov %%r8, %%cr2")
G(w3, "mov %%rdx, %%cr3")
G(w4, "mov %%rdx, %%cr4")
G(w8, "mov %%r15, %%cr8")
G(clts, "clts")
G(lmsw, "lmsw %%dx")
G(smsw, "smsw %%eax")
G(smsw_memory, "mov $0x8000000000, %%rcx; smsw (%%rcx)")
G(lmsw_memory, "mov $0x8000000000, %%rcx; lmsw (%%rcx)")

CODE(32, r8_lock, ".byte 0xf0; mov %cr0, %edx; vmmcall");
CODE(64, r8_lock64, ".byte 0xf0; mov %cr0, %r10; vmmcall");
CODE(32, w8_lock, ".byte 0xf0; mov %eax, %cr0; vmmcall");

static void begin(void (*fn)(void))
{
  v->cr_read = v->cr_write = v->dr_read = v->dr_write = 0;
  v->exceptions = 0;
  pass_on(v, X_CR0_SEL);
  vmcb_entry(v, fn);
  v->exitinfo1 = 0x5555;
  regs.dx = v->cr0;
}
static void exits(unsigned code, uint64_t info)
{
  uint64_t cr0 = v->cr0, cr3 = v->cr3, cr4 = v->cr4, cr2 = v->cr2;
  CHECK_EQ(run(v), code);
  if (svm_has(SVM_DECODE))
    CHECK_EQ(v->exitinfo1, info);
  CHECK_EQ(v->cr0, cr0);
  CHECK_EQ(v->cr2, cr2);
  CHECK_EQ(v->cr3, cr3);
  CHECK_EQ(v->cr4, cr4);
  if (svm_has(SVM_NRIP))
    CHECK(v->nrip > v->rip && v->nrip < v->rip + 8);
}
static void selective(void (*fn)(void), uint64_t value, bool taken)
{
  uint64_t cr0 = v->cr0;
  begin(fn);
  intercept(v, X_CR0_SEL);
  regs.dx = value;
  run(v);
  if (v->exitcode != (taken ? X_CR0_SEL : X_VMMCALL))
    fail(HERE, "the selective intercept goes by the bits that change", v->exitcode, value);
  if (!taken && fn == g_w0)
    CHECK_EQ(v->cr0, value);
  if (taken)
    CHECK_EQ(v->cr0, cr0);
  if (taken && fn == g_w0 && svm_has(SVM_DECODE))
    CHECK_EQ(v->exitinfo1, 1ull << 63 | 2);
  v->cr0 = cr0;
}

#define MOV(gpr) (1ull << 63 | (gpr))

void test(void)
{
  uint32_t r[4];
  svm_on();
  v = vmcb_new();
  static const struct {
    void (*fn)(void);
    unsigned code;
    uint64_t info;
  } rows[] = {
      {g_r0, X_CR_READ, MOV(0)},     {g_r0b, X_CR_READ, MOV(9)},     {g_r2, X_CR_READ + 2, MOV(3)},
      {g_r3, X_CR_READ + 3, MOV(6)}, {g_r4, X_CR_READ + 4, MOV(1)},  {g_r8, X_CR_READ + 8, MOV(2)},
      {g_smsw, X_CR_READ, 0},        {g_smsw_memory, X_CR_READ, 0}, // before the page fault
      {g_w0, X_CR_WRITE, MOV(2)},    {g_w2, X_CR_WRITE + 2, MOV(8)}, {g_w8, X_CR_WRITE + 8, MOV(15)},
      {g_clts, X_CR_WRITE, 0},       {g_lmsw, X_CR_WRITE, 0},        {g_lmsw_memory, X_CR_WRITE, 0},
  };
  v->cr2 = 0x99;
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    begin(rows[i].fn);
    unsigned n = rows[i].code & 15;
    if (rows[i].code < X_CR_WRITE)
      v->cr_read = 1u << n;
    else
      v->cr_write = 1u << n;
    exits(rows[i].code, rows[i].info);
    if (rows[i].fn == g_smsw_memory || rows[i].fn == g_lmsw_memory)
      continue;
    // the neighbours' bits do not matter
    begin(rows[i].fn);
    v->cr_read = ~0;
    v->cr_write = ~0;
    if (rows[i].code < X_CR_WRITE)
      v->cr_read = ~(1u << n);
    else
      v->cr_write = ~(1u << n);
    CHECK_EQ(run(v), X_VMMCALL);
    v->cr2 = 0x99;
  }
  begin(g_w3);
  regs.dx = v->cr3 ^ 8;
  v->cr_write = 1 << 3;
  exits(X_CR_WRITE + 3, MOV(2));
  begin(g_w4);
  regs.dx = v->cr4 ^ 0x80;
  v->cr_write = 1 << 4;
  exits(X_CR_WRITE + 4, MOV(2));
  cpuid(0x80000001, 0, r);
  if (r[2] & 1 << 4) { // LOCK MOV CR0 is MOV CR8
    struct vmcb saved = *v;
    vmcb_protected32(v, r8_lock);
    v->cr_read = 1 << 8;
    exits(X_CR_READ + 8, MOV(2));
    vmcb_protected32(v, w8_lock);
    v->cr_write = 1 << 8;
    exits(X_CR_WRITE + 8, MOV(0));
    *v = saved;
    begin((void (*)(void))r8_lock64); // in 64-bit code too
    v->cr_read = 1 << 8;
    exits(X_CR_READ + 8, MOV(10));
  }
  // selective
  uint64_t cr0 = v->cr0;
  selective(g_w0, cr0, false);
  selective(g_w0, cr0 ^ 8, false); // TS
  selective(g_w0, cr0 ^ 2, false); // MP
  selective(g_w0, cr0 ^ 10, false);
  selective(g_w0, cr0 ^ 0x10000, true); // WP
  selective(g_w0, cr0 ^ 0x40000, true); // AM
  selective(g_w0, cr0 ^ 0x40008, true);
  selective(g_w0, cr0 ^ 4, true); // EM
  selective(g_clts, 0, false);
  selective(g_lmsw, cr0, true); // whatever it writes
  selective(g_lmsw, cr0 ^ 8, true);
  v->cr0 |= 8;
  selective(g_clts, 0, false);
  v->cr0 = cr0;
  // both: the plain one
  begin(g_w0);
  regs.dx = cr0 ^ 0x40000;
  intercept(v, X_CR0_SEL);
  v->cr_write = 1;
  exits(X_CR_WRITE, MOV(2));
}
