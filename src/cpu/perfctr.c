// Performance counters; see perfctr.h.
//
// Invariant: a counter that counts holds its value minus that of its source, so that nothing has to be done
// while time passes. Of the events only cycles and retired instructions exist; others stand still. The user
// and OS bits do not filter, and an overflow gives no interrupt.
#include "cpu/perfctr.h"

#include <string.h>

#include "cpu/cpu.h"
#include "cpu/msr.h"

enum { CTL_EN = 1u << 22, EVENT_CYCLES = 0x76, EVENT_INSTRUCTIONS = 0xc0, COUNTERS = 4 };
#define COUNTER_MASK 0xffffffffffffull

static uint64_t cycles(const struct cpu *c)
{
  return tsc_from_ns(clock_now(c->clock), c->tsc_hz);
}

static uint64_t source(const struct cpu *c, uint64_t ctl)
{
  if (!(ctl & CTL_EN))
    return 0;
  unsigned event = (ctl & 0xff) | (ctl >> 32 & 0xf) << 8;
  return event == EVENT_CYCLES ? cycles(c) : event == EVENT_INSTRUCTIONS ? cpu_icount(c) : 0;
}

uint64_t perfctr_value(const struct cpu *c, unsigned n)
{
  return (c->perf_ctr[n] + source(c, c->perf_ctl[n])) & COUNTER_MASK;
}

bool perfctr_read(const struct cpu *c, uint32_t index, uint64_t *v)
{
  unsigned n = index & 3;
  *v = index < MSR_PERF_CTR0 ? c->perf_ctl[n] : perfctr_value(c, n);
  return true;
}

bool perfctr_write(struct cpu *c, uint32_t index, uint64_t v)
{
  unsigned n = index & 3;
  if (index < MSR_PERF_CTR0) {
    uint64_t now = perfctr_value(c, n);
    c->perf_ctl[n] = v & 0x30fffd7ffffull; // the others are reserved
    c->perf_ctr[n] = now - source(c, c->perf_ctl[n]);
  } else {
    c->perf_ctr[n] = (v & COUNTER_MASK) - source(c, c->perf_ctl[n]);
  }
  return true;
}

void perfctr_reset(struct cpu *c)
{
  memset(c->perf_ctl, 0, sizeof c->perf_ctl);
  memset(c->perf_ctr, 0, sizeof c->perf_ctr);
  c->plain_msr[PERFCTR_PLAIN] = c->plain_msr[PERFCTR_PLAIN + 1] = 0;
}

uint64_t perfctr_fixed_read(const struct cpu *c, bool actual)
{
  return cycles(c) + c->plain_msr[PERFCTR_PLAIN + actual];
}

void perfctr_fixed_write(struct cpu *c, bool actual, uint64_t v)
{
  c->plain_msr[PERFCTR_PLAIN + actual] = v - cycles(c);
}
