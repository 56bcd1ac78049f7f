// Each node's I/O chain has its buses and its window in all northbridges' maps; a device there answers on
// them, interrupts by its pin through the I/O APIC, and by message. BKDG 31116: F1x80, F1xE0.
#include "nodes.h"

#define IOAPIC 0xfec00000u
enum { VECTOR = 0x61, MESSAGE = 0x62 };

static struct dma now;
static volatile unsigned pins, messages;

static void on_pin(struct frame *f)
{
  pins++;
  now.reg[R_INTERRUPT] = 1; // the wire goes low
  eoi();
}

static void on_message(struct frame *f)
{
  messages++;
  eoi();
}

static void ioapic(unsigned reg, uint32_t v)
{
  *(volatile uint32_t *)(word)IOAPIC = reg;
  *(volatile uint32_t *)(word)(IOAPIC + 0x10) = v;
}

static void interrupts(unsigned irq)
{
  CHECK(irq == 10 || irq == 11);
  ioapic(0x11 + 2 * irq, 0);
  ioapic(0x10 + 2 * irq, VECTOR | 1 << 15);
  pins = messages = 0;
  sti();
  CHECK_EQ(dma_run(now, D_READ | D_IRQ, 0x1000, 4), D_DONE);
  for (unsigned i = 0; i < 10000 && !pins; i++)
    asm volatile("pause");
  CHECK_EQ(pins, 1);
  cli();
  ioapic(0x10 + 2 * irq, 1 << 16);
  unsigned cap = config_read(now.bus, now.device, 0, 0x34) & 0xff;
  CHECK_EQ(config_read(now.bus, now.device, 0, cap) & 0xff, 5);
  config_write(now.bus, now.device, 0, cap + 4, LAPIC);
  config_write(now.bus, now.device, 0, cap + 8, 0);
  config_write(now.bus, now.device, 0, cap + 12, MESSAGE);
  config_write(now.bus, now.device, 0, cap, 0x10000);
  sti();
  CHECK_EQ(dma_run(now, D_READ | D_IRQ, 0x1000, 4), D_DONE);
  for (unsigned i = 0; i < 10000 && !messages; i++)
    asm volatile("pause");
  cli();
  CHECK_EQ(messages, 1);
  CHECK_EQ(pins, 1);
}

void test(void)
{
  unsigned n = nodes();
  outb(0x21, 0xff);
  outb(0xa1, 0xff);
  apic_write(A_SVR, 0x1ff);
  handler[VECTOR] = on_pin;
  handler[MESSAGE] = on_message;
  allow_extended();
  for (unsigned node = 0; node < n; node++) {
    now = dma_of(node);
    CHECK_EQ(now.reg[R_REQUESTER] & 0xffff, now.bus << 8 | now.device << 3);
    CHECK_EQ(now.reg[R_REQUESTER] >> 24 & 7, node);
    bool found = false;
    for (unsigned k = 0; k < 8; k++) {
      uint32_t base = nb(node, 1, 0x80 + 8 * k), limit = nb(node, 1, 0x84 + 8 * k);
      CHECK_EQ(base, nb(0, 1, 0x80 + 8 * k));
      CHECK_EQ(limit, nb(0, 1, 0x84 + 8 * k));
      uint64_t first = (uint64_t)(base & 0xffffff00) << 8,
               last = (uint64_t)(limit & 0xffffff00) << 8 | 0xffff;
      if ((base & 3) == 3 && (word)now.reg >= first && (word)now.reg <= last) {
        CHECK_EQ(limit & 7, node);
        found = true;
      }
    }
    CHECK(found);
    interrupts(config_read(now.bus, now.device, 0, 0x3c) & 0xff);
  }
}
