// The local APIC: acceptance, priority, the end of interrupts, and its registers; see lapic.h. APM2
// chapter 16.
//
// Invariant: after every function here, PEND_INTR of the CPU says whether an interrupt could be taken.
// The registers are in lapic_reg.c, the timer in lapic_timer.c, what goes between processors in lapic_ipi.c.
#include "cpu/lapic.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cpu/cpu.h"
#include "cpu/lapic_int.h"
#include "cpu/model.h"
#include "cpu/tlb.h"

// ---- bit vectors ----

static int highest(const uint32_t v[8], const uint32_t enabled[8])
{
  for (int i = 7; i >= 0; i--) {
    uint32_t w = v[i] & enabled[i];
    if (w)
      return i * 32 + 31 - __builtin_clz(w);
  }
  return -1;
}

static void bit_set(uint32_t v[8], unsigned n)
{
  v[n / 32] |= 1u << (n % 32);
}

static void bit_clear(uint32_t v[8], unsigned n)
{
  v[n / 32] &= ~(1u << (n % 32));
}

static bool bit_test(const uint32_t v[8], unsigned n)
{
  return v[n / 32] >> (n % 32) & 1;
}

static const uint32_t all_ones[8] = {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u};

// The interrupt enable registers count while extended control asks for them.
static const uint32_t *enabled(const struct lapic *a)
{
  return a->ext_control & EXT_IER ? a->ier : all_ones;
}

// ---- priority ----

uint8_t lapic_ppr(const struct lapic *a)
{
  int isrv = highest(a->isr, all_ones);
  uint8_t in_service = isrv < 0 ? 0 : isrv & 0xf0;
  return (a->tpr & 0xf0) >= in_service ? a->tpr : in_service;
}

static int deliverable(const struct lapic *a)
{
  int v = highest(a->irr, enabled(a));
  return v >= 0 && (v >> 4) > lapic_ppr(a) >> 4 ? v : -1;
}

static bool hardware_on(const struct lapic *a)
{
  return a->cpu->apic_base & APIC_BASE_EN;
}

// LINT0 as a wire to the PIC: the APIC is off, or the entry says ExtINT.
static bool extint(const struct lapic *a)
{
  uint32_t e = a->lvt[LVT_LINT0];
  if (!hardware_on(a))
    return a->lint_level & 1;
  if (a->extint)
    return true;
  return (a->lint_level & 1) && !(e & LVT_MASKED) && (e >> 8 & 7) == DELIVER_EXTINT;
}

bool lapic_has_interrupt(struct cpu *c)
{
  const struct lapic *a = c->lapic;
  return extint(a) || (hardware_on(a) && deliverable(a) >= 0);
}

void lapic_update(struct lapic *a)
{
  struct cpu *c = a->cpu;
  if (!lapic_has_interrupt(c))
    c->pending &= ~(uint32_t)PEND_INTR;
  else if (!(c->pending & PEND_INTR))
    cpu_request(c, PEND_INTR);
}

int lapic_ack(struct cpu *c)
{
  struct lapic *a = c->lapic;
  int v = -1;
  if (extint(a)) {
    a->extint = false;
    if (c->intack)
      v = c->intack(c->intack_arg);
  } else if (hardware_on(a)) {
    v = deliverable(a);
    if (v >= 0) {
      bit_clear(a->irr, v);
      bit_set(a->isr, v);
    }
  }
  lapic_update(a);
  return v;
}

void lapic_set_tpr(struct cpu *c, uint8_t tpr)
{
  c->lapic->tpr = tpr << 4;
  c->cr8 = tpr & 15;
  lapic_update(c->lapic);
}

// ---- acceptance ----

void lapic_error(struct lapic *a, uint32_t bit)
{
  if (a->esr_pending & bit)
    return;
  a->esr_pending |= bit;
  lapic_local(a->cpu, LVT_ERROR);
}

void lapic_accept(struct lapic *a, uint8_t vector, bool level)
{
  if (!hardware_on(a) || !(a->svr & SVR_ENABLE))
    return;
  if (vector < 16) {
    lapic_error(a, ESR_RECEIVED_ILLEGAL);
    return;
  }
  bit_set(a->irr, vector);
  if (level)
    bit_set(a->tmr, vector);
  else
    bit_clear(a->tmr, vector);
  lapic_update(a);
}

// One interrupt by the entry of the local vector table.
static void deliver_lvt(struct lapic *a, uint32_t entry, bool level)
{
  switch (entry >> 8 & 7) {
  case DELIVER_FIXED:
    lapic_accept(a, entry & 0xff, level);
    break;
  case DELIVER_SMI:
    cpu_request(a->cpu, PEND_SMI);
    break;
  case DELIVER_NMI:
    cpu_request(a->cpu, PEND_NMI);
    break;
  case DELIVER_INIT:
    cpu_request(a->cpu, PEND_INIT);
    break;
  }
}

void lapic_local(struct cpu *c, enum lapic_lvt which)
{
  struct lapic *a = c->lapic;
  if (hardware_on(a) && !(a->lvt[which] & LVT_MASKED))
    deliver_lvt(a, a->lvt[which], false);
}

void lapic_lint_raise(struct lapic *a, unsigned pin, bool rose)
{
  uint32_t *e = &a->lvt[LVT_LINT0 + pin];
  bool high = a->lint_level >> pin & 1;
  if ((*e & LVT_MASKED) || !high)
    return;
  bool level = (*e >> 8 & 7) == DELIVER_FIXED && (*e & LVT_LEVEL);
  if (level ? *e & LVT_REMOTE_IRR : !rose)
    return;
  if (level)
    *e |= LVT_REMOTE_IRR;
  deliver_lvt(a, *e, level);
}

