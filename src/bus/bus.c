// The bus: accesses on the flattened map; see bus.h. How the map is made is in map.c.
#include "bus/bus.h"

#include <string.h>

#include "base/log.h"
#include "bus/map.h"

// Bytes of a little-endian value; the host is little-endian too.
static uint64_t low_bytes(uint64_t v, unsigned n)
{
  return n >= 8 ? v : v & ((UINT64_C(1) << (8 * n)) - 1);
}

static unsigned power_of_two_below(unsigned n)
{
  return n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

static unsigned size_or(uint8_t size, unsigned otherwise)
{
  return size ? size : otherwise;
}

// One step of an access to a device: at most n bytes at off, done in sizes that the device takes. Returns
// how many bytes were done, or 0 if the device has no register there.
static unsigned io_step(struct region *r, uint64_t off, unsigned n, const struct txn *t, uint64_t *value)
{
  const struct bus_ops *ops = r->ops;
  unsigned least = size_or(ops->min_size, 1), most = size_or(ops->max_size, 4);
  unsigned skip = (unsigned)(off & (least - 1));
  if (skip || n < least) {
    // Narrower than a register, or beginning inside one: the whole register moves.
    unsigned part = least - skip < n ? least - skip : n;
    off -= skip;
    if (r->size - off < least)
      return 0;
    if (t->kind == TXN_WRITE) {
      if (ops->write)
        ops->write(r->dev, off, least, low_bytes(*value, part) << (8 * skip), t);
    } else {
      uint64_t v = ops->read ? ops->read(r->dev, off, least, t) : UINT64_MAX;
      *value = low_bytes(v >> (8 * skip), part);
    }
    return part;
  }
  unsigned size = power_of_two_below(n < most ? n : most);
  // A device with registers of a least size sees aligned accesses only.
  while (least > 1 && (off & (size - 1)))
    size /= 2;
  if (t->kind == TXN_WRITE) {
    if (ops->write)
      ops->write(r->dev, off, size, low_bytes(*value, size), t);
  } else {
    *value = low_bytes(ops->read ? ops->read(r->dev, off, size, t) : UINT64_MAX, size);
  }
  return size;
}

// n bytes, all inside region r.
static enum txn_resp access_io(struct bus *b, struct region *r, uint64_t addr, unsigned n,
                               const struct txn *t, uint64_t *value)
{
  if (t->debug) { // a register may change when it is only read: a debugger does not get that far
    *value = low_bytes(UINT64_MAX, n);
    return TXN_ABORT;
  }
  struct txn part = *t;
  uint64_t result = 0, base = r->base;
  enum txn_resp resp = TXN_OK;
  for (unsigned done = 0; done < n;) {
    // NOLINTNEXTLINE(*UndefinedBinaryOperatorResult): both callers ask for 8 bytes at most, so done < 8
    uint64_t v = *value >> (8 * done);
    part.addr = addr + done;
    part.size = n - done;
    // The device may unmap or move its own region: what it was asked for stays as it was.
    unsigned step = r->mapped && r->base == base ? io_step(r, part.addr - base, n - done, &part, &v) : 0;
    if (!step) {
      v = low_bytes(UINT64_MAX, n - done);
      step = n - done;
      resp = TXN_ABORT;
    }
    result |= v << (8 * done);
    done += step;
  }
  if (t->kind != TXN_WRITE)
    *value = result;
  if (log_on(b->log, LOG_IO))
    log_line(b->log, LOG_IO, "%s %s %0*llx size %u value %llx\n", r->name,
             t->kind == TXN_WRITE ? "write" : "read", t->space == TXN_IO ? 4 : 9, (unsigned long long)addr, n,
             (unsigned long long)low_bytes(*value, n));
  return resp;
}

enum txn_resp bus_access(struct bus *b, const struct txn *t, uint64_t *value)
{
  enum txn_resp resp = TXN_OK;
  unsigned size = t->size < 8 ? t->size : 8;
  uint64_t in = t->kind == TXN_WRITE ? *value : 0, result = 0;
  if (t->space == TXN_SPECIAL && t->requester >= TXN_FROM_CPU && b->special)
    return b->special(b->special_arg, t, value);
  if (t->space > TXN_IO) { // answered by nobody on this bus
    *value = UINT64_MAX;
    return TXN_ABORT;
  }
  for (unsigned done = 0; done < size;) {
    uint64_t addr = t->addr + done;
    if (t->space == TXN_IO)
      addr &= 0xffff; // the port space wraps
    struct flat *f = map_find(b, t->space, addr);
    unsigned n = size - done;
    if (f->last - addr < n - 1)
      n = (unsigned)(f->last - addr) + 1;
    if (t->space == TXN_IO && n > 0x10000 - addr)
      n = (unsigned)(0x10000 - addr);
    struct region *r = f->region;
    uint64_t v = in >> (8 * done);
    if (!r) {
      v = low_bytes(UINT64_MAX, n);
      resp = TXN_ABORT;
      if (log_on(b->log, LOG_IO) && !t->debug)
        log_line(b->log, LOG_IO, "nobody %s %0*llx size %u\n", t->kind == TXN_WRITE ? "write" : "read",
                 t->space == TXN_IO ? 4 : 9, (unsigned long long)addr, n);
    } else if (t->kind == TXN_WRITE) {
      if (r->kind == REGION_RAM)
        ram_write(b->ram, r->ram_off + (addr - r->base), &v, n);
      else if (r->kind == REGION_IO && access_io(b, r, addr, n, t, &v) != TXN_OK)
        resp = TXN_ABORT;
    } else if (r->kind == REGION_IO && !r->read_ram) {
      if (access_io(b, r, addr, n, t, &v) != TXN_OK)
        resp = TXN_ABORT;
    } else {
      v = 0;
      memcpy(&v, b->ram->mem + r->ram_off + (addr - r->base), n);
    }
    if (t->kind != TXN_WRITE)
      result |= low_bytes(v, n) << (8 * done);
    done += n;
  }
  if (t->kind != TXN_WRITE)
    *value = result;
  return resp;
}

// A piece of a transfer that lies in RAM or ROM.
static void transfer_ram(struct bus *b, const struct region *r, uint64_t addr, bool write, uint8_t *buf,
                         uint64_t n)
{
  uint64_t off = r->ram_off + (addr - r->base);
  if (!write)
    memcpy(buf, b->ram->mem + off, n);
  else if (r->kind == REGION_RAM)
    ram_write(b->ram, off, buf, n);
}

enum txn_resp bus_transfer(struct bus *b, const struct txn *t, void *buf, uint64_t len)
{
  enum txn_resp resp = TXN_OK;
  bool write = t->kind == TXN_WRITE;
  uint8_t *p = buf;
  uint64_t addr = t->addr;
  while (len) {
    struct flat *f = map_find(b, TXN_MEM, addr);
    struct region *r = f->region;
    uint64_t n = f->last - addr < len - 1 ? f->last - addr + 1 : len;
    if (!r) {
      if (!write)
        memset(p, 0xff, n);
      resp = TXN_ABORT;
    } else if (r->kind != REGION_IO || (r->read_ram && !write)) {
      transfer_ram(b, r, addr, write, p, n);
    } else {
      // One step; the map may be another one afterwards.
      n = 4 - (addr & 3) < n ? 4 - (addr & 3) : n;
      uint64_t v = 0;
      struct txn part = *t;
      part.addr = addr;
      part.space = TXN_MEM;
      if (write)
        memcpy(&v, p, n);
      if (access_io(b, r, addr, (unsigned)n, &part, &v) != TXN_OK)
        resp = TXN_ABORT;
      if (!write)
        memcpy(p, &v, n);
    }
    addr += n;
    p += n;
    len -= n;
  }
  return resp;
}

uint8_t *bus_host(struct bus *b, uint64_t addr, bool write, uint64_t *len)
{
  const struct flat *f = map_find(b, TXN_MEM, addr);
  const struct region *r = f->region;
  if (!r || (r->kind == REGION_IO && (write || !r->read_ram)) || (r->kind == REGION_ROM && write))
    return NULL;
  if (f->last - addr < *len)
    *len = f->last - addr + 1;
  return b->ram->mem + r->ram_off + (addr - r->base);
}

struct region *bus_find(struct bus *b, enum txn_space space, uint64_t addr, uint64_t *first, uint64_t *last)
{
  if (space != TXN_MEM && space != TXN_IO) {
    *first = 0;
    *last = UINT64_MAX;
    return NULL;
  }
  struct flat *f = map_find(b, space, addr);
  *first = f->first;
  *last = f->last;
  return f->region;
}

uint64_t bus_ram_page(struct bus *b, uint64_t addr, bool *rom)
{
  uint64_t page = addr & ~UINT64_C(4095);
  struct flat *f = map_find(b, TXN_MEM, page);
  struct region *r = f->region;
  if (!r || r->kind == REGION_IO || f->last - page < 4095)
    return RAM_NONE;
  uint64_t off = r->ram_off + (page - r->base);
  if (off & 4095)
    return RAM_NONE;
  *rom = r->kind == REGION_ROM;
  return off;
}
