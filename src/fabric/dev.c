// The Device Exclusion Vector; see dev.h.
#include "fabric/dev.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum {
  REG_HEADER = 0xf0,
  REG_SELECT = 0xf4,
  REG_DATA = 0xf8,
};

enum { FN_BASE_LO, FN_BASE_HI, FN_MAP, FN_CAP, FN_CR, FN_ERR_STATUS, FN_ERR_ADDR_LO, FN_ERR_ADDR_HI };

#define HEADER (0x0fu | 1u << 20) // capability 0Fh, the last; type 000b; MceCap

enum {
  PAGE_BITS = 12,
  LINE_BITS = PAGE_BITS + 9, // a line covers 512 pages
  LINES_FIRST = 256,         // a power of two
  LINES_MAX = 1u << 17,      // at half of them the cache starts anew
};

struct dev_line {
  uint64_t key; // (address >> LINE_BITS) * DEV_DOMAINS + domain + 1; 0: empty
  uint8_t bits[DEV_LINE];
};

const struct dev_model dev_model_k8 = {.domains = 4, .maps = 3, .address_bits = 40, .reset_cr = 0};
const struct dev_model dev_model_family10h = {
    .domains = 8, .maps = 4, .address_bits = 48, .reset_cr = DEV_CR_MEMCLR_DIS};

static void refresh(struct dev *d)
{
  d->active = (d->cr & (DEV_CR_ENABLE | DEV_CR_IOSPEN | DEV_CR_SL_DEV)) != 0;
  d->mapped = false;
  for (unsigned i = 0; i < d->model->maps; i++)
    d->mapped |= (d->map[i] & (1u << 5 | 1u << 11)) != 0;
}

// The next walk makes a new cache.
static void invalidate(struct dev *d)
{
  free(d->line);
  d->line = NULL;
  d->lines = d->used = 0;
  d->last = NULL;
}

void dev_init(struct dev *d, const struct dev_model *model, struct bus *bus, const struct clock *clock,
              uint8_t node)
{
  *d = (struct dev){.bus = bus, .clock = clock, .model = model, .node = node};
  dev_reset(d, true);
}

void dev_free(struct dev *d)
{
  invalidate(d);
}

void dev_reset(struct dev *d, bool cold)
{
  d->select = 0;
  d->cr = d->model->reset_cr;
  memset(d->base_lo, 0, sizeof d->base_lo);
  memset(d->base_hi, 0, sizeof d->base_hi);
  memset(d->map, 0, sizeof d->map);
  d->sl_base = 0;
  if (cold)
    d->status = d->addr_lo = d->addr_hi = 0;
  invalidate(d);
  refresh(d);
}

// The register that select names, and the bits of it that software can write; NULL: none.
static uint32_t *reg(struct dev *d, uint32_t *mask)
{
  unsigned fn = d->select >> 8 & 0xff, index = d->select & 0xff;
  uint32_t dom = d->model->domains - 1u;
  switch (fn) {
  case FN_BASE_LO:
    *mask = 0xfffff07f;
    return index < d->model->domains ? &d->base_lo[index] : NULL;
  case FN_BASE_HI:
    *mask = (1u << (d->model->address_bits - 32)) - 1;
    return index < d->model->domains ? &d->base_hi[index] : NULL;
  case FN_MAP:
    *mask = 0xfffff | dom << 20 | dom << 26;
    return index < d->model->maps ? &d->map[index] : NULL;
  case FN_CR:
    *mask = 0x6f;
    return &d->cr;
  case FN_ERR_STATUS:
    *mask = 0xe00000ff;
    return &d->status;
  case FN_ERR_ADDR_LO:
    *mask = ~3u;
    return &d->addr_lo;
  case FN_ERR_ADDR_HI:
    *mask = 0xffff;
    return &d->addr_hi;
  default:
    return NULL;
  }
}

uint32_t dev_read(void *dev, unsigned off)
{
  struct dev *d = dev;
  uint32_t mask;
  if (off == REG_HEADER)
    return HEADER;
  if (off == REG_SELECT)
    return d->select;
  if (off != REG_DATA)
    return 0;
  if ((d->select >> 8 & 0xff) == FN_CAP)
    return (uint32_t)d->model->domains << 8 | (uint32_t)d->model->maps << 16;
  const uint32_t *r = reg(d, &mask);
  return r ? *r : 0;
}

