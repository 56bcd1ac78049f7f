// Code that changes code: its own next instruction, another page, through another mapping, with page tables
// that move under it, as a string instruction's work. What runs is what memory holds. APM2 7.6.1.
#include "rt.h"

#define ALIAS 0x8000000000ull

static void put_return(uint8_t *p, uint32_t v) // mov $v, %eax; ret
{
  p[0] = 0xb8;
  *(volatile uint32_t *)(p + 1) = v;
  p[5] = 0xc3;
}
static uint32_t run(void *p)
{
  uint32_t v;
  asm volatile("call *%1" : "=a"(v) : "r"(p) : "memory");
  return v;
}

void test(void)
{
  uint32_t v;
  // the very next instruction of the same run of code
  for (unsigned i = 0; i < 3; i++) {
    asm volatile("movl %1, 1f + 1(%%rip); 1: mov $0x11111111, %%eax" : "=a"(v) : "r"(0x2222 + i) : "memory");
    CHECK_EQ(v, 0x2222 + i);
  }
  // an instruction that was executed before, changed by one behind it
  unsigned n = 0;
  asm volatile(
      "xor %%ecx, %%ecx; 1: add $1, %%ecx; cmpb $1, 1b + 2(%%rip); jne 2f; movb $5, 1b + 2(%%rip); jmp 1b;"
      "2: movb $1, 1b + 2(%%rip)"
      : "=&c"(n)::"memory", "cc");
  CHECK_EQ(n, 6);
  // another page
  uint8_t *page = page_new();
  put_return(page, 1);
  CHECK_EQ(run(page), 1);
  put_return(page, 2);
  CHECK_EQ(run(page), 2);
  page[1] = 3; // one byte of the immediate
  CHECK_EQ(run(page), 3);
  // many times, so that it is hot
  for (unsigned i = 0; i < 1000; i++) {
    *(volatile uint32_t *)(page + 1) = i;
    CHECK_EQ(run(page), i);
  }
  // through another address of the same memory
  map(ALIAS, (uint64_t)page | PT_P | PT_W);
  put_return((uint8_t *)ALIAS, 4);
  CHECK_EQ(run(page), 4);
  put_return(page, 5);
  CHECK_EQ(run((void *)ALIAS), 5);
  // another page at the same address
  uint8_t *other = page_new();
  put_return(other, 6);
  map(ALIAS, (uint64_t)other | PT_P | PT_W);
  CHECK_EQ(run((void *)ALIAS), 6);
  // an instruction over two pages, each half changed in turn
  uint8_t *two = page_new();
  page_new();
  put_return(two + 0xffd, 0x01020304);
  CHECK_EQ(run(two + 0xffd), 0x01020304);
  two[0x1000] = 0x55;
  CHECK_EQ(run(two + 0xffd), 0x01550304);
  two[0xffe] = 0x66;
  CHECK_EQ(run(two + 0xffd), 0x01550366);
  // the second of the two pages moves
  uint8_t *third = page_new();
  map(ALIAS, (uint64_t)two | PT_P | PT_W);
  map(ALIAS + 0x1000, (uint64_t)(two + 0x1000) | PT_P | PT_W);
  CHECK_EQ(run((void *)(ALIAS + 0xffd)), 0x01550366);
  for (unsigned i = 0; i < 3; i++)
    third[i] = two[0x1000 + i];
  third[0] = 0x77;
  map(ALIAS + 0x1000, (uint64_t)third | PT_P | PT_W);
  CHECK_EQ(run((void *)(ALIAS + 0xffd)), 0x01770366);
  // REP MOVSB over code, the string instruction's own followers included
  put_return(other, 8);
  asm volatile("rep movsb" ::"S"(other), "D"(page), "c"(6) : "memory");
  CHECK_EQ(run(page), 8);
  static const uint8_t patch[5] = {0xb8, 9, 0, 0, 0};
  const void *source = patch;
  asm volatile("lea 1f(%%rip), %%rdi; mov $5, %%ecx; rep movsb; 1: mov $0x33333333, %%eax"
               : "=a"(v), "+S"(source)::"rdi", "rcx", "memory");
  CHECK_EQ(v, 9);
  // the stack as code
  uint8_t code[8];
  put_return(code, 10);
  CHECK_EQ(run(code), 10);
  asm volatile("push %1; mov %%rsp, %%rdx; call *%%rdx; pop %%rdx"
               : "=a"(v)
               : "r"(0xc30000000bb8ull)
               : "rdx", "memory");
  CHECK_EQ(v, 11);
}
