// A device writes code: what runs afterwards is what the disk held. Needs an IDE disk that begins with the
// four bytes 7F 45 4C 46, as an ELF file does: 7F 45 is JG to 47h behind its start.
#include "rt.h"

enum { DISK = 0x1f0, STATUS = 7, CONTROL = 0x3f6, BUSY = 0x80, IDE = 0x80000900 }; // 00:01.1

static uint32_t config(unsigned reg)
{
  outl(0xcf8, IDE | reg);
  return inl(0xcfc);
}

static uint32_t run(void *p)
{
  uint32_t v;
  asm volatile("cmp $-1, %1; call *%2" : "=a"(v) : "b"(0), "r"(p) : "memory", "cc"); // 0 > -1: JG jumps
  return v;
}

static void code(uint8_t *p, uint8_t v) // mov $v, %eax; ret
{
  static const uint8_t text[6] = {0xb8, 0, 0, 0, 0, 0xc3};
  for (unsigned i = 0; i < 6; i++)
    p[i] = text[i];
  p[1] = v;
}

void test(void)
{
  CHECK_EQ(config(8) >> 16, 0x0101); // an IDE controller
  outl(0xcf8, IDE | 4);
  outw(0xcfc, 5); // ports and bus master
  uint16_t bm = config(0x20) & 0xfffc;
  uint8_t *page = page_new(), *scratch = page_new();
  uint64_t *prd = page_new();
  prd[0] = (word)page | 4ull << 32;
  prd[1] = (word)scratch | 508ull << 32 | 1ull << 63;
  for (unsigned i = 0; i < 4; i++)
    page[i] = 0x90;
  code(page + 4, 1);
  code(page + 0x47, 2);
  for (unsigned i = 0; i < 100; i++)
    CHECK_EQ(run(page), 1);
  outb(CONTROL, 2); // no interrupt
  outb(bm + 0, 0);
  outl(bm + 4, (uint32_t)(word)prd);
  outb(bm + 2, 6);
  outb(DISK + 6, 0xe0);
  outb(DISK + 2, 1);
  outb(DISK + 3, 0);
  outb(DISK + 4, 0);
  outb(DISK + 5, 0);
  outb(DISK + STATUS, 0xc8); // READ DMA
  outb(bm + 0, 9);           // start, towards memory
  for (unsigned i = 0; i < 1000000 && ((inb(CONTROL) & BUSY) || (inb(bm + 2) & 1)); i++)
    ;
  outb(bm + 0, 0);
  CHECK_EQ(inb(DISK + STATUS) & 0x81, 0);
  CHECK_EQ(*(volatile uint32_t *)page, 0x464c457f);
  CHECK_EQ(run(page), 2);
}
