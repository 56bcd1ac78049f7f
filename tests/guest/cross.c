// Instructions and data that cross a page: they work, the fault is at the first byte that is missing, and
// nothing happens before. The end of the canonical addresses is an end. APM2 8.2.15, 8.2.14.
#include "rt.h"

#define VA 0x8000000000ull

void test(void)
{
  uint8_t *p = page_new(), *q = page_new();
  map(VA, (uint64_t)p | PT_P | PT_W);
  map(VA + 0x1000, (uint64_t)q | PT_P | PT_W);
  // data over both, in physical pages that do not follow each other
  uint8_t *far = page_new();
  map(VA + 0x1000, (uint64_t)far | PT_P | PT_W);
  for (unsigned size = 2; size <= 16; size *= 2)
    for (unsigned i = 1; i < size; i++) {
      volatile uint8_t *at = (volatile uint8_t *)(VA + 0x1000 - i);
      for (unsigned k = 0; k < size; k++)
        at[k] = (uint8_t)(k + 1);
      if (size == 2)
        CHECK_EQ(*(volatile uint16_t *)at, 0x0201);
      if (size == 4)
        CHECK_EQ(*(volatile uint32_t *)at, 0x04030201);
      if (size == 8) {
        CHECK_EQ(*(volatile uint64_t *)at, 0x0807060504030201);
        uint64_t one = 1;
        asm volatile("lock xaddq %1, %0" : "+m"(*(volatile uint64_t *)at), "+r"(one)::"cc");
        CHECK_EQ(*(volatile uint64_t *)at, 0x0807060504030202);
        CHECK_EQ(far[size - i - 1], 8);
      }
      if (size == 16) {
        asm volatile("movdqu %0, %%xmm0; paddb %%xmm0, %%xmm0; movdqu %%xmm0, %0"
                     : "+m"(*(volatile uint8_t *)at));
        CHECK_EQ(at[15], 32);
        CHECK_EQ(far[15 - i], 32);
      }
    }
  // a missing second page: nothing is written, CR2 is its first byte
  map(VA + 0x1000, 0);
  for (unsigned i = 1; i < 8; i++) {
    volatile uint64_t *at = (volatile uint64_t *)(VA + 0x1000 - i);
    for (unsigned k = 1; k <= i; k++)
      p[0x1000 - k] = 0xee;
    CHECK_EQ(TRY(*at = 0), PF);
    CHECK_EQ(last_cr2, VA + 0x1000);
    CHECK_EQ(last.error, PF_W);
    CHECK_EQ(p[0x1000 - i], 0xee);
    CHECK_EQ(TRY((void)*at), PF);
    CHECK_EQ(last_cr2, VA + 0x1000);
    CHECK_EQ(TRY(asm volatile("lock incq %0" : "+m"(*at)::"cc")), PF);
    CHECK_EQ(last.error, PF_W);
    CHECK_EQ(p[0x1000 - i], 0xee);
  }
  // a missing first page: CR2 is the operand's own address
  map(VA + 0x1000, (uint64_t)far | PT_P | PT_W);
  map(VA, 0);
  CHECK_EQ(TRY((void)*(volatile uint64_t *)(VA + 0xffd)), PF);
  CHECK_EQ(last_cr2, VA + 0xffd);
  map(VA, (uint64_t)p | PT_P | PT_W);
  // a second page that may not be written
  map(VA + 0x1000, (uint64_t)far | PT_P);
  far[0] = 0x77;
  p[0xfff] = 0x66;
  CHECK_EQ(TRY(*(volatile uint16_t *)(VA + 0xfff) = 0), PF);
  CHECK_EQ(last.error, PF_P | PF_W);
  CHECK_EQ(p[0xfff], 0x66);

  // instructions: mov $imm32, %eax; ret, cut at each byte
  for (unsigned i = 1; i < 5; i++) {
    static const uint8_t code[6] = {0xb8, 0x44, 0x33, 0x22, 0x11, 0xc3};
    for (unsigned k = 0; k < 6; k++)
      (k < i ? p + 0x1000 - i : far - i)[k] = code[k];
    word at = VA + 0x1000 - i, v;
    asm volatile("call *%1" : "=a"(v) : "r"(at));
    CHECK_EQ(v, 0x11223344);
    *pt_entry(VA + 0x1000, 1) = 0;
    invlpg(VA + 0x1000);
    CHECK_EQ(TRY(asm volatile("call *%0" ::"r"(at) : "rax")), PF);
    CHECK_EQ(last.ip, at);
    CHECK_EQ(last_cr2, VA + 0x1000);
    *pt_entry(VA + 0x1000, 1) = (uint64_t)far | PT_P | PT_NX;
    invlpg(VA + 0x1000);
    CHECK_EQ(TRY(asm volatile("call *%0" ::"r"(at) : "rax")), PF);
    CHECK_EQ(last.error, PF_P | PF_I);
    map(VA + 0x1000, (uint64_t)far | PT_P);
  }
  // RET as the last byte needs nothing behind it
  map(VA + 0x1000, 0);
  p[0xfff] = 0xc3;
  CHECK_EQ(TRY(asm volatile("call *%0" ::"r"(VA + 0xfff))), NONE);
  // more than 15 bytes: #GP, whether the rest is there or not
  for (unsigned i = 0; i < 15; i++)
    p[0xff1 + i] = 0x66;
  CHECK_EQ(TRY(asm volatile("call *%0" ::"r"(VA + 0xff1))), GP);
  CHECK_EQ(last.error, 0);
  p[0xff1] = 0x90;
  CHECK_EQ(TRY(asm volatile("call *%0" ::"r"(VA + 0xff1))), PF); // 14 prefixes: the 15th byte is missing
  CHECK_EQ(last.ip, VA + 0xff2);

  // the end of the lower half
  map(0x7ffffffff000, (uint64_t)p | PT_P | PT_W);
  CHECK_EQ(TRY((void)*(volatile uint64_t *)0x7ffffffffff9), GP);
  CHECK_EQ(TRY(asm volatile("jmp *%0" ::"r"(0x800000000000))), GP);
  p[0xfff] = 0x90;
  CHECK_EQ(TRY(asm volatile("jmp *%0" ::"r"(0x7fffffffffff))), GP); // runs out of it
  CHECK_EQ(last.ip, 0x800000000000);
}
