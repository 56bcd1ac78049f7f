// See vlapic.h.
#include "vdev/vlapic.h"

#include "host/lapic.h"
#include "svm/vcpu.h"

enum {
  MASKED = 1 << 16,
  PERIODIC = 1 << 17,
  SVR_ENABLE = 1 << 8,
  LOGICAL = 1 << 11,
  LEVEL_ASSERT = 1 << 14,
  DELIVERY = 7 << 8,
  EXTINT = 7 << 8,
  VERSION = 0x50010
};
enum { FIXED, LOWEST, SMI, NMI = 4, INIT, STARTUP };
enum {
  REG_ID = 0x20,
  REG_VERSION = 0x30,
  REG_TPR = 0x80,
  REG_PPR = 0xa0,
  REG_EOI = 0xb0,
  REG_LDR = 0xd0,
  REG_DFR = 0xe0,
  REG_SVR = 0xf0,
  REG_ISR = 0x100,
  REG_TMR = 0x180,
  REG_IRR = 0x200,
  REG_ESR = 0x280,
  REG_ICR_LO = 0x300,
  REG_ICR_HI = 0x310,
  REG_LVT = 0x320,
  REG_INITIAL = 0x380,
  REG_CURRENT = 0x390,
  REG_DIVIDE = 0x3e0
};
enum { ENABLE = 1 << 11, BOOT_CPU = 1 << 8 };

void vlapic_reset(struct vcpu *v)
{
  struct vlapic *l = &v->lapic;
  *l = (struct vlapic){.base = 0xfee00000 | ENABLE | (v->number ? 0 : BOOT_CPU),
                       .dfr = UINT32_MAX,
                       .svr = 0xff,
                       .deadline = UINT64_MAX,
                       .id = v->number << 24,
                       .sipi = -1};
  for (unsigned i = 0; i < LVTS; i++)
    l->lvt[i] = MASKED;
}

void vlapic_virtual_wire(struct vcpu *v)
{
  v->lapic.svr = SVR_ENABLE | 0xf;
  v->lapic.lvt[LVT_LINT0] = EXTINT;
  v->lapic.lvt[LVT_LINT1] = NMI << 8;
}

bool vlapic_here(const struct vcpu *v, uint64_t gpa)
{
  return v->lapic.base & ENABLE && (gpa & PTE_ADDR) == (v->lapic.base & PTE_ADDR);
}

static int highest(const uint32_t set[8])
{
  for (int i = 7; i >= 0; i--)
    if (set[i])
      return i * 32 + 31 - __builtin_clz(set[i]);
  return -1;
}

static uint32_t priority(const struct vlapic *l)
{
  int serving = highest(l->isr);
  uint32_t class = serving < 0 ? 0 : (uint32_t)serving & 0xf0;
  return (l->tpr & 0xf0) >= class ? l->tpr : class;
}

int vlapic_pending(const struct vcpu *v)
{
  const struct vlapic *l = &v->lapic;
  int vector = highest(l->irr);
  return l->svr & SVR_ENABLE && vector >= 0 && ((uint32_t)vector & 0xf0) > (priority(l) & 0xf0) ? vector : -1;
}

void vlapic_acknowledge(struct vcpu *v, uint8_t vector)
{
  v->lapic.irr[vector / 32] &= ~(1u << vector % 32);
  v->lapic.isr[vector / 32] |= 1u << vector % 32;
}

bool vlapic_takes_pic(const struct vcpu *v)
{
  const struct vlapic *l = &v->lapic;
  if (v->number)
    return false;
  if (!(l->base & ENABLE) || !(l->svr & SVR_ENABLE)) // the pins go to the CPU itself
    return true;
  return !(l->lvt[LVT_LINT0] & MASKED) && (l->lvt[LVT_LINT0] & DELIVERY) == EXTINT;
}

static void eoi(struct vcpu *v)
{
  struct vlapic *l = &v->lapic;
  int vector = highest(l->isr);
  if (vector < 0)
    return;
  l->isr[vector / 32] &= ~(1u << vector % 32);
  if (l->tmr[vector / 32] >> vector % 32 & 1)
    vioapic_eoi(v->guest, (uint8_t)vector);
}

static void accept(struct vcpu *v, unsigned mode, uint8_t vector, bool level)
{
  struct vlapic *l = &v->lapic;
  switch (mode) {
  case FIXED:
  case LOWEST:
    if (!(l->svr & SVR_ENABLE) || vector < 16)
      return;
    l->irr[vector / 32] |= 1u << vector % 32;
    if (level)
      l->tmr[vector / 32] |= 1u << vector % 32;
    else
      l->tmr[vector / 32] &= ~(1u << vector % 32);
    break;
  case NMI:
    v->nmi += v->nmi < (v->nmi_inside && !v->nmi_iret ? 1 : 2);
    break;
  case INIT:
    l->init = true;
    l->sipi = -1;
    break;
  case STARTUP:
    l->sipi = vector;
    break;
  default:
    return;
  }
  vcpu_wake(v);
}

static bool matches(const struct vcpu *v, uint8_t dest, bool logical)
{
  if (!logical)
    return dest == v->lapic.id >> 24 || dest == 0xff;
  uint32_t mine = v->lapic.ldr >> 24;
  if (v->lapic.dfr >> 28 == 0xf)
    return mine & dest;
  return (mine ^ dest) < 16 && mine & dest & 0xf; // cluster
}

