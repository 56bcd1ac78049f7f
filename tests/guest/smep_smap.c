// SMEP: privilege 0 does not run pages of privilege 3. SMAP: it does not touch their data, unless RFLAGS.AC
// says so; accesses that the processor makes by itself are refused even then. APM2 5.6.5, 5.6.6.
#include "rt.h"

enum { SMEP = 1 << 20, SMAP = 1 << 21 };

USER static void user_code(void)
{
  asm volatile("");
}
USER_DATA static volatile uint32_t user_data = 0x1234;

static inline void stac(void)
{
  asm volatile("stac" ::: "memory");
}
static inline void clac(void)
{
  asm volatile("clac" ::: "memory");
}

USER static void user_touches(void)
{
  user_data++;
  USER_END;
}

void test(void)
{
  CHECK_EQ(TRY(user_code()), NONE);
  write_cr4(read_cr4() | SMEP);
  CHECK_EQ(TRY(user_code()), PF);
  CHECK_EQ(last.error, PF_P | PF_I);
  CHECK_EQ(last_cr2, (word)user_code);
  CHECK_EQ(user_data, 0x1234);
  CHECK_EQ(TRY(user(user_touches)), USER_DONE);
  write_cr4(read_cr4() & ~(word)SMEP);
  CHECK_EQ(TRY(user_code()), NONE);

  clac();
  write_cr4(read_cr4() | SMAP);
  CHECK_EQ(TRY((void)user_data), PF);
  CHECK_EQ(last.error, PF_P);
  CHECK_EQ(TRY(user_data = 5), PF);
  CHECK_EQ(last.error, PF_P | PF_W);
  stac();
  CHECK_EQ(user_data, 0x1235);
  user_data = 6;
  clac();
  CHECK_EQ(TRY((void)user_data), PF);
  CHECK_EQ(TRY(user_code()), NONE); // fetches are SMEP's matter
  CHECK_EQ(TRY(user(user_touches)), USER_DONE);

  // an LDT in a page of privilege 3: the processor's own read of it is refused in spite of AC
  stac();
  *(volatile uint64_t *)0x500008 = gdt[K_DATA / 8];
  gdt[GDT_FREE / 8] = descriptor(0x500000, 0xfff, 0x82, 0);
  asm volatile("lldt %w0" ::"r"(GDT_FREE));
  CHECK_EQ(TRY(asm volatile("stac; mov %w0, %%es" ::"r"(8 | 4))), PF);
  CHECK_EQ(last.error, PF_P);
  write_cr4(read_cr4() & ~(word)SMAP);
  CHECK_EQ(TRY(asm volatile("mov %w0, %%es" ::"r"(8 | 4))), NONE);
  CHECK_EQ(*(volatile uint64_t *)0x500008 & 1ull << 40, 1ull << 40); // the descriptor's accessed bit
  write_cr4(read_cr4() | SMAP);
  stac();
  CHECK(flags() >> 18 & 1);
  clac();
  CHECK(!(flags() >> 18 & 1));
}
