// Host bridge; see i440fx.h.
#include "chipset/i440fx.h"

#include <string.h>

enum {
  PAM0 = 0x59, // upper half: F0000h; PAM1.. 5Fh: two segments each, from C0000h
  SMRAM = 0x72,
  SMRAM_OPEN = 0x40,
  SMRAM_CLOSED = 0x20,
  SMRAM_LOCK = 0x10,
  SMRAM_ENABLE = 0x08,

  ACCESS_READ = 1,
  ACCESS_WRITE = 2,

  PRIO_SEGMENT = 2,
  PRIO_SMRAM = 3,
};

#define SEGMENTS_BASE UINT64_C(0xc0000)
#define SEGMENT_SIZE  UINT64_C(0x4000)
#define LAST_SEGMENT  (I440FX_SEGMENTS - 1)
#define ONE_MB        UINT64_C(0x100000)
#define LEGACY_ROM    UINT64_C(0x20000)

static uint8_t wanted_access(const struct i440fx *h, unsigned n)
{
  if (n == LAST_SEGMENT)
    return h->func.config[PAM0] >> 4 & 3;
  return h->func.config[PAM0 + 1 + n / 2] >> (n & 1 ? 4 : 0) & 3;
}

// Offset of the BIOS byte that appears at an address below 1 MB, or RAM_NONE.
static uint64_t rom_at(const struct i440fx *h, uint64_t addr)
{
  uint64_t shown = h->rom_size < LEGACY_ROM ? h->rom_size : LEGACY_ROM;
  if (h->rom_off == RAM_NONE || addr < ONE_MB - shown)
    return RAM_NONE;
  return h->rom_off + (h->rom_size - (ONE_MB - addr));
}

// Reads go to the ROM, or to nobody; writes go to the RAM below it. Old firmware copies itself so.
static uint64_t segment_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  return UINT64_MAX;
}

static void segment_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct i440fx_segment *s = dev;
  ram_write(s->owner->bus->ram, s->owner->ram_off + s->region.base + off, &value, size);
}

static const struct bus_ops segment_ops = {.read = segment_read, .write = segment_write, .max_size = 8};

static void map_segment(struct i440fx *h, unsigned n)
{
  struct i440fx_segment *s = &h->segment[n];
  uint64_t base = SEGMENTS_BASE + n * SEGMENT_SIZE,
           size = n == LAST_SEGMENT ? 4 * SEGMENT_SIZE : SEGMENT_SIZE;
  uint64_t rom = rom_at(h, base), ram = h->ram_off + base;
  bus_unmap(h->bus, &s->region);
  s->region = (struct region){.name = "pam", .base = base, .size = size, .prio = PRIO_SEGMENT, .dev = s};
  switch (s->access) {
  case 0:
    if (rom == RAM_NONE)
      return; // whatever PCI has there
    s->region.kind = REGION_ROM;
    s->region.ram_off = rom;
    break;
  case ACCESS_READ:
    s->region.kind = REGION_ROM;
    s->region.ram_off = ram;
    break;
  case ACCESS_WRITE:
    s->region.kind = REGION_IO;
    s->region.ops = &segment_ops;
    s->region.read_ram = rom != RAM_NONE;
    s->region.ram_off = rom;
    break;
  default:
    s->region.kind = REGION_RAM;
    s->region.ram_off = ram;
    break;
  }
  bus_map(h->bus, &s->region);
}

static void update_segments(struct i440fx *h, bool all)
{
  bus_begin(h->bus);
  for (unsigned n = 0; n < I440FX_SEGMENTS; n++) {
    uint8_t access = wanted_access(h, n);
    if (all || access != h->segment[n].access) {
      h->segment[n].access = access;
      map_segment(h, n);
    }
  }
  bus_commit(h->bus);
}

static void update_smram(struct i440fx *h)
{
  uint8_t v = h->func.config[SMRAM];
  if (v & SMRAM_LOCK) { // stays until reset, and cannot be opened
    v &= (uint8_t)~SMRAM_OPEN;
    h->func.config[SMRAM] = v;
    h->func.wmask[SMRAM] = SMRAM_CLOSED;
  }
  if ((v & SMRAM_ENABLE) && (v & SMRAM_OPEN))
    bus_map(h->bus, &h->smram);
  else
    bus_unmap(h->bus, &h->smram);
  struct smram now = {.ram_off = h->ram_off + 0xa0000, .on = v & SMRAM_ENABLE, .closed = v & SMRAM_CLOSED};
  struct smram *s = &h->bus->smram;
  bool changed = s->on != now.on || s->closed != now.closed;
  *s = now;
  if (changed && h->bus->map_changed)
    h->bus->map_changed(h->bus->map_changed_arg);
}

