// An address that is not canonical gives #GP, or #SS if the stack is accessed: by the stack's instructions
// and by operands based on rSP and rBP. Of masked moves each element that is moved counts, and no other.
// APM1 2.1.2, 3.5; APM2 8.2.13; APM4, VMASKMOV.
#include "rt.h"

#define TOP 0x800000000000ull     // the first address that is not canonical
#define LOW 0xffff800000000000ull // the first that is again

static uint64_t there = 0x1234, *const nowhere = (uint64_t *)TOP;
static uint8_t stack[4096] __attribute__((aligned(16)));

// With RSP and RBP as they are said to be, and RAX pointing to good memory.
#define STACK(sp, bp, text)                                                                                  \
  TRY(asm volatile("mov %%rsp, %%rbx; mov %0, %%rbp; mov %1, %%rsp; " text                                   \
                   "\n9: mov %%rbx, %%rsp" ::"r"((uint64_t)(bp)),                                            \
                   "r"((uint64_t)(sp)), "a"(&there), "d"(nowhere)                                            \
                   : "rbx", "rcx", "r12", "r13", "memory", "cc"))

#define REFUSED(sp, text)                                                                                    \
  do {                                                                                                       \
    CHECK_EQ(STACK(sp, 0, text), SS);                                                                        \
    CHECK_EQ(last.error, 0);                                                                                 \
    CHECK_EQ(last.sp, sp);                                                                                   \
  } while (0)

static void pushes(uint64_t sp)
{
  REFUSED(sp, "push %%rax");
  REFUSED(sp, "push $1");
  REFUSED(sp, "push $0x12345678");
  REFUSED(sp, "push (%%rax)");
  REFUSED(sp, "pushf");
  REFUSED(sp, "push %%fs");
  REFUSED(sp, "call 9f");
  REFUSED(sp, "lea 9f(%%rip), %%rcx; call *%%rcx");
  REFUSED(sp, "lea 9f(%%rip), %%rcx; mov %%rcx, (%%rax); call *(%%rax)");
  REFUSED(sp, "enter $0, $0");
}

static void pops(uint64_t sp)
{
  REFUSED(sp, "pop %%rcx");
  REFUSED(sp, "pop (%%rax)");
  REFUSED(sp, "popf");
  REFUSED(sp, "pop %%fs");
  REFUSED(sp, "ret");
  REFUSED(sp, "ret $8");
  REFUSED(sp, "lretq");
  REFUSED(sp, "iretq");
  CHECK_EQ(STACK(stack, sp, "leave"), SS);
  CHECK_EQ(last.error, 0);
  CHECK_EQ(last.sp, stack);
  CHECK_EQ(last.bp, sp);
}

static void operands(void)
{
  uint64_t sp = (uint64_t)stack + 2048;
  CHECK_EQ(STACK(sp, TOP, "mov (%%rbp), %%rcx"), SS);
  CHECK_EQ(STACK(sp, TOP - 4, "mov (%%rbp), %%rcx"), SS);
  CHECK_EQ(STACK(sp, TOP - 8, "mov (%%rbp), %%rcx"), NONE);
  CHECK_EQ(STACK(sp, TOP - 8, "mov %%rcx, 8(%%rbp)"), SS);
  CHECK_EQ(STACK(sp, TOP, "addl $1, (%%rbp)"), SS);
  CHECK_EQ(STACK(sp, TOP, "bts %%rcx, (%%rbp)"), SS);
  CHECK_EQ(STACK(sp, TOP, "movups (%%rbp), %%xmm0"), SS);
  CHECK_EQ(STACK(sp, TOP, "movq %%xmm0, (%%rbp)"), SS);
  CHECK_EQ(STACK(sp, TOP, "fldl (%%rbp)"), SS);
  CHECK_EQ(STACK(sp, TOP, "push (%%rbp)"), SS);
  CHECK_EQ(STACK(sp, TOP, "pop (%%rbp)"), SS);
  CHECK_EQ(STACK(sp, TOP, "call *(%%rbp)"), SS);
  CHECK_EQ(STACK(TOP, 0, "mov (%%rsp), %%rcx"), SS);
  CHECK_EQ(STACK(TOP, 0, "mov (%%rsp,%%rbp,8), %%rcx"), SS);
  CHECK_EQ(STACK(sp, TOP, ".byte 0x3e; mov (%%rbp), %%rcx"), SS); // the prefix says nothing
  // the segment is that of the base
  CHECK_EQ(STACK(sp, TOP, "xor %%ecx, %%ecx; mov (%%rcx,%%rbp), %%rcx"), GP);
  CHECK_EQ(STACK(sp, TOP, "mov %%rbp, %%r13; mov (%%r13), %%rcx"), GP);
  CHECK_EQ(STACK(sp, TOP, "mov %%rbp, %%r12; mov (%%r12), %%rcx"), GP);
  CHECK_EQ(STACK(sp, TOP, "mov %%fs:(%%rbp), %%rcx"), GP);
  CHECK_EQ(STACK(sp, TOP, ".byte 0x36; mov (%%rdx), %%rcx"), GP);
  CHECK_EQ(STACK(sp, TOP, "mov (%%rdx), %%rcx"), GP);
  CHECK_EQ(STACK(sp, TOP, "push (%%rdx)"), GP);
  CHECK_EQ(STACK(sp, TOP, "pop (%%rdx)"), GP);
  CHECK_EQ(STACK(sp, TOP, "call *(%%rdx)"), GP);
  CHECK_EQ(STACK(sp, TOP, "jmp *%%rdx"), GP);
  CHECK_EQ(STACK(sp, TOP, "call *%%rdx"), GP);
  CHECK_EQ(STACK(sp, TOP, "push %%rdx; ret"), GP);
  CHECK_EQ(STACK(sp, TOP, "mov %%rdx, %%rsi; .byte 0x36; lodsb"), GP);
}

