// Reads and writes of debug registers exit by number and direction and tell the general register, after every
// exception of theirs. APM2 15.8.1, 15.9.
#include "svm.h"

static struct vmcb *v;
#define G(n)                                                                                                 \
  static void read##n(void)                                                                                  \
  {                                                                                                          \
    asm volatile("mov %%db" #n ", %%r1" #n "; vmmcall" ::: "r1" #n, "memory");                               \
  }                                                                                                          \
  static void write##n(void)                                                                                 \
  {                                                                                                          \
    asm volatile("mov %%rdx, %%db" #n "; vmmcall" ::: "memory");                                             \
  }
G(0)
G(1)
G(2)
G(3)
static void read6(void)
{
  asm volatile("mov %%db6, %%rsi; vmmcall" ::: "rsi", "memory");
}
static void write6(void)
{
  asm volatile("mov %%rdx, %%db6; vmmcall" ::: "memory");
}
static void read7(void)
{
  asm volatile("mov %%db7, %%rax; vmmcall" ::: "rax", "memory");
}
static void write7(void)
{
  asm volatile("mov %%rdx, %%db7; vmmcall" ::: "memory");
}
static void read4(void)
{
  asm volatile(".byte 0x0f, 0x21, 0xe0; vmmcall" ::: "rax", "memory"); // MOV RAX, DR4
}

static const struct {
  void (*read)(void), (*write)(void);
  unsigned n, gpr;
} rows[] = {{read0, write0, 0, 10}, {read1, write1, 1, 11}, {read2, write2, 2, 12},
            {read3, write3, 3, 13}, {read6, write6, 6, 6},  {read7, write7, 7, 0}};

static void begin(void (*fn)(void), unsigned reads, unsigned writes)
{
  v->dr_read = reads;
  v->dr_write = writes;
  v->dr6 = 0xffff0ff0;
  v->dr7 = 0x400;
  v->exitinfo1 = 0x5555;
  regs.dx = 0x400;
  vmcb_entry(v, fn);
}

void test(void)
{
  svm_on();
  v = vmcb_new();
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    unsigned n = rows[i].n;
    begin(rows[i].read, 1u << n, 0);
    CHECK_EQ(run(v), X_DR_READ + n);
    if (svm_has(SVM_DECODE))
      CHECK_EQ(v->exitinfo1, rows[i].gpr);
    begin(rows[i].write, 0, 1u << n);
    CHECK_EQ(run(v), X_DR_WRITE + n);
    if (svm_has(SVM_DECODE))
      CHECK_EQ(v->exitinfo1, 2);
    begin(rows[i].read, ~(1u << n), ~0);
    CHECK_EQ(run(v), X_VMMCALL);
    begin(rows[i].write, ~0, ~(1u << n));
    CHECK_EQ(run(v), X_VMMCALL);
  }
  // exceptions come first
  v->exceptions = 1 << GP | 1 << UD | 1 << DB;
  begin(write6, 0, ~0);
  regs.dx = 1ull << 32;
  CHECK_EQ(run(v), X_EXCP + GP);
  begin(write7, 0, ~0);
  regs.dx = 1ull << 32;
  CHECK_EQ(run(v), X_EXCP + GP);
  v->cr4 |= 8; // DE
  begin(read4, ~0, 0);
  CHECK_EQ(run(v), X_EXCP + UD);
  v->cr4 &= ~8ull;
  begin(read0, ~0, 0);
  v->dr7 |= 1 << 13; // GD
  CHECK_EQ(run(v), X_EXCP + DB);
  CHECK(v->dr6 & 1 << 13);
  CHECK(!(v->dr7 & 1 << 13)); // as the handler would see it
  CHECK_EQ(v->rip, read0);
}
