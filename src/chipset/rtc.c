// Real-time clock; see rtc.h. The calendar is in rtc_time.c.
#include "chipset/rtc.h"

#include <string.h>

#include "chipset/rtc_time.h"

#define SECOND INT64_C(1000000000)
// UIP rises this long before the registers change: 244 us, and the 1984 us that an update takes.
#define UPDATE_NS INT64_C(2228000)

enum {
  ALARM_SECONDS = 1,
  ALARM_MINUTES = 3,
  ALARM_HOURS = 5,
  REG_A = 10,
  REG_B = 11,
  REG_C = 12,
  REG_D = 13,

  A_UIP = 0x80,
  A_DIVIDER = 0x70,
  A_DIVIDER_32KHZ = 0x20,
  A_DIVIDER_RESET = 0x60,
  B_SET = 0x80,
  B_UIE = 0x10,
  FLAG_IRQ = 0x80,
  FLAG_PERIODIC = 0x40,
  FLAG_ALARM = 0x20,
  FLAG_UPDATE = 0x10,
};

static int64_t now_ns(const struct rtc *r)
{
  return (int64_t)clock_now(r->clock);
}

static bool counting(const struct rtc *r)
{
  return (r->cmos[REG_A] & A_DIVIDER) == A_DIVIDER_32KHZ;
}

static bool running(const struct rtc *r)
{
  return counting(r) && !(r->cmos[REG_B] & B_SET);
}

// Whole seconds from base_ns to a time.
static int64_t elapsed(const struct rtc *r, int64_t ns)
{
  return ns < r->base_ns ? 0 : (ns - r->base_ns) / SECOND;
}

// Writes the time into the registers and moves the base to the running second.
static void fold(struct rtc *r)
{
  if (!counting(r))
    return;
  int64_t n = elapsed(r, now_ns(r));
  r->base_ns += n * SECOND;
  if (r->cmos[REG_B] & B_SET)
    return; // the divider goes on, the registers stay
  r->seconds += n;
  rtc_time_store(r->cmos, r->seconds, r->weekday_shift);
}

static unsigned periodic_hz(const struct rtc *r)
{
  unsigned rate = r->cmos[REG_A] & 15;
  if (rate == 0)
    return 0;
  return 32768u >> ((rate < 3 ? rate + 7 : rate) - 1);
}

// Number of periodic interrupts from base_ns to a time, which is not before base_ns.
static uint64_t periods(const struct rtc *r, int64_t ns, unsigned hz)
{
  return ns < r->base_ns ? 0 : muldiv64((uint64_t)(ns - r->base_ns), hz, SECOND);
}

// Whether the alarm matched at one of the n seconds that end with the present one.
static bool alarm_matched(const struct rtc *r, int64_t last, int64_t n)
{
  if (n > 86400)
    n = 86400; // a day has every time of day
  for (int64_t s = last - n + 1; s <= last; s++) {
    if (rtc_time_alarm(r->cmos, s))
      return true;
  }
  return false;
}

static void update_irq(struct rtc *r)
{
  uint8_t *c = &r->cmos[REG_C];
  *c &= (uint8_t)~FLAG_IRQ;
  if (*c & r->cmos[REG_B] & (FLAG_PERIODIC | FLAG_ALARM | FLAG_UPDATE))
    *c |= FLAG_IRQ;
  irq_set(&r->irq, (*c & FLAG_IRQ) != 0);
}

// Works out the flags for the time that has passed since they were last worked out.
static void catch_up(struct rtc *r)
{
  int64_t now = now_ns(r), seen = (int64_t)r->seen_ns;
  r->seen_ns = (uint64_t)now;
  if (!counting(r) || now <= seen)
    return;
  unsigned hz = periodic_hz(r);
  if (hz && periods(r, now, hz) != periods(r, seen, hz))
    r->cmos[REG_C] |= FLAG_PERIODIC;
  int64_t n = elapsed(r, now) - elapsed(r, seen);
  if (n > 0 && running(r)) {
    r->cmos[REG_C] |= FLAG_UPDATE;
    if (!(r->cmos[REG_C] & FLAG_ALARM) && alarm_matched(r, r->seconds + elapsed(r, now), n))
      r->cmos[REG_C] |= FLAG_ALARM;
  }
  fold(r);
}

// Arms for the next moment at which an enabled flag can come up; none while the line is high already.
static void arm(struct rtc *r)
{
  uint8_t enabled = r->cmos[REG_B] & (FLAG_PERIODIC | FLAG_ALARM | FLAG_UPDATE);
  int64_t now = now_ns(r), next = INT64_MAX;
  if (!enabled || !counting(r) || (r->cmos[REG_C] & FLAG_IRQ)) {
    timer_cancel(&r->timer);
    return;
  }
  unsigned hz = periodic_hz(r);
  if ((enabled & FLAG_PERIODIC) && hz)
    next = r->base_ns + (int64_t)muldiv64(periods(r, now, hz) + 1, SECOND, hz) + 1;
  if ((enabled & (FLAG_ALARM | FLAG_UPDATE)) && running(r)) {
    int64_t second = r->base_ns + (elapsed(r, now) + 1) * SECOND;
    next = second < next ? second : next;
  }
  if (next == INT64_MAX)
    timer_cancel(&r->timer);
  else
    timer_set(&r->timer, (uint64_t)next);
}

static void settle(struct rtc *r)
{
  catch_up(r);
  update_irq(r);
  arm(r);
}

static void fire(void *arg)
{
  settle(arg);
}

