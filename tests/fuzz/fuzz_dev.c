// The fabric with its Device Exclusion Vectors against a model of them that is a few lines long and keeps
// nothing: any registers, tables in RAM, at its end and nowhere, routes, and requests of any address, length,
// space, unit and node. Promises: what the model denies reads as ones and writes nothing, all else reaches
// its bytes and no other; the answer and the error registers say so.
//
// Tables are invalidated before each request, so that the model needs no cache; a request of several pages
// does not write to tables.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "fabric/fabric.h"
#include "fuzz.h"

#define STEPS 120
#define MB    UINT64_C(0x100000)
#define GB    UINT64_C(0x40000000)

enum { NODES = 4, PIECES = 4, LONGEST = 0x6000, LOW = 0x40000 };

// What answers: RAM in three places, a device.
static const struct piece {
  uint64_t base, size;
  bool ram;
} pieces[PIECES] = {
    {0, LOW, true}, {16 * MB, MB / 4, true}, {4 * GB, 0x10000, true}, {3 * GB, 0x1000, false}};
enum { PORT = 0x100, PORTS = 0x80, TABLES = 1, TAIL = 0x10000 };

struct model_dev { // one node's registers, as the BKDG has them
  uint64_t base[8];
  uint32_t lo[8], map[4], cr, status;
  uint64_t error;
  uint64_t sl;
};

struct world {
  struct ram ram;
  struct log log;
  struct bus bus;
  struct clock clock;
  struct fabric f;
  struct region region[PIECES], ports;
  uint8_t device[0x1000], port[PORTS];
  unsigned messages, machine_checks;
  const struct dev_model *model;
  // The model's.
  uint8_t *bytes[PIECES], own_port[PORTS];
  struct model_dev dev[NODES];
  unsigned owner[PIECES];
};

static uint64_t read_bytes(const uint8_t *from, uint64_t off, unsigned size)
{
  uint64_t v = 0;
  memcpy(&v, from + off, size);
  return v;
}

static uint64_t device_read(void *arg, uint64_t off, unsigned size, const struct txn *t)
{
  return read_bytes(((struct world *)arg)->device, off, size);
}
static void device_write(void *arg, uint64_t off, unsigned size, uint64_t v, const struct txn *t)
{
  memcpy(((struct world *)arg)->device + off, &v, size);
}
static uint64_t port_read(void *arg, uint64_t off, unsigned size, const struct txn *t)
{
  return read_bytes(((struct world *)arg)->port, off, size);
}
static void port_write(void *arg, uint64_t off, unsigned size, uint64_t v, const struct txn *t)
{
  memcpy(((struct world *)arg)->port + off, &v, size);
}
static void message(void *arg, const struct intr_msg *m)
{
  ((struct world *)arg)->messages++;
}
static void machine_check(void *arg, uint8_t node, bool write, bool io, uint64_t addr)
{
  ((struct world *)arg)->machine_checks++;
}

static uint8_t *real_bytes(struct world *w, unsigned i)
{
  return pieces[i].ram ? w->ram.mem + w->region[i].ram_off : w->device;
}

