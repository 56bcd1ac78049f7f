// An intercepted exception exits with its vector, error code and the address of its instruction, before
// anything of it is delivered; one that is not intercepted is the guest's own affair. Interrupts and INT n
// with the same vectors are no exceptions. APM2 15.12, 15.7.1.
#include "svm.h"

#define VA 0x8000000000ull
static struct vmcb *v;

// name: a guest whose instruction at at_NAME raises the exception.
#define RAISE(name, before, insn)                                                                            \
  extern uint8_t at_##name[];                                                                                \
  static void name(void)                                                                                     \
  {                                                                                                          \
    asm volatile(before "\n.globl at_" #name "\nat_" #name ": " insn "\nvmmcall" ::                          \
                     : "rax", "rcx", "rdx", "memory", "cc");                                                 \
  }
RAISE(g_de, "xor %%eax, %%eax; xor %%edx, %%edx; xor %%ecx, %%ecx", "div %%ecx")
RAISE(g_bp, "nop", "int3")
RAISE(g_ud, "nop", "ud2")
RAISE(g_nm, "nop", "fnop")
RAISE(g_np, "mov $0x58, %%eax", "mov %%eax, %%ds")
RAISE(g_ss, "mov $0x58, %%eax", "mov %%eax, %%ss")
RAISE(g_ss0, "mov $0x8000000000000000, %%rax; push %%rbp; mov %%rax, %%rbp", "mov (%%rbp), %%eax")
RAISE(g_gp, "mov $0x7f8, %%eax", "mov %%eax, %%ds")
RAISE(g_gp0, "mov $0x8000000000000000, %%rax", "mov (%%rax), %%eax")
RAISE(g_read, "mov $0x8000000123, %%rax", "mov (%%rax), %%eax")
RAISE(g_write, "mov $0x8000000ffe, %%rax", "mov %%rax, (%%rax)")
RAISE(g_fetch, "mov $0x8000000000, %%rax; jmp *%%rax", "nop")
RAISE(g_mf, "fninit; push $0x337; push $0x33b; fldcw (%%rsp); fld1; fldz; fdivrp; add $16, %%rsp", "fwait")
RAISE(g_xf,
      "push $0x1d80; ldmxcsr (%%rsp); pop %%rax; mov $1, %%eax; cvtsi2ss %%eax, %%xmm0; xorps %%xmm1, %%xmm1",
      "divss %%xmm1, %%xmm0")

USER static void u_ac(void)
{
  asm volatile("pushf; orl $0x40000, (%%rsp); popf; .globl at_ac; at_ac: mov -3(%%rsp), %%eax; int $0x80" ::
                   : "rax");
}
extern uint8_t at_ac[];
static void g_ac(void)
{
  user(u_ac);
}

CODE(32, c_of, "mov $0x7f, %al; inc %al; c_of_at: into; vmmcall; .globl c_of_at");
CODE(32, c_br,
     "mov $9, %eax; c_br_at: bound %eax, c_br_table; vmmcall; c_br_table: .long 1, 5; .globl c_br_at");
CODE(32, c_ts, "pushf; orl $0x4000, (%esp); popf; c_ts_at: iret; .globl c_ts_at");
extern uint8_t c_of_at[], c_br_at[], c_ts_at[];

static void comes(unsigned vector, const void *at, unsigned length, uint64_t error)
{
  v->exceptions = 1u << vector;
  v->nrip = 0x1111;
  v->exitintinfo = EV_VALID;
  CHECK_EQ(run(v), X_EXCP + vector);
  CHECK_EQ(v->rip, at);
  CHECK_EQ(v->exitintinfo & EV_VALID, 0);
  if ((1 << vector) & 0x27d00) // those with an error code
    CHECK_EQ(v->exitinfo1, error);
  if (svm_has(SVM_NRIP))
    CHECK_EQ(v->nrip, length ? v->rip + length : 0);
}

// From a 64-bit guest; then once more without the intercept.
static void one(void (*fn)(void), unsigned vector, const void *at, unsigned length, uint64_t error)
{
  uint64_t cr0 = v->cr0;
  vmcb_entry(v, fn);
  comes(vector, at, length, error);
  CHECK_EQ(v->cs.selector, vector == AC ? U_CODE : K_CODE);
  CHECK_EQ(v->cpl, vector == AC ? 3 : 0);
  v->cr0 = cr0;
  v->exceptions = ~(1u << vector);
}

