// CPUs' ways into PCI configuration space; see config_space.h. BKDG 31116, sections 2.11 and 3.12
// (MSRC001_001F, MSRC001_0058).
#include "machine/config_space.h"

#include "cpu/cpu.h"
#include "cpu/model.h"
#include "cpu/msr.h"
#include "machine/machine.h"

enum { MMCFG_ENABLE = 1, BUS_RANGE_MAX = 8, FIRST_NORTHBRIDGE = 0x18 };

static struct northbridge *northbridge_of(struct machine *m, unsigned node)
{
  return &m->nodes.northbridge[node < m->nodes.count ? node : 0];
}

// The node to which a configuration access goes: northbridges are where they are, buses by chain.
static unsigned home(const struct machine *m, uint8_t bus, uint8_t devfn)
{
  unsigned device = devfn >> 3;
  if (bus == 0)
    return device >= FIRST_NORTHBRIDGE && device - FIRST_NORTHBRIDGE < m->nodes.count
               ? device - FIRST_NORTHBRIDGE
               : 0;
  for (unsigned n = 0; n < m->nodes.count; n++) {
    const struct nb_chain *c = &m->nodes.map.node[n].chain;
    if (c->present && bus >= c->first_bus && bus <= c->last_bus)
      return n;
  }
  return 0;
}

static bool reaches(void *arg, const struct txn *t, uint8_t bus, uint8_t devfn)
{
  struct machine *m = arg;
  // Configuration space is the CPUs': a device's cycle to these ports is no configuration access.
  if (t->requester < TXN_FROM_CPU)
    return false;
  return m->nodes.count == 1 || t->debug || fabric_route(&m->fabric, t->node, home(m, bus, devfn), t->size);
}

static bool extended(void *arg, const struct txn *t)
{
  return nb_config(northbridge_of(arg, t->node)) & NB_CONFIG_CF8_EXT;
}

// ---- memory-mapped: each CPU has a window of its own, as its MSR says ----

static bool window(const struct machine *m, uint32_t requester, uint64_t *base, uint64_t *size)
{
  unsigned cpu = requester - TXN_FROM_CPU;
  if (requester < TXN_FROM_CPU || cpu >= m->cpus)
    return false;
  uint64_t v = m->config_space.mmcfg[cpu];
  unsigned range = v >> 2 & 15;
  *size = UINT64_C(1) << (20 + (range < BUS_RANGE_MAX ? range : BUS_RANGE_MAX));
  *base = v & ~(*size - 1);
  return v & MMCFG_ENABLE;
}

static bool decode(const struct machine *m, const struct txn *t, unsigned size, uint8_t *bus, uint8_t *devfn,
                   unsigned *off)
{
  uint64_t base, bytes;
  if (!window(m, t->requester, &base, &bytes) || t->addr < base || t->addr - base >= bytes ||
      (t->addr & (size - 1)))
    return false;
  uint64_t at = t->addr - base;
  *bus = (uint8_t)(at >> 20);
  *devfn = (uint8_t)(at >> 12);
  *off = at & 0xfff;
  return reaches((void *)m, t, *bus, *devfn);
}

static uint64_t mmcfg_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct machine *m = dev;
  uint8_t bus, devfn;
  unsigned reg;
  return decode(m, t, size, &bus, &devfn, &reg) ? pci_config_read(&m->pc.pci, bus, devfn, reg, size)
                                                : UINT64_MAX;
}

static void mmcfg_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct machine *m = dev;
  uint8_t bus, devfn;
  unsigned reg;
  if (decode(m, t, size, &bus, &devfn, &reg))
    pci_config_write(&m->pc.pci, bus, devfn, reg, size, (uint32_t)value);
}

static const struct bus_ops mmcfg_ops = {.read = mmcfg_read, .write = mmcfg_write};

static void set_mmcfg(void *arg, const struct cpu *c, uint64_t v)
{
  struct machine *m = arg;
  struct region *r = &m->config_space.region[c->index];
  uint64_t base = 0, size = 0;
  if (m->config_space.mmcfg[c->index] == v)
    return;
  m->config_space.mmcfg[c->index] = v;
  bool on = window(m, TXN_FROM_CPU + c->index, &base, &size);
  if (!on && !r->mapped)
    return;
  bus_begin(&m->bus);
  bus_unmap(&m->bus, r);
  if (on) {
    // Like a BAR it hides neither RAM nor chips.
    *r = (struct region){.name = "mmconfig",
                         .base = base,
                         .size = size,
                         .prio = -1,
                         .kind = REGION_IO,
                         .space = TXN_MEM,
                         .ops = &mmcfg_ops,
                         .dev = m};
    bus_map(&m->bus, r);
  }
  bus_commit(&m->bus);
}

// ---- NB_CFG: one register of the node, seen by all its CPUs ----

static uint64_t get_nb_config(void *arg, const struct cpu *c)
{
  return nb_config(northbridge_of(arg, c->node));
}

static void set_nb_config(void *arg, const struct cpu *c, uint64_t v)
{
  nb_set_config(northbridge_of(arg, c->node), v);
}

void config_space_init(struct machine *m)
{
  static const struct cpu_chip chip = {get_nb_config, set_nb_config, set_mmcfg};
  m->pc.host.reaches = reaches;
  m->pc.host.extended = extended;
  m->pc.host.gate_arg = m;
  for (unsigned i = 0; i < m->cpus; i++) {
    m->cpu[i]->chip = &chip;
    m->cpu[i]->chip_arg = m;
  }
}

void config_space_reset(struct machine *m)
{
  for (unsigned i = 0; i < m->cpus; i++)
    set_mmcfg(m, m->cpu[i], 0);
}
