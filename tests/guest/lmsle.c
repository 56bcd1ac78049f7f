// EFER.LMSLE: in 64-bit mode at CPL 1 to 3, DS, ES, FS and SS have a limit in the last 4 GB of the address
// space; GS and fetches have none. APM2 4.12.2.
#include "rt.h"

// All with RAX the address, or RSP, RSI and RDI.
#define U(name, text)                                                                                        \
  USER static void name(void)                                                                                \
  {                                                                                                          \
    asm volatile(text "; int $0x80");                                                                        \
  }
#define LAST    "mov $0xffffffff7ffffff8, %rax;" // the last eight bytes within the limit
#define ACROSS  "mov $0xffffffff7ffffff9, %rax;" // one byte beyond
#define BEYOND  "mov $0xffffffff80000010, %rax;"
#define STACK   "mov $0x5b, %ecx; mov %ecx, %ss;" // the limited segment
#define RSP_END "lea 8(%rax), %rsp;"
U(u_load_last, LAST "mov (%rax), %rbx; mov (%rax), %bl; addq $1, (%rax); movups -8(%rax), %xmm0")
U(u_load_across, ACROSS "mov (%rax), %rbx")
U(u_store_across, ACROSS "mov %rbx, (%rax)")
U(u_add_beyond, BEYOND "addl $1, (%rax)")
U(u_sse_across, LAST "movups (%rax), %xmm0")
U(u_sse_store, LAST "movups %xmm0, (%rax)")
U(u_x87, BEYOND "fldl (%rax)")
U(u_rip, "mov 1f(%rip), %eax; jmp 1f; .align 16; 1: nop") // far below the last 4 GB
U(u_abs, "movabs 0xffffffff80000010, %rax")
U(u_abs_store, "movabs %eax, 0xffffffff80000010")
U(u_cs, BEYOND "mov %cs:(%rax), %ebx")
U(u_es_ignored, BEYOND "mov %es:(%rax), %ebx") // the prefix says nothing in 64-bit mode: DS counts
U(u_bit, LAST "mov $64, %ecx; bt %rcx, (%rax)")
U(u_xlat, BEYOND "mov %rax, %rbx; xor %eax, %eax; xlat")
U(u_push_memory, BEYOND "push (%rax)")
U(u_call_memory, BEYOND "call *(%rax)")
U(u_fs, BEYOND "mov %fs:(%rax), %ebx")
U(u_fs_based, "mov $0x10, %eax; mov %fs:(%rax), %ebx")
U(u_gs, BEYOND "mov %gs:(%rax), %ebx; mov %ebx, %gs:(%rax)")
U(u_movs, BEYOND "mov %rax, %rsi; mov $0x10000000000, %rdi; movsb")
U(u_rep_movs, LAST "mov %rax, %rsi; mov $0x10000000000, %rdi; mov $9, %ecx; rep movsb")
U(u_stos, BEYOND "mov %rax, %rdi; stosb")
U(u_rep_stos, LAST "mov %rax, %rdi; mov $2, %ecx; rep stosq")
U(u_scas, BEYOND "mov %rax, %rdi; scasb")
U(u_cmps, BEYOND "mov %rax, %rdi; mov $0x10000000000, %rsi; cmpsb")
U(u_lods, BEYOND "mov %rax, %rsi; lodsb")
U(u_push, STACK BEYOND RSP_END "push %rax")
U(u_push_last, STACK LAST RSP_END "push %rax; pop %rbx; pushf; popf; call 1f; 1: nop")
U(u_push_imm, STACK BEYOND RSP_END "push $1")
U(u_pushf, STACK BEYOND RSP_END "pushf")
U(u_pop, STACK ACROSS "mov %rax, %rsp; pop %rbx")
U(u_call, STACK BEYOND RSP_END "call 1f; 1: nop")
U(u_ret, STACK BEYOND "mov %rax, %rsp; ret")
U(u_leave, STACK BEYOND "mov %rax, %rbp; leave")
U(u_enter, STACK BEYOND RSP_END "enter $0, $0")
U(u_iret, STACK BEYOND "mov %rax, %rsp; iretq")
U(u_stack_operand, STACK BEYOND "mov %rax, %rbp; mov (%rbp), %ebx")
U(u_fetch, "mov $0xffffffff80000100, %rax; jmp *%rax")
U(u_end_of_space, "mov $-4, %rax; mov (%rax), %rbx")

enum { EFER = 0xc0000080, LMSLE = 1 << 13, FS_BASE = 0xc0000100, LIMITED = GDT_FREE | 3, WIDE = LIMITED + 8 };

// The way back from an event loads DS and ES.
static unsigned ds, es, fs, gs;
static uint64_t fs_base;

static void load(unsigned d, unsigned e, unsigned f, unsigned g)
{
  ds = d;
  es = e;
  fs = f;
  gs = g;
  fs_base = 0;
}