void vlapic_message(struct guest *g, unsigned mode, uint8_t vector, uint8_t dest, bool logical, bool level)
{
  for (unsigned i = 0; i < g->vcpu_count; i++) {
    if (!matches(g->vcpu[i], dest, logical))
      continue;
    accept(g->vcpu[i], mode, vector, level);
    if (mode == LOWEST)
      return;
  }
}

static void command(struct vcpu *v)
{
  struct vlapic *l = &v->lapic;
  struct guest *g = v->guest;
  unsigned mode = l->icr_lo >> 8 & 7;
  uint8_t vector = (uint8_t)l->icr_lo;
  if (mode == INIT && !(l->icr_lo & LEVEL_ASSERT)) // the end of INIT, which only old parts know
    return;
  switch (l->icr_lo >> 18 & 3) {
  case 0:
    vlapic_message(g, mode, vector, (uint8_t)(l->icr_hi >> 24), l->icr_lo & LOGICAL, false);
    break;
  case 1:
    accept(v, mode, vector, false);
    break;
  default:
    for (unsigned i = 0; i < g->vcpu_count; i++)
      if (g->vcpu[i] != v || (l->icr_lo >> 18 & 3) == 2)
        accept(g->vcpu[i], mode, vector, false);
  }
}

static unsigned divider(const struct vlapic *l)
{
  unsigned code = (l->divide & 3) | (l->divide >> 1 & 4);
  return code == 7 ? 1 : 2u << code;
}

static void start_timer(struct vlapic *l)
{
  l->period = (uint64_t)l->initial * divider(l);
  l->deadline = l->initial ? rdtsc() + l->period : UINT64_MAX;
}

void vlapic_update(struct vcpu *v, uint64_t now)
{
  struct vlapic *l = &v->lapic;
  if (now < l->deadline)
    return;
  uint32_t lvt = l->lvt[LVT_TIMER];
  if (lvt & PERIODIC) {
    // A guest may ask for a period so short that there is time for nothing else.
    uint64_t floor = tsc_hz() / 50000, period = l->period < floor ? floor : l->period;
    l->deadline += ((now - l->deadline) / period + 1) * period;
  } else {
    l->deadline = UINT64_MAX;
  }
  if (!(lvt & MASKED))
    accept(v, FIXED, (uint8_t)lvt, false);
}

static uint32_t current(const struct vlapic *l)
{
  uint64_t now = rdtsc();
  return l->deadline == UINT64_MAX || now >= l->deadline ? 0 : (uint32_t)((l->deadline - now) / divider(l));
}

uint32_t vlapic_read(struct vcpu *v, uint32_t reg)
{
  const struct vlapic *l = &v->lapic;
  if (reg >= REG_ISR && reg < REG_ESR) {
    const uint32_t *set = reg < REG_TMR ? l->isr : reg < REG_IRR ? l->tmr : l->irr;
    return set[reg >> 4 & 7];
  }
  if (reg >= REG_LVT && reg < REG_LVT + LVTS * 0x10)
    return l->lvt[(reg - REG_LVT) >> 4];
  switch (reg & ~0xfu) {
  case REG_ID:
    return l->id;
  case REG_VERSION:
    return VERSION;
  case REG_TPR:
    return l->tpr;
  case REG_PPR:
    return priority(l);
  case REG_LDR:
    return l->ldr;
  case REG_DFR:
    return l->dfr;
  case REG_SVR:
    return l->svr;
  case REG_ESR:
    return l->esr;
  case REG_ICR_LO:
    return l->icr_lo;
  case REG_ICR_HI:
    return l->icr_hi;
  case REG_INITIAL:
    return l->initial;
  case REG_CURRENT:
    return current(l);
  case REG_DIVIDE:
    return l->divide;
  default:
    return 0;
  }
}

void vlapic_write(struct vcpu *v, uint32_t reg, uint32_t value)
{
  struct vlapic *l = &v->lapic;
  if (reg >= REG_LVT && reg < REG_LVT + LVTS * 0x10) {
    l->lvt[(reg - REG_LVT) >> 4] = value & 0x3e7ff;
    return;
  }
  switch (reg & ~0xfu) {
  case REG_ID:
    l->id = value & 0xff000000;
    break;
  case REG_TPR:
    l->tpr = value & 0xff;
    break;
  case REG_EOI:
    eoi(v);
    break;
  case REG_LDR:
    l->ldr = value & 0xff000000;
    break;
  case REG_DFR:
    l->dfr = value | 0x0fffffff;
    break;
  case REG_SVR:
    l->svr = value & 0x3ff;
    break;
  case REG_ESR:
    l->esr = 0;
    break;
  case REG_ICR_HI:
    l->icr_hi = value & 0xff000000;
    break;
  case REG_ICR_LO:
    l->icr_lo = value & 0xccfff;
    command(v);
    break;
  case REG_INITIAL:
    l->initial = value;
    start_timer(l);
    break;
  case REG_DIVIDE:
    l->divide = value & 0xb;
    break;
  default:
    break;
  }
}