static void config_written(struct pci_func *f, unsigned off, unsigned size)
{
  struct i440fx *h = f->dev;
  if (off <= PAM0 + 6 && off + size > PAM0)
    update_segments(h, false);
  if (off <= SMRAM && off + size > SMRAM)
    update_smram(h);
}

// Whether CF8h holds the address of a register, and which.
static bool decode(const struct i440fx *h, unsigned port, const struct txn *t, uint8_t *bus, uint8_t *devfn,
                   unsigned *off)
{
  *bus = (uint8_t)(h->address >> 16);
  *devfn = (uint8_t)(h->address >> 8);
  *off = (h->address & 0xfc) | (port & 3) | (h->address >> 24 & 15) << 8;
  if (!(h->address & 0x80000000u) || (h->address & 0x70000000u) ||
      (*off > 0xff && (!h->extended || !h->extended(h->gate_arg, t))))
    return false;
  return !h->reaches || h->reaches(h->gate_arg, t, *bus, *devfn);
}

static uint64_t ports_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct i440fx *h = dev;
  uint8_t bus, devfn;
  unsigned reg;
  if (off < 4) {
    if (off == 0 && size == 4)
      return h->address;
    if (off == 1 && size == 1 && h->reset_control_read)
      return h->reset_control_read(h->reset_control_arg);
    return UINT64_MAX;
  }
  return decode(h, (unsigned)off, t, &bus, &devfn, &reg) ? pci_config_read(h->buses, bus, devfn, reg, size)
                                                         : UINT64_MAX;
}

static void ports_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct i440fx *h = dev;
  uint8_t bus, devfn;
  unsigned reg;
  if (off < 4) {
    if (off == 0 && size == 4)
      h->address = (uint32_t)value & ~3u;
    else if (off == 1 && size == 1 && h->reset_control_write)
      h->reset_control_write(h->reset_control_arg, (uint8_t)value);
  } else if (decode(h, (unsigned)off, t, &bus, &devfn, &reg)) {
    pci_config_write(h->buses, bus, devfn, reg, size, (uint32_t)value);
  }
}

static const struct bus_ops ports_ops = {.read = ports_read, .write = ports_write, .max_size = 4};

void i440fx_init(struct i440fx *h, struct bus *bus, struct pci_bus *pb, uint64_t ram_off, uint64_t rom_off,
                 uint64_t rom_size)
{
  *h = (struct i440fx){.bus = bus, .buses = pb, .ram_off = ram_off, .rom_off = rom_off, .rom_size = rom_size};
  struct pci_func *f = &h->func;
  pci_func_init(f, "i440fx", 0x8086, 0x1237, 0x060000, 2, h);
  pci_set_subsystem(f, 0x1af4, 0x1100);
  pci_set_word(f, PCI_STATUS, 0x0280); // medium timing, fast back-to-back
  memset(f->wmask + PAM0, 0x33, 7);
  f->wmask[PAM0] = 0x30;
  memset(f->wmask + 0x50, 0xff, 2); // memory controller
  memset(f->wmask + 0x57, 0xff, 2); // DRAM timing, of which nothing follows
  memset(f->wmask + 0x60, 0xff, 8); // DRAM rows
  f->config_written = config_written;
  h->smram = (struct region){.name = "smram",
                             .base = 0xa0000,
                             .size = 0x20000,
                             .prio = PRIO_SMRAM,
                             .kind = REGION_RAM,
                             .ram_off = ram_off + 0xa0000};
  for (unsigned n = 0; n < I440FX_SEGMENTS; n++)
    h->segment[n].owner = h;
  pci_add(pb, f, 0, 0, 0);
  bus_map_ports(bus, &h->ports, "pci-config", 0xcf8, 8, &ports_ops, h);
  i440fx_reset(h);
}

void i440fx_reset(struct i440fx *h)
{
  struct pci_func *f = &h->func;
  pci_func_reset(f);
  // The bridge is always a master and always decodes memory.
  pci_set_word(f, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
  f->wmask[PCI_COMMAND] &= (uint8_t)~PCI_COMMAND_MASTER;
  h->address = 0;
  memset(f->config + PAM0, 0, 7);
  f->config[SMRAM] = 0x02;
  f->wmask[SMRAM] = SMRAM_OPEN | SMRAM_CLOSED | SMRAM_LOCK | SMRAM_ENABLE;
  bus_begin(h->bus);
  update_segments(h, true);
  update_smram(h);
  bus_commit(h->bus);
}

void i440fx_open_shadow(struct i440fx *h)
{
  memset(h->func.config + PAM0, 0x33, 7);
  h->func.config[PAM0] = 0x30;
  update_segments(h, false);
}