static void open_world(struct world *w, unsigned nodes, const struct dev_model *model, uint64_t noise)
{
  static const struct bus_ops device = {.read = device_read, .write = device_write, .max_size = 8};
  static const struct bus_ops ports = {.read = port_read, .write = port_write, .max_size = 4};
  struct err e;
  memset(w, 0, sizeof *w);
  w->model = model;
  if (!ram_init(&w->ram, MB, &e) || !bus_init(&w->bus, &w->ram, &w->log))
    abort();
  clock_init(&w->clock);
  w->bus.intr = message;
  w->bus.intr_arg = w;
  fabric_init(&w->f, &w->bus, nodes);
  if (!fabric_add_dev(&w->f, model, &w->clock))
    abort();
  for (unsigned i = 0; i < PIECES; i++) {
    const struct piece *p = &pieces[i];
    if (p->ram)
      bus_map_ram(&w->bus, &w->region[i], "ram", p->base, p->size, ram_alloc(&w->ram, p->size), 0, false);
    else
      bus_map_io(&w->bus, &w->region[i], "device", p->base, p->size, &device, w);
    uint8_t *real = real_bytes(w, i);
    for (unsigned k = 0; k < p->size; k += 8) {
      uint64_t v = fuzz_random(&noise), few = fuzz_random(&noise);
      if (i == TABLES) // that deny some pages, not half of them
        v &= few & few >> 17;
      memcpy(real + k, &v, 8);
    }
    w->bytes[i] = malloc(p->size ? p->size : 1);
    if (!w->bytes[i])
      abort();
    memcpy(w->bytes[i], real, p->size);
    w->owner[i] = i % nodes;
    struct fabric_range r = {
        .first = p->base, .last = p->base + p->size - 1, .node = (uint8_t)w->owner[i], .dram = p->ram};
    if (!fabric_add_range(&w->f, &r))
      abort();
  }
  bus_map_ports(&w->bus, &w->ports, "ports", PORT, PORTS, &ports, w);
  for (unsigned n = 0; n < nodes; n++) {
    w->dev[n].cr = model->reset_cr;
    w->f.node[n].dev->machine_check = machine_check;
    w->f.node[n].dev->machine_check_arg = w;
  }
}

static void close_world(struct world *w)
{
  fabric_free(&w->f);
  for (unsigned i = 0; i < PIECES; i++)
    free(w->bytes[i]);
  bus_free(&w->bus);
  ram_free(&w->ram);
  clock_free(&w->clock);
}

// ---- the model ----

static int piece_of(uint64_t addr)
{
  for (unsigned i = 0; i < PIECES; i++)
    if (addr - pieces[i].base < pieces[i].size)
      return (int)i;
  return -1;
}

// A bit of a table; what is not RAM reads as ones.
static bool table_bit(const struct world *w, uint64_t base, uint64_t page)
{
  uint64_t at = base + page / 8;
  int i = piece_of(at);
  return i < 0 || !pieces[i].ram || w->bytes[i][at - pieces[i].base] >> page % 8 & 1;
}

static unsigned domain_of(const struct world *w, const struct model_dev *d, unsigned bus, unsigned unit)
{
  for (unsigned i = 0; i < w->model->maps; i++) {
    uint32_t m = d->map[i];
    if ((m >> 12 & 0xff) == bus && (m >> 5 & 1) && (m & 0x1f) == unit)
      return m >> 20 & 0x3f;
    if ((m >> 12 & 0xff) == bus && (m >> 11 & 1) && (m >> 6 & 0x1f) == unit)
      return m >> 26 & 0x3f;
  }
  return 0;
}

static bool allowed(const struct world *w, const struct txn *t, uint64_t addr)
{
  const struct model_dev *d = &w->dev[t->node];
  if (t->space == TXN_CONFIG)
    return false;
  if (t->space == TXN_IO)
    return !(d->cr >> 2 & 1);
  if ((d->cr >> 5 & 1) && addr >= d->sl && addr - d->sl < 0x10000)
    return false;
  unsigned dom = domain_of(w, d, t->requester >> 8 & 0xff, t->unit);
  if (!(d->cr & 1) || !(d->lo[dom] & 1))
    return true;
  unsigned size = d->lo[dom] >> 2 & 0x1f;
  if (addr >> 32 >> size)
    return !(d->lo[dom] >> 1 & 1);
  return !table_bit(w, d->base[dom] | (d->lo[dom] & 0xfffff000), addr >> 12);
}

static bool routed(const struct world *w, unsigned from, unsigned to)
{
  for (unsigned hop = 0; from != to; hop++) {
    unsigned way = w->f.node[from].route[to], next = NODES;
    for (unsigned p = 0; p < TOPOLOGY_PORTS; p++)
      if (way == 2u << p)
        next = w->f.node[from].link[p].peer;
    if (next >= w->f.nodes || hop == w->f.nodes)
      return false;
    from = next;
  }
  return true;
}