void dev_write(void *dev, unsigned off, uint32_t v)
{
  struct dev *d = dev;
  uint32_t mask;
  if (off == REG_SELECT)
    d->select = v & 0xffff;
  if (off != REG_DATA)
    return;
  uint32_t *r = reg(d, &mask);
  if (!r)
    return;
  if (r == &d->cr) // only SKINIT sets it
    v &= d->cr | ~DEV_CR_SL_DEV;
  *r = (*r & ~mask) | (v & mask);
  if (r == &d->cr && (v & DEV_CR_INV))
    invalidate(d);
  refresh(d);
}

void dev_protect_loader(struct dev *d, uint64_t base)
{
  d->sl_base = base;
  d->cr |= DEV_CR_SL_DEV | DEV_CR_IOSPEN;
  refresh(d);
}

unsigned dev_domain(const struct dev *d, unsigned bus, unsigned unit)
{
  if (!d->mapped)
    return 0;
  for (unsigned i = 0; i < d->model->maps; i++) {
    uint32_t m = d->map[i];
    if ((m >> 12 & 0xff) != bus)
      continue;
    if ((m & 1u << 5) && (m & 0x1f) == unit)
      return m >> 20 & 0x3f;
    if ((m & 1u << 11) && (m >> 6 & 0x1f) == unit)
      return m >> 26;
  }
  return 0;
}

static uint64_t table_base(const struct dev *d, unsigned domain)
{
  return (uint64_t)d->base_hi[domain] << 32 | (d->base_lo[domain] & 0xfffff000);
}

static bool out_of_range(const struct dev *d, unsigned domain, uint64_t addr)
{
  unsigned covered = 32 + (d->base_lo[domain] >> 2 & 0x1f); // address bits; at most 63
  return addr >> covered != 0;
}

// The walk goes to memory and is stopped by nothing. What is not memory reads as ones, and so denies.
static void walk(const struct dev *d, unsigned domain, uint64_t number, uint8_t bits[DEV_LINE])
{
  struct txn t = {.addr = table_base(d, domain) + number * DEV_LINE,
                  .kind = TXN_READ,
                  .space = TXN_MEM,
                  .node = d->node,
                  .walk = true,
                  .debug = true}; // RAM only: a table in a device's registers is none
  bus_transfer(d->bus, &t, bits, DEV_LINE);
}