static void (*volatile wanted)(void);
static volatile unsigned got;
static void inside(void)
{
  got = TRY(wanted());
  vmmcall();
}
static void delivered(void (*fn)(void), unsigned vector, const void *at)
{
  wanted = fn;
  vmcb_entry(v, inside);
  v->rflags = 2;
  CHECK_EQ(run(v), X_VMMCALL);
  CHECK_EQ(got, vector);
  CHECK_EQ(last.ip, at);
}

static volatile unsigned interrupts;
static void on_interrupt(struct frame *f)
{
  interrupts++;
}
static void g_interrupts(void)
{
  asm volatile("int $0; int $6; int $1");
  self_ipi(0x10); // #MF's
  asm volatile("sti; nop; nop; cli");
  eoi();
  vmmcall();
}

void test(void)
{
  svm_on();
  v = vmcb_new();
  gdt[GDT_FREE / 8] = descriptor(0, 0xfffff, 0x13, 0xc); // data, not present
  static const struct {
    void (*fn)(void);
    uint8_t *at;
    unsigned vector, length;
    uint64_t error;
  } rows[] = {
      {g_de, at_g_de, DE, 0, 0},     {g_bp, at_g_bp, BP, 1, 0},    {g_ud, at_g_ud, UD, 0, 0},
      {g_np, at_g_np, NP, 0, 0x58},  {g_ss, at_g_ss, SS, 0, 0x58}, {g_ss0, at_g_ss0, SS, 0, 0},
      {g_gp, at_g_gp, GP, 0, 0x7f8}, {g_gp0, at_g_gp0, GP, 0, 0},  {g_mf, at_g_mf, MF, 0, 0},
      {g_xf, at_g_xf, XF, 0, 0},
  };
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    one(rows[i].fn, rows[i].vector, rows[i].at, rows[i].length, rows[i].error);
    if (rows[i].vector == MF || rows[i].vector == XF)
      continue;
    delivered(rows[i].fn, rows[i].vector, rows[i].at + (rows[i].vector == BP));
  }
  // #MF and #XF: the status was written before
  uint16_t fsw;
  uint32_t mxcsr;
  asm volatile("fnstsw %0; fninit" : "=m"(fsw));
  CHECK_EQ(fsw & 0x84, 0x84);
  asm volatile("stmxcsr %0" : "=m"(mxcsr));
  CHECK_EQ(mxcsr & 4, 4);
  mxcsr = 0x1f80;
  asm volatile("ldmxcsr %0" ::"m"(mxcsr));
  v->cr0 |= 8; // TS
  one(g_nm, NM, at_g_nm, 0, 0);
  v->cr0 &= ~8ull;
  v->cr0 |= 1 << 18; // AM
  one(g_ac, AC, at_ac, 0, 0);
  *v = *vmcb_new();
  // #PF: the address in EXITINFO2, and CR2 as it was
  static const struct {
    void (*fn)(void);
    uint8_t *at;
    uint64_t error, address;
  } faults[] = {
      {g_read, at_g_read, 0, VA + 0x123},
      {g_write, at_g_write, PF_W, VA + 0xffe},
      {g_fetch, (uint8_t *)VA, PF_I, VA},
  };
  v->cr2 = 0x4321;
  for (unsigned i = 0; i < 3; i++) {
    one(faults[i].fn, PF, faults[i].at, 0, faults[i].error);
    CHECK_EQ(v->exitinfo2, faults[i].address);
    CHECK_EQ(v->cr2, 0x4321);
  }
  delivered(g_read, PF, at_g_read);
  CHECK_EQ(v->cr2, VA + 0x123);
  // those of 32-bit code
  vmcb_protected32(v, c_of);
  comes(OF, c_of_at, 1, 0);
  vmcb_protected32(v, c_br);
  comes(BR, c_br_at, 6, 0);
  uint16_t *tss32 = page_new();
  tss32[0] = K_DATA; // the link names a data segment
  vmcb_protected32(v, c_ts);
  v->tr = (struct vseg){.selector = TSS_SEL, .attrib = 0x8b, .limit = 0x67, .base = (uint64_t)tss32};
  v->exceptions = 1 << TS;
  CHECK_EQ(run_own(v), X_EXCP + TS);
  // not exceptions
  lapic_on();
  handler[0] = handler[6] = handler[1] = handler[0x10] = on_interrupt;
  v = vmcb_new();
  v->exceptions = 1 << DE | 1 << UD | 1 << DB | 1 << MF;
  CHECK_EQ(guest(v, g_interrupts), X_VMMCALL);
  CHECK_EQ(interrupts, 4);
}
