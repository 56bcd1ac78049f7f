// Call gates, interrupt stacks and IRET in long mode: the stack that is taken, what is on it, and what is
// refused. APM2 4.8, 6.2.3, 8.9.
#include "rt.h"

static uint8_t stack1[4096] __attribute__((aligned(16))), stack2[4096] __attribute__((aligned(16)));
static word seen[8];

asm(".globl gate_entry\n"
    "gate_entry: mov %rsp, seen(%rip); mov %cs, %eax; mov %rax, seen+8(%rip); mov %ss, %eax; mov %rax, "
    "seen+16(%rip)\n"
    "mov (%rsp), %rax; mov %rax, seen+24(%rip); mov 8(%rsp), %rax; mov %rax, seen+32(%rip)\n"
    "mov 16(%rsp), %rax; mov %rax, seen+40(%rip); mov 24(%rsp), %rax; mov %rax, seen+48(%rip)\n"
    "lretq\n"
    ".globl ist_entry\n"
    "ist_entry: mov %rsp, seen(%rip); mov 24(%rsp), %rax; mov %rax, seen+8(%rip); iretq\n");
void gate_entry(void), ist_entry(void);
extern uint8_t rt_stack0_top[], rt_user_stack_top[];

USER_DATA static struct {
  uint32_t off;
  uint16_t sel;
} __attribute__((packed)) gate_pointer = {0, GDT_FREE | 3};

USER static void user_call(void)
{
  asm volatile(
      "mov $0x77, %%ebx; lcall *%0; mov %%cs, %%esi; mov %%ss, %%edi; mov %%rsp, %%rbp; int $0x80" ::"m"(
          gate_pointer)
      : "memory");
}
USER static void user_int(void)
{
  asm volatile("int $0x50; int $0x80" ::: "rax");
}

static void call_gate(unsigned type, unsigned sel, word off)
{
  gdt[GDT_FREE / 8] =
      (off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)type << 40 | (off >> 16 & 0xffff) << 48;
  gdt[GDT_FREE / 8 + 1] = off >> 32;
}

void test(void)
{
  asm volatile("" : "+m"(seen));
  call_gate(0xec, K_CODE, (word)gate_entry);
  CHECK_EQ(TRY(user(user_call)), USER_DONE);
  CHECK_EQ(seen[0], (word)rt_stack0_top - 32); // SS, RSP, CS, RIP
  CHECK_EQ(seen[1], K_CODE);
  CHECK_EQ(seen[2], 0); // a null SS with RPL 0
  CHECK_EQ(seen[4], U_CODE);
  CHECK_EQ(seen[5], (word)rt_user_stack_top);
  CHECK_EQ(seen[6], U_DATA);
  CHECK_EQ(last.si, U_CODE);
  CHECK_EQ(last.di, U_DATA);
  CHECK_EQ(last.bp, (word)rt_user_stack_top);
  CHECK_EQ(last.bx, 0x77);
  call_gate(0x8c, K_CODE, (word)gate_entry); // privilege 0 only
  CHECK_EQ(TRY(user(user_call)), GP);
  CHECK_EQ(last.error, GDT_FREE);
  call_gate(0x6c, K_CODE, (word)gate_entry); // not present
  CHECK_EQ(TRY(user(user_call)), NP);
  CHECK_EQ(last.error, GDT_FREE);
  call_gate(0xec, K_CODE32, (word)gate_entry); // must lead to 64-bit code
  CHECK_EQ(TRY(user(user_call)), GP);
  CHECK_EQ(last.error, K_CODE32);
  call_gate(0xec, K_CODE, 0x800000000000);
  CHECK_EQ(TRY(user(user_call)), GP);
  CHECK_EQ(last.error, 0);
  call_gate(0xec, K_CODE, (word)gate_entry);
  gdt[GDT_FREE / 8 + 1] |= 5ull << 40; // the type of the upper half must be 0
  CHECK_EQ(TRY(user(user_call)), GP);
  CHECK_EQ(last.error, GDT_FREE);
  uint64_t good = tss.rsp[0];
  call_gate(0xec, K_CODE, (word)gate_entry);
  tss.rsp[0] = 0x900000000000;
  idt_set(SS, idt_stub(SS), K_CODE, 0x8e, 1);
  tss.ist[0] = (word)stack1 + sizeof stack1;
  CHECK_EQ(TRY(user(user_call)), SS);
  tss.rsp[0] = good;

  // interrupt stacks: aligned, from any privilege
  tss.ist[0] = (word)stack1 + sizeof stack1 - 3;
  idt_set(0x50, (word)ist_entry, K_CODE, 0xee, 1);
  CHECK_EQ(TRY(user(user_int)), USER_DONE);
  CHECK_EQ(seen[0], (word)stack1 + sizeof stack1 - 16 - 40);
  CHECK_EQ(seen[1], (word)rt_user_stack_top);
  word sp;
  asm volatile("mov %%rsp, %0; int $0x50" : "=r"(sp)::"rax", "memory");
  CHECK_EQ(seen[0], (word)stack1 + sizeof stack1 - 16 - 40);
  CHECK_EQ(seen[1], sp);
  idt_set(0x50, (word)ist_entry, K_CODE, 0xee, 0);
  asm volatile("mov %%rsp, %0; int $0x50" : "=r"(sp)::"rax", "memory");
  CHECK_EQ(seen[0], (sp & ~15ull) - 40); // aligned in any case
  CHECK_EQ(seen[1], sp);
  // INT from privilege 3 through a gate of privilege 0
  idt_set(0x50, (word)ist_entry, K_CODE, 0x8e, 0);
  CHECK_EQ(TRY(user(user_int)), GP);
  CHECK_EQ(last.error, 0x50 * 8 + 2);
  // double fault: the page fault's own stack is missing
  idt_set(DF, idt_stub(DF), K_CODE, 0x8e, 2);
  tss.ist[1] = (word)stack2 + sizeof stack2;
  idt_set(PF, idt_stub(PF), K_CODE, 0x8e, 3);
  tss.ist[2] = 0x8000001000; // not mapped
  CHECK_EQ(TRY((void)*(volatile uint8_t *)0x8000000000), DF);
  CHECK_EQ(last.error, 0);
  CHECK_EQ(last_cr2, 0x8000000ff8);
  idt_set(PF, idt_stub(PF), K_CODE, 0x8e, 0);

  // IRET: NT is refused in long mode; a return to a non-canonical address faults at the IRET
  CHECK_EQ(TRY(asm volatile("pushf; orl $0x4000, (%%rsp); popf; iretq" ::: "memory")), GP);
  asm volatile("pushf; andl $~0x4000, (%%rsp); popf" ::: "memory", "cc");
  CHECK_EQ(TRY(asm volatile("push %0; push $2; push %1; push %0; push %2; iretq" ::"i"(0), "i"(K_CODE),
                            "r"(0x800000000000)
                            : "memory")),
           GP);
}