// One byte of a request; false: nobody answers.
static bool model_byte(struct world *w, const struct txn *t, uint64_t addr, uint8_t *v)
{
  uint8_t *at = NULL;
  unsigned owner = 0;
  if (t->space == TXN_IO) {
    if (addr - PORT < PORTS)
      at = &w->own_port[addr - PORT];
  } else {
    int i = piece_of(addr);
    if (i >= 0) {
      at = &w->bytes[i][addr - pieces[i].base];
      owner = w->owner[i];
    }
  }
  if (!at || (w->f.nodes > 1 && !routed(w, t->node, owner)))
    return false;
  if (t->kind == TXN_WRITE)
    *at = *v;
  else
    *v = *at;
  return true;
}

static void model_denied(struct model_dev *d, const struct txn *t, uint64_t addr)
{
  if (d->status >> 31) {
    d->status |= 1u << 30;
    return;
  }
  int i = piece_of(addr);
  unsigned dest = t->space == TXN_IO ? 4 : t->space == TXN_CONFIG ? 5 : i >= 0 && pieces[i].ram ? 1 : 2;
  d->status = 5u << 29 | dest << 5 | 2 << 2 | (t->kind == TXN_WRITE ? 2 : 1);
  d->error = addr & 0xfffffffffffc;
}

static enum txn_resp model_request(struct world *w, struct txn t, uint8_t *buf, uint64_t len,
                                   unsigned *messages)
{
  bool write = t.kind == TXN_WRITE, ok = true, before = true;
  if (t.space == TXN_MEM && t.addr >= 0xfdfc000000 && t.addr <= 0xffffffffff) {
    t.space = t.addr < 0xfdfe000000 ? TXN_IO : TXN_CONFIG;
    t.addr -= t.space == TXN_IO ? 0xfdfc000000 : 0xfdfe000000;
  }
  if (!len)
    return TXN_OK;
  uint64_t last = t.addr + len - 1;
  bool msi = t.space == TXN_MEM && last >= 0xfee00000 && t.addr <= 0xfeefffff;
  if (msi && write && len == 4 && t.addr % 4 == 0) {
    ++*messages;
    return TXN_OK;
  }
  if (msi || last < t.addr || (t.space != TXN_MEM && len > 4) || (t.space == TXN_IO && last > 0xffff)) {
    if (!write)
      memset(buf, 0xff, len);
    return TXN_ABORT;
  }
  bool may = false;
  for (uint64_t i = 0; i < len; i++) {
    if (i == 0 || !((t.addr + i) & 0xfff)) // once a page, before it is written: it may be a table
      may = allowed(w, &t, t.addr + i);
    if (!may && before)
      model_denied(&w->dev[t.node], &t, t.addr + i);
    before = may; // a run of denied addresses is one error
    if (!may || !model_byte(w, &t, t.addr + i, &buf[i])) {
      ok = false;
      if (!write)
        buf[i] = 0xff;
    }
  }
  return ok ? TXN_OK : TXN_ABORT;
}

// ---- steps ----

static void real_write(struct world *w, unsigned node, unsigned fn, unsigned index, uint32_t v)
{
  dev_write(w->f.node[node].dev, 0xf4, fn << 8 | index);
  dev_write(w->f.node[node].dev, 0xf8, v);
}

static uint32_t real_read(struct world *w, unsigned node, unsigned fn, unsigned index)
{
  dev_write(w->f.node[node].dev, 0xf4, fn << 8 | index);
  return dev_read(w->f.node[node].dev, 0xf8);
}

