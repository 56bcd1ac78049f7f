// A device that accesses any address on command (docs/pacifica-dma.md): it moves memory past the processor,
// says where nobody answered, and interrupts by a message. Needs -device pacifica-dma.
#include "config.h"
#include "rt.h"

enum {
  COMMAND = 1,
  STATUS,
  INTERRUPT,
  SOURCE = 4,
  DEST = 6,
  LENGTH = 8,
  PATTERN,
  DATA,
  FAIL = 12,
  MOVED = 15
};
enum { COPY = 1, FILL, CHECK_, COMPARE, READ, WRITE, IO_READ, MESSAGE = 11, IRQ = 0x100 };
enum { BUSY = 1, DONE = 2, ABORT = 4, MISMATCH = 8 };
enum { BASE = 0xe0000000, VECTOR = 0x51 };

static volatile uint32_t *const reg = (volatile uint32_t *)BASE;
static volatile unsigned interrupts;

static unsigned find(void)
{
  for (unsigned d = 0; d < 32; d++)
    if (config_read(0, d, 0, 0) == 0x50441234)
      return d;
  return 32;
}

static void set64(unsigned r, uint64_t v)
{
  reg[r] = (uint32_t)v;
  reg[r + 1] = (uint32_t)(v >> 32);
}

static uint32_t run(uint32_t command, uint64_t source, uint64_t dest, uint32_t length)
{
  set64(SOURCE, source);
  set64(DEST, dest);
  reg[LENGTH] = length;
  reg[COMMAND] = command;
  for (unsigned i = 0; i < 10000000 && (reg[STATUS] & BUSY); i++)
    ;
  return reg[STATUS];
}

static void on_message(struct frame *f)
{
  interrupts++;
  eoi();
}

static void message(unsigned device)
{
  unsigned cap = config_read(0, device, 0, 0x34) & 0xff;
  CHECK_EQ(config_read(0, device, 0, cap) & 0xff, 5);
  handler[VECTOR] = on_message;
  apic_write(A_SVR, 0x1ff);
  config_write(0, device, 0, cap + 4, LAPIC);
  config_write(0, device, 0, cap + 8, 0);
  config_write(0, device, 0, cap + 12, VECTOR);
  config_write(0, device, 0, cap, 0x10000);
  sti();
  CHECK_EQ(run(FILL | IRQ, 0, (word)page_new(), 4), DONE);
  CHECK_EQ(interrupts, 1);
  reg[PATTERN] = VECTOR;
  CHECK_EQ(run(MESSAGE, 0, 0, 0), DONE);
  CHECK_EQ(interrupts, 2);
  cli();
}

void test(void)
{
  unsigned device = find();
  CHECK(device < 32);
  config_write(0, device, 0, 0x10, BASE);
  config_write(0, device, 0, 4, 6); // memory, bus master
  CHECK_EQ(reg[0], 0x50440100);
  uint32_t *a = page_new(), *b = page_new();
  for (unsigned i = 0; i < 1024; i++)
    a[i] = i * 0x01010101;
  CHECK_EQ(run(COPY, (word)a, (word)b, 4096), DONE);
  for (unsigned i = 0; i < 1024; i++)
    CHECK_EQ(b[i], i * 0x01010101);
  CHECK_EQ(run(COMPARE, (word)a, (word)b, 4096), DONE);
  b[1000] ^= 0x100;
  CHECK_EQ(run(COMPARE, (word)a, (word)b, 4096), DONE | MISMATCH);
  CHECK_EQ(reg[FAIL], (uint32_t)(word)a + 4001);
  set64(DATA, 0x600dcafe);
  CHECK_EQ(run(WRITE, 0, (word)b, 4), DONE);
  CHECK_EQ(b[0], 0x600dcafe);
  CHECK_EQ(run(READ, 1ull << 44, 0, 8), DONE | ABORT);
  CHECK_EQ(reg[DATA], 0xffffffff);
  CHECK_EQ(reg[FAIL + 1], 1u << 12);
  CHECK_EQ(config_read(0, device, 0, 4) >> 29 & 1, 1); // received master abort
  config_write(0, device, 0, 4, 2);                    // bus mastering off
  CHECK_EQ(run(READ, (word)a, 0, 4), DONE | ABORT);
  config_write(0, device, 0, 4, 6);
  message(device);
}