void lapic_lint(struct cpu *c, unsigned pin, int level)
{
  struct lapic *a = c->lapic;
  uint8_t bit = 1u << (pin & 1);
  bool rose = level && !(a->lint_level & bit);
  a->lint_level = level ? a->lint_level | bit : a->lint_level & ~bit;
  if (hardware_on(a))
    lapic_lint_raise(a, pin & 1, rose);
  else if (pin && rose)
    cpu_request(c, PEND_NMI);
  lapic_update(a);
}

// ---- end of interrupt ----

void lapic_finish(struct lapic *a, int vector)
{
  if (vector < 0 || !bit_test(a->isr, vector))
    return;
  bit_clear(a->isr, vector);
  if (bit_test(a->tmr, vector)) {
    for (unsigned pin = 0; pin < 2; pin++) {
      uint32_t *e = &a->lvt[LVT_LINT0 + pin];
      if ((*e & LVT_REMOTE_IRR) && (*e & 0xff) == (unsigned)vector) {
        *e &= ~LVT_REMOTE_IRR;
        lapic_lint_raise(a, pin, false);
      }
    }
    if (a->eoi)
      a->eoi(a->eoi_arg, vector);
  }
  lapic_update(a);
}

void lapic_eoi(struct lapic *a)
{
  lapic_finish(a, highest(a->isr, all_ones));
}

// ---- reset ----

static void registers_reset(struct lapic *a)
{
  a->ldr = 0;
  a->dfr = ~0u;
  a->svr = 0xff;
  memset(a->isr, 0, sizeof a->isr);
  memset(a->tmr, 0, sizeof a->tmr);
  memset(a->irr, 0, sizeof a->irr);
  memset(a->ier, 0xff, sizeof a->ier);
  a->esr = a->esr_pending = 0;
  a->icr = 0;
  for (unsigned i = 0; i < LVT_COUNT; i++)
    a->lvt[i] = LVT_MASKED;
  for (unsigned i = 0; i < 4; i++)
    a->ext_lvt[i] = LVT_MASKED;
  a->ext_control = 0;
  a->extint = false;
  lapic_timer_reset(a);
}

void lapic_init(struct cpu *c)
{
  registers_reset(c->lapic);
  lapic_set_tpr(c, 0);
}

void lapic_reset(struct cpu *c)
{
  c->apic_base = LAPIC_DEFAULT_BASE | (c->bsp ? APIC_BASE_BSP : 0);
  if (model_has(c->model, FEAT_APIC))
    c->apic_base |= APIC_BASE_EN;
  c->lapic->id = c->apic_id & 0xff;
  lapic_init(c);
}

void lapic_virtual_wire(struct cpu *c)
{
  struct lapic *a = c->lapic;
  a->svr |= SVR_ENABLE;
  a->lvt[LVT_LINT0] = DELIVER_EXTINT << 8;
  a->lvt[LVT_LINT1] = DELIVER_NMI << 8;
  lapic_update(a);
}

bool lapic_new(struct cpu *c, struct err *e)
{
  struct lapic *a = calloc(1, sizeof *a);
  if (!a)
    return err_set(e, "out of memory for the local APIC of CPU %u", c->index);
  a->cpu = c;
  c->lapic = a;
  lapic_timer_init(a);
  lapic_reset(c);
  return true;
}

void lapic_free(struct cpu *c)
{
  if (!c->lapic)
    return;
  lapic_timer_reset(c->lapic);
  free(c->lapic);
  c->lapic = NULL;
}

void lapic_set_eoi(struct cpu *c, void (*fn)(void *arg, uint8_t vector), void *arg)
{
  c->lapic->eoi = fn;
  c->lapic->eoi_arg = arg;
}

bool lapic_base_write(struct cpu *c, uint64_t v)
{
  struct lapic *a = c->lapic;
  enum { STATE = APIC_BASE_EN | APIC_BASE_EXTD };
  bool x2apic = model_has(c->model, FEAT_X2APIC);
  uint64_t writable = (((1ull << c->model->phys_bits) - 1) & ~0xfffull) | APIC_BASE_BSP | APIC_BASE_EN |
                      (x2apic ? APIC_BASE_EXTD : 0);
  uint32_t from = c->apic_base & STATE, to = v & STATE;
  if (v & ~writable)
    return false;
  // From x2APIC mode the way leads only to off, and into it only from xAPIC mode. APM2 16.9
  if (to == APIC_BASE_EXTD || (from == STATE && to == APIC_BASE_EN) || (from == 0 && to == STATE))
    return false;
  c->apic_base = (v & ~(uint64_t)APIC_BASE_BSP) | (c->bsp ? APIC_BASE_BSP : 0);
  if (from != to) {
    uint8_t tpr = a->tpr;
    if (!to) { // off: forgets all but the task priority, which CR8 still shows
      registers_reset(a);
      a->id = c->apic_id & 0xff;
      a->tpr = tpr;
    } else if (to == STATE) {
      a->icr = 0;
    }
  }
  tlb_map_changed(c); // the APIC's page came, went or moved
  lapic_update(a);
  return true;
}

bool lapic_mmio_hit(const struct cpu *c, uint64_t pa)
{
  return (c->apic_base & (APIC_BASE_EN | APIC_BASE_EXTD)) == APIC_BASE_EN &&
         (pa & ~0xfffull) == (c->apic_base & ~0xfffull);
}
