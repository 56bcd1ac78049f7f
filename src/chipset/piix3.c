// ISA bridge; see piix3.h.
#include "chipset/piix3.h"

enum {
  PIRQRC = 0x60, // four route registers
  PIRQ_OFF = 0x80,

  PORT61_GATE = 0x01,
  PORT61_SPEAKER = 0x02,
  PORT61_WRITABLE = 0x0f,
  PORT61_REFRESH = 0x10,
  PORT61_OUT2 = 0x20,

  PORT92_FAST_RESET = 0x01,
  PORT92_A20 = 0x02,

  RESET_HARD = 0x02,
  RESET_NOW = 0x04,
};

#define REFRESH_NS 15085 // time between two refresh requests, at which bit 4 of port 61h turns

// ISA interrupts that a PIRQ can be routed to.
#define ROUTABLE 0xdef8u

static void route(struct piix3 *p)
{
  uint16_t level = 0;
  for (unsigned i = 0; i < 4; i++) {
    uint8_t r = p->func.config[PIRQRC + i];
    if (!(r & PIRQ_OFF) && (p->pirq & (1u << i)))
      level |= (uint16_t)(1u << (r & 15));
  }
  for (unsigned i = 0; i < 16; i++) {
    if (ROUTABLE & (1u << i))
      irq_set(&p->gsi[i], level >> i & 1);
  }
}

static void set_pirq(void *sink, int pin, int level)
{
  struct piix3 *p = sink;
  uint8_t bit = (uint8_t)(1u << (pin & 3)), pirq = (uint8_t)(level ? p->pirq | bit : p->pirq & ~bit);
  if (pirq == p->pirq)
    return;
  p->pirq = pirq;
  route(p);
}

struct irq piix3_pirq_line(struct piix3 *p, int pin)
{
  return (struct irq){.set = set_pirq, .sink = p, .pin = pin};
}

static void config_written(struct pci_func *f, unsigned off, unsigned size)
{
  if (off < PIRQRC + 4 && off + size > PIRQRC)
    route(f->dev);
}

static void drive_a20(struct piix3 *p)
{
  irq_set(&p->a20, p->a20_keyboard || (p->port92 & PORT92_A20));
}

static void keyboard_a20(void *sink, int pin, int level)
{
  struct piix3 *p = sink;
  p->a20_keyboard = level != 0;
  drive_a20(p);
}

struct irq piix3_a20_line(struct piix3 *p)
{
  return (struct irq){.set = keyboard_a20, .sink = p};
}

uint8_t piix3_reset_control_read(void *piix3)
{
  return ((struct piix3 *)piix3)->reset_control;
}

void piix3_reset_control_write(void *piix3, uint8_t v)
{
  struct piix3 *p = piix3;
  bool rising = (v & RESET_NOW) && !(p->reset_control & RESET_NOW);
  p->reset_control = v & RESET_HARD;
  if (rising)
    irq_pulse(v & RESET_HARD ? &p->reset : &p->cpu_reset);
}

static uint64_t port61_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct piix3 *p = dev;
  unsigned v = p->port61;
  if (clock_now(p->clock) / REFRESH_NS & 1)
    v |= PORT61_REFRESH;
  if (pit_out(p->pit, 2))
    v |= PORT61_OUT2;
  return v;
}

static void port61_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct piix3 *p = dev;
  p->port61 = value & PORT61_WRITABLE;
  pit_set_gate(p->pit, 2, value & PORT61_GATE);
}

static uint64_t port92_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  return ((struct piix3 *)dev)->port92;
}

static void port92_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct piix3 *p = dev;
  bool rising = (value & PORT92_FAST_RESET) && !(p->port92 & PORT92_FAST_RESET);
  p->port92 = value & (PORT92_A20 | PORT92_FAST_RESET);
  drive_a20(p);
  if (rising)
    irq_pulse(&p->cpu_reset);
}

static uint64_t post_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  return ((struct piix3 *)dev)->post;
}

static void post_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  ((struct piix3 *)dev)->post = (uint8_t)value;
}

static uint64_t apm_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct piix3 *p = dev;
  return off ? p->apm_status : p->apm_control;
}

static void apm_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct piix3 *p = dev;
  if (off) {
    p->apm_status = (uint8_t)value;
    return;
  }
  p->apm_control = (uint8_t)value;
  if (p->apm)
    p->apm(p->apm_arg, (uint8_t)value);
}

static void drive_ferr(struct piix3 *p)
{
  p->ignoring = p->ignoring && p->ferr;
  irq_set(&p->irq13, p->ferr && !p->ignoring);
  irq_set(&p->ignne, p->ignoring);
}

