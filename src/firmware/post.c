// What the power-on self-test of a BIOS leaves behind in the chips. See post.h.
//
// Kernels rely on some of it: base vectors of the 8259s, a timer that ticks, PCI devices that have
// addresses. Everything is done by port cycles, so it works on whatever board answers; a chip is
// recognized by its PCI identity.
#include "firmware/post.h"

#include "bus/pci.h"
#include "firmware/bytes.h"

enum {
  I440FX = 0x12378086,
  PIIX3_ISA = 0x70008086,
  PIIX4_ISA = 0x71108086,
  PIIX4_PM = 0x71138086,
  IO_FIRST = 0xc000, // ports for BARs; those below belong to the board
  IO_END = 0x10000,
  SMBUS_BASE = 0x700,
};
#define MEM_FIRST 0xe0000000u // memory for 32-bit BARs begins here, or where RAM ends

// ISA interrupts that PIRQA to PIRQD are routed to.
static const uint8_t pirq_irq[4] = {10, 10, 11, 11};

struct post {
  struct bus *bus;
  unsigned pci; // the PCI bus at hand, and what is left of its windows
  uint64_t mem, mem_end;
  uint32_t io, io_end;
};

static void out(struct post *p, uint16_t port, unsigned size, uint32_t v)
{
  struct txn t = {.addr = port, .size = size, .requester = TXN_FROM_CPU, .kind = TXN_WRITE, .space = TXN_IO};
  uint64_t value = v;
  bus_access(p->bus, &t, &value);
}

static uint32_t in(struct post *p, uint16_t port, unsigned size)
{
  struct txn t = {.addr = port, .size = size, .requester = TXN_FROM_CPU, .kind = TXN_READ, .space = TXN_IO};
  uint64_t value = UINT64_MAX;
  bus_access(p->bus, &t, &value);
  return (uint32_t)(value & (UINT64_MAX >> (64 - 8 * size)));
}

static void chips(struct post *p)
{
  static const struct {
    uint16_t port;
    uint8_t value;
  } writes[] = {
      {0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0xfa}, // 8259s: vectors 08h and 70h,
      {0xa0, 0x11}, {0xa1, 0x70}, {0xa1, 0x02}, {0xa1, 0x01}, {0xa1, 0xff}, // timer and cascade open
      {0x43, 0x34}, {0x40, 0x00}, {0x40, 0x00}, // 8254: counter 0 divides by 65536
      {0x43, 0x54}, {0x41, 0x12},               // counter 1: refresh
      {0x70, 0x0a}, {0x71, 0x26},               // RTC: 32768 Hz base, 1024 Hz rate
      {0x70, 0x0b}, {0x71, 0x02},               // 24 hours, BCD, no interrupts
      {0xd6, 0xc0}, {0xd4, 0x00},               // DMA: cascade
      {0x92, 0x02},                             // A20
  };
  for (unsigned i = 0; i < sizeof writes / sizeof writes[0]; i++)
    out(p, writes[i].port, 1, writes[i].value);
}

static void select_config(struct post *p, unsigned devfn, unsigned reg)
{
  out(p, 0xcf8, 4, 0x80000000u | p->pci << 16 | devfn << 8 | (reg & 0xfc));
}

static uint32_t config_get(struct post *p, unsigned devfn, unsigned reg, unsigned size)
{
  select_config(p, devfn, reg);
  return in(p, (uint16_t)(0xcfc + (reg & 3)), size);
}

static void config_put(struct post *p, unsigned devfn, unsigned reg, unsigned size, uint32_t v)
{
  select_config(p, devfn, reg);
  out(p, (uint16_t)(0xcfc + (reg & 3)), size, v);
}

static void known_chip(struct post *p, unsigned devfn, uint32_t id)
{
  switch (id) {
  case I440FX: // C0000-FFFFF is RAM
    config_put(p, devfn, 0x59, 1, 0x30);
    for (unsigned reg = 0x5a; reg <= 0x5f; reg++)
      config_put(p, devfn, reg, 1, 0x33);
    break;
  case PIIX3_ISA:
  case PIIX4_ISA: {
    uint16_t level = 0;
    for (unsigned i = 0; i < 4; i++) {
      config_put(p, devfn, 0x60 + i, 1, pirq_irq[i]);
      level |= (uint16_t)(1u << pirq_irq[i]);
    }
    out(p, 0x4d0, 1, level & 0xff);
    out(p, 0x4d1, 1, level >> 8);
    break;
  }
  case PIIX4_PM:
    config_put(p, devfn, 0x40, 4, BOARD_PM_BASE | 1);
    config_put(p, devfn, 0x80, 1, 1); // decode it
    config_put(p, devfn, 0x90, 4, SMBUS_BASE | 1);
    config_put(p, devfn, 0xd2, 1, 9); // SMBus host on, IRQ
    config_put(p, devfn, PCI_COMMAND, 2, PCI_COMMAND_IO);
    break;
  }
}