static void write_register(struct world *w, struct fuzz_in *in)
{
  static const uint64_t bases[] = {16 * MB, 16 * MB + 0x20000, LOW - 0x1000, LOW, 3 * GB, 4 * GB,
                                   2 * GB,  0xfffffffff000};
  unsigned node = (unsigned)fuzz_take(in, 1) % w->f.nodes, fn = (unsigned)fuzz_take(in, 1) % 9,
           index = (unsigned)fuzz_take(in, 1) % 10, how = (unsigned)fuzz_take(in, 1);
  uint32_t v = (uint32_t)fuzz_take(in, 4), dom = w->model->domains - 1;
  struct model_dev *d = &w->dev[node];
  uint64_t base = bases[how >> 5];
  bool here = index < (fn == 2 ? w->model->maps : w->model->domains);
  if (fn == 0 && !(how & 1)) // a table that could be one
    v = (uint32_t)base | (how >> 1 & 3) << 2 | (v & 2) | 1;
  if (fn == 1 && !(how & 1))
    v = (uint32_t)(base >> 32);
  real_write(w, node, fn, index, v);
  switch (fn) {
  case 0:
    if (here)
      d->lo[index] = v & 0xfffff07f;
    break;
  case 1:
    if (here)
      d->base[index] = (uint64_t)(v & (w->model->address_bits == 48 ? 0xffff : 0xff)) << 32;
    break;
  case 2:
    if (here)
      d->map[index] = v & (0xfffff | dom << 20 | dom << 26);
    break;
  case 4:
    d->cr = (v & 0x4f) | (v & d->cr & 0x20);
    break;
  case 5:
    d->status = v & 0xe00000ff;
    break;
  case 6:
    d->error = (d->error & ~UINT64_C(0xffffffff)) | (v & ~3u);
    break;
  case 7:
    d->error = (uint32_t)d->error | (uint64_t)(v & 0xffff) << 32;
    break;
  default:
    break;
  }
}

static void change_tables(struct world *w, struct fuzz_in *in)
{
  uint64_t at = fuzz_take(in, 3) % (pieces[TABLES].size - 256), v = fuzz_take(in, 1);
  unsigned len = 1 + (unsigned)fuzz_take(in, 1);
  memset(w->bytes[TABLES] + at, (int)v, len);
  memset(real_bytes(w, TABLES) + at, (int)v, len);
}

static void protect(struct world *w, struct fuzz_in *in)
{
  static const uint64_t blocks[] = {0,       0x10000,           0x20000, LOW - 0x10000,
                                    16 * MB, 16 * MB + 0x20000, 3 * GB,  2 * GB};
  unsigned how = (unsigned)fuzz_take(in, 2);
  uint64_t sl = how & 8 ? (uint64_t)how << 16 : blocks[how & 7];
  for (unsigned n = 0; n < w->f.nodes; n++) {
    dev_protect_loader(w->f.node[n].dev, sl);
    w->dev[n].sl = sl;
    w->dev[n].cr |= 0x24;
  }
}

static void reset(struct world *w, struct fuzz_in *in)
{
  bool cold = fuzz_take(in, 1) & 1;
  for (unsigned n = 0; n < w->f.nodes; n++) {
    struct model_dev *d = &w->dev[n], old = *d;
    dev_reset(w->f.node[n].dev, cold);
    *d = (struct model_dev){.cr = w->model->reset_cr};
    if (!cold)
      d->status = old.status, d->error = old.error;
  }
}

static void compare(struct world *w)
{
  for (unsigned i = 0; i < PIECES; i++)
    FUZZ_REQUIRE(!memcmp(real_bytes(w, i), w->bytes[i], pieces[i].size), "memory at %llx",
                 (unsigned long long)pieces[i].base);
  FUZZ_REQUIRE(!memcmp(w->port, w->own_port, PORTS), "ports");
  for (unsigned n = 0; n < w->f.nodes; n++) {
    const struct model_dev *d = &w->dev[n];
    for (unsigned i = 0; i < w->model->domains; i++)
      FUZZ_REQUIRE(real_read(w, n, 0, i) == d->lo[i] && real_read(w, n, 1, i) == d->base[i] >> 32, "base %u",
                   i);
    for (unsigned i = 0; i < w->model->maps; i++)
      FUZZ_REQUIRE(real_read(w, n, 2, i) == d->map[i], "map %u", i);
    FUZZ_REQUIRE(real_read(w, n, 4, 0) == d->cr, "CR %x, not %x", real_read(w, n, 4, 0), d->cr);
    FUZZ_REQUIRE(real_read(w, n, 5, 0) == d->status, "status %x, not %x", real_read(w, n, 5, 0), d->status);
    FUZZ_REQUIRE(real_read(w, n, 6, 0) == (uint32_t)d->error && real_read(w, n, 7, 0) == d->error >> 32,
                 "error address, not %llx", (unsigned long long)d->error);
  }
}

