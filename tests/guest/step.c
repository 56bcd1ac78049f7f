// Single-stepping: one trap after each instruction, none after the one that loads SS, none inside handlers,
// one per iteration of a REP; DR6.BS; the trap of an instruction that faults is not taken. APM2 13.1.4.
#include "rt.h"

static volatile unsigned traps;
static word at[32];
static uint8_t buffer[16];

static void on_db(struct frame *f)
{
  CHECK(!(flags() & 0x100)); // handlers are not stepped
  CHECK(read_dr6() & 1 << 14);
  if (traps < 32)
    at[traps] = f->ip;
  traps++;
}

// Steps through the text between the labels 1 and 2; the traps come at what follows each instruction.
#define STEP(text)                                                                                           \
  ({                                                                                                         \
    traps = 0;                                                                                               \
    write_dr6(0);                                                                                            \
    uint8_t *d_ = buffer;                                                                                    \
    asm volatile("pushf; orl $0x100, (%%rsp); popf; " text "; pushf; andl $~0x100, (%%rsp); popf"            \
                 : "+D"(d_)::"rax", "rbx", "rcx", "rdx", "memory", "cc");                                    \
    traps - 3; /* PUSHF, ANDL and POPF: the trap after POPF goes by TF as it was before */                   \
  })

static void on_int(struct frame *f)
{
  CHECK(!(flags() & 0x100));
}

void test(void)
{
  handler[DB] = on_db;
  handler[0x50] = on_int;
  CHECK_EQ(STEP(""), 0);
  CHECK_EQ(STEP("nop; nop; xor %%eax, %%eax"), 3);
  CHECK_EQ(at[1] - at[0], 1);
  CHECK_EQ(STEP("mov %%ss, %%eax; mov %%eax, %%ss; nop; nop"), 3); // none between MOV SS and NOP
  CHECK_EQ(STEP("mov $4, %%ecx; rep stosb"), 5);
  CHECK_EQ(STEP("xor %%ecx, %%ecx; rep stosb"), 2);
  CHECK_EQ(STEP("cpuid"), 1);
  CHECK_EQ(STEP("int $0x50"), 0); // TF is cleared on the way in, and the trap is lost
  CHECK_EQ(STEP("jmp 1f; nop; 1: nop"), 2);
  CHECK_EQ(STEP("call 1f; jmp 2f; 1: ret; 2:"), 3);
  // a fault: no trap for the instruction that did not complete
  traps = 0;
  CHECK_EQ(TRY(asm volatile("pushf; orl $0x100, (%%rsp); popf; ud2" ::: "memory")), UD);
  CHECK_EQ(traps, 0);
  CHECK(last.flags & 0x100);
  // with BTF only branches that are taken trap, and the trap ends this
  wrmsr(0x1d9, 2);
  traps = 0;
  asm volatile("pushf; orl $0x100, (%%rsp); popf; nop; cmp %%eax, %%eax; jne 2f; je 1f; nop; 1: nop; 2:"
               "pushf; andl $~0x100, (%%rsp); popf" ::
                   : "memory", "cc");
  CHECK_EQ(traps, 5); // JE; from there on NOP, PUSHF, AND, POPF
  CHECK_EQ(rdmsr(0x1d9) & 2, 0);
  // the last branch
  word from, to;
  wrmsr(0x1d9, 1);
  asm volatile("lea 1f(%%rip), %0; lea 2f(%%rip), %1; 1: jmp 2f; nop; 2: nop" : "=&r"(from), "=&r"(to));
  uint64_t have_from = rdmsr(0x1db), have_to = rdmsr(0x1dc);
  wrmsr(0x1d9, 0);
  CHECK_EQ(have_from, from);
  CHECK_EQ(have_to, to);
}
