// Paging without long mode: two levels with 4 KB and 4 MB pages, PSE-36; PAE with 2 MB pages, its four
// pointers that are loaded with CR3, NX. APM2 5.2.
#include "rt.h"

#define VA 0x80000000u
enum { PSE = 16, PAE = 32 };
#define PG (1u << 31)

static uint32_t *directory, *table;
static uint64_t *pointers, *directory2, *table2;

static volatile uint32_t *const at = (volatile uint32_t *)VA;

static void two_levels(void)
{
  uint32_t *page = page_new();
  directory = page_new();
  table = page_new();
  write_cr4(PSE);
  for (unsigned i = 0; i < 64; i++)
    directory[i] = i << 22 | PT_P | PT_W | PT_PS;
  directory[0] |= PT_U;
  directory[1] |= PT_U;
  directory[1023 - 4] = 0xfec00000 | PT_P | PT_W | PT_PS;
  directory[VA >> 22] = (word)table | PT_P | PT_W | PT_U;
  table[0] = (word)page | PT_P | PT_W;
  write_cr3((word)directory);
  write_cr0(read_cr0() | PG);
  *at = 0x1234;
  CHECK_EQ(page[0], 0x1234);
  CHECK_EQ(table[0] & (PT_A | PT_D), PT_A | PT_D);
  CHECK_EQ(directory[VA >> 22] & PT_A, PT_A);
  CHECK_EQ(TRY((void)at[1024]), PF);
  CHECK_EQ(last.error, 0);
  CHECK_EQ(last_cr2, VA + 4096);
  // WP
  table[0] &= ~(uint32_t)PT_W;
  invlpg(VA);
  CHECK_EQ(TRY(*at = 1), NONE); // CR0.WP is clear here
  write_cr0(read_cr0() | 1 << 16);
  CHECK_EQ(TRY(*at = 2), PF);
  CHECK_EQ(last.error, PF_P | PF_W);
  CHECK_EQ(page[0], 1);
  // a 4 MB page above 4 GB by PSE-36 is no RAM here; its bits 20:13 are address, bit 21 is reserved
  *(volatile uint32_t *)0x1800000 = 0x5678;
  directory[VA >> 22] = 0x1800000 | PT_P | PT_W | PT_PS;
  invlpg(VA);
  CHECK_EQ(*at, 0x5678);
  directory[VA >> 22] |= 1 << 21;
  invlpg(VA);
  CHECK_EQ(TRY((void)*at), PF);
  CHECK_EQ(last.error, PF_P | PF_RSVD);
  // PS without CR4.PSE: an ordinary table
  directory[VA >> 22] = (word)table | PT_P | PT_W | PT_PS;
  table[0] = (word)page | PT_P | PT_W;
  write_cr3((word)directory);
  CHECK_EQ(*(volatile uint32_t *)0x1800000, 0x5678);
  write_cr0(read_cr0() & ~PG);
}

static void pae(void)
{
  uint32_t *page = page_new();
  page[0] = 0xaaaa;
  pointers = page_new();
  directory2 = page_new();
  uint64_t *high = page_new();
  table2 = page_new();
  for (unsigned i = 0; i < 64; i++)
    directory2[i] = (uint64_t)i << 21 | PT_P | PT_W | PT_PS;
  directory2[2] |= PT_U;
  pointers[0] = (word)directory2 | PT_P;
  pointers[2] = (word)high | PT_P;
  high[0] = (word)table2 | PT_P | PT_W;
  table2[0] = (word)page | PT_P | PT_W;
  table2[1] = (word)page | PT_P | PT_NX;
  write_cr4(PAE);
  pointers[3] = PT_P | PT_W; // reserved
  CHECK_EQ(TRY(write_cr3((word)pointers); write_cr0(read_cr0() | PG)), GP);
  CHECK(!(read_cr0() & PG));
  pointers[3] = 0;
  write_cr3((word)pointers);
  write_cr0(read_cr0() | PG);
  CHECK_EQ(*at, 0xaaaa);
  CHECK_EQ(TRY((void)*(volatile uint32_t *)0xc0000000), PF);
  CHECK_EQ(last.error, 0);
  // the pointers are read when CR3 is written, not at a walk
  uint64_t was = pointers[2];
  pointers[2] = 0;
  invlpg(VA);
  CHECK_EQ(*at, 0xaaaa);
  write_cr3((word)pointers);
  CHECK_EQ(TRY((void)*at), PF);
  pointers[2] = was;
  CHECK_EQ(TRY((void)*at), PF);
  write_cr3((word)pointers);
  CHECK_EQ(*at, 0xaaaa);
  pointers[2] = was | PT_W; // reserved: MOV CR3 faults and changes nothing
  CHECK_EQ(TRY(write_cr3((word)pointers)), GP);
  CHECK_EQ(*at, 0xaaaa);
  pointers[2] = was;
  // NX
  CHECK_EQ(TRY((void)at[1024]), PF); // bit 63 is reserved without EFER.NXE
  CHECK_EQ(last.error, PF_P | PF_RSVD);
  wrmsr(0xc0000080, rdmsr(0xc0000080) | 1 << 11);
  CHECK_EQ(at[1024], 0xaaaa);
  page[0] = 0xc3;
  CHECK_EQ(TRY(((void (*)(void))VA)()), NONE);
  CHECK_EQ(TRY(((void (*)(void))(VA + 4096))()), PF);
  CHECK_EQ(last.error, PF_P | PF_I);
  // 2 MB pages: bits 20:13 are reserved
  *(volatile uint32_t *)0x1800000 = 0x5678;
  high[0] = 0x1800000 | PT_P | PT_W | PT_PS;
  write_cr3((word)pointers);
  CHECK_EQ(*at, 0x5678);
  high[0] |= 1 << 13;
  invlpg(VA);
  CHECK_EQ(TRY((void)*at), PF);
  CHECK_EQ(last.error, PF_P | PF_RSVD);
  write_cr0(read_cr0() & ~PG);
}

void test(void)
{
  two_levels();
  pae();
}
