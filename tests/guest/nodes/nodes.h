// Configuration space, northbridges, and the device pacifica-dma, as the images about nodes use them.
#ifndef GUEST_NODES_H
#define GUEST_NODES_H

#include "config.h"
#include "rt.h"

enum { NODES_MAX = 8, FIRST = 0x18, ONES = 0xffffffff };
enum { NB_CFG = 0xc001001f, MMCFG = 0xc0010058, TOP_MEM = 0xc001001a };
#define EXT_CFG (1ull << 46)

// Register of a node's northbridge.
static inline uint32_t nb(unsigned node, unsigned function, unsigned off)
{
  return config_read(0, FIRST + node, function, off);
}
static inline void nb_write(unsigned node, unsigned function, unsigned off, uint32_t v)
{
  config_write(0, FIRST + node, function, off, v);
}
static inline unsigned nodes(void)
{
  return (nb(0, 0, 0x60) >> 4 & 7) + 1;
}
static inline unsigned cpus(void)
{
  return (nb(0, 0, 0x60) >> 16 & 31) + 1;
}
// By CPUID: bits of an APIC ID below the node.
static inline unsigned core_bits(void)
{
  uint32_t r[4];
  cpuid(0x80000008, 0, r);
  return r[2] >> 12 & 15;
}

// DRAM of a node, from node 0's map.
static inline uint64_t dram_base(unsigned node)
{
  return (uint64_t)(nb(0, 1, 0x40 + 8 * node) >> 16) << 24;
}
static inline uint64_t dram_last(unsigned node)
{
  return (uint64_t)(nb(0, 1, 0x44 + 8 * node) >> 16) << 24 | 0xffffff;
}

// The map register of an I/O chain's buses: four, and on family 10h as many in extended space.
static inline uint32_t bus_map(unsigned k)
{
  return nb(0, 1, k < 4 ? 0xe0 + 4 * k : 0x1e0 + 4 * (k - 4));
}
static inline unsigned first_bus(unsigned node)
{
  for (unsigned k = 0; k < 8; k++) {
    uint32_t v = bus_map(k);
    if (v != ONES && (v & 3) == 3 && (v >> 4 & 7) == node)
      return v >> 16 & 0xff;
  }
  fail(HERE, "this node has an I/O chain", node, 0);
}

// ---- pacifica-dma, docs/pacifica-dma.md ----

enum {
  R_COMMAND = 1,
  R_STATUS,
  R_INTERRUPT,
  R_SOURCE,
  R_DEST = 6,
  R_LENGTH = 8,
  R_DATA = 10,
  R_REQUESTER = 17
};
enum { D_READ = 5, D_WRITE, D_IRQ = 0x100 };
enum { D_BUSY = 1, D_DONE = 2, D_ABORT = 4 };

struct dma {
  unsigned bus, device;
  volatile uint32_t *reg;
};

// The one on a node's chain, where firmware has put it.
static inline struct dma dma_of(unsigned node)
{
  struct dma d = {.bus = first_bus(node)};
  while (d.device < 32 && config_read(d.bus, d.device, 0, 0) != 0x50441234)
    d.device++;
  CHECK(d.device < 32);
  d.reg = (volatile uint32_t *)(word)(config_read(d.bus, d.device, 0, 0x10) & ~15u);
  CHECK(d.reg);
  config_write(d.bus, d.device, 0, 4, 6);
  CHECK_EQ(d.reg[0], 0x50440100);
  return d;
}
static inline uint32_t dma_run(struct dma d, uint32_t command, uint64_t addr, uint32_t length)
{
  d.reg[R_SOURCE] = d.reg[R_DEST] = (uint32_t)addr;
  d.reg[R_SOURCE + 1] = d.reg[R_DEST + 1] = (uint32_t)(addr >> 32);
  d.reg[R_LENGTH] = length;
  d.reg[R_COMMAND] = command;
  for (unsigned i = 0; i < 10000000 && (d.reg[R_STATUS] & D_BUSY); i++)
    ;
  return d.reg[R_STATUS];
}
static inline uint32_t dma_write(struct dma d, uint64_t addr, uint32_t v)
{
  d.reg[R_DATA] = v;
  return dma_run(d, D_WRITE, addr, 4);
}

// Extended offsets at CF8h, for this processor's node.
static inline void allow_extended(void)
{
  wrmsr(NB_CFG, rdmsr(NB_CFG) | EXT_CFG);
}

#endif
