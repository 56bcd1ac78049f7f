// See vpit.h. Modes 1 and 5 (hardware triggers) are taken as modes 0 and 4; BCD counting is not there.
#include "vdev/vpit.h"

#include "host/lapic.h"
#include "svm/vcpu.h"

enum {
  HZ = 1193182,
  LATCH = 0,
  LOW = 1,
  HIGH = 2,
  BOTH = 3,
  GATE2 = 1,
  SPEAKER = 2,
  OUT2 = 0x20,
  REFRESH = 0x10
};

void vpit_reset(struct guest *g)
{
  g->pit = (struct vpit){.deadline = UINT64_MAX};
  for (unsigned i = 0; i < 3; i++)
    g->pit.counter[i] = (struct vpit_counter){.mode = 3, .access = BOTH, .count = 65536};
}

// Clocks since the count was loaded.
static uint64_t elapsed(const struct vpit_counter *c)
{
  uint64_t now = rdtsc(); // of this CPU, which may be a little behind the one that loaded the count
  return c->running && now > c->start ? mul_div(now - c->start, HZ, tsc_hz()) : 0;
}

static uint64_t to_tsc(uint64_t clocks)
{
  return mul_div(clocks, tsc_hz(), HZ) + 1;
}

static bool periodic(const struct vpit_counter *c)
{
  return c->mode == 2 || c->mode == 3;
}

static uint16_t value(const struct vpit_counter *c)
{
  uint64_t n = elapsed(c);
  if (!periodic(c))
    return (uint16_t)(c->count - n);
  n %= c->count;
  return (uint16_t)(c->mode == 3 ? c->count - (2 * n) % c->count : c->count - n);
}

static bool output(const struct vpit_counter *c)
{
  uint64_t n = elapsed(c);
  if (c->mode == 3)
    return n % c->count < (c->count + 1) / 2;
  if (c->mode == 2)
    return n % c->count != c->count - 1;
  return n >= c->count;
}

static void load(struct guest *g, unsigned i, uint32_t count)
{
  struct vpit_counter *c = &g->pit.counter[i];
  c->count = count ? count : 65536;
  c->start = rdtsc();
  c->running = i != 2 || g->pit.port61 & GATE2;
  if (i == 0) {
    g->pit.deadline = c->start + to_tsc(c->count);
    vcpu_wake(g->vcpu[0]);
  }
}

void vpit_update(struct guest *g, uint64_t now)
{
  struct vpit *p = &g->pit;
  struct vpit_counter *c = &p->counter[0];
  if (now < p->deadline)
    return;
  if (periodic(c)) {
    uint64_t period = to_tsc(c->count < 60 ? 60 : c->count); // not more often than each 50 us
    p->deadline += ((now - p->deadline) / period + 1) * period;
  } else {
    p->deadline = UINT64_MAX;
  }
  guest_line(g, 0, true);
  guest_line(g, 0, false);
}

static void control(struct guest *g, uint8_t v)
{
  unsigned i = v >> 6;
  if (i == 3) { // read back
    for (i = 0; i < 3; i++) {
      struct vpit_counter *c = &g->pit.counter[i];
      if (!(v >> (i + 1) & 1))
        continue;
      if (!(v & 0x20) && !c->latched)
        c->latch = value(c), c->latched = true;
      if (!(v & 0x10) && !c->status_latched) {
        c->status = (uint8_t)(output(c) << 7 | c->access << 4 | c->mode << 1);
        c->status_latched = true;
      }
    }
    return;
  }
  struct vpit_counter *c = &g->pit.counter[i];
  if ((v >> 4 & 3) == LATCH) {
    if (!c->latched)
      c->latch = value(c), c->latched = true;
    return;
  }
  static const uint8_t modes[8] = {0, 0, 2, 3, 4, 4, 2, 3};
  *c = (struct vpit_counter){.mode = modes[v >> 1 & 7], .access = v >> 4 & 3, .count = 65536};
  if (i == 0)
    g->pit.deadline = UINT64_MAX;
}

void vpit_write(struct guest *g, uint16_t port, uint8_t v)
{
  if (port == 0x61) {
    uint8_t was = g->pit.port61;
    g->pit.port61 = v & (GATE2 | SPEAKER);
    struct vpit_counter *c = &g->pit.counter[2];
    if (v & GATE2 && !(was & GATE2))
      c->start = rdtsc(), c->running = true;
    if (!(v & GATE2))
      c->running = false;
    return;
  }
  if (port == 0x43) {
    control(g, v);
    return;
  }
  struct vpit_counter *c = &g->pit.counter[port & 3];
  if (c->access == LOW) {
    load(g, port & 3, v);
  } else if (c->access == HIGH) {
    load(g, port & 3, (uint32_t)v << 8);
  } else if (!c->write_high) {
    c->low = v;
    c->write_high = true;
  } else {
    c->write_high = false;
    load(g, port & 3, c->low | (uint32_t)v << 8);
  }
}

uint8_t vpit_read(struct guest *g, uint16_t port)
{
  if (port == 0x61) {
    uint8_t refresh = rdtsc() / (tsc_hz() / 66000 + 1) & 1 ? REFRESH : 0;
    return g->pit.port61 | refresh | (output(&g->pit.counter[2]) ? OUT2 : 0);
  }
  if (port == 0x43)
    return 0xff;
  struct vpit_counter *c = &g->pit.counter[port & 3];
  if (c->status_latched) {
    c->status_latched = false;
    return c->status;
  }
  uint16_t v = c->latched ? c->latch : value(c);
  if (c->access == LOW || (c->access == BOTH && !c->read_high)) {
    c->read_high = c->access == BOTH;
    if (c->access == LOW)
      c->latched = false;
    return (uint8_t)v;
  }
  c->read_high = c->latched = false;
  return (uint8_t)(v >> 8);
}
