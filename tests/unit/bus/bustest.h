// A bus with 1 MB of RAM cells and a device that remembers what it was asked.
#ifndef BUSTEST_H
#define BUSTEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/log.h"
#include "bus/bus.h"

struct bench {
  struct ram ram;
  struct log log;
  struct bus bus;
};

static inline void bench_init(struct bench *b)
{
  struct err e;
  memset(b, 0, sizeof *b);
  assert_true(ram_init(&b->ram, 1 << 20, &e));
  assert_int_equal(ram_alloc(&b->ram, 1 << 20), 0);
  assert_true(bus_init(&b->bus, &b->ram, &b->log));
}

static inline void bench_free(struct bench *b)
{
  bus_free(&b->bus);
  ram_free(&b->ram);
}

struct probe {
  unsigned calls;
  uint64_t off[16], value[16];
  unsigned size[16];
  bool write[16];
};

static inline uint64_t probe_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct probe *p = dev;
  unsigned i = p->calls++ & 15;
  p->off[i] = off;
  p->size[i] = size;
  p->write[i] = false;
  uint64_t v = 0;
  for (unsigned k = 0; k < size; k++)
    v |= ((off + k) & 0xff) << (8 * k);
  return v; // each byte is its own offset
}

static inline void probe_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct probe *p = dev;
  unsigned i = p->calls++ & 15;
  p->off[i] = off;
  p->size[i] = size;
  p->value[i] = value;
  p->write[i] = true;
}

static inline uint64_t get(struct bus *b, enum txn_space space, uint64_t addr, unsigned size)
{
  struct txn t = {.addr = addr, .size = size, .requester = TXN_FROM_CPU, .kind = TXN_READ, .space = space};
  uint64_t v = 0x5555;
  bus_access(b, &t, &v);
  return v;
}

static inline enum txn_resp put(struct bus *b, enum txn_space space, uint64_t addr, unsigned size, uint64_t v)
{
  struct txn t = {.addr = addr, .size = size, .requester = TXN_FROM_CPU, .kind = TXN_WRITE, .space = space};
  return bus_access(b, &t, &v);
}

#endif
