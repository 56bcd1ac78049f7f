// The I/O APIC: edge and level interrupts, remote IRR and its end by EOI, masks, ISA inputs of timer and
// clock.
#include "rt.h"

#define IOAPIC 0xfec00000u
static volatile unsigned count;

static uint32_t rd(unsigned reg)
{
  *(volatile uint32_t *)(word)IOAPIC = reg;
  return *(volatile uint32_t *)(word)(IOAPIC + 0x10);
}
static void wr(unsigned reg, uint32_t v)
{
  *(volatile uint32_t *)(word)IOAPIC = reg;
  *(volatile uint32_t *)(word)(IOAPIC + 0x10) = v;
}

static void on_edge(struct frame *f)
{
  count++;
  eoi();
}

static void clock_quiet(void)
{
  outb(0x70, 0x0c);
  inb(0x71);
}

static void on_level(struct frame *f)
{
  if (++count == 3)
    wr(0x10 + 2 * 8, 1 << 16);
  eoi(); // the line is still high: the interrupt comes again
}

void test(void)
{
  outb(0x21, 0xff);
  outb(0xa1, 0xff);
  apic_write(A_SVR, 0x1ff);
  CHECK_EQ(rd(1) >> 16 & 0xff, 23); // 24 inputs
  // the timer, edge, input 2
  handler[0x60] = on_edge;
  wr(0x11 + 2 * 2, 0);
  wr(0x10 + 2 * 2, 0x60);
  outb(0x43, 0x34);
  outb(0x40, 1193 & 0xff);
  outb(0x40, 1193 >> 8);
  sti();
  while (count < 4)
    asm volatile("hlt");
  // masked: edges are lost
  wr(0x10 + 2 * 2, 0x60 | 1 << 16);
  unsigned was = count;
  uint64_t t = rdtsc();
  while (rdtsc() - t < 20000000)
    ;
  CHECK_EQ(count, was);
  cli();
  outb(0x43, 0x30);

  // the clock on input 8, as a level: the request lasts until register C is read
  clock_quiet();
  outb(0x70, 0x0a);
  outb(0x71, 0x26);
  outb(0x70, 0x0b);
  outb(0x71, 0x42);
  handler[0x61] = on_level;
  count = 0;
  wr(0x11 + 2 * 8, 0);
  wr(0x10 + 2 * 8, 0x61 | 1 << 15);
  sti();
  while (count < 3)
    asm volatile("hlt");
  cli();
  CHECK_EQ(count, 3);
  outb(0x70, 0x0b);
  outb(0x71, 0x02);
  clock_quiet();
  CHECK_EQ(rd(0x10 + 2 * 8) & 1 << 14, 0); // remote IRR went with EOI

  // remote IRR stands while the interrupt is in service
  wr(0x10 + 2 * 8, 0x62 | 1 << 15);
  outb(0x70, 0x0b);
  outb(0x71, 0x42);
  while (!(apic_read(A_IRR + 0x30) & 4))
    ;
  CHECK(rd(0x10 + 2 * 8) & 1 << 14);
  outb(0x70, 0x0b);
  outb(0x71, 0x02);
  clock_quiet();
  handler[0x62] = on_edge;
  sti();
  asm volatile("nop");
  cli();
  CHECK_EQ(count, 4);
  CHECK_EQ(rd(0x10 + 2 * 8) & 1 << 14, 0);
}
