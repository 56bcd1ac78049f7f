// To the host VMRUN is one instruction: its trace trap comes after the #VMEXIT, RF covers it alone. The
// guest's TF traps after its first instruction, its RF hides a breakpoint on that one. A host RIP that is not
// canonical gives #GP in the host. APM2 15.5.1, 15.6.
#include "svm.h"

extern uint8_t after_vmrun[], first[], second[];
static volatile unsigned traps;
static uint64_t trap_ip;

static void on_db(struct frame *f)
{
  traps++;
  if (traps == 1)
    trap_ip = f->ip;
  f->flags &= ~0x100ull;
  f->flags |= 1 << 16;
}
static void body(void)
{
  asm volatile(".globl first, second; first: nop; second: nop; vmmcall");
}

void test(void)
{
  svm_on();
  struct vmcb *v = vmcb_new();
  handler[DB] = on_db;
  vmcb_entry(v, body);
  asm volatile("push %%rbx; push %%rbp; clgi; pushf; orl $0x100, (%%rsp); popf; vmrun %%rax;"
               ".globl after_vmrun; after_vmrun: nop; stgi; pop %%rbp; pop %%rbx" ::"a"(v)
               : "memory", "cc", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                 "r15");
  CHECK_EQ(v->exitcode, X_VMMCALL);
  CHECK_EQ(traps, 1);
  CHECK_EQ(trap_ip, after_vmrun);
  CHECK(read_dr6() & 1 << 14);
  // the guest's TF
  v->exceptions = 1 << DB;
  vmcb_entry(v, (void (*)(void))first);
  v->rflags |= 0x100;
  CHECK_EQ(run(v), X_EXCP + DB);
  CHECK_EQ(v->rip, second);
  CHECK(v->dr6 & 1 << 14);
  // a breakpoint on the first instruction
  v->rflags = 2;
  v->dr6 = 0xffff0ff0;
  v->dr7 = 0x402;
  write_dr0((uint64_t)first);
  vmcb_entry(v, (void (*)(void))first);
  CHECK_EQ(run(v), X_EXCP + DB);
  CHECK_EQ(v->rip, first);
  CHECK(v->dr6 & 1);
  vmcb_entry(v, (void (*)(void))first);
  v->rflags = 2 | 1 << 16;
  CHECK_EQ(run(v), X_VMMCALL);
  CHECK(!(v->rflags & 1 << 16));
  // and RF holds for the first instruction alone
  write_dr0((uint64_t)second);
  vmcb_entry(v, (void (*)(void))first);
  v->rflags = 2 | 1 << 16;
  CHECK_EQ(run(v), X_EXCP + DB);
  CHECK_EQ(v->rip, second);
  // VMRUN as the last instruction below the hole in the address space
  uint8_t *page = page_new();
  page[0xffd] = 0x0f;
  page[0xffe] = 0x01;
  page[0xfff] = 0xd8;
  map(0x7ffffffff000, (uint64_t)page | PT_P | PT_W);
  v->exceptions = 0;
  v->dr7 = 0x400;
  vmcb_entry(v, vmmcall);
  v->exitcode = 0;
  CHECK_EQ(TRY(asm volatile("jmp *%0" ::"r"(0x7ffffffffffd), "a"(v) : "memory")), GP);
  stgi();
  CHECK_EQ(v->exitcode, X_VMMCALL);
  CHECK_EQ(last.ip, 1ull << 47);
}