static bool writes_tables(const struct txn *t, uint64_t len)
{
  uint64_t last = t->addr + len - 1, from = pieces[TABLES].base, tail = LOW - TAIL;
  if (t->kind != TXN_WRITE || (t->addr & 0xfff) + len <= 0x1000)
    return false;
  return (last >= from && t->addr < from + pieces[TABLES].size) || (last >= tail && t->addr < LOW) ||
         (last >= 4 * GB && t->addr < 5 * GB);
}

struct moved {
  uint8_t *buf;
  bool to_memory;
};

static int move(void *arg, const struct iovec *piece, int n)
{
  const struct moved *m = arg;
  uint8_t *buf = m->buf;
  for (int i = 0; i < n; buf += piece[i++].iov_len)
    memcpy(m->to_memory ? piece[i].iov_base : buf, m->to_memory ? buf : piece[i].iov_base, piece[i].iov_len);
  return 0;
}

// The same request in up to three ranges, in one go. False: then nothing may have happened.
static bool direct(struct world *w, const struct txn *t, uint8_t *buf, uint64_t len, struct dma_range r[3],
                   uint64_t noise)
{
  struct dma_list l = {r, 3, 0, len};
  struct moved moved = {buf, t->kind == TXN_WRITE};
  struct dma_mover m = {move, &moved, -1};
  uint64_t a = fuzz_random(&noise) % (len + 1), b = a + fuzz_random(&noise) % (len - a + 1);
  r[0] = (struct dma_range){t->addr, (uint32_t)a};
  r[1] = (struct dma_range){t->addr + a, (uint32_t)(b - a)};
  r[2] = (struct dma_range){t->addr + b, (uint32_t)(len - b)};
  bool done = fabric_direct(&w->f, t, &l, &m);
  FUZZ_REQUIRE(m.result == (done ? 0 : -1), "the mover was %scalled", done ? "not " : "");
  return done;
}

