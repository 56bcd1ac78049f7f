// Translations are kept by process-context identifier; what removes them is what the manual says: CR3 without
// bit 63, INVLPG, the four kinds of INVPCID. Global pages stay over CR3 and go with CR4.PGE. APM2 5.5.
#include "rt.h"

enum { PCIDE = 1 << 17, PGE = 1 << 7 };
#define VA   0x8000000000ull
#define KEEP (1ull << 63)

static uint32_t *a, *b;
static uint64_t root;

static void invpcid(uint64_t kind, uint64_t pcid, uint64_t address)
{
  uint64_t d[2] = {pcid, address};
  asm volatile("invpcid %0, %1" ::"m"(d), "r"(kind) : "memory");
}

static uint32_t look(void)
{
  return *(volatile uint32_t *)VA;
}

// Brings the translation VA -> a into the context `pcid`, then changes the page table to b without telling.
static void load_then_change(unsigned pcid, uint64_t g)
{
  *pt_entry(VA, 1) = (uint64_t)a | PT_P | PT_W | g;
  write_cr3(root | pcid); // flushes this context
  invlpg(VA);             // and what is global
  CHECK_EQ(look(), 0xaaaa);
  *pt_entry(VA, 1) = (uint64_t)b | PT_P | PT_W | g;
}

void test(void)
{
  uint32_t r[4];
  cpuid(7, 0, r);
  bool has_invpcid = r[1] >> 10 & 1;
  a = page_new();
  b = page_new();
  *a = 0xaaaa;
  *b = 0xbbbb;
  root = read_cr3();
  map(VA, (uint64_t)a | PT_P | PT_W); // makes the tables
  CHECK_EQ(TRY(write_cr3(root | KEEP)), GP);
  write_cr3(root | 5);
  CHECK_EQ(TRY(write_cr4(read_cr4() | PCIDE)), GP); // only from PCID 0
  write_cr3(root);
  write_cr4(read_cr4() | PCIDE);
  CHECK_EQ(read_cr3(), root);

  // INVLPG and CR3 without bit 63 remove; the new translation must be seen
  load_then_change(1, 0);
  invlpg(VA);
  CHECK_EQ(look(), 0xbbbb);
  load_then_change(1, 0);
  write_cr3(root | 1);
  CHECK_EQ(look(), 0xbbbb);
  CHECK_EQ(read_cr3(), root | 1); // bit 63 is not kept
  // another context never sees this one's translation
  load_then_change(1, 0);
  write_cr3(root | 2 | KEEP);
  invlpg(VA);
  CHECK_EQ(look(), 0xbbbb);
  write_cr3(root | 1); // not kept: flushed
  CHECK_EQ(look(), 0xbbbb);
  // a global translation may be used from any context, but not after CR4.PGE or INVLPG
  write_cr4(read_cr4() | PGE);
  load_then_change(1, PT_G);
  write_cr4(read_cr4() & ~(word)PGE);
  CHECK_EQ(look(), 0xbbbb);
  write_cr4(read_cr4() | PGE);
  load_then_change(1, PT_G);
  invlpg(VA);
  CHECK_EQ(look(), 0xbbbb);
  // all contexts lose theirs when CR4.PCIDE goes
  load_then_change(0, 0);
  write_cr4(read_cr4() & ~(word)PCIDE);
  CHECK_EQ(look(), 0xbbbb);
  write_cr4(read_cr4() | PCIDE);
  if (has_invpcid) {
    load_then_change(3, 0);
    write_cr3(root | 4 | KEEP);
    invpcid(0, 3, VA); // one address of one context
    write_cr3(root | 3 | KEEP);
    CHECK_EQ(look(), 0xbbbb);
    load_then_change(3, 0);
    write_cr3(root | 4 | KEEP);
    invpcid(1, 3, 0); // one context
    write_cr3(root | 3 | KEEP);
    CHECK_EQ(look(), 0xbbbb);
    load_then_change(3, PT_G);
    invpcid(2, 0, 0); // all, global ones too
    CHECK_EQ(look(), 0xbbbb);
    load_then_change(3, 0);
    invpcid(3, 0, 0); // all but global ones
    CHECK_EQ(look(), 0xbbbb);
    CHECK_EQ(TRY(invpcid(4, 0, 0)), GP);
    CHECK_EQ(TRY(invpcid(0, 0x1000, 0)), GP);
    CHECK_EQ(TRY(invpcid(0, 0, 0x800000000000)), GP);
  }
  CHECK_EQ(TRY(write_cr0(read_cr0() & ~(1ull << 31))), GP); // paging cannot go while PCIDs are on
}
