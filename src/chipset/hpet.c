// High precision event timer; see hpet.h.
#include "chipset/hpet.h"

// Vendor 8086h, legacy route, 64-bit counter, three timers, revision 1; period in femtoseconds.
#define CAPABILITIES (UINT64_C(10000000) << 32 | 0x8086a201u)

enum { CONFIG_ENABLE = 1, CONFIG_LEGACY = 2 };

#define TN_LEVEL        0x0002u
#define TN_ENABLE       0x0004u
#define TN_PERIODIC     0x0008u
#define TN_PERIODIC_CAP 0x0010u
#define TN_SIZE_CAP     0x0020u
#define TN_VAL_SET      0x0040u
#define TN_32BIT        0x0100u
#define TN_ROUTE        0x3e00u
#define TN_WRITABLE     (TN_LEVEL | TN_ENABLE | TN_PERIODIC | TN_VAL_SET | TN_32BIT | TN_ROUTE)
// Interrupts that a timer may be routed to: 8, and 16 to 23, which only the I/O APIC has.
#define TN_ROUTES (UINT64_C(0x00ff0100) << 32)

#define PERIOD_FLOOR 100 // ticks: 1 us

static uint64_t counter(const struct hpet *h)
{
  if (!(h->config & CONFIG_ENABLE))
    return h->counter;
  return h->counter + (clock_now(h->clock) - h->since) / HPET_TICK_NS;
}

static unsigned index_of(const struct hpet_timer *t)
{
  return (unsigned)(t - t->hpet->timer);
}

static void drive(struct hpet_timer *t, int level)
{
  struct hpet *h = t->hpet;
  unsigned n = index_of(t), route = (t->config & TN_ROUTE) >> 9;
  if ((h->config & CONFIG_LEGACY) && n < 2)
    route = n == 0 ? 0 : 8;
  else if (!(TN_ROUTES >> 32 >> route & 1))
    return;
  if (route < 24 && (level || t->level))
    irq_set(&h->line[route], level);
  t->level = level;
}

static void stop(struct hpet_timer *t)
{
  timer_cancel(&t->timer);
}

static uint64_t width(const struct hpet_timer *t)
{
  return t->config & TN_32BIT ? UINT32_MAX : UINT64_MAX;
}

// Arms for the next tick at which counter and comparator are equal.
static void arm(struct hpet_timer *t)
{
  struct hpet *h = t->hpet;
  if (!(h->config & CONFIG_ENABLE)) {
    stop(t);
    return;
  }
  uint64_t ticks = (t->comparator - counter(h)) & width(t);
  if (ticks > (UINT64_MAX >> 1) / HPET_TICK_NS) { // passed, or in centuries
    stop(t);
    return;
  }
  // `since` is the start of a tick; so is what is a whole number of ticks after it.
  uint64_t now = clock_now(h->clock), phase = (now - h->since) % HPET_TICK_NS;
  timer_set(&t->timer, now - phase + ticks * HPET_TICK_NS);
}

static void fire(void *arg)
{
  struct hpet_timer *t = arg;
  struct hpet *h = t->hpet;
  unsigned n = index_of(t);
  if (t->config & TN_PERIODIC) {
    uint64_t period = t->period < PERIOD_FLOOR ? PERIOD_FLOOR : t->period, mask = width(t);
    uint64_t late = (counter(h) - t->comparator) & mask;
    t->comparator = (t->comparator + (late / period + 1) * period) & mask;
    arm(t);
  } else if (t->config & TN_32BIT) { // again when the low half comes round
    timer_set(&t->timer, clock_now(h->clock) + (UINT64_C(1) << 32) * HPET_TICK_NS);
  }
  if (t->config & TN_LEVEL) {
    h->status |= 1u << n;
    if (t->config & TN_ENABLE)
      drive(t, 1);
  } else if (t->config & TN_ENABLE) {
    drive(t, 1);
    drive(t, 0);
  }
}

static void write_config(struct hpet *h, uint64_t v)
{
  uint64_t was = h->config;
  v &= CONFIG_ENABLE | CONFIG_LEGACY;
  if (v == was)
    return;
  for (unsigned n = 0; n < HPET_TIMERS; n++)
    drive(&h->timer[n], 0); // the routes may change
  h->counter = counter(h);
  h->since = clock_now(h->clock);
  h->config = v;
  for (unsigned n = 0; n < HPET_TIMERS; n++)
    arm(&h->timer[n]);
  if ((v ^ was) & CONFIG_LEGACY)
    irq_set(&h->legacy, (v & CONFIG_LEGACY) != 0);
  for (unsigned n = 0; n < HPET_TIMERS; n++) {
    if ((h->status & (1u << n)) && (h->timer[n].config & TN_ENABLE))
      drive(&h->timer[n], 1);
  }
}

