// The 8259s: vectors, masks, priority, end of interrupt, spurious interrupts; the 8254 at their input 0.
#include "rt.h"

enum { M = 0x20, S = 0xa0 };
static volatile unsigned ticks, keyboard, spurious, order;

static void tick(struct frame *f)
{
  ticks++;
  outb(M, 0x20);
}

static void rtc(struct frame *f)
{
  order = order * 10 + 8;
  outb(0x70, 0x0c);
  inb(0x71);
  outb(S, 0x20);
  outb(M, 0x20);
}

static void tick_ordered(struct frame *f)
{
  order = order * 10 + 1;
  outb(M, 0x20);
}

static void on_spurious(struct frame *f)
{
  spurious++;
}

static void init(uint8_t mask_m, uint8_t mask_s)
{
  outb(M, 0x11);
  outb(M + 1, 0x50);
  outb(M + 1, 4);
  outb(M + 1, 1);
  outb(S, 0x11);
  outb(S + 1, 0x58);
  outb(S + 1, 2);
  outb(S + 1, 1);
  outb(M + 1, mask_m);
  outb(S + 1, mask_s);
}

static void pit(uint8_t mode, uint16_t n)
{
  outb(0x43, mode);
  outb(0x40, n & 0xff);
  outb(0x40, n >> 8);
}

static uint8_t irr(uint16_t port)
{
  outb(port, 0x0a);
  return inb(port);
}

static uint8_t isr(uint16_t port)
{
  outb(port, 0x0b);
  return inb(port);
}

void test(void)
{
  apic_write(A_SVR, 0x1ff);
  apic_write(A_LINT0, 0x700); // the wire from the 8259
  handler[0x50] = tick;
  init(0xfe, 0xff);
  pit(0x34, 1193); // 1 ms
  sti();
  while (ticks < 5)
    asm volatile("hlt");
  cli();
  // masked: the request waits
  outb(M + 1, 0xff);
  while (!(irr(M) & 1))
    ;
  sti();
  unsigned was = ticks;
  for (unsigned i = 0; i < 1000; i++)
    asm volatile("nop");
  CHECK_EQ(ticks, was);
  outb(M + 1, 0xfe);
  asm volatile("nop");
  CHECK(ticks > was);
  cli();

  // one-shot: a single interrupt, in service until its end is told
  pit(0x30, 100);
  outb(M + 1, 0xfe);
  handler[0x50] = tick_ordered;
  while (!(irr(M) & 1))
    ;
  handler[0x50] = on_spurious; // no end of interrupt here
  sti();
  asm volatile("nop");
  cli();
  CHECK_EQ(spurious, 1);
  CHECK_EQ(isr(M), 1);
  CHECK_EQ(irr(M) & 1, 0);
  outb(M, 0x60); // specific end of 0
  CHECK_EQ(isr(M), 0);

  // timer and clock wait together: 0 comes before 8, that is input 2
  handler[0x50] = tick_ordered;
  handler[0x58] = rtc;
  outb(0x70, 0x0a);
  outb(0x71, 0x26);
  outb(0x70, 0x0b);
  outb(0x71, 0x42); // periodic, 24 hours
  outb(0x70, 0x0c);
  inb(0x71);
  outb(M + 1, 0xfa);
  outb(S + 1, 0xfe);
  pit(0x30, 100);
  while (!(irr(M) & 1) || !(irr(S) & 1))
    ;
  CHECK_EQ(irr(M) & 4, 4); // the slave's request
  sti();
  asm volatile("nop; nop; nop; nop");
  cli();
  CHECK_EQ(order, 18);
  outb(0x70, 0x0b);
  outb(0x71, 0x02);

  // a request that is gone when the processor asks: input 7, not in service
  spurious = 0;
  handler[0x57] = on_spurious;
  init(0xff, 0xff);
  pit(0x34, 1193);
  outb(M, 0x0c); // poll: reads as a vector, and acknowledges
  outb(M + 1, 0xfe);
  while (!(irr(M) & 1))
    ;
  outb(M, 0x0c);
  CHECK_EQ(inb(M), 0x80);
  CHECK_EQ(isr(M), 1);
  outb(M, 0x20);
  CHECK_EQ(isr(M), 0);
  outb(M + 1, 0xff);
}
