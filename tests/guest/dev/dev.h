// What the images about the Device Exclusion Vector share: the registers of a northbridge's capability,
// tables, and pacifica-dma (docs/pacifica-dma.md) as the device that tries to break out.
#ifndef GUEST_DEV_H
#define GUEST_DEV_H

#include "config.h"
#include "rt.h"

// ---- DEV: BKDG 31116, F3xF0 to F3xF8_x7 ----

enum { BASE_LO, BASE_HI, MAP, CAP, CR, ERR_STATUS, ERR_LO, ERR_HI };
enum { BASE_V = 1, BASE_P = 2 };
enum { CR_EN = 1, CR_IOSPEN = 4, CR_MCE = 8, CR_INV = 16, CR_SL = 32 };
enum { DRAM = 1, MMIO = 2, IO = 4, CONFIG = 5 };
#define ERR_VALID        (1u << 31)
#define ERR_OVERFLOW     (1u << 30)
#define ERR_ADDR         (1u << 29)
#define ERR(dest, write) ((uint32_t)(dest) << 5 | 2u << 2 | ((write) ? 2u : 1u)) // by an I/O device

static inline uint32_t dev_get(unsigned node, unsigned fn, unsigned index)
{
  config_write(0, 0x18 + node, 3, 0xf4, fn << 8 | index);
  return config_read(0, 0x18 + node, 3, 0xf8);
}

static inline void dev_set(unsigned node, unsigned fn, unsigned index, uint32_t v)
{
  config_write(0, 0x18 + node, 3, 0xf4, fn << 8 | index);
  config_write(0, 0x18 + node, 3, 0xf8, v);
}

static inline void dev_invalidate(unsigned node)
{
  dev_set(node, CR, 0, dev_get(node, CR, 0) | CR_INV);
  while (dev_get(node, CR, 0) & CR_INV)
    ;
}

// A table for 4 GB stands at 24 MB and up; pages from page_new are below.
#define TABLE(n) ((uint8_t *)(0x1800000ul + 0x20000ul * (n)))

static inline void exclude(uint8_t *table, const void *page, bool yes)
{
  word n = (word)page >> 12;
  if (yes)
    table[n / 8] |= (uint8_t)(1u << n % 8);
  else
    table[n / 8] &= (uint8_t) ~(1u << n % 8);
}

static inline void clear(uint8_t *table)
{
  for (unsigned i = 0; i < 0x20000; i++)
    table[i] = 0;
}

// Domain 0 of the node gets table 0, empty, and DEV is switched on.
static inline void dev_on(unsigned node)
{
  clear(TABLE(0));
  dev_set(node, BASE_HI, 0, 0);
  dev_set(node, BASE_LO, 0, (uint32_t)(word)TABLE(0) | BASE_V);
  dev_set(node, CR, 0, CR_EN | CR_INV);
}

// ---- the device ----

enum {
  D_COMMAND = 1,
  D_STATUS,
  D_SOURCE = 4,
  D_DEST = 6,
  D_LENGTH = 8,
  D_PATTERN,
  D_DATA,
  D_FAIL = 12,
  D_MOVED = 15,
  D_ABORTS,
  D_REQUESTER
};
enum {
  D_COPY = 1,
  D_FILL,
  D_CHECK,
  D_COMPARE,
  D_READ,
  D_WRITE,
  D_IO_READ,
  D_IO_WRITE,
  D_CONFIG_READ,
  D_CONFIG_WRITE,
  D_MESSAGE
};
enum { D_BUSY = 1, D_DONE = 2, D_ABORT = 4, D_CONTINUE = 0x200 };

struct dma {
  unsigned bus, slot, fn, node;
  volatile uint32_t *reg;
};

// The n-th pacifica-dma function of the machine, by bus, device and function, with bus mastering on.
static inline bool dma_find(struct dma *d, unsigned n)
{
  for (unsigned i = 0; i < 256 * 256; i++) {
    unsigned bus = i >> 8, slot = i >> 3 & 31, fn = i & 7;
    if (config_read(bus, slot, fn, 0) != 0x50441234 || n-- != 0)
      continue;
    if (!(config_read(bus, slot, fn, 0x10) & ~0xfu))
      config_write(bus, slot, fn, 0x10, 0xe0000000u + (i << 12)); // no firmware gave it a place
    config_write(bus, slot, fn, 4, 6);
    d->bus = bus;
    d->slot = slot;
    d->fn = fn;
    d->reg = (volatile uint32_t *)(word)(config_read(bus, slot, fn, 0x10) & ~0xfu);
    d->node = d->reg[D_REQUESTER] >> 24 & 7;
    return true;
  }
  return false;
}

static inline uint32_t dma_run(struct dma *d, uint32_t command, uint64_t source, uint64_t dest,
                               uint32_t length)
{
  d->reg[D_SOURCE] = (uint32_t)source;
  d->reg[D_SOURCE + 1] = (uint32_t)(source >> 32);
  d->reg[D_DEST] = (uint32_t)dest;
  d->reg[D_DEST + 1] = (uint32_t)(dest >> 32);
  d->reg[D_LENGTH] = length;
  d->reg[D_COMMAND] = command;
  while (d->reg[D_STATUS] & D_BUSY)
    ;
  return d->reg[D_STATUS];
}

// Whether a write of four bytes gets there; what memory holds afterwards must agree with what the device
// says.
static inline bool dma_writes(struct dma *d, volatile uint32_t *p)
{
  static uint32_t next = 0x1000;
  uint32_t before = *p, v = ++next;
  d->reg[D_DATA] = v;
  uint32_t status = dma_run(d, D_WRITE, 0, (word)p, 4);
  CHECK_EQ(*p, status & D_ABORT ? before : v);
  CHECK_EQ(status & ~D_ABORT, D_DONE);
  return !(status & D_ABORT);
}

// The same for a read; a denied one gives ones.
static inline bool dma_reads(struct dma *d, volatile uint32_t *p)
{
  *p = 0x12345678;
  uint32_t status = dma_run(d, D_READ, (word)p, 0, 4);
  CHECK_EQ(d->reg[D_DATA], status & D_ABORT ? 0xffffffff : 0x12345678);
  return !(status & D_ABORT);
}

#endif
