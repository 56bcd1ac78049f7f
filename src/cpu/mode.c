// What decoded code and memory accesses depend on, worked out from the state: mode bits and the TLB view.
//
// Invariant: after cpu_mode_update c->mode, c->tlb and c->jump_key agree with the registers; cpu_changed says
// that they may not. RF and the delivery of single steps are the engine's.
#include "cpu/cpu.h"

#include "cpu/except.h"
#include "cpu/model.h"
#include "cpu/tlb.h"

enum { TYPE_CODE = 8, TYPE_DOWN = 4, TYPE_RW = 2 }; // of a segment; RW: code readable, data writable

static bool flat_segment(const struct seg *s, bool code)
{
  uint16_t want = SEGA_P | TYPE_RW | (code ? TYPE_CODE : 0);
  uint16_t look = SEGA_P | TYPE_RW | TYPE_CODE | (code ? 0 : TYPE_DOWN);
  return s->base == 0 && s->limit == 0xffffffffu && (s->attr & look) == want;
}

static bool flat(const struct cpu *c)
{
  return flat_segment(&c->seg[SEG_CS], true) && flat_segment(&c->seg[SEG_DS], false) &&
         flat_segment(&c->seg[SEG_ES], false) && flat_segment(&c->seg[SEG_SS], false);
}

static uint32_t code_mode(const struct cpu *c)
{
  uint16_t cs = c->seg[SEG_CS].attr;
  if (cpu_long(c) && (cs & SEGA_L))
    return MODE_CS64 | MODE_FLAT | ((c->efer & EFER_LMSLE) && c->cpl ? MODE_LMSLE : 0);
  uint32_t m = 0;
  if (cs & SEGA_DB)
    m |= MODE_CS32;
  if (c->seg[SEG_SS].attr & SEGA_DB)
    m |= MODE_SS32;
  if (flat(c))
    m |= MODE_FLAT;
  return m;
}

static uint32_t fpu_mode(const struct cpu *c)
{
  uint32_t m = 0;
  if (c->cr0 & CR0_EM)
    m |= MODE_NO_X87 | MODE_NO_SSE;
  if (c->cr0 & CR0_TS)
    m |= MODE_TS;
  if (!(c->cr4 & CR4_OSFXSR))
    m |= MODE_NO_SSE;
  if (!(c->cr4 & CR4_OSXSAVE) || (c->xcr0 & (XCR0_SSE | XCR0_AVX)) != (XCR0_SSE | XCR0_AVX) ||
      !cpu_protected(c))
    m |= MODE_NO_AVX;
  if ((c->fx.mxcsr & 0x1f80) != 0x1f80)
    m |= MODE_XMASK;
  if ((c->fx.fcw & 0x3f) != 0x3f)
    m |= MODE_FMASK;
  return m;
}

void cpu_mode_update(struct cpu *c)
{
  c->mode = code_mode(c) | fpu_mode(c);
  if ((c->sysflags & FL_TF) || debug_has_fetch_breakpoints(c))
    c->mode |= MODE_STEP;
  c->mode_stale = false;
  tlb_select(c);
}

void cpu_set_flags(struct cpu *c, uint32_t f)
{
  uint32_t system = f & FL_ALL & ~FL_ARITH, changed = system ^ c->sysflags;
  cpu_set_arith(c, f);
  c->sysflags = system;
  if (changed & (FL_TF | FL_VM | FL_AC))
    cpu_changed(c);
  if ((changed & system & FL_IF) && c->pending) // what waited for this may be taken now
    cpu_kick(c);
}
