// Protection keys: PKRU decides about data in pages of privilege 3, by the key in the page's entry; fetches
// pass. APM2 5.6.7.
#include "rt.h"

enum { PKE = 1 << 22, KEY = 5 };

USER_DATA static volatile uint32_t guarded = 0x1234; // in the 2 MB page at 4 MB, as all that is USER

static uint32_t rdpkru(void)
{
  uint32_t a, d;
  asm volatile("rdpkru" : "=a"(a), "=d"(d) : "c"(0));
  return a;
}
static void wrpkru(uint32_t v)
{
  asm volatile("wrpkru" ::"a"(v), "c"(0), "d"(0) : "memory");
}

void test(void)
{
  uint64_t alias = 0x8000000000; // key 5; the stack of privilege 3 keeps key 0
  volatile uint32_t *data = (volatile uint32_t *)(alias | ((word)&guarded & 0x1fffff));
  *pt_entry(alias, 2) = 0x400000 | PT_PS | PT_P | PT_W | PT_U | (uint64_t)KEY << 59;
  invlpg(alias);
  CHECK_EQ(TRY(asm volatile("rdpkru" ::"c"(0) : "rax", "rdx")), UD);
  CHECK_EQ(*data, 0x1234); // without CR4.PKE the key is not looked at
  write_cr4(read_cr4() | PKE);
  uint32_t r[4];
  cpuid(7, 0, r);
  CHECK(r[2] >> 4 & 1); // OSPKE
  CHECK_EQ(TRY(asm volatile("rdpkru" ::"c"(1) : "rax", "rdx")), GP);
  CHECK_EQ(TRY(asm volatile("wrpkru" ::"a"(0), "c"(0), "d"(1))), GP);
  wrpkru(1u << (2 * KEY)); // AD: no access at all
  CHECK_EQ(rdpkru(), 1u << (2 * KEY));
  CHECK_EQ(TRY((void)*data), PF);
  CHECK_EQ(last.error, PF_P | PF_PK);
  CHECK_EQ(TRY(*data = 1), PF);
  CHECK_EQ(last.error, PF_P | PF_W | PF_PK);
  CHECK_EQ(guarded, 0x1234); // another key
  wrpkru(2u << (2 * KEY));   // WD: no writes, of privilege 0 only with CR0.WP
  CHECK_EQ(*data, 0x1234);
  CHECK_EQ(TRY(*data = 1), PF);
  CHECK_EQ(last.error, PF_P | PF_W | PF_PK);
  write_cr0(read_cr0() & ~(1ull << 16));
  CHECK_EQ(TRY(*data = 0x4321), NONE);
  write_cr0(read_cr0() | 1ull << 16);
  CHECK_EQ(guarded, 0x4321);
  wrpkru(3u << (2 * KEY));
  // a page of privilege 0 has no key
  *pt_entry(alias, 2) = 0x400000 | PT_PS | PT_P | PT_W | (uint64_t)KEY << 59;
  invlpg(alias);
  CHECK_EQ(TRY(*data = 0x55), NONE);
  CHECK_EQ(guarded, 0x55);
  // a fetch is not data
  static const uint8_t ret = 0xc3;
  *pt_entry(alias, 2) = PT_PS | PT_P | PT_W | PT_U | (uint64_t)KEY << 59; // the first 2 MB, where `ret` is
  invlpg(alias);
  CHECK_EQ(TRY(((void (*)(void))(alias + (word)&ret))()), NONE);
}
