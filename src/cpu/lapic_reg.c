// The local APIC's registers, memory-mapped and as the MSRs of x2APIC mode; see lapic.h. APM2 16.3, 16.9.
//
// Both faces go through one read and one write by register number, which is the offset / 16 and the MSR -
// 800h.
#include "cpu/cpu.h"
#include "cpu/lapic_int.h"
#include "cpu/model.h"

// ---- registers, by their number (offset / 16) ----

static uint32_t version(const struct lapic *a)
{
  return 0x10 | (LVT_COUNT - 1) << 16 | (model_has(a->cpu->model, FEAT_EXTAPIC) ? 1u << 31 : 0);
}

static unsigned ext_lvts(const struct lapic *a)
{
  return model_family(a->cpu->model) >= 0x10 ? 4 : 1;
}

bool lapic_x2(const struct lapic *a)
{
  return a->cpu->apic_base & APIC_BASE_EXTD;
}

uint32_t lapic_ldr(const struct lapic *a)
{
  uint32_t id = a->cpu->apic_id;
  return lapic_x2(a) ? id >> 4 << 16 | 1u << (id & 15) : a->ldr;
}

static bool reg_read(struct lapic *a, unsigned reg, uint32_t *v)
{
  bool ext = model_has(a->cpu->model, FEAT_EXTAPIC);
  *v = 0;
  switch (reg) {
  case 0x02:
    *v = lapic_x2(a) ? a->cpu->apic_id : a->id << 24;
    return true;
  case 0x03:
    *v = version(a);
    return true;
  case 0x08:
    *v = a->tpr;
    return true;
  case 0x09: // arbitration priority: that of the processor, there is no arbitration
  case 0x0a:
    *v = lapic_ppr(a);
    return reg == 0x0a || !lapic_x2(a);
  case 0x0b: // EOI
    return !lapic_x2(a);
  case 0x0c: // remote read
    return !lapic_x2(a);
  case 0x0d:
    *v = lapic_ldr(a);
    return true;
  case 0x0e:
    *v = a->dfr;
    return !lapic_x2(a);
  case 0x0f:
    *v = a->svr;
    return true;
  case 0x10 ... 0x17:
    *v = a->isr[reg - 0x10];
    return true;
  case 0x18 ... 0x1f:
    *v = a->tmr[reg - 0x18];
    return true;
  case 0x20 ... 0x27:
    *v = a->irr[reg - 0x20];
    return true;
  case 0x28:
    *v = a->esr;
    return true;
  case 0x30:
    *v = a->icr;
    return true;
  case 0x31:
    *v = a->icr >> 32;
    return !lapic_x2(a);
  case 0x32 ... 0x37:
    *v = a->lvt[reg - 0x32];
    return true;
  case 0x38:
    *v = a->initial_count;
    return true;
  case 0x39:
    *v = lapic_timer_count(a);
    return true;
  case 0x3e:
    *v = a->divide;
    return true;
  case 0x40: // extended feature: IER, specific EOI
    *v = ext ? ext_lvts(a) << 16 | EXT_IER | EXT_SEOI : 0;
    return ext;
  case 0x41:
    *v = a->ext_control;
    return ext;
  case 0x42:
    return ext;
  case 0x48 ... 0x4f:
    *v = a->ier[reg - 0x48];
    return ext;
  case 0x50 ... 0x53:
    *v = a->ext_lvt[reg - 0x50];
    return ext && reg - 0x50 < ext_lvts(a);
  }
  return false;
}

static void svr_write(struct lapic *a, uint32_t v)
{
  a->svr = v & 0x3ff;
  if (!(v & SVR_ENABLE)) {
    for (unsigned i = 0; i < LVT_COUNT; i++)
      a->lvt[i] |= LVT_MASKED;
  }
}

