// Call gates with parameters, over privileges and within one; RETF to the outside; conforming
// code; far calls through them that must fail. APM2 4.10.2.
#include "rt.h"

enum { GATE = GDT_FREE, CONFORMING = GDT_FREE + 8 };

static volatile word seen[8];
extern uint8_t rt_stack0_top[], rt_user_stack_top[];

asm("entry: mov %esp, %ss:seen; mov %cs, %eax; mov %eax, %ss:seen+4; mov (%esp), %eax; mov %eax, %ss:seen+8; "
    "mov 4(%esp), %eax\n"
    "mov %eax, %ss:seen+12; mov 8(%esp), %eax; mov %eax, %ss:seen+16; mov 12(%esp), %eax; mov %eax, "
    "%ss:seen+20\n"
    "mov 16(%esp), %eax; mov %eax, %ss:seen+24; mov 20(%esp), %eax; mov %eax, %ss:seen+28; lret $8\n"
    "near_entry: mov %esp, seen; lret\n");
void entry(void), near_entry(void);

static void gate(unsigned sel, unsigned type, unsigned code, word off, unsigned params)
{
  gdt[sel / 8] = (off & 0xffff) | (uint64_t)code << 16 | (uint64_t)params << 32 | (uint64_t)type << 40 |
                 (uint64_t)(off >> 16) << 48;
}

USER static void user_call(void)
{
  asm volatile("push $0x1111; push $0x2222; lcall %0, $0; mov %%esp, %%ebp; mov %%cs, %%esi; mov %%ss, "
               "%%edi; int $0x80" ::"i"(GATE | 3));
}
USER static void user_conforming(void)
{
  asm volatile("lcall %0, $1f; int $0x80; 1: mov %%cs, %%esi; lret" ::"i"(CONFORMING));
}
USER static void user_direct(void)
{
  asm volatile("lcall %0, $0" ::"i"(K_CODE));
}
USER static void user_jump(void)
{
  asm volatile("ljmp %0, $0" ::"i"(GATE | 3));
}
USER static void user_iopl(void)
{
  asm volatile("pushf; orl $0x3200, (%%esp); popf; pushf; pop %%ebx; mov %%ds, %%esi; int $0x80" ::
                   : "memory");
}

void test(void)
{
  asm volatile("" : "+m"(seen));
  gate(GATE, 0xec, K_CODE, (word)entry, 2);
  CHECK_EQ(TRY(user(user_call)), USER_DONE);
  CHECK_EQ(seen[0], (word)rt_stack0_top - 24); // SS, ESP, two parameters, CS, EIP
  CHECK_EQ(seen[1], K_CODE);
  CHECK_EQ(seen[3], U_CODE);
  CHECK_EQ(seen[4], 0x2222);
  CHECK_EQ(seen[5], 0x1111);
  CHECK_EQ(seen[6], (word)rt_user_stack_top - 8);
  CHECK_EQ(seen[7], U_DATA);
  CHECK_EQ(last.bp, (word)rt_user_stack_top); // RETF 8 removed them from both stacks
  CHECK_EQ(last.si, U_CODE);
  CHECK_EQ(last.di, U_DATA);
  // JMP cannot go inwards
  CHECK_EQ(TRY(user(user_jump)), GP);
  CHECK_EQ(last.error, K_CODE);
  gate(GATE, 0x8c, K_CODE, (word)entry, 0);
  CHECK_EQ(TRY(user(user_call)), GP);
  CHECK_EQ(last.error, GATE);
  gate(GATE, 0x6c, K_CODE, (word)entry, 0);
  CHECK_EQ(TRY(user(user_call)), NP);
  CHECK_EQ(last.error, GATE);
  gate(GATE, 0xec, 0, (word)entry, 0);
  CHECK_EQ(TRY(user(user_call)), GP);
  CHECK_EQ(last.error, 0);
  gate(GATE, 0xec, K_DATA, (word)entry, 0);
  CHECK_EQ(TRY(user(user_call)), GP);
  CHECK_EQ(last.error, K_DATA);
  CHECK_EQ(TRY(user(user_direct)), GP);
  CHECK_EQ(last.error, K_CODE);
  // within one privilege: no other stack, and no parameters
  gate(GATE, 0x8c, K_CODE, (word)near_entry, 5);
  word sp;
  asm volatile("mov %%esp, %0; lcall %1, $0" : "=&r"(sp) : "i"(GATE) : "memory");
  CHECK_EQ(seen[0], sp - 8);
  // conforming code runs with the caller's privilege
  gdt[CONFORMING / 8] = descriptor(0, 0xfffff, 0x9e, 12);
  CHECK_EQ(TRY(user(user_conforming)), USER_DONE);
  CHECK_EQ(last.si, CONFORMING | 3);
  // flags: IOPL and IF are not for privilege 3
  CHECK_EQ(TRY(user(user_iopl)), USER_DONE);
  CHECK_EQ(last.bx & 0x3200, 0);
  // leaving for privilege 3 empties data segments that it may not use
  asm volatile("mov %w0, %%fs" ::"r"(K_DATA));
  CHECK_EQ(TRY(user(user_iopl)), USER_DONE);
  uint16_t fs;
  asm volatile("mov %%fs, %0" : "=r"(fs));
  CHECK_EQ(fs, 0);
}
