// 8254 programmable interval timer; see pit.h.
#include "chipset/pit.h"

#define NS UINT64_C(1000000000)

static uint64_t ticks_now(const struct pit *p)
{
  return muldiv64(clock_now(p->clock), PIT_HZ, NS);
}

// The first nanosecond of a tick.
static uint64_t tick_time(uint64_t tick)
{
  return muldiv64(tick, NS, PIT_HZ) + 1;
}

static bool periodic(const struct pit_counter *c)
{
  return c->mode == 2 || c->mode == 3;
}

static bool triggered(const struct pit_counter *c)
{
  return c->mode == 1 || c->mode == 5;
}

static uint32_t wrap(const struct pit_counter *c)
{
  return c->bcd ? 10000 : 65536;
}

// Brings a new count of a periodic mode into effect when the period in which it was written is over.
static void settle(struct pit_counter *c, uint64_t now)
{
  if (!c->next_count || !periodic(c) || c->paused || now < c->start + c->count)
    return;
  c->start += c->count;
  c->count = c->next_count;
  c->next_count = 0;
  c->null_count = false;
}

static uint64_t done(const struct pit_counter *c, uint64_t now)
{
  if (c->paused)
    return c->held;
  return now > c->start ? now - c->start : 0;
}

static bool output(const struct pit_counter *c, uint64_t now)
{
  if (!c->loaded)
    return c->mode != 0;
  uint64_t d = done(c, now);
  switch (c->mode) {
  case 0:
  case 1:
    return d >= c->count;
  case 2:
    return c->paused || d % c->count != c->count - 1;
  case 3:
    return c->paused || d % c->count < (c->count + 1) / 2;
  default: // a strobe of one tick
    return d != c->count;
  }
}

// The counting element, 0..65535 or 0..9999.
static uint32_t element(const struct pit_counter *c, uint64_t now)
{
  uint32_t n = c->count, w = wrap(c);
  if (!c->loaded)
    return n % w;
  uint64_t d = done(c, now);
  switch (c->mode) {
  case 2:
    return (n - (uint32_t)(d % n)) % w;
  case 3: { // counts down by two in each half of the period, from an even number
    uint32_t at = (uint32_t)(d % n), half = (n + 1) / 2;
    if (at >= half)
      at -= half;
    return ((n & ~1u) - 2 * at) % w;
  }
  default:
    return (uint32_t)((n + w - d % w) % w);
  }
}

static uint16_t to_bcd(uint32_t v)
{
  return (uint16_t)(v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12);
}

static uint32_t from_bcd(uint32_t v)
{
  uint32_t digit[4];
  for (unsigned i = 0; i < 4; i++)
    digit[i] = (v >> (4 * i) & 15) % 10;
  return digit[0] + 10 * digit[1] + 100 * digit[2] + 1000 * digit[3];
}

static uint16_t visible(const struct pit_counter *c, uint64_t now)
{
  uint32_t v = element(c, now);
  return c->bcd ? to_bcd(v) : (uint16_t)v;
}

// The tick of counter 0's next rising edge after `now`, or CLOCK_NEVER.
static uint64_t next_edge(const struct pit_counter *c, uint64_t now)
{
  if (!c->loaded || c->paused)
    return CLOCK_NEVER;
  uint64_t d = done(c, now);
  switch (c->mode) {
  case 0:
  case 1:
    return d < c->count ? c->start + c->count : CLOCK_NEVER;
  case 2:
  case 3:
    return c->start + (d / c->count + 1) * c->count;
  default:
    return d <= c->count ? c->start + c->count + 1 : CLOCK_NEVER;
  }
}

// Arms the timer for counter 0. The shortest period is 2 ticks, more than a microsecond.
static void arm(struct pit *p)
{
  uint64_t edge = next_edge(&p->counter[0], ticks_now(p));
  if (edge == CLOCK_NEVER)
    timer_cancel(&p->timer);
  else
    timer_set(&p->timer, tick_time(edge));
}

static void drive(struct pit *p)
{
  irq_set(&p->out0, output(&p->counter[0], ticks_now(p)));
}

static void fire(void *arg)
{
  struct pit *p = arg;
  struct pit_counter *c = &p->counter[0];
  settle(c, ticks_now(p));
  irq_set(&p->out0, 0); // the low phase before the edge
  irq_set(&p->out0, 1);
  arm(p);
}

static void changed(struct pit *p, unsigned n)
{
  if (n == 0) {
    drive(p);
    arm(p);
  }
}

static void load(struct pit_counter *c, uint64_t now, uint32_t count)
{
  c->count = count;
  c->next_count = 0;
  c->null_count = false;
  c->start = now;
  c->held = 0;
  c->loaded = true;
  c->paused = !c->gate && !triggered(c);
}

static void write_count(struct pit *p, unsigned n, uint32_t value)
{
  struct pit_counter *c = &p->counter[n];
  uint64_t now = ticks_now(p);
  uint32_t count = c->bcd ? from_bcd(value) : value;
  if (count == 0)
    count = wrap(c);
  if (count == 1 && periodic(c))
    count = 2; // not allowed by the data sheet
  settle(c, now);
  c->has_count = true;
  if (triggered(c)) { // waits for the gate
    c->null_count = true;
    if (c->loaded)
      c->next_count = count;
    else
      c->count = count;
  } else if (periodic(c) && c->loaded) {
    if (c->paused) {
      load(c, now, count);
    } else {
      c->next_count = count;
      c->null_count = true;
      c->start += done(c, now) / c->count * c->count; // of the period that runs now
    }
  } else {
    load(c, now, count);
  }
  changed(p, n);
}