static void lvt_write(struct lapic *a, enum lapic_lvt which, uint32_t v)
{
  static const uint32_t mask[LVT_COUNT] = {
      [LVT_TIMER] = 0x700ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff,
      [LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff,   [LVT_ERROR] = 0x100ff,
  };
  uint32_t old = a->lvt[which];
  v = (v & mask[which]) | (old & LVT_REMOTE_IRR);
  if (!model_has(a->cpu->model, FEAT_TSC_DEADLINE))
    v &= which == LVT_TIMER ? ~(1u << 18) : ~0u;
  if (!(a->svr & SVR_ENABLE))
    v |= LVT_MASKED;
  if (!(v & LVT_LEVEL))
    v &= ~LVT_REMOTE_IRR;
  a->lvt[which] = v;
  if (which == LVT_TIMER)
    lapic_timer_mode(a, old);
  else if (which == LVT_LINT0 || which == LVT_LINT1)
    lapic_lint_raise(a, which - LVT_LINT0, false);
}

static bool ext_write(struct lapic *a, unsigned reg, uint32_t v)
{
  switch (reg) {
  case 0x40:
    return false;
  case 0x41:
    a->ext_control = v & (EXT_IER | EXT_SEOI);
    return true;
  case 0x42:
    if (a->ext_control & EXT_SEOI)
      lapic_finish(a, v & 0xff);
    return true;
  case 0x48 ... 0x4f:
    a->ier[reg - 0x48] = v;
    return true;
  case 0x50 ... 0x53:
    if (reg - 0x50 >= ext_lvts(a))
      return false;
    a->ext_lvt[reg - 0x50] = v & 0x107ff;
    return true;
  }
  return false;
}

// False: no such register, or it cannot be written.
static bool reg_write(struct lapic *a, unsigned reg, uint32_t v)
{
  switch (reg) {
  case 0x02:
    if (lapic_x2(a))
      return false;
    a->id = v >> 24;
    return true;
  case 0x08:
    a->tpr = v;
    a->cpu->cr8 = a->tpr >> 4;
    return true;
  case 0x0b:
    lapic_eoi(a);
    return true;
  case 0x0d:
    if (lapic_x2(a))
      return false;
    a->ldr = v & 0xff000000;
    return true;
  case 0x0e:
    if (lapic_x2(a))
      return false;
    a->dfr = v | 0x0fffffff;
    return true;
  case 0x0f:
    svr_write(a, v);
    return true;
  case 0x28:
    a->esr = a->esr_pending;
    a->esr_pending = 0;
    return true;
  case 0x30:
    a->icr = (a->icr & 0xffffffff00000000) | (v & ICR_WRITABLE);
    lapic_icr_send(a);
    return true;
  case 0x31:
    if (lapic_x2(a))
      return false;
    a->icr = (a->icr & 0xffffffff) | (uint64_t)(v & 0xff000000) << 32;
    return true;
  case 0x32 ... 0x37:
    lvt_write(a, reg - 0x32, v);
    return true;
  case 0x38:
    lapic_timer_set_initial(a, v);
    return true;
  case 0x3e:
    lapic_timer_set_divide(a, v & 0xb);
    return true;
  case 0x3f: // self IPI
    if (!lapic_x2(a))
      return false;
    if ((v & 0xff) < 16)
      lapic_error(a, ESR_SENT_ILLEGAL);
    else
      lapic_accept(a, v & 0xff, false);
    return true;
  }
  return model_has(a->cpu->model, FEAT_EXTAPIC) && ext_write(a, reg, v);
}

// ---- memory-mapped ----

uint64_t lapic_mmio_read(struct cpu *c, uint64_t off, unsigned size)
{
  struct lapic *a = c->lapic;
  unsigned sub = off & 15;
  uint32_t v;
  if (!reg_read(a, off >> 4, &v)) {
    lapic_error(a, ESR_ILLEGAL_REGISTER);
    return 0;
  }
  if (sub >= 4)
    return 0;
  uint64_t r = v >> 8 * sub;
  return size >= 8 ? r : r & ((1ull << 8 * size) - 1);
}

void lapic_mmio_write(struct cpu *c, uint64_t off, unsigned size, uint64_t v)
{
  struct lapic *a = c->lapic;
  uint32_t was;
  if ((off & 15) || size < 4)
    return;
  if (!reg_write(a, off >> 4, v) && !reg_read(a, off >> 4, &was)) // read-only ones ignore writes
    lapic_error(a, ESR_ILLEGAL_REGISTER);
  lapic_update(a);
}

// ---- x2APIC ----

bool lapic_x2apic_read(struct cpu *c, uint32_t msr, uint64_t *v)
{
  struct lapic *a = c->lapic;
  unsigned reg = msr & 0xff;
  uint32_t low;
  if (!a || !lapic_x2(a) || !reg_read(a, reg, &low))
    return false;
  *v = reg == 0x30 ? a->icr : low;
  return true;
}

// Bits that may be 1 in a write of an x2APIC register, 0 if it cannot be written.
static uint64_t x2_writable(const struct lapic *a, unsigned reg)
{
  uint32_t timer = model_has(a->cpu->model, FEAT_TSC_DEADLINE) ? 0x710ff : 0x310ff;
  switch (reg) {
  case 0x08:
    return 0xff;
  case 0x0f:
    return 0x3ff;
  case 0x30:
    return 0xffffffff00000000 | ICR_WRITABLE | 1u << 12;
  case 0x32:
    return timer;
  case 0x33:
  case 0x34:
    return 0x117ff;
  case 0x35:
  case 0x36:
    return 0x1f7ff;
  case 0x37:
    return 0x110ff;
  case 0x38:
    return 0xffffffff;
  case 0x3e:
    return 0xb;
  case 0x3f:
    return 0xff;
  default:
    return reg >= 0x40 ? 0xffffffff : 0;
  }
}

bool lapic_x2apic_write(struct cpu *c, uint32_t msr, uint64_t v)
{
  struct lapic *a = c->lapic;
  unsigned reg = msr & 0xff;
  if (!a || !lapic_x2(a) || (v & ~x2_writable(a, reg)))
    return false;
  if (reg == 0x30) {
    a->icr = v & (0xffffffff00000000 | ICR_WRITABLE);
    lapic_icr_send(a);
  } else if (!reg_write(a, reg, v)) {
    return false;
  }
  lapic_update(a);
  return true;
}
