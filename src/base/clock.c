// The virtual clock and the event queue; see clock.h.
#include "base/clock.h"

#include <stdlib.h>

void clock_init(struct clock *c)
{
  *c = (struct clock){0};
}

void clock_free(struct clock *c)
{
  free(c->queue);
  *c = (struct clock){0};
}

uint64_t clock_now(const struct clock *c)
{
  return c->base + (c->running ? c->running(c->running_arg) : 0);
}

uint64_t clock_shared(struct clock *c)
{
  uint64_t now = clock_now(c);
  if (now > c->shown)
    c->shown = now;
  return c->shown;
}

uint64_t clock_next(const struct clock *c)
{
  return c->count ? c->queue[0]->when : CLOCK_NEVER;
}

static bool before(const struct timer *a, const struct timer *b)
{
  return a->when != b->when ? a->when < b->when : a->seq < b->seq;
}

static void place(struct clock *c, size_t i, struct timer *t)
{
  c->queue[i] = t;
  t->slot = i + 1;
}

static void sift(struct clock *c, size_t i)
{
  struct timer *t = c->queue[i];
  while (i > 0 && before(t, c->queue[(i - 1) / 2])) {
    place(c, i, c->queue[(i - 1) / 2]);
    i = (i - 1) / 2;
  }
  for (;;) {
    size_t k = 2 * i + 1;
    if (k >= c->count)
      break;
    if (k + 1 < c->count && before(c->queue[k + 1], c->queue[k]))
      k++;
    if (!before(c->queue[k], t))
      break;
    place(c, i, c->queue[k]);
    i = k;
  }
  place(c, i, t);
}

void timer_init(struct timer *t, struct clock *c, void (*fire)(void *), void *arg)
{
  *t = (struct timer){.clock = c, .fire = fire, .arg = arg};
}

void timer_cancel(struct timer *t)
{
  if (!t->slot)
    return;
  struct clock *c = t->clock;
  size_t i = t->slot - 1;
  t->slot = 0;
  struct timer *last = c->queue[--c->count];
  if (last != t) {
    place(c, i, last);
    sift(c, i);
  }
}

void timer_set(struct timer *t, uint64_t when)
{
  struct clock *c = t->clock;
  uint64_t next = clock_next(c);
  timer_cancel(t);
  if (c->count == c->room) {
    size_t room = c->room ? 2 * c->room : 32;
    struct timer **q = realloc(c->queue, room * sizeof *q);
    if (!q)
      abort(); // a few dozen timers exist in a machine: the host is out of its last kilobyte
    c->queue = q;
    c->room = room;
  }
  t->when = when;
  t->seq = c->seq++;
  c->queue[c->count] = t;
  c->count++;
  sift(c, c->count - 1);
  if (when < next && c->sooner)
    c->sooner(c->sooner_arg);
}

void clock_advance(struct clock *c, uint64_t to)
{
  while (c->count && c->queue[0]->when <= to) {
    struct timer *t = c->queue[0];
    if (t->when > c->base)
      c->base = t->when;
    timer_cancel(t);
    t->fire(t->arg);
  }
  if (to > c->base)
    c->base = to;
}