static void write_byte(struct pit *p, unsigned n, uint8_t v)
{
  struct pit_counter *c = &p->counter[n];
  switch (c->access) {
  case 1:
    write_count(p, n, v);
    break;
  case 2:
    write_count(p, n, (uint32_t)v << 8);
    break;
  default:
    c->write_high = !c->write_high;
    if (c->write_high) {
      c->low = v;
      if (c->mode == 0 && c->loaded) { // the first byte stops the count
        c->loaded = false;
        changed(p, n);
      }
    } else {
      write_count(p, n, c->low | (uint32_t)v << 8);
    }
    break;
  }
}

static uint8_t half(struct pit_counter *c, uint16_t v)
{
  if (c->access == 1)
    return (uint8_t)v;
  if (c->access == 2)
    return (uint8_t)(v >> 8);
  c->read_high = !c->read_high;
  return (uint8_t)(c->read_high ? v : v >> 8);
}

static uint8_t read_byte(struct pit *p, unsigned n)
{
  struct pit_counter *c = &p->counter[n];
  uint64_t now = ticks_now(p);
  settle(c, now);
  if (c->status_latched) {
    c->status_latched = false;
    return c->status;
  }
  if (c->latched) {
    uint8_t v = half(c, c->latch);
    c->latched = c->access == 3 && c->read_high;
    return v;
  }
  return half(c, visible(c, now));
}

static void latch_count(struct pit *p, struct pit_counter *c)
{
  if (c->latched)
    return;
  uint64_t now = ticks_now(p);
  settle(c, now);
  c->latch = visible(c, now);
  c->latched = true;
  c->read_high = false;
}

static void latch_status(struct pit *p, struct pit_counter *c)
{
  if (c->status_latched)
    return;
  uint64_t now = ticks_now(p);
  settle(c, now);
  c->status = (uint8_t)(output(c, now) << 7 | c->null_count << 6 | c->access << 4 | c->mode << 1 | c->bcd);
  c->status_latched = true;
}

static void write_control(struct pit *p, uint8_t v)
{
  unsigned n = v >> 6;
  if (n == 3) { // read-back
    for (unsigned i = 0; i < 3; i++) {
      if (!(v & (2u << i)))
        continue;
      if (!(v & 0x20))
        latch_count(p, &p->counter[i]);
      if (!(v & 0x10))
        latch_status(p, &p->counter[i]);
    }
    return;
  }
  struct pit_counter *c = &p->counter[n];
  unsigned access = v >> 4 & 3, mode = v >> 1 & 7;
  if (access == 0) {
    latch_count(p, c);
    return;
  }
  *c = (struct pit_counter){
      .access = (uint8_t)access,
      .mode = (uint8_t)(mode > 5 ? mode - 4 : mode),
      .bcd = v & 1,
      .gate = c->gate,
      .null_count = true,
      .count = c->count,
  };
  changed(p, n);
}

void pit_set_gate(struct pit *p, unsigned n, bool level)
{
  struct pit_counter *c = &p->counter[n];
  uint64_t now = ticks_now(p);
  settle(c, now);
  bool rising = level && !c->gate;
  if (!level && c->gate && c->loaded && !triggered(c)) {
    c->held = done(c, now);
    c->paused = true;
  }
  c->gate = level;
  if (rising && triggered(c) && c->has_count)
    load(c, now, c->next_count ? c->next_count : c->count);
  else if (rising && periodic(c) && c->loaded)
    load(c, now, c->next_count ? c->next_count : c->count);
  else if (rising && c->paused) {
    c->start = now - c->held;
    c->paused = false;
  }
  changed(p, n);
}

bool pit_gate(const struct pit *p, unsigned n)
{
  return p->counter[n].gate;
}

bool pit_out(struct pit *p, unsigned n)
{
  uint64_t now = ticks_now(p);
  settle(&p->counter[n], now);
  return output(&p->counter[n], now);
}

static uint64_t pit_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  return off == 3 ? 0xff : read_byte(dev, (unsigned)off);
}

static void pit_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  if (off == 3)
    write_control(dev, (uint8_t)value);
  else
    write_byte(dev, (unsigned)off, (uint8_t)value);
}

static const struct bus_ops pit_ops = {.read = pit_read, .write = pit_write, .max_size = 1};

void pit_init(struct pit *p, struct bus *bus, struct clock *clock, struct irq out0)
{
  *p = (struct pit){.clock = clock, .out0 = out0};
  timer_init(&p->timer, clock, fire, p);
  bus_map_ports(bus, &p->ports, "pit", 0x40, 4, &pit_ops, p);
  pit_reset(p);
}

void pit_reset(struct pit *p)
{
  for (unsigned n = 0; n < 3; n++)
    p->counter[n] = (struct pit_counter){.mode = 3, .access = 3, .gate = n != 2, .count = 65536};
  timer_cancel(&p->timer);
  irq_set(&p->out0, 0);
}

void pit_free(struct pit *p)
{
  timer_cancel(&p->timer);
}
