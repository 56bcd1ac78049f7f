// A disk controller writes code, its data on the way from image to memory without a buffer: what runs
// afterwards is what the disk held. As smc_dma.c; needs an AHCI controller and at its first port a disk that
// begins with the four bytes 7F 45 4C 46, as an ELF file does: 7F 45 is JG to 47h behind its start.
#include "config.h"
#include "rt.h"

enum { BASE = 0xe0000000, GHC = 1, PORT = 0x100 / 4 };
enum { CLB, CLBU, FB, FBU, IS, CMD = 6, TFD = 8, SERR = 12, CI = 14 };
enum { START = 1, RECEIVE = 0x10, ERRORS = 1 << 30 | 1 << 29, TIMES = 5000 };

static volatile uint32_t *const hba = (volatile uint32_t *)BASE;
static volatile uint32_t *const port = (volatile uint32_t *)BASE + PORT;

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

static unsigned find(void)
{
  for (unsigned d = 0; d < 32; d++)
    if (config_read(0, d, 0, 8) >> 8 == 0x010601)
      return d;
  fail(HERE, "there is an AHCI controller", 0, 1);
}

// READ DMA EXT of sector 0: four bytes to `page`, the others elsewhere.
static void read_sector(uint8_t *page)
{
  uint32_t *list = page_new(), *table = page_new(), *prd = table + 0x80 / 4;
  uint8_t *fis = (uint8_t *)table, *received = page_new(), *scratch = page_new();
  list[0] = 5 | 2 << 16; // a FIS of five words, two descriptors
  list[2] = (uint32_t)(word)table;
  fis[0] = 0x27;
  fis[1] = 0x80;
  fis[2] = 0x25;
  fis[7] = 0x40;
  fis[12] = 1;
  prd[0] = (uint32_t)(word)page;
  prd[3] = 4 - 1;
  prd[4] = (uint32_t)(word)scratch;
  prd[7] = 508 - 1;
  port[CLB] = (uint32_t)(word)list;
  port[CLBU] = 0;
  port[FB] = (uint32_t)(word)received;
  port[FBU] = 0;
  port[SERR] = ~0u;
  port[IS] = ~0u;
  port[CMD] |= RECEIVE;
  port[CMD] |= START;
  port[CI] = 1;
  for (unsigned i = 0; i < 1000000 && port[CI] && !(port[IS] & ERRORS); i++)
    ;
  CHECK_EQ(port[CI], 0);
  CHECK_EQ(port[TFD] & 0x81, 0);
  CHECK_EQ(list[1], 512);
}

void test(void)
{
  unsigned device = find();
  config_write(0, device, 0, 0x24, BASE);
  config_write(0, device, 0, 4, 6); // memory and bus master
  hba[GHC] = 1u << 31;
  uint8_t *page = page_new();
  for (unsigned i = 0; i < 4; i++)
    page[i] = 0x90;
  code(page + 4, 1);
  code(page + 0x47, 2);
  for (unsigned i = 0; i < TIMES; i++)
    CHECK_EQ(run(page), 1);
  read_sector(page);
  CHECK_EQ(*(volatile uint32_t *)page, 0x464c457f);
  CHECK_EQ(run(page), 2);
}
