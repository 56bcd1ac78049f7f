// When one instruction has several reasons to fault, the manual's order decides; traps of the instruction
// before come first. APM2 8.5, table 8-8.
#include "rt.h"

#define VA 0x8000000000ull
static volatile unsigned debugs;
static word debug_ip;

static void on_db(struct frame *f)
{
  debugs++;
  debug_ip = f->ip;
  f->flags &= ~0x100ull;
  f->flags |= 1 << 16;
}

USER static void user_cli(void)
{
  asm volatile("cli");
}
USER static void user_wrmsr(void)
{
  asm volatile("wrmsr");
}
USER static void user_lock_cli(void)
{
  asm volatile(".byte 0xf0, 0xfa");
}
USER static void user_mov_cr(void)
{
  asm volatile(".byte 0x0f, 0x20, 0xe8"); // MOV EAX, CR5
}
USER static void user_hlt_unmapped_int(void)
{
  asm volatile("int $0x51");
}

static volatile unsigned order;
static void on_irq(struct frame *f)
{
  order = order << 8 | f->vector;
  eoi();
}
void test(void)
{
  uint8_t *p = page_new();
  // #UD before #GP(0) of privilege
  CHECK_EQ(TRY(user(user_lock_cli)), UD);
  CHECK_EQ(TRY(user(user_mov_cr)), UD);
  CHECK_EQ(TRY(user(user_cli)), GP);
  CHECK_EQ(TRY(user(user_wrmsr)), GP);
  CHECK_EQ(TRY(user(user_hlt_unmapped_int)), GP);
  CHECK_EQ(last.error, 0x51 * 8 + 2);
  // #NM before the operand's #PF; #UD (EM) before #NM
  write_cr0(read_cr0() | 8);
  CHECK_EQ(TRY(asm volatile("movups (%0), %%xmm0" ::"r"(VA))), NM);
  CHECK_EQ(TRY(asm volatile("flds %0" ::"m"(*(float *)VA))), NM);
  write_cr0(read_cr0() | 4);
  CHECK_EQ(TRY(asm volatile("movups (%0), %%xmm0" ::"r"(VA))), UD);
  write_cr0(read_cr0() & ~12ull);
  CHECK_EQ(TRY(asm volatile("movups (%0), %%xmm0" ::"r"(VA))), PF);
  // alignment #GP before #PF
  CHECK_EQ(TRY(asm volatile("movaps (%0), %%xmm0" ::"r"(VA + 4))), GP);
  // an operand's #PF before the result's #DE
  CHECK_EQ(TRY(asm volatile("divl (%0)" ::"r"(VA), "a"(1), "d"(1) : "cc")), PF);
  // a fetch's #PF before anything of the instruction
  map(VA, (uint64_t)p | PT_P | PT_W);
  p[0xffe] = 0xf0; // LOCK, and an opcode for which it is illegal in the missing page
  p[0xfff] = 0x66;
  CHECK_EQ(TRY(asm volatile("jmp *%0" ::"r"(VA + 0xffe))), PF);
  CHECK_EQ(last.error & ~(word)PF_I, 0);
  CHECK_EQ(last_cr2, VA + 0x1000);
  // an instruction breakpoint before the fetch's #PF
  handler[DB] = on_db;
  write_dr0(VA + 0x1000);
  write_dr7(0x402);
  CHECK_EQ(TRY(asm volatile("jmp *%0" ::"r"(VA + 0x1000))), PF);
  CHECK_EQ(debugs, 1);
  CHECK_EQ(debug_ip, VA + 0x1000);
  write_dr7(0x400);
  // the single-step trap of one instruction before the fault of the next
  debugs = 0;
  CHECK_EQ(TRY(asm volatile("pushf; orl $0x100, (%%rsp); popf; nop; 1: ud2" ::: "memory")), UD);
  CHECK_EQ(debugs, 1);
  CHECK_EQ(debug_ip, last.ip);
  apic_write(A_SVR, 0x1ff);
  handler[0x61] = on_irq;
  cli();
  apic_write(A_ICR, 0x40061);
  order = 0;
  asm volatile("sti; nop; cli" ::: "memory"); // the shadow of STI: one instruction, then the interrupt
  CHECK_EQ(order, 0x61);
  // the shadow holds when the next instruction is CLI
  apic_write(A_ICR, 0x40061);
  order = 0;
  asm volatile("sti; cli; nop" ::: "memory");
  CHECK_EQ(order, 0);
  // POPF has no shadow
  asm volatile("pushf; orl $0x200, (%%rsp); popf; cli" ::: "memory", "cc");
  CHECK_EQ(order, 0x61);
  // an exception and an interrupt: the interrupt finds IF clear in the handler, and comes after it
  apic_write(A_ICR, 0x40061);
  order = 0;
  debugs = 0;
  asm volatile("pushf; orl $0x300, (%%rsp); popf; nop; cli" ::: "memory", "cc");
  CHECK_EQ(order, 0x61);
}
