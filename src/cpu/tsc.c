// The time stamp counter: virtual nanoseconds times the rate of the counter. APM2 13.2.4.
//
// Invariant: cpu_tsc is monotonic while nobody writes the TSC, and all CPUs that did not write it agree.
#include "cpu/cpu.h"
#include "cpu/msr.h"

uint64_t cpu_tsc(const struct cpu *c)
{
  return tsc_from_ns(clock_shared(c->clock), c->tsc_hz) + c->tsc_offset;
}

uint64_t tsc_when(const struct cpu *c, uint64_t tsc)
{
  uint64_t now = clock_shared(c->clock);
  uint64_t ahead = tsc - cpu_tsc(c);
  if (tsc <= cpu_tsc(c))
    return now;
  uint64_t target = tsc_from_ns(now, c->tsc_hz) + ahead;
  if (target < ahead || !c->tsc_hz)
    return CLOCK_NEVER;
  unsigned __int128 ns = ((unsigned __int128)target * 1000000000u + c->tsc_hz - 1) / c->tsc_hz;
  return ns >= CLOCK_NEVER ? CLOCK_NEVER : (uint64_t)ns;
}
