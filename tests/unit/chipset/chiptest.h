// A bus, a clock and a recorder of lines for tests of single chips.
#ifndef CHIPTEST_H
#define CHIPTEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "bus/bus.h"
#include "bus/irq.h"
#include "chipset/northbridge.h"
#include "fabric/topology.h"

struct wire {
  int level;
  unsigned rises, falls;
};

struct bench {
  struct ram ram;
  struct log log;
  struct bus bus;
  struct clock clock;
  struct wire wire[32];
  struct intr_msg msg;
  unsigned messages;
};

static inline void wire_set(void *sink, int pin, int level)
{
  struct wire *w = &((struct bench *)sink)->wire[pin];
  w->rises += level && !w->level;
  w->falls += !level && w->level;
  w->level = level;
}

static inline struct irq line(struct bench *b, int n)
{
  return (struct irq){.set = wire_set, .sink = b, .pin = n};
}

static inline void take_msg(void *arg, const struct intr_msg *m)
{
  struct bench *b = arg;
  b->msg = *m;
  b->messages++;
}

static inline void bench_init(struct bench *b)
{
  struct err e;
  memset(b, 0, sizeof *b);
  assert_true(ram_init(&b->ram, 4 << 20, &e));
  ram_alloc(&b->ram, 4 << 20);
  assert_true(bus_init(&b->bus, &b->ram, &b->log));
  clock_init(&b->clock);
  b->bus.intr = take_msg;
  b->bus.intr_arg = b;
}

static inline void bench_free(struct bench *b)
{
  clock_free(&b->clock);
  bus_free(&b->bus);
  ram_free(&b->ram);
}

static inline uint64_t get(struct bench *b, enum txn_space space, uint64_t addr, unsigned size)
{
  struct txn t = {.addr = addr, .size = size, .requester = TXN_FROM_CPU, .kind = TXN_READ, .space = space};
  uint64_t v = 0;
  bus_access(&b->bus, &t, &v);
  return v;
}

static inline void put(struct bench *b, enum txn_space space, uint64_t addr, unsigned size, uint64_t v)
{
  struct txn t = {.addr = addr, .size = size, .requester = TXN_FROM_CPU, .kind = TXN_WRITE, .space = space};
  bus_access(&b->bus, &t, &v);
}

static inline unsigned in8(struct bench *b, unsigned port)
{
  return (unsigned)get(b, TXN_IO, port, 1);
}

static inline void out8(struct bench *b, unsigned port, unsigned v)
{
  put(b, TXN_IO, port, 1, v);
}

static inline void run_ns(struct bench *b, uint64_t ns)
{
  clock_advance(&b->clock, b->clock.base + ns);
}

// Links and routes of the default topology.
static inline void link_nodes(struct nb_map *m)
{
  struct topology t;
  topology_init(&t, m->nodes, m->family == NB_K8 ? 3 : 4);
  topology_default(&t);
  assert_true(topology_route(&t));
  for (unsigned n = 0; n < m->nodes; n++) {
    memcpy(m->node[n].peer, t.peer[n], sizeof t.peer[n]);
    memcpy(m->node[n].route, t.next[n], sizeof t.next[n]);
    memcpy(m->node[n].spread, t.spread[n], sizeof t.spread[n]);
  }
}

#endif