static uint32_t slot(const struct dev *d, uint64_t key)
{
  uint32_t i = (uint32_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (d->lines - 1);
  while (d->line[i].key && d->line[i].key != key)
    i = (i + 1) & (d->lines - 1);
  return i;
}

// Makes room for one line more. Lines are forgotten only when the limit is reached, or the host has no
// memory.
static bool grow(struct dev *d)
{
  if (2 * d->used < d->lines)
    return true;
  if (d->lines >= LINES_MAX)
    invalidate(d);
  struct dev old = *d;
  uint32_t lines = d->lines ? 2 * d->lines : LINES_FIRST;
  struct dev_line *line = calloc(lines, sizeof *line);
  if (!line)
    return d->used + 1 < d->lines;
  d->line = line;
  d->lines = lines;
  d->last = NULL;
  for (uint32_t i = 0; i < old.lines; i++) {
    if (old.line[i].key)
      d->line[slot(d, old.line[i].key)] = old.line[i];
  }
  free(old.line);
  return true;
}

static bool table_denies(struct dev *d, unsigned domain, uint64_t addr)
{
  uint64_t key = (addr >> LINE_BITS) * DEV_DOMAINS + domain + 1;
  unsigned page = addr >> PAGE_BITS & 0x1ff;
  if (!d->last || d->last->key != key) {
    if (!grow(d))
      return true;
    struct dev_line *l = &d->line[slot(d, key)];
    if (!l->key) {
      l->key = key;
      d->used++;
      d->walks++;
      walk(d, domain, addr >> LINE_BITS, l->bits);
    }
    d->last = l;
  }
  return d->last->bits[page / 8] >> page % 8 & 1;
}

bool dev_allows(struct dev *d, const struct txn *t, uint64_t addr, uint64_t *last, enum dev_reason *why)
{
  *last = addr | 0xfff;
  if (t->space != TXN_MEM) {
    *why = t->space == TXN_IO ? DEV_BY_IOSPEN : DEV_BY_CONFIG;
    return t->space == TXN_IO && !(d->cr & DEV_CR_IOSPEN);
  }
  if ((d->cr & DEV_CR_SL_DEV) && addr - d->sl_base < DEV_SL_SIZE) {
    *why = DEV_BY_SL_DEV;
    return false;
  }
  if (!(d->cr & DEV_CR_ENABLE))
    return true;
  unsigned domain = dev_domain(d, t->requester >> 8 & 0xff, t->unit);
  uint32_t lo = d->base_lo[domain];
  if (!(lo & DEV_BASE_VALID))
    return true;
  if (out_of_range(d, domain, addr)) {
    *why = DEV_BY_RANGE;
    return !(lo & DEV_BASE_PROTECT);
  }
  *why = DEV_BY_TABLE;
  return !table_denies(d, domain, addr);
}

static enum dev_err_dest destination(const struct dev *d, const struct txn *t, uint64_t addr)
{
  uint64_t first, last;
  if (t->space == TXN_CONFIG)
    return DEV_DEST_CONFIG;
  if (t->space == TXN_IO)
    return DEV_DEST_IO;
  const struct region *r = bus_find(d->bus, TXN_MEM, addr, &first, &last);
  return r && r->kind != REGION_IO ? DEV_DEST_DRAM : DEV_DEST_MMIO;
}

static void count(struct dev *d, unsigned domain, enum dev_reason why)
{
  switch (why) {
  case DEV_BY_TABLE:
  case DEV_BY_RANGE:
    d->denials[domain]++;
    break;
  case DEV_BY_SL_DEV:
    d->sl_denials++;
    break;
  case DEV_BY_IOSPEN:
    d->io_denials++;
    break;
  case DEV_BY_CONFIG:
    d->config_denials++;
    break;
  }
}

void dev_deny(struct dev *d, const struct txn *t, uint64_t addr, uint64_t len, enum dev_reason why)
{
  static const char *const reasons[] = {"excluded by the table", "outside the table",
                                        "in the secure loader block", "I/O space, IOSPEN",
                                        "configuration space"};
  enum { SOURCE_DEVICE = 2, ACCESS_READ = 1, ACCESS_WRITE = 2 };
  unsigned bus = t->requester >> 8 & 0xff, domain = dev_domain(d, bus, t->unit);
  bool write = t->kind == TXN_WRITE;
  count(d, domain, why);
  if (log_on(d->bus->log, LOG_DEV))
    log_line(d->bus->log, LOG_DEV,
             "dev %llu ns: node %u %02x:%02x.%x unit %u domain %u %s %llx length %llx: %s\n",
             (unsigned long long)clock_now(d->clock), d->node, bus, t->requester >> 3 & 0x1f,
             t->requester & 7, t->unit, domain, write ? "write" : "read", (unsigned long long)addr,
             (unsigned long long)len, reasons[why]);
  if (d->status & DEV_ERR_VALID) {
    d->status |= DEV_ERR_OVERFLOW;
  } else {
    d->status = DEV_ERR_VALID | DEV_ERR_ADDR_VALID | (uint32_t)destination(d, t, addr) << 5 |
                SOURCE_DEVICE << 2 | (write ? ACCESS_WRITE : ACCESS_READ);
    d->addr_lo = (uint32_t)addr & ~3u;
    d->addr_hi = addr >> 32 & 0xffff;
  }
  if ((d->cr & DEV_CR_MCE) && d->machine_check)
    d->machine_check(d->machine_check_arg, d->node, write, t->space == TXN_IO, addr);
}

void dev_table_line(const struct dev *d, unsigned domain, uint64_t addr, uint8_t bits[DEV_LINE])
{
  bool valid = domain < d->model->domains && (d->base_lo[domain] & DEV_BASE_VALID);
  if (valid && !out_of_range(d, domain, addr))
    walk(d, domain, addr >> LINE_BITS, bits);
  else
    memset(bits, valid && (d->base_lo[domain] & DEV_BASE_PROTECT) ? 0xff : 0, DEV_LINE);
}
