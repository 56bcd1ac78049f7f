// Segment registers and descriptors. APM2 4.5 to 4.12.
//
// Invariant: what the hidden part of a segment register holds is what the last load put there; mode
// changes do not touch it (so "unreal" mode works), and a load in real mode changes the base alone.
#include "cpu/seg.h"

#include "cpu/mem.h"

// ---- descriptors ----

// Address of the descriptor, or false if the table does not reach that far.
static bool desc_address(const struct cpu *c, uint16_t sel, unsigned bytes, uint64_t *la)
{
  unsigned off = sel & 0xfff8;
  uint64_t base = c->gdtr.base;
  uint32_t limit = c->gdtr.limit;
  if (sel & 4) {
    if (!(c->ldtr.attr & SEGA_P))
      return false;
    base = c->ldtr.base;
    limit = c->ldtr.limit;
  }
  if (off + bytes - 1 > limit)
    return false;
  *la = seg_wrap(c, base + off);
  return true;
}

bool desc_peek(struct cpu *c, uint16_t sel, uint64_t *d, bool *ok)
{
  uint64_t la;
  *ok = desc_address(c, sel, 8, &la);
  return !*ok || sys_read(c, la, d, 8);
}

bool desc_fetch(struct cpu *c, uint16_t sel, uint8_t vector, uint64_t *d)
{
  uint64_t la;
  if (!desc_address(c, sel, 8, &la))
    return raise_error(c, vector, sel & 0xfffc);
  return sys_read(c, la, d, 8);
}

bool desc_fetch_upper(struct cpu *c, uint16_t sel, uint8_t vector, uint64_t *upper)
{
  uint64_t la;
  if (!desc_address(c, sel, 16, &la))
    return raise_error(c, vector, sel & 0xfffc);
  if (!sys_read(c, la + 8, upper, 8))
    return false;
  if (*upper >> 40 & 0x1f)
    return raise_error(c, vector, sel & 0xfffc);
  return true;
}

// Byte 5 holds type and access rights; the table is read again, as the processor's locked access does.
static bool desc_update(struct cpu *c, uint16_t sel, uint8_t clear, uint8_t set)
{
  uint64_t la;
  uint8_t rights;
  if (!desc_address(c, sel, 8, &la))
    return raise_gp(c, sel & 0xfffc);
  la = seg_wrap(c, la + 5);
  if (!sys_read(c, la, &rights, 1))
    return false;
  rights = (rights & ~clear) | set;
  return sys_write(c, la, &rights, 1);
}

bool desc_accessed(struct cpu *c, uint16_t sel, uint64_t *d)
{
  if (likely(desc_type(*d) & TYPE_A))
    return true;
  if (!desc_update(c, sel, 0, TYPE_A))
    return false;
  *d |= (uint64_t)TYPE_A << 40;
  return true;
}

bool desc_set_busy(struct cpu *c, uint16_t sel, bool busy)
{
  return desc_update(c, sel, busy ? 0 : 2, busy ? 2 : 0);
}

struct seg seg_from_desc(uint16_t sel, uint64_t d)
{
  return (struct seg){.base = desc_base(d), .limit = desc_limit(d), .sel = sel, .attr = desc_attr(d)};
}

// ---- putting a segment in place ----

void seg_set_cs(struct cpu *c, uint16_t sel, uint64_t d, unsigned cpl)
{
  c->seg[SEG_CS] = seg_from_desc((sel & 0xfffc) | cpl, d);
  c->cpl = cpl;
  cpu_changed(c);
}

void seg_load_real(struct cpu *c, unsigned seg, uint16_t sel)
{
  struct seg *s = &c->seg[seg];
  // The limit stays what it was; a segment that protected mode had made unusable gets one again.
  if (!(s->attr & SEGA_P)) {
    s->limit = 0xffff;
    s->attr = 0;
  }
  s->attr = (s->attr & 0xf00 & ~SEGA_L) | SEGA_P | SEGA_S | TYPE_W | TYPE_A;
  s->sel = sel;
  s->base = (uint32_t)sel << 4;
  cpu_changed(c);
}

void seg_load_v86(struct cpu *c, unsigned seg, uint16_t sel)
{
  c->seg[seg] = (struct seg){.base = (uint32_t)sel << 4,
                             .limit = 0xffff,
                             .sel = sel,
                             .attr = SEGA_P | SEGA_DPL | SEGA_S | TYPE_W | TYPE_A};
  cpu_changed(c);
}

