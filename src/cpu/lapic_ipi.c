// Messages between local APICs, and from I/O APICs and MSI: who is addressed, and what arrives.
// APM2 16.5, 16.6.
//
// Among several that could take a lowest-priority message, the one with the lowest processor priority takes
// it, and among equals the one with the lowest number: the choice must be the same in every run.
#include "bus/bus.h"
#include "cpu/cpu.h"
#include "cpu/lapic_int.h"

enum { DFR_FLAT = 15, MAX_CPUS = 256 };

static bool on(const struct lapic *a)
{
  return a->cpu->apic_base & APIC_BASE_EN;
}

static bool addressed(const struct lapic *a, uint32_t dest, bool logical)
{
  if (!on(a))
    return false;
  if (dest == 0xffffffff || (!logical && dest == 0xff))
    return true;
  if (!logical)
    return dest == (lapic_x2(a) ? a->cpu->apic_id : a->id);
  uint32_t ldr = lapic_ldr(a);
  if (lapic_x2(a))
    return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
  if (dest > 0xff)
    return false;
  ldr >>= 24;
  if (a->dfr >> 28 == DFR_FLAT)
    return dest & ldr;
  return (dest >> 4 == 15 || dest >> 4 == ldr >> 4) && (dest & ldr & 15);
}

static void arrive(struct lapic *a, const struct intr_msg *m)
{
  struct cpu *c = a->cpu;
  switch (m->delivery) {
  case DELIVER_FIXED:
  case DELIVER_LOWEST:
    lapic_accept(a, m->vector, m->level);
    break;
  case DELIVER_SMI:
    cpu_request(c, PEND_SMI);
    break;
  case DELIVER_NMI:
    cpu_request(c, PEND_NMI);
    break;
  case DELIVER_INIT:
    if (m->level && !m->assert_) // a de-assert only set arbitration IDs, long ago
      break;
    c->pending &= ~(uint32_t)PEND_SIPI;
    cpu_request(c, PEND_INIT);
    break;
  case DELIVER_STARTUP: // lost unless the processor waits for it, or is about to
    if (c->run == RUN_WAIT_SIPI || (c->pending & PEND_INIT)) {
      c->sipi_vector = m->vector;
      cpu_request(c, PEND_SIPI);
    }
    break;
  case DELIVER_EXTINT:
    if (a->svr & SVR_ENABLE) {
      a->extint = true;
      lapic_update(a);
    }
    break;
  }
}

// Gives the message to those of `all` for which pick[] is set.
static void give(struct cpu **all, unsigned n, const bool *pick, const struct intr_msg *m)
{
  struct lapic *best = NULL;
  for (unsigned i = 0; i < n; i++) {
    if (!pick[i])
      continue;
    struct lapic *a = all[i]->lapic;
    if (m->delivery != DELIVER_LOWEST)
      arrive(a, m);
    else if ((a->svr & SVR_ENABLE) && (!best || lapic_ppr(a) < lapic_ppr(best)))
      best = a;
  }
  if (best)
    arrive(best, m);
}

void lapic_deliver(struct cpu **all, unsigned n, const struct intr_msg *m)
{
  bool pick[MAX_CPUS];
  if (n > MAX_CPUS)
    n = MAX_CPUS;
  for (unsigned i = 0; i < n; i++)
    pick[i] = all[i] && all[i]->lapic && addressed(all[i]->lapic, m->dest, m->logical);
  give(all, n, pick, m);
}

void lapic_icr_send(struct lapic *a)
{
  struct cpu *c = a->cpu;
  uint32_t low = a->icr;
  struct intr_msg m = {
      .dest = lapic_x2(a) ? a->icr >> 32 : a->icr >> 56,
      .vector = low & 0xff,
      .delivery = low >> 8 & 7,
      .logical = low & ICR_LOGICAL,
      // Only INIT knows levels between processors; a level-triggered fixed IPI would wait for an EOI of
      // nobody.
      .level = (low >> 8 & 7) == DELIVER_INIT && (low & ICR_LEVEL),
      .assert_ = low & ICR_ASSERT,
  };
  unsigned shorthand = low >> 18 & 3;
  bool pick[MAX_CPUS] = {false};
  if ((m.delivery == DELIVER_FIXED || m.delivery == DELIVER_LOWEST) && m.vector < 16) {
    lapic_error(a, ESR_SENT_ILLEGAL);
    return;
  }
  if (m.dest == 0xff && m.logical && !lapic_x2(a))
    m.dest = 0xffffffff; // all ones reach everybody in both models
  for (unsigned i = 0; i < c->cpus && i < MAX_CPUS; i++) {
    const struct lapic *t = c->all[i] ? c->all[i]->lapic : NULL;
    if (!t || !on(t))
      continue;
    switch (shorthand) {
    case 0:
      pick[i] = addressed(t, m.dest, m.logical);
      break;
    case 1:
      pick[i] = t == a;
      break;
    case 2:
      pick[i] = true;
      break;
    case 3:
      pick[i] = t != a;
      break;
    }
    // A processor does not reset or start itself by a shorthand.
    if (t == a && shorthand && (m.delivery == DELIVER_INIT || m.delivery == DELIVER_STARTUP))
      pick[i] = false;
  }
  give(c->all, c->cpus < MAX_CPUS ? c->cpus : MAX_CPUS, pick, &m);
}
