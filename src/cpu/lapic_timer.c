// The local APIC's timer: one-shot, periodic and TSC-deadline, on the virtual clock. APM2 16.4.1.
//
// Invariant: while `counting`, the count is initial_count minus the ticks since timer_start, modulo the
// period when periodic. A guest may program any period; the host sees at most one event per MIN_PERIOD of
// virtual time.
#include "cpu/cpu.h"
#include "cpu/lapic_int.h"
#include "cpu/msr.h"

#define MIN_PERIOD 1000 // ns

static uint64_t now(const struct lapic *a)
{
  return clock_now(a->cpu->clock);
}

static unsigned mode(const struct lapic *a)
{
  return a->lvt[LVT_TIMER] & LVT_MODE;
}

// Nanoseconds per tick: the clock runs at 1 GHz.
static uint64_t tick(const struct lapic *a)
{
  _Static_assert(LAPIC_HZ == 1000000000, "one tick before the divider is one nanosecond");
  unsigned d = (a->divide & 3) | (a->divide >> 1 & 4);
  return d == 7 ? 1 : 2u << d;
}

static uint64_t period(const struct lapic *a)
{
  return a->initial_count * tick(a);
}

uint32_t lapic_timer_count(const struct lapic *a)
{
  if (!a->counting || !a->initial_count)
    return 0;
  uint64_t passed = (now(a) - a->timer_start) / tick(a);
  if (mode(a) == LVT_PERIODIC)
    return a->initial_count - passed % a->initial_count;
  return passed >= a->initial_count ? 0 : a->initial_count - passed;
}

// Arms for the next time that the count reaches 0.
static void arm(struct lapic *a)
{
  if (!a->counting) {
    timer_cancel(&a->timer);
    return;
  }
  uint64_t due = a->timer_start + period(a), soonest = now(a) + MIN_PERIOD;
  if (mode(a) == LVT_PERIODIC && due < soonest && now(a) >= due) {
    // Late, or faster than events may come: go on at the first end of a period that is far enough away.
    uint64_t n = (soonest - a->timer_start + period(a) - 1) / period(a);
    due = a->timer_start + n * period(a);
  }
  timer_set(&a->timer, due);
}

static void count_ended(struct lapic *a)
{
  if (mode(a) == LVT_PERIODIC) {
    a->timer_start += (now(a) - a->timer_start) / period(a) * period(a);
    // Periods shorter than the host may be asked for are merged.
    uint64_t due = a->timer_start + period(a), soonest = now(a) + MIN_PERIOD;
    if (due < soonest)
      due += (soonest - due + period(a) - 1) / period(a) * period(a);
    timer_set(&a->timer, due);
  } else {
    a->counting = false;
  }
  lapic_local(a->cpu, LVT_TIMER);
}

static void fire(void *arg)
{
  struct lapic *a = arg;
  if (mode(a) == LVT_TSC_DEADLINE) {
    a->tsc_deadline = 0;
    lapic_local(a->cpu, LVT_TIMER);
  } else if (a->counting) {
    count_ended(a);
  }
}

static void mwaitx_over(void *arg)
{
  struct lapic *a = arg;
  if (a->cpu->run == RUN_MWAIT)
    a->cpu->run = RUN_ON;
}

void lapic_timer_init(struct lapic *a)
{
  timer_init(&a->timer, a->cpu->clock, fire, a);
  timer_init(&a->mwaitx, a->cpu->clock, mwaitx_over, a);
}

void lapic_timer_reset(struct lapic *a)
{
  timer_cancel(&a->timer);
  timer_cancel(&a->mwaitx);
  a->initial_count = a->divide = 0;
  a->counting = false;
  a->tsc_deadline = 0;
}

void lapic_timer_set_initial(struct lapic *a, uint32_t v)
{
  if (mode(a) == LVT_TSC_DEADLINE)
    return;
  a->initial_count = v;
  a->timer_start = now(a);
  a->counting = v != 0;
  arm(a);
}

void lapic_timer_set_divide(struct lapic *a, uint32_t v)
{
  uint32_t left = lapic_timer_count(a);
  a->divide = v;
  if (a->counting && left) { // the count goes on from where it is, at the new rate
    a->timer_start = now(a) - (a->initial_count - left) * tick(a);
    arm(a);
  }
}

void lapic_timer_mode(struct lapic *a, uint32_t old)
{
  unsigned was = old & LVT_MODE, is = mode(a);
  if (was == is)
    return;
  if (was == LVT_TSC_DEADLINE || is == LVT_TSC_DEADLINE) {
    timer_cancel(&a->timer);
    a->counting = false;
    a->initial_count = 0;
    a->tsc_deadline = 0;
    return;
  }
  // Between one-shot and periodic the count goes on; one that has reached 0 stays there.
  if (a->counting && was == LVT_PERIODIC && a->initial_count)
    a->timer_start += (now(a) - a->timer_start) / period(a) * period(a);
  arm(a);
}

// ---- TSC deadline ----

static void deadline_arm(struct lapic *a)
{
  uint64_t when = tsc_when(a->cpu, a->tsc_deadline);
  if (when == CLOCK_NEVER) {
    timer_cancel(&a->timer);
  } else if (when <= now(a)) {
    timer_cancel(&a->timer);
    fire(a);
  } else {
    timer_set(&a->timer, when);
  }
}

uint64_t lapic_deadline_read(const struct cpu *c)
{
  return c->lapic->tsc_deadline;
}

void lapic_deadline_write(struct cpu *c, uint64_t v)
{
  struct lapic *a = c->lapic;
  if (mode(a) != LVT_TSC_DEADLINE)
    return;
  a->tsc_deadline = v;
  if (v)
    deadline_arm(a);
  else
    timer_cancel(&a->timer);
}

void lapic_tsc_moved(struct cpu *c)
{
  if (c->lapic && c->lapic->tsc_deadline)
    deadline_arm(c->lapic);
}