void seg_load_null(struct cpu *c, unsigned seg, uint16_t sel)
{
  // Base and limit stay, as on all AMD processors without NullSelectorClearsBase.
  c->seg[seg].sel = sel;
  c->seg[seg].attr = 0;
  cpu_changed(c);
}

// ---- checks ----

bool seg_check_stack(struct cpu *c, uint16_t sel, unsigned cpl, uint8_t vector, uint64_t *d)
{
  if (sel_null(sel))
    return raise_error(c, vector, 0);
  if (!desc_fetch(c, sel, vector, d))
    return false;
  if ((sel & 3) != cpl || !desc_writable(*d) || desc_dpl(*d) != cpl)
    return raise_error(c, vector, sel & 0xfffc);
  if (!desc_present(*d))
    return raise_error(c, VEC_SS, sel & 0xfffc);
  return desc_accessed(c, sel, d);
}

// A non-null selector for DS, ES, FS or GS.
static bool seg_check_data(struct cpu *c, uint16_t sel, uint8_t vector, uint64_t *d)
{
  if (!desc_fetch(c, sel, vector, d))
    return false;
  unsigned type = desc_type(*d);
  if (!desc_s(*d) || (type & (TYPE_CODE | TYPE_R)) == TYPE_CODE)
    return raise_error(c, vector, sel & 0xfffc);
  bool conforming = (type & (TYPE_CODE | TYPE_C)) == (TYPE_CODE | TYPE_C);
  if (!conforming && (desc_dpl(*d) < c->cpl || desc_dpl(*d) < (sel & 3)))
    return raise_error(c, vector, sel & 0xfffc);
  if (!desc_present(*d))
    return raise_error(c, VEC_NP, sel & 0xfffc);
  return desc_accessed(c, sel, d);
}

static bool seg_load_data(struct cpu *c, unsigned seg, uint16_t sel, uint8_t vector)
{
  uint64_t d = 0;
  if (sel_null(sel)) {
    seg_load_null(c, seg, sel);
    return true;
  }
  if (!seg_check_data(c, sel, vector, &d))
    return false;
  c->seg[seg] = seg_from_desc(sel, d);
  cpu_changed(c);
  return true;
}

bool seg_load_task(struct cpu *c, unsigned seg, uint16_t sel)
{
  return seg_load_data(c, seg, sel, VEC_TS);
}

bool seg_load(struct cpu *c, unsigned seg, uint16_t sel)
{
  if (!(c->cr0 & CR0_PE)) {
    seg_load_real(c, seg, sel);
    return true;
  }
  if (cpu_v86(c)) {
    seg_load_v86(c, seg, sel);
    return true;
  }
  if (seg != SEG_SS)
    return seg_load_data(c, seg, sel, VEC_GP);
  if (sel_null(sel) && cpu_code64(c) && c->cpl < 3 && (sel & 3) == c->cpl) {
    seg_load_null(c, SEG_SS, sel);
    return true;
  }
  uint64_t d = 0;
  if (!seg_check_stack(c, sel, c->cpl, VEC_GP, &d))
    return false;
  c->seg[SEG_SS] = seg_from_desc(sel, d);
  cpu_changed(c);
  return true;
}

bool seg_load_ldt(struct cpu *c, uint16_t sel, uint8_t vector)
{
  uint64_t d = 0, upper = 0;
  if (sel_null(sel)) {
    c->ldtr.sel = sel;
    c->ldtr.attr = 0;
    return true;
  }
  if (sel & 4)
    return raise_error(c, vector, sel & 0xfffc);
  if (!desc_fetch(c, sel, vector, &d))
    return false;
  if (desc_s(d) || desc_type(d) != SYS_LDT)
    return raise_error(c, vector, sel & 0xfffc);
  if (!desc_present(d))
    return raise_error(c, vector == VEC_TS ? VEC_TS : VEC_NP, sel & 0xfffc);
  if (cpu_long(c) && !desc_fetch_upper(c, sel, vector, &upper))
    return false;
  uint64_t base = desc_base(d) | upper << 32;
  if (!canonical(base))
    return raise_error(c, vector, sel & 0xfffc);
  c->ldtr = seg_from_desc(sel, d);
  c->ldtr.base = base;
  return true;
}