struct bar {
  unsigned reg; // in configuration space
  bool io, wide;
  uint64_t size; // 0: none
};

static struct bar size_bar(struct post *p, unsigned devfn, unsigned reg)
{
  struct bar b = {.reg = reg};
  uint32_t was = config_get(p, devfn, reg, 4);
  config_put(p, devfn, reg, 4, 0xffffffff);
  uint32_t v = config_get(p, devfn, reg, 4);
  config_put(p, devfn, reg, 4, was);
  b.io = v & 1;
  b.wide = !b.io && (v & 6) == 4;
  uint32_t mask = v & (b.io ? ~3u : ~15u);
  if (b.io)
    mask |= 0xffff0000u; // bits 31:16 need not be there
  if (v)
    b.size = (uint32_t)-mask;
  return b;
}

// Gives every BAR of exactly `size` bytes its place: BARs come from the largest to the smallest, so each
// place is aligned.
static void assign(struct post *p, unsigned devfn, const struct bar *b, uint64_t size)
{
  if (b->size != size)
    return;
  uint64_t at;
  if (b->io) {
    at = align_up(p->io, size);
    if (at + size > p->io_end)
      return;
    p->io = (uint32_t)(at + size);
  } else {
    at = align_up(p->mem, size);
    if (at + size > p->mem_end)
      return;
    p->mem = at + size;
  }
  config_put(p, devfn, b->reg, 4, (uint32_t)at);
  if (b->wide)
    config_put(p, devfn, b->reg + 4, 4, 0);
  uint32_t command = config_get(p, devfn, PCI_COMMAND, 2);
  config_put(p, devfn, PCI_COMMAND, 2, command | (b->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY));
}

enum { FUNCTIONS = 256, BARS = 6 };

struct inventory {
  unsigned count;
  struct {
    uint8_t devfn;
    struct bar bar[BARS];
  } f[FUNCTIONS];
};

// Lists the functions of the bus that have BARs, and does what needs no list.
static void enumerate(struct post *p, struct inventory *inv)
{
  for (unsigned devfn = 0; devfn < FUNCTIONS; devfn++) {
    uint32_t id = config_get(p, devfn, PCI_VENDOR_ID, 4);
    if ((id & 0xffff) == 0xffff || (id & 0xffff) == 0)
      continue;
    known_chip(p, devfn, id);
    uint8_t pin = (uint8_t)config_get(p, devfn, PCI_INTERRUPT_PIN, 1);
    if (pin >= 1 && pin <= 4) {
      uint8_t irq = id == PIIX4_PM ? BOARD_SCI : pirq_irq[(pin - 1 + (devfn >> 3) + 3) & 3];
      config_put(p, devfn, PCI_INTERRUPT_LINE, 1, irq);
    }
    // Bridges keep their base addresses for themselves.
    if (config_get(p, devfn, PCI_CLASS_DEVICE + 1, 1) == 6 ||
        (config_get(p, devfn, PCI_HEADER_TYPE, 1) & 0x7f))
      continue;
    unsigned n = inv->count++;
    inv->f[n].devfn = (uint8_t)devfn;
    for (unsigned i = 0; i < BARS; i++) {
      inv->f[n].bar[i] = size_bar(p, devfn, PCI_BAR0 + 4 * i);
      if (inv->f[n].bar[i].wide && ++i == BARS)
        inv->f[n].bar[BARS - 1].size = 0; // there is no place for its other half
    }
  }
}

static void assign_bus(struct post *p)
{
  struct inventory inv = {0};
  enumerate(p, &inv);
  for (uint64_t size = 1ull << 31; size >= 4; size >>= 1)
    for (unsigned i = 0; i < inv.count; i++)
      for (unsigned j = 0; j < BARS; j++)
        assign(p, inv.f[i].devfn, &inv.f[i].bar[j], size);
}

void post_run(struct bus *bus, const struct board *b)
{
  struct post p = {.bus = bus, .io = IO_FIRST, .io_end = IO_END, .mem_end = BOARD_PCI32_END};
  uint64_t first = b->chains ? BOARD_CHAIN_MEM_END : MEM_FIRST;
  p.mem = b->ram_below_4g > first ? b->ram_below_4g : first;
  bus_begin(bus);
  chips(&p);
  assign_bus(&p);
  for (unsigned i = 0; i < b->chains; i++) {
    const struct board_chain *c = &b->chain[i];
    p = (struct post){.bus = bus,
                      .pci = c->first_bus,
                      .io = c->io_base,
                      .io_end = c->io_base + c->io_size,
                      .mem = c->mem_base,
                      .mem_end = (uint64_t)c->mem_base + c->mem_size};
    assign_bus(&p);
  }
  out(&p, 0xcf8, 4, 0);
  bus_commit(bus);
}