static void ferr_changed(void *sink, int pin, int level)
{
  struct piix3 *p = sink;
  if (p->ferr == (level != 0))
    return;
  p->ferr = level != 0;
  drive_ferr(p);
}

struct irq piix3_ferr_line(struct piix3 *p)
{
  return (struct irq){.set = ferr_changed, .sink = p};
}

static uint64_t ferr_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  return UINT64_MAX;
}

static void ferr_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct piix3 *p = dev;
  p->ignoring = true;
  drive_ferr(p);
}

static const struct bus_ops port61_ops = {.read = port61_read, .write = port61_write, .max_size = 1};
static const struct bus_ops port92_ops = {.read = port92_read, .write = port92_write, .max_size = 1};
static const struct bus_ops post_ops = {.read = post_read, .write = post_write, .max_size = 1};
static const struct bus_ops delay_ops = {.max_size = 1}; // writes to EDh do nothing but take time
static const struct bus_ops ferr_ops = {.read = ferr_read, .write = ferr_write, .max_size = 1};
static const struct bus_ops apm_ops = {.read = apm_read, .write = apm_write, .max_size = 1};

void piix3_init(struct piix3 *p, struct bus *bus, struct clock *clock, struct pci_bus *pb, struct gsi *gsi,
                struct pit *pit, const struct piix3_lines *lines)
{
  *p = (struct piix3){.clock = clock,
                      .pit = pit,
                      .a20 = lines->a20,
                      .reset = lines->reset,
                      .cpu_reset = lines->cpu_reset,
                      .ignne = lines->ignne,
                      .a20_keyboard = true};
  struct pci_func *f = &p->func;
  pci_func_init(f, "piix3", 0x8086, 0x7000, 0x060100, 0, p);
  pci_set_subsystem(f, 0x1af4, 0x1100);
  pci_set_word(f, PCI_STATUS, 0x0200); // medium timing
  for (unsigned i = 0; i < 4; i++)
    f->wmask[PIRQRC + i] = 0x8f;
  f->wmask[0x4c] = 0xff;                  // I/O recovery
  f->wmask[0x4e] = f->wmask[0x4f] = 0xff; // X-bus chip select
  f->wmask[0x69] = 0xfe;                  // top of memory
  f->wmask[0x70] = 0x8f;                  // motherboard device interrupt
  f->wmask[0x82] = 0x0f;                  // passive release
  f->config_written = config_written;
  for (unsigned i = 0; i < 16; i++)
    p->gsi[i] = gsi_line(gsi, GSI_PCI, i);
  p->irq13 = gsi_line(gsi, GSI_ISA, 13);
  // Device 1's INTA is PIRQA: the wires begin one device later than the bus counts them.
  for (int i = 0; i < 4; i++)
    pb->intx[i] = piix3_pirq_line(p, (i + 3) & 3);
  pci_add(pb, f, 1, 0, 0);
  bus_map_ports(bus, &p->port61_region, "port61", 0x61, 1, &port61_ops, p);
  bus_map_ports(bus, &p->port92_region, "port92", 0x92, 1, &port92_ops, p);
  bus_map_ports(bus, &p->post_region, "post", 0x80, 1, &post_ops, p);
  bus_map_ports(bus, &p->delay_region, "delay", 0xed, 1, &delay_ops, p);
  bus_map_ports(bus, &p->apm_region, "apm", 0xb2, 2, &apm_ops, p);
  bus_map_ports(bus, &p->ferr_region, "coprocessor-error", 0xf0, 1, &ferr_ops, p);
  piix3_reset(p);
}

void piix3_reset(struct piix3 *p)
{
  struct pci_func *f = &p->func;
  pci_func_reset(f);
  pci_set_word(f, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
  f->wmask[PCI_COMMAND] = 0; // hard-wired
  f->config[0x4c] = 0x4d;
  f->config[0x4e] = 0x03;
  f->config[0x4f] = 0;
  f->config[0x69] = 0x02;
  f->config[0x70] = 0x80;
  f->config[0x82] = 0;
  for (unsigned i = 0; i < 4; i++)
    f->config[PIRQRC + i] = PIRQ_OFF;
  route(p);
  p->port92 = 0;
  p->port61 = 0;
  p->reset_control = 0;
  p->apm_control = p->apm_status = 0;
  drive_a20(p);
  p->ferr = false;
  drive_ferr(p);
  pit_set_gate(p->pit, 2, false);
}