bool seg_load_tr(struct cpu *c, uint16_t sel)
{
  uint64_t d = 0, upper = 0;
  if (sel_null(sel))
    return raise_gp(c, 0);
  if (sel & 4)
    return raise_gp(c, sel & 0xfffc);
  if (!desc_fetch(c, sel, VEC_GP, &d))
    return false;
  if (desc_s(d) || (desc_type(d) != SYS_TSS32 && (cpu_long(c) || desc_type(d) != SYS_TSS16)))
    return raise_gp(c, sel & 0xfffc);
  if (!desc_present(d))
    return raise_error(c, VEC_NP, sel & 0xfffc);
  if (cpu_long(c) && !desc_fetch_upper(c, sel, VEC_GP, &upper))
    return false;
  uint64_t base = desc_base(d) | upper << 32;
  if (!canonical(base))
    return raise_gp(c, sel & 0xfffc);
  if (!desc_set_busy(c, sel, true))
    return false;
  c->tr = seg_from_desc(sel, d | 2ull << 40);
  c->tr.base = base;
  return true;
}

void seg_drop_inner(struct cpu *c)
{
  static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
  for (unsigned i = 0; i < 4; i++) {
    struct seg *s = &c->seg[data[i]];
    bool conforming = (s->attr & (TYPE_CODE | TYPE_C)) == (TYPE_CODE | TYPE_C);
    if ((s->attr & SEGA_P) && !conforming && (s->attr >> SEGA_DPL_SHIFT & 3) < c->cpl)
      seg_load_null(c, data[i], 0);
  }
}

bool seg_check_code(struct cpu *c, uint16_t sel, uint64_t d)
{
  bool ok = desc_code(d);
  if (ok && desc_conforming(d))
    ok = desc_dpl(d) <= c->cpl;
  else if (ok)
    ok = desc_dpl(d) == c->cpl && (sel & 3) <= c->cpl;
  if (ok && cpu_long(c) && desc_l(d) && desc_db(d))
    ok = false;
  if (!ok)
    return raise_gp(c, sel & 0xfffc);
  if (!desc_present(d))
    return raise_error(c, VEC_NP, sel & 0xfffc);
  return true;
}

bool seg_check_ip(struct cpu *c, uint64_t cs_desc, uint64_t ip)
{
  if (cpu_long(c) && desc_l(cs_desc) ? canonical(ip) : ip <= desc_limit(cs_desc))
    return true;
  return raise_gp(c, 0);
}

bool seg_within(const struct seg *s, uint64_t off, unsigned len)
{
  uint64_t last = off + len - 1;
  if ((s->attr & (SEGA_S | TYPE_CODE | TYPE_E)) == (SEGA_S | TYPE_E))
    return off > s->limit && last <= (s->attr & SEGA_DB ? 0xffffffffu : 0xffffu);
  return last <= s->limit;
}

// ---- stacks ----

struct stack seg_stack(const struct cpu *c)
{
  return (struct stack){.seg = c->seg[SEG_SS],
                        .wide = cpu_code64(c),
                        .limited = c->mode & MODE_LMSLE,
                        .cpl = c->cpl,
                        .sp = c->r[RSP],
                        .mask = seg_stack_mask(c)};
}

struct stack seg_stack_in(const struct seg *s, uint64_t sp, unsigned cpl, uint32_t error)
{
  return (struct stack){
      .seg = *s, .cpl = cpl, .error = error, .sp = sp, .mask = s->attr & SEGA_DB ? UINT32_MAX : UINT16_MAX};
}

struct stack seg_stack_wide(uint64_t sp, unsigned cpl)
{
  return (struct stack){.wide = true, .cpl = cpl, .sp = sp, .mask = UINT64_MAX};
}

static bool seg_stack_linear(struct cpu *c, const struct stack *s, uint64_t off, unsigned size, uint64_t *la)
{
  if (s->wide) {
    *la = off;
    if (canonical(off) && canonical(off + size - 1) && (!s->limited || seg_within64(&s->seg, off, size)))
      return true;
  } else {
    *la = seg_wrap(c, s->seg.base + off);
    if ((!(c->cr0 & CR0_PE) || (s->seg.attr & SEGA_P)) && seg_within(&s->seg, off, size))
      return true;
  }
  return raise_error(c, VEC_SS, s->error);
}

bool seg_push(struct cpu *c, struct stack *s, unsigned size, uint64_t v)
{
  uint64_t la, off = (s->sp - size) & s->mask;
  if (!seg_stack_linear(c, s, off, size, &la) || !cpl_write(c, s->cpl, la, &v, size))
    return false;
  seg_stack_skip(s, -(uint64_t)size);
  return true;
}

bool seg_pop(struct cpu *c, struct stack *s, unsigned size, uint64_t *v)
{
  uint64_t la;
  *v = 0;
  if (!seg_stack_linear(c, s, s->sp & s->mask, size, &la) || !cpl_read(c, s->cpl, la, v, size))
    return false;
  seg_stack_skip(s, size);
  return true;
}