static void request(struct world *w, struct fuzz_in *in)
{
  static uint8_t buf[LONGEST], mine[LONGEST];
  static const uint64_t others[] = {0xfee00000, 0xfdfc000000, 0xfdfe000000, 0x10000000000,
                                    2 * GB,     0xffffff00,   ~0xfffull,    0xfdfdffff00};
  unsigned how = (unsigned)fuzz_take(in, 1), who = (unsigned)fuzz_take(in, 2);
  uint64_t off = fuzz_take(in, 3), len = fuzz_take(in, 2), noise = off;
  struct txn t = {.kind = how & 1 ? TXN_WRITE : TXN_READ,
                  .space = (how & 0xe0) == 0xe0 ? 1 + off % 3 : TXN_MEM,
                  .node = (uint8_t)((who >> 8 & 3) % w->f.nodes),
                  .unit = who & 3,
                  .requester = (who >> 2 & 3) << 8 | (who & 0xf0) >> 1};
  const struct piece *p = &pieces[how >> 1 & 3];
  t.addr = how & 0x10 ? others[how >> 1 & 7] + (off & 0x3ff) : p->base + off % (p->size + 0x1000);
  if (how & 8 && off & 1) // around the ends of pages
    t.addr = (t.addr & ~0xfffull) + 0xffc + (off >> 8 & 7);
  if (t.space == TXN_IO)
    t.addr = how & 0x10 ? 0xfff0 + (off & 0x1f) : PORT + off % (PORTS + 4);
  if (t.space == TXN_SPECIAL)
    t.space = TXN_MEM;
  len = how & 8 ? 1 + len % 8 : len % LONGEST;
  if (writes_tables(&t, len))
    t.kind = TXN_READ;
  for (unsigned n = 0; n < w->f.nodes; n++) // DEVINV
    real_write(w, n, 4, 0, w->dev[n].cr | 0x10);
  for (uint64_t i = 0; i < len; i++)
    buf[i] = mine[i] = (uint8_t)fuzz_random(&noise);
  unsigned messages = w->messages;
  uint64_t where = t.addr;
  struct dma_range r[3];
  if (t.space == TXN_MEM && off & 2 && direct(w, &t, buf, len, r, noise)) {
    for (unsigned i = 0; i < 3; i++) {
      struct txn part = t;
      part.addr = r[i].addr;
      FUZZ_REQUIRE(!r[i].len ||
                       model_request(w, part, mine + (r[i].addr - t.addr), r[i].len, &messages) == TXN_OK,
                   "%llx, length %x is refused, and was moved", (unsigned long long)r[i].addr, r[i].len);
    }
    FUZZ_REQUIRE(!memcmp(buf, mine, len), "data of a direct transfer at %llx", (unsigned long long)where);
    return;
  }
  enum txn_resp want = model_request(w, t, mine, len, &messages), got = fabric_transfer(&w->f, &t, buf, len);
  FUZZ_REQUIRE(got == want, "%s at %llx, length %llx: answer %u, not %u",
               t.kind == TXN_WRITE ? "write" : "read", (unsigned long long)where, (unsigned long long)len,
               got, want);
  FUZZ_REQUIRE(!memcmp(buf, mine, len), "data at %llx, length %llx", (unsigned long long)where,
               (unsigned long long)len);
  FUZZ_REQUIRE(w->messages == messages, "%u messages, not %u", w->messages, messages);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
  static struct world w;
  struct fuzz_in in = {data, len};
  unsigned how = (unsigned)fuzz_take(&in, 1);
  open_world(&w, 1 + (how & 3), how & 4 ? &dev_model_k8 : &dev_model_family10h, fuzz_take(&in, 2));
  for (unsigned i = 0; i < STEPS && in.left; i++) {
    unsigned step = (unsigned)fuzz_take(&in, 1);
    switch (step & 15) {
    case 0:
    case 1:
    case 2:
    case 3:
      write_register(&w, &in);
      break;
    case 4:
      change_tables(&w, &in);
      break;
    case 5:
      if (step & 0x30)
        protect(&w, &in);
      else
        reset(&w, &in);
      break;
    case 6:
      fabric_set_route(&w.f, step >> 4 & 3, (unsigned)fuzz_take(&in, 1) & 3,
                       (uint16_t)(1u << (step >> 6 & 3)));
      break;
    default:
      request(&w, &in);
    }
    compare(&w);
  }
  close_world(&w);
  return 0;
}

// Maps, tables and DEV on, then requests.
size_t fuzz_seed(unsigned n, uint8_t *buf)
{
  struct fuzz_out out = {buf, 0};
  if (n >= 64)
    return 0;
  uint64_t noise = n;
  fuzz_put(&out, 1, n);
  fuzz_put(&out, 2, n * 3);
  for (unsigned node = 0; node < 4; node++) {
    for (unsigned dom = 0; dom < 3; dom++) {
      fuzz_put(&out, 5, (uint64_t)node << 8 | (uint64_t)dom << 24 | (uint64_t)((n >> 2) + dom) << 37);
      fuzz_put(&out, 4, dom == 2 ? 2 : 0); // base
      fuzz_put(&out, 5,
               (uint64_t)node << 8 | 1 << 16 | (uint64_t)dom << 24 | (uint64_t)((n >> 2) + dom) << 37);
      fuzz_put(&out, 4, 0);
    }
    fuzz_put(&out, 5, (uint64_t)node << 8 | 2 << 16);
    fuzz_put(&out, 4, 1u << 20 | 2u << 26 | 1u << 5 | 1u | 1u << 11 | 2u << 6); // units 1, 2 of bus 0
    fuzz_put(&out, 5, (uint64_t)node << 8 | 4 << 16);
    fuzz_put(&out, 4, n & 8 ? 1 | 1 << 3 : 1);
  }
  for (unsigned i = 0; i < 60; i++) {
    uint64_t r = fuzz_random(&noise);
    fuzz_put(&out, 1, i % 20 == 19 ? r : 7);
    fuzz_put(&out, 8, fuzz_random(&noise));
  }
  return out.len;
}