// The registers are the time now.
static void take_time(struct rtc *r)
{
  r->seconds = rtc_time_load(r->cmos, &r->weekday_shift);
}

static void write_a(struct rtc *r, uint8_t v)
{
  bool was = counting(r);
  fold(r);
  r->cmos[REG_A] = v & 0x7f;
  if (counting(r) && !was) {
    // The first update comes half a second after the divider is let go.
    r->base_ns = now_ns(r) - SECOND / 2;
    take_time(r);
  }
}

static void write_b(struct rtc *r, uint8_t v)
{
  fold(r);
  bool was = running(r);
  if (v & B_SET)
    v &= (uint8_t)~B_UIE;
  bool format = (v ^ r->cmos[REG_B]) & 6; // software is to write the time anew after that
  r->cmos[REG_B] = v;
  if (running(r) && (!was || format))
    take_time(r);
}

static void write_cmos(struct rtc *r, unsigned n, uint8_t v)
{
  catch_up(r);
  switch (n) {
  case REG_A:
    write_a(r, v);
    break;
  case REG_B:
    write_b(r, v);
    break;
  case REG_C:
  case REG_D:
    break;
  default:
    fold(r);
    r->cmos[n] = v;
    if (rtc_time_register(n) && running(r))
      take_time(r);
    break;
  }
  update_irq(r);
  arm(r);
}

static uint8_t read_cmos(struct rtc *r, unsigned n)
{
  uint8_t v;
  settle(r);
  switch (n) {
  case REG_A:
    v = r->cmos[REG_A];
    if (running(r) && now_ns(r) - r->base_ns >= SECOND - UPDATE_NS)
      v |= A_UIP;
    return v;
  case REG_C:
    v = r->cmos[REG_C];
    r->cmos[REG_C] = 0;
    update_irq(r);
    arm(r);
    return v;
  case REG_D:
    return 0x80; // the battery is good
  default:
    return r->cmos[n];
  }
}

static uint64_t rtc_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct rtc *r = dev;
  return off ? read_cmos(r, r->index) : 0xff;
}

static void rtc_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct rtc *r = dev;
  if (off) {
    write_cmos(r, r->index, (uint8_t)value);
  } else {
    r->index = value & 0x7f;
    irq_set(&r->nmi_mask, (value & 0x80) != 0);
  }
}

static const struct bus_ops rtc_ops = {.read = rtc_read, .write = rtc_write, .max_size = 1};

void rtc_init(struct rtc *r, struct bus *bus, struct clock *clock, struct irq irq, struct irq nmi_mask,
              int64_t start)
{
  *r = (struct rtc){.clock = clock, .irq = irq, .nmi_mask = nmi_mask, .seconds = start};
  r->base_ns = now_ns(r);
  r->seen_ns = clock_now(clock);
  r->cmos[REG_A] = A_DIVIDER_32KHZ | 6;
  r->cmos[REG_B] = 2; // 24 hours, BCD
  timer_init(&r->timer, clock, fire, r);
  bus_map_ports(bus, &r->ports, "rtc", 0x70, 2, &rtc_ops, r);
  rtc_time_store(r->cmos, start, 0);
  rtc_reset(r);
}

void rtc_reset(struct rtc *r)
{
  catch_up(r);
  r->cmos[REG_B] &= (uint8_t) ~(FLAG_PERIODIC | FLAG_ALARM | FLAG_UPDATE | 8);
  r->cmos[REG_C] = 0;
  r->index = 0;
  irq_set(&r->nmi_mask, 0);
  update_irq(r);
  arm(r);
}

void rtc_free(struct rtc *r)
{
  timer_cancel(&r->timer);
}

static void put16(struct rtc *r, unsigned n, uint64_t v, uint64_t most)
{
  v = v < most ? v : most;
  r->cmos[n] = (uint8_t)v;
  r->cmos[n + 1] = (uint8_t)(v >> 8);
}

void rtc_configure(struct rtc *r, const struct cmos_config *c)
{
  uint64_t mb = UINT64_C(1) << 20, ram = c->ram_below_4g;
  uint64_t extended = ram > mb ? (ram - mb) >> 10 : 0;
  r->cmos[0x10] = 0;    // no floppy drives
  r->cmos[0x14] = 0x06; // FPU and PS/2 mouse
  put16(r, 0x15, 640, 0xffff);
  put16(r, 0x17, extended, 0xffff);
  put16(r, 0x30, extended, 0xffff);
  put16(r, 0x34, ram > 16 * mb ? (ram - 16 * mb) >> 16 : 0, 0xffff);
  uint64_t high = c->ram_above_4g >> 16;
  for (unsigned i = 0; i < 3; i++)
    r->cmos[0x5b + i] = (uint8_t)(high >> (8 * i));
  r->cmos[0x5f] = (uint8_t)(c->cpus ? c->cpus - 1 : 0);
  r->cmos[0x3d] = (uint8_t)((c->boot[0] & 15) | (c->boot[1] & 15) << 4);
  r->cmos[0x38] = (uint8_t)((c->boot[2] & 15) << 4 | c->boot_any_floppy);
  // Type 15, "see the extended byte", whose type 47 is "as the drive says".
  r->cmos[0x12] = (uint8_t)((c->hard_disks & 1 ? 0xf0 : 0) | (c->hard_disks & 2 ? 0x0f : 0));
  r->cmos[0x19] = c->hard_disks & 1 ? 47 : 0;
  r->cmos[0x1a] = c->hard_disks & 2 ? 47 : 0;
}
