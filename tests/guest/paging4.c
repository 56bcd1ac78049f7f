// Four-level paging: 4 KB, 2 MB and 1 GB pages, rights combined over the levels, accessed and dirty bits,
// reserved bits, and what the error code says. APM2 5.3, 5.6, 8.4.2.
#include "rt.h"

#define VA 0x8000000000ull
enum { OK = 0x1000, P = PF_P, W = PF_W, U = PF_U, I = PF_I, R = PF_RSVD };

USER static void user_read(void)
{
  asm volatile("mov %0, %%rax; mov (%%rax), %%eax" ::"i"(VA) : "rax");
  USER_END;
}
USER static void user_write(void)
{
  asm volatile("mov %0, %%rax; movl $0x80cd80cd, (%%rax)" ::"i"(VA) : "rax", "memory");
  USER_END;
}
USER static void user_fetch(void)
{
  asm volatile("mov %0, %%rax; jmp *%%rax" ::"i"(VA) : "rax");
}

static unsigned result(unsigned vector)
{
  return vector == NONE || vector == USER_DONE ? OK : vector == PF ? last.error : 0x2000 + vector;
}

// What reads, writes of privilege 0, reads, writes and fetches of privilege 3 give: OK or a #PF's error code.
static void row(unsigned line, unsigned kr, unsigned kw, unsigned ur, unsigned uw, unsigned ux)
{
  unsigned want[5] = {kr, kw, ur, uw, ux};
  for (unsigned i = 0; i < 5; i++) {
    unsigned have;
    invlpg(VA);
    switch (i) {
    case 0:
      have = result(TRY((void)*(volatile uint32_t *)VA));
      break;
    case 1:
      have = result(TRY(*(volatile uint32_t *)VA = 0x80cd80cd)); // int $0x80, twice
      break;
    default:
      have = result(TRY(user(i == 2 ? user_read : i == 3 ? user_write : user_fetch)));
    }
    if (have != want[i]) {
      print("access ");
      print_hex(i);
      print(", line (hexadecimal) ");
      print_hex(line);
      fail("\npaging4.c", "error code", have, want[i]);
    }
  }
}
#define ROW(...) row(__LINE__, __VA_ARGS__)

static void rights(unsigned level, uint64_t page)
{
  uint64_t size = level == 1 ? 0 : PT_PS;
  volatile uint64_t *e = pt_entry(VA, level), *upper = pt_entry(VA, 4);
  uint64_t upper_all = *upper;
  *e = 0;
  ROW(0, W, U, U | W, U | I);
  *e = page | size | PT_P | PT_W | PT_U;
  ROW(OK, OK, OK, OK, OK);
  *e = page | size | PT_P | PT_U;
  ROW(OK, P | W, OK, P | U | W, OK);
  *e = page | size | PT_P | PT_W;
  ROW(OK, OK, P | U, P | U | W, P | U | I);
  *e = page | size | PT_P | PT_W | PT_U | PT_NX;
  ROW(OK, OK, OK, OK, P | U | I);
  *e = page | size | PT_P | PT_W | PT_U | 1ull << 51; // beyond the physical address bits
  ROW(P | R, P | R | W, P | R | U, P | R | U | W, P | R | U | I);
  if (level > 1) {
    *e = page | size | PT_P | PT_W | PT_U | 1u << 13; // of a large page: reserved; bit 12 is PAT
    ROW(P | R, P | R | W, P | R | U, P | R | U | W, P | R | U | I);
    *e = page | size | PT_P | PT_W | PT_U | 1u << 12;
    ROW(OK, OK, OK, OK, OK);
  }
  *e = page | size | PT_P | PT_W | PT_U;
  *upper = upper_all & ~(uint64_t)PT_W;
  ROW(OK, P | W, OK, P | U | W, OK);
  *upper = upper_all & ~(uint64_t)PT_U;
  ROW(OK, OK, P | U, P | U | W, P | U | I);
  *upper = upper_all | PT_NX;
  ROW(OK, OK, OK, OK, P | U | I);
  *upper = upper_all | PT_PS; // reserved in level 4
  ROW(P | R, P | R | W, P | R | U, P | R | U | W, P | R | U | I);
  *upper = upper_all & ~(uint64_t)PT_P;
  ROW(0, W, U, U | W, U | I);
  *upper = upper_all;
  // without WP, privilege 0 writes where it may read
  *e = page | size | PT_P | PT_U;
  write_cr0(read_cr0() & ~(1ull << 16));
  ROW(OK, OK, OK, P | U | W, OK);
  write_cr0(read_cr0() | 1ull << 16);
  ROW(OK, P | W, OK, P | U | W, OK);
  // without NXE, bit 63 is reserved and fetches are not told apart
  *e = page | size | PT_P | PT_W | PT_U | PT_NX;
  wrmsr(0xc0000080, rdmsr(0xc0000080) & ~(1ull << 11));
  ROW(P | R, P | R | W, P | R | U, P | R | U | W, P | R | U);
  wrmsr(0xc0000080, rdmsr(0xc0000080) | 1ull << 11);
  // accessed and dirty bits
  *e = page | size | PT_P | PT_W | PT_U;
  invlpg(VA);
  *upper &= ~(uint64_t)PT_A;
  CHECK(!(*e & (PT_A | PT_D)));
  (void)*(volatile uint8_t *)VA;
  CHECK_EQ(*e & (PT_A | PT_D), PT_A);
  CHECK(*upper & PT_A);
  *(volatile uint8_t *)(VA + 8) = 1;
  CHECK_EQ(*e & (PT_A | PT_D), PT_A | PT_D);
  // a write that is refused leaves both clear
  *e = page | size | PT_P;
  invlpg(VA);
  CHECK_EQ(TRY(*(volatile uint8_t *)(VA + 8) = 1), PF);
  CHECK(!(*e & PT_D));
}

void test(void)
{
  uint32_t r[4];
  uint32_t *code = page_new();
  *code = 0x80cd80cd;
  rights(1, (uint64_t)code);
  *pt_entry(VA, 2) = 0;
  *(volatile uint32_t *)0x2000000 = 0x80cd80cd;
  rights(2, 0x2000000);
  cpuid(0x80000001, 0, r);
  if (r[3] >> 26 & 1) {
    *pt_entry(VA, 3) = 0;
    *(volatile uint32_t *)0 = 0x80cd80cd;
    rights(3, 0);
  }
}
