// I/O APIC; see ioapic.h.
#include "chipset/ioapic.h"

enum {
  REG_SELECT = 0x00,
  REG_WINDOW = 0x10,
  REG_EOI = 0x40,
  VERSION = 0x20,
};

#define ENTRY_VECTOR     0xffu
#define ENTRY_DELIVERY   0x700u
#define ENTRY_LOGICAL    0x800u
#define ENTRY_STATUS     0x1000u // delivery status: a message leaves at once, so it reads 0
#define ENTRY_REMOTE_IRR 0x4000u
#define ENTRY_LEVEL      0x8000u
#define ENTRY_MASK       0x10000u
#define ENTRY_WRITABLE   (UINT64_C(0xff00000000000000) | 0x1afff)

enum {
  DELIVER_FIXED = 0,
  DELIVER_LOWEST = 1,
  DELIVER_SMI = 2,
  DELIVER_NMI = 4,
  DELIVER_INIT = 5,
  DELIVER_EXTINT = 7
};

static void send(struct ioapic *a, unsigned pin)
{
  uint64_t e = a->entry[pin];
  struct intr_msg m = {
      .dest = (uint32_t)(e >> 56),
      .vector = e & ENTRY_VECTOR,
      .delivery = (e & ENTRY_DELIVERY) >> 8,
      .logical = (e & ENTRY_LOGICAL) != 0,
      .level = (e & ENTRY_LEVEL) != 0,
      .assert_ = true,
  };
  if (m.delivery == 3 || m.delivery == 6)
    return; // reserved
  if (m.delivery >= DELIVER_NMI || m.delivery == DELIVER_SMI)
    m.level = false; // these are edges whatever the entry says
  bus_intr(a->bus, &m);
}

// A level-triggered pin sends one message and waits for its end.
static void update_level(struct ioapic *a, unsigned pin)
{
  uint64_t e = a->entry[pin];
  unsigned delivery = (e & ENTRY_DELIVERY) >> 8;
  if (!(e & ENTRY_LEVEL) || (e & (ENTRY_MASK | ENTRY_REMOTE_IRR)) || !(a->lines & (1u << pin)))
    return;
  if (delivery > DELIVER_LOWEST)
    return; // needs edge triggering; see ioapic_set
  a->entry[pin] |= ENTRY_REMOTE_IRR;
  send(a, pin);
}

void ioapic_set(void *ioapic, int pin, int level)
{
  struct ioapic *a = ioapic;
  if (pin < 0 || pin >= IOAPIC_PINS)
    return;
  uint32_t bit = 1u << pin;
  bool rising = level && !(a->lines & bit);
  a->lines = level ? a->lines | bit : a->lines & ~bit;
  uint64_t e = a->entry[pin];
  unsigned delivery = (e & ENTRY_DELIVERY) >> 8;
  if ((e & ENTRY_LEVEL) && delivery <= DELIVER_LOWEST)
    update_level(a, (unsigned)pin);
  else if (rising && !(e & ENTRY_MASK))
    send(a, (unsigned)pin); // an edge on a masked pin is lost
}

void ioapic_eoi(struct ioapic *a, uint8_t vector)
{
  for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
    if ((a->entry[pin] & ENTRY_VECTOR) == vector && (a->entry[pin] & ENTRY_REMOTE_IRR)) {
      a->entry[pin] &= ~(uint64_t)ENTRY_REMOTE_IRR;
      update_level(a, pin);
    }
  }
}

static uint32_t register_read(const struct ioapic *a)
{
  unsigned n = a->select;
  if (n == 0 || n == 2) // ID, and arbitration ID, which follows it
    return (uint32_t)a->id << 24;
  if (n == 1)
    return VERSION | (IOAPIC_PINS - 1) << 16;
  if (n >= 0x10 && n < 0x10 + 2 * IOAPIC_PINS)
    return (uint32_t)(a->entry[(n - 0x10) / 2] >> (n & 1 ? 32 : 0));
  return 0;
}

static void register_write(struct ioapic *a, uint32_t v)
{
  unsigned n = a->select;
  if (n == 0)
    a->id = (v >> 24) & 15;
  if (n < 0x10 || n >= 0x10 + 2 * IOAPIC_PINS)
    return;
  unsigned pin = (n - 0x10) / 2;
  uint64_t mask = ENTRY_WRITABLE & (n & 1 ? UINT64_C(0xffffffff00000000) : 0xffffffff);
  uint64_t e = (a->entry[pin] & ~mask) | (((uint64_t)v << (n & 1 ? 32 : 0)) & mask);
  if (!(e & ENTRY_LEVEL))
    e &= ~(uint64_t)ENTRY_REMOTE_IRR; // the known way to end a level interrupt without an EOI
  a->entry[pin] = e;
  update_level(a, pin);
}

static uint64_t ioapic_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct ioapic *a = dev;
  switch (off) {
  case REG_SELECT:
    return a->select;
  case REG_WINDOW:
    return register_read(a);
  default:
    return 0;
  }
}

static void ioapic_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct ioapic *a = dev;
  switch (off) {
  case REG_SELECT:
    a->select = (uint8_t)value;
    break;
  case REG_WINDOW:
    register_write(a, (uint32_t)value);
    break;
  case REG_EOI:
    ioapic_eoi(a, (uint8_t)value);
    break;
  default:
    break;
  }
}

static const struct bus_ops ioapic_ops = {
    .read = ioapic_read, .write = ioapic_write, .min_size = 4, .max_size = 4};

void ioapic_init(struct ioapic *a, struct bus *bus, uint8_t id)
{
  *a = (struct ioapic){.bus = bus, .initial_id = id & 15};
  bus_map_io(bus, &a->region, "ioapic", IOAPIC_BASE, 0x1000, &ioapic_ops, a);
  ioapic_reset(a);
}

void ioapic_reset(struct ioapic *a)
{
  a->id = a->initial_id;
  a->select = 0;
  for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
    a->entry[pin] = ENTRY_MASK;
}