static void write_timer_config(struct hpet_timer *t, uint64_t v)
{
  uint64_t fixed = TN_ROUTES | TN_PERIODIC_CAP | TN_SIZE_CAP;
  unsigned bit = 1u << index_of(t);
  drive(t, 0);
  t->config = fixed | (v & TN_WRITABLE);
  if (!(TN_ROUTES >> 32 >> ((v & TN_ROUTE) >> 9) & 1))
    t->config &= ~(uint64_t)TN_ROUTE; // a route that is not there reads back as another
  if (t->config & TN_32BIT) {
    t->comparator &= UINT32_MAX;
    t->period &= UINT32_MAX;
  }
  if (!(t->config & TN_LEVEL))
    t->hpet->status &= ~bit;
  t->set_high = false;
  arm(t);
  if ((t->hpet->status & bit) && (t->config & TN_ENABLE))
    drive(t, 1);
}

// mask: the bits that this write carries.
static void write_comparator(struct hpet_timer *t, uint64_t v, uint64_t mask)
{
  bool high_only = mask == UINT64_C(0xffffffff00000000);
  bool set = (t->config & TN_VAL_SET) || (high_only && t->set_high);
  mask &= width(t);
  if (!(t->config & TN_PERIODIC) || set)
    t->comparator = (t->comparator & ~mask) | (v & mask);
  if (t->config & TN_PERIODIC)
    t->period = (t->period & ~mask) | (v & mask);
  t->set_high = set && !high_only;
  t->config &= ~(uint64_t)TN_VAL_SET;
  arm(t);
}

static uint64_t register_read(struct hpet *h, uint64_t off)
{
  if (off >= 0x100 && off < 0x100 + 0x20 * HPET_TIMERS) {
    struct hpet_timer *t = &h->timer[(off - 0x100) / 0x20];
    return (off & 0x1f) == 0 ? t->config : (off & 0x1f) == 8 ? t->comparator : 0;
  }
  switch (off) {
  case 0x00:
    return CAPABILITIES;
  case 0x10:
    return h->config;
  case 0x20:
    return h->status;
  case 0xf0:
    return counter(h);
  default:
    return 0;
  }
}

static void write_status(struct hpet *h, uint32_t v)
{
  for (unsigned n = 0; n < HPET_TIMERS; n++) {
    if (v & h->status & (1u << n))
      drive(&h->timer[n], 0);
  }
  h->status &= ~v;
}

// v holds the register's new contents; mask says which half was written.
static void register_write(struct hpet *h, uint64_t off, uint64_t v, uint64_t mask)
{
  if (off >= 0x100 && off < 0x100 + 0x20 * HPET_TIMERS) {
    struct hpet_timer *t = &h->timer[(off - 0x100) / 0x20];
    if ((off & 0x1f) == 0)
      write_timer_config(t, (t->config & ~mask) | (v & mask));
    else if ((off & 0x1f) == 8)
      write_comparator(t, v, mask);
    return;
  }
  switch (off) {
  case 0x10:
    write_config(h, (h->config & ~mask) | (v & mask));
    break;
  case 0x20:
    write_status(h, (uint32_t)(v & mask));
    break;
  case 0xf0:
    if (!(h->config & CONFIG_ENABLE))
      h->counter = (h->counter & ~mask) | (v & mask);
    break;
  default:
    break;
  }
}

static uint64_t hpet_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  uint64_t v = register_read(dev, off & ~UINT64_C(7));
  return size == 8 && !(off & 4) ? v : off & 4 ? v >> 32 : (uint32_t)v;
}

static void hpet_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  uint64_t reg = off & ~UINT64_C(7);
  if (off & 4)
    register_write(dev, reg, value << 32, UINT64_C(0xffffffff00000000));
  else
    register_write(dev, reg, value, size == 8 ? UINT64_MAX : UINT32_MAX);
}

// min_size 4: an access starts at a half of a register.
static const struct bus_ops hpet_ops = {.read = hpet_read, .write = hpet_write, .min_size = 4, .max_size = 8};

void hpet_init(struct hpet *h, struct bus *bus, struct clock *clock)
{
  *h = (struct hpet){.clock = clock};
  for (unsigned n = 0; n < HPET_TIMERS; n++) {
    h->timer[n].hpet = h;
    timer_init(&h->timer[n].timer, clock, fire, &h->timer[n]);
  }
  bus_map_io(bus, &h->region, "hpet", HPET_BASE, 0x400, &hpet_ops, h);
  hpet_reset(h);
}

void hpet_reset(struct hpet *h)
{
  for (unsigned n = 0; n < HPET_TIMERS; n++) {
    struct hpet_timer *t = &h->timer[n];
    drive(t, 0);
    stop(t);
    t->config = TN_ROUTES | TN_PERIODIC_CAP | TN_SIZE_CAP;
    t->comparator = UINT64_MAX;
    t->period = 0;
    t->set_high = false;
  }
  if (h->config & CONFIG_LEGACY)
    irq_set(&h->legacy, 0);
  h->config = 0;
  h->status = 0;
  h->counter = 0;
}

void hpet_free(struct hpet *h)
{
  for (unsigned n = 0; n < HPET_TIMERS; n++)
    stop(&h->timer[n]);
}