// ---- masked moves ----

static uint32_t masks[8];
static void mask_from(unsigned from, unsigned count) // dwords
{
  for (unsigned i = 0; i < 8; i++)
    masks[i] = i >= from && i < from + count ? 0x80000000 : 0x7fffffff;
}

#define MOVE(base, text)                                                                                     \
  TRY(asm volatile("mov %%rbp, %%rbx; vmovups (%1), %%ymm1; mov %0, %%rbp; " text                            \
                   "; mov %%rbx, %%rbp" ::"a"((uint64_t)(base)),                                             \
                   "r"(masks)                                                                                \
                   : "rbx", "memory"))

#define MOVES(base, want, want_stack)                                                                        \
  do {                                                                                                       \
    CHECK_EQ(MOVE(base, "vmaskmovps (%%rax), %%ymm1, %%ymm2"), want);                                        \
    CHECK_EQ(MOVE(base, "vmaskmovps %%ymm2, %%ymm1, (%%rax)"), want);                                        \
    CHECK_EQ(MOVE(base, "vmaskmovps (%%rbp), %%ymm1, %%ymm2"), want_stack);                                  \
    CHECK_EQ(MOVE(base, "vmaskmovps %%ymm2, %%ymm1, (%%rbp)"), want_stack);                                  \
  } while (0)

static void vmaskmov(void)
{
  mask_from(0, 4);
  MOVES(TOP - 16, NONE, NONE);
  MOVES(TOP - 14, GP, SS); // the last of them crosses
  MOVES(LOW - 16, GP, SS);
  mask_from(0, 5);
  MOVES(TOP - 16, GP, SS);
  mask_from(4, 4);
  MOVES(TOP - 16, GP, SS);
  MOVES(LOW - 16, NONE, NONE);
  mask_from(3, 5);
  MOVES(LOW - 16, GP, SS);
  mask_from(0, 0);
  MOVES(TOP - 16, NONE, NONE);
  MOVES(TOP, NONE, NONE);
  MOVES(LOW - 16, NONE, NONE);
  // nothing is written if one element faults
  *(volatile uint64_t *)(TOP - 16) = 77;
  mask_from(0, 5);
  CHECK_EQ(MOVE(TOP - 16, "vxorps %%xmm2, %%xmm2, %%xmm2; vmaskmovps %%ymm2, %%ymm1, (%%rax)"), GP);
  CHECK_EQ(*(volatile uint64_t *)(TOP - 16), 77);
}

#define BYTES(base, text)                                                                                    \
  TRY(asm volatile("movups (%1), %%xmm1; movq (%1), %%mm1; " text ::"D"((uint64_t)(base)), "r"(masks)        \
                   : "memory"))
static void maskmov(void)
{
  for (unsigned i = 0; i < 4; i++)
    masks[i] = i < 2 ? 0x80808080 : 0;
  CHECK_EQ(BYTES(TOP - 8, "maskmovdqu %%xmm1, %%xmm0"), NONE);
  CHECK_EQ(BYTES(TOP - 7, "maskmovdqu %%xmm1, %%xmm0"), GP);
  CHECK_EQ(BYTES(TOP - 8, "maskmovq %%mm1, %%mm0"), NONE);
  CHECK_EQ(BYTES(TOP - 7, "maskmovq %%mm1, %%mm0"), GP);
  masks[0] = masks[1] = 0;
  masks[3] = 0x80000000;
  CHECK_EQ(BYTES(LOW - 15, "maskmovdqu %%xmm1, %%xmm0"), NONE);
  CHECK_EQ(BYTES(LOW - 16, "maskmovdqu %%xmm1, %%xmm0"), GP);
  masks[0] = 0x80;
  masks[3] = 0;
  CHECK_EQ(BYTES(TOP - 1, "maskmovdqu %%xmm1, %%xmm0"), NONE);
  CHECK_EQ(BYTES(TOP - 1, "maskmovq %%mm1, %%mm0"), NONE);
  CHECK_EQ(BYTES(TOP, "maskmovq %%mm1, %%mm0"), GP);
  CHECK_EQ(BYTES(TOP, ".byte 0x36; maskmovdqu %%xmm1, %%xmm0"), GP);
  asm volatile("emms");
}

void test(void)
{
  static uint8_t own[4096];
  map(TOP - 4096, (uint64_t)page_new() | PT_P | PT_W);
  map(LOW, (uint64_t)page_new() | PT_P | PT_W);
  tss.ist[0] = (word)own + sizeof own;
  idt_set(SS, idt_stub(SS), K_CODE, 0x8e, 1);
  idt_set(GP, idt_stub(GP), K_CODE, 0x8e, 1);
  pushes(TOP + 8);
  pushes(TOP + 4); // across the border
  pushes(0x8000000000000000);
  pops(TOP);
  pops(TOP - 4);
  pops(0x8000000000000000);
  operands();
  maskmov();
  uint32_t r[4];
  cpuid(1, 0, r);
  if (!(r[2] >> 28 & 1)) // AVX
    return;
  write_cr4(read_cr4() | 1 << 18); // OSXSAVE
  asm volatile("xsetbv" ::"a"(7), "d"(0), "c"(0) : "memory");
  vmaskmov();
}