static void run(void (*ip)(void))
{
  asm volatile("mov %0, %%fs; mov %1, %%gs" ::"r"(fs), "r"(gs) : "memory");
  wrmsr(FS_BASE, fs_base);
  asm volatile("mov %0, %%ds; mov %1, %%es" ::"r"(ds), "r"(es) : "memory");
  user(ip);
}

#define RUNS(f) CHECK_EQ(TRY(run(f)), USER_DONE)
#define FAULTS(f, vector)                                                                                    \
  do {                                                                                                       \
    CHECK_EQ(TRY(run(f)), vector);                                                                           \
    CHECK_EQ(last.error, 0);                                                                                 \
  } while (0)

void test(void)
{
  uint32_t r[4];
  cpuid(0x80000008, 0, r);
  CHECK_EQ(r[1] >> 20 & 1, 0); // EferLmsleUnsupported
  gdt[GDT_FREE / 8] = descriptor(0, 0x7ffff, 0xf3, 8);
  gdt[GDT_FREE / 8 + 1] = descriptor(0, 0xfffff, 0xf3, 8);
  map(0xffffffff7ffff000, (word)page_new() | PT_P | PT_W | PT_U);
  map(0xffffffff80000000, (word)page_new() | PT_P | PT_W | PT_U);
  map(0xfffffffffffff000, (word)page_new() | PT_P | PT_W | PT_U);
  map(0x10000000000, (word)page_new() | PT_P | PT_W | PT_U);
  *(volatile uint16_t *)0xffffffff80000100 = 0x80cd; // int $0x80

  // Without the bit nobody looks.
  load(LIMITED, LIMITED, LIMITED, LIMITED);
  RUNS(u_load_across);
  RUNS(u_push);
  RUNS(u_rep_stos);

  wrmsr(EFER, rdmsr(EFER) | LMSLE);
  CHECK_EQ(rdmsr(EFER) & LMSLE, LMSLE);
  CHECK_EQ(TRY(*(volatile uint64_t *)0xffffffff80000010), NONE); // privilege 0 is free
  RUNS(u_load_last);
  FAULTS(u_load_across, GP);
  FAULTS(u_store_across, GP);
  FAULTS(u_add_beyond, GP);
  FAULTS(u_sse_across, GP);
  FAULTS(u_sse_store, GP);
  FAULTS(u_x87, GP);
  RUNS(u_rip);
  FAULTS(u_abs, GP);
  FAULTS(u_abs_store, GP);
  FAULTS(u_cs, GP);
  FAULTS(u_es_ignored, GP);
  FAULTS(u_bit, GP);
  FAULTS(u_xlat, GP);
  FAULTS(u_push_memory, GP);
  FAULTS(u_call_memory, GP);
  FAULTS(u_fs, GP);
  RUNS(u_gs);
  FAULTS(u_movs, GP);
  FAULTS(u_rep_movs, GP);
  CHECK_EQ(last.cx, 1);
  FAULTS(u_stos, GP);
  FAULTS(u_rep_stos, GP);
  CHECK_EQ(last.cx, 1);
  FAULTS(u_scas, GP);
  FAULTS(u_cmps, GP);
  FAULTS(u_lods, GP);
  RUNS(u_fetch);
  FAULTS(u_end_of_space, GP);

  // Each segment by itself.
  load(WIDE, LIMITED, WIDE, LIMITED);
  RUNS(u_load_across);
  RUNS(u_es_ignored);
  RUNS(u_abs);
  RUNS(u_abs_store);
  RUNS(u_movs);
  RUNS(u_fs);
  FAULTS(u_stos, GP);
  FAULTS(u_cmps, GP);
  load(LIMITED, WIDE, WIDE, LIMITED);
  RUNS(u_stos);
  RUNS(u_cmps);
  FAULTS(u_lods, GP);

  // The base of FS counts: it is the linear address that has the limit.
  load(WIDE, WIDE, LIMITED, WIDE);
  fs_base = 0xffffffff80000000;
  FAULTS(u_fs_based, GP);
  fs_base = 0xffffffff7ffff000;
  RUNS(u_fs_based);

  load(WIDE, WIDE, WIDE, WIDE);
  FAULTS(u_push, SS);
  RUNS(u_push_last);
  FAULTS(u_push_imm, SS);
  FAULTS(u_pushf, SS);
  FAULTS(u_pop, SS);
  FAULTS(u_call, SS);
  FAULTS(u_ret, SS);
  FAULTS(u_leave, SS);
  FAULTS(u_enter, SS);
  FAULTS(u_iret, SS);
  FAULTS(u_stack_operand, SS);

  wrmsr(EFER, rdmsr(EFER) & ~(uint64_t)LMSLE);
  RUNS(u_load_across);
  RUNS(u_push);
}
