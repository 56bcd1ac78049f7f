// From segment and offset to a linear address, with every check of segmentation. APM2 4.5, 4.12; APM1 2.1.
//
// The flat forms never come here (EA_64, EA_SEG64, EA_A32 in mem.h): non-canonical addresses are found by
// mem.c.
#include "cpu/mem.h"

#include "cpu/except.h"
#include "cpu/seg.h"

uint64_t op_offset(const struct cpu *c, const struct op *op)
{
  uint64_t a;
  if (op->flags & OPF_RIP)
    a = op_next_ip(c, op) + (int64_t)op->disp;
  else
    a = REG64(c, op->base) + (REG64(c, op->idx) << op->shift) + (int64_t)op->disp;
  switch (op->asz) {
  case 1:
    return (uint16_t)a;
  case 2:
    return (uint32_t)a;
  default:
    return a;
  }
}

static uint64_t refuse(struct cpu *c, unsigned seg)
{
  raise_error(c, seg == SEG_SS ? VEC_SS : VEC_GP, 0);
  return 0;
}

void stack_refused(struct cpu *c, const struct op *op)
{
  c->at = op;
  refuse(c, SEG_SS);
}

// Protected mode: may the segment be used for this at all?
static bool type_allows(const struct seg *s, enum access acc)
{
  if (!(s->attr & SEGA_P))
    return false;
  bool code = s->attr & 8, rw = s->attr & 2;
  if (acc != ACC_READ)
    return !code && rw;
  return !code || rw;
}

static bool limit_allows(const struct seg *s, uint64_t offset, unsigned size)
{
  uint64_t last = offset + size - 1;
  if ((s->attr & 0xc) == 4) { // expand-down data: above the limit
    uint64_t top = s->attr & SEGA_DB ? 0xffffffffu : 0xffffu;
    return offset > s->limit && last <= top;
  }
  // A segment of 4 GB has no end that an access could cross: it wraps.
  return last <= s->limit || s->limit == 0xffffffffu;
}

// The limit counts in the last 4 GB of the address space. The manual leaves open what it does for segments
// that are null or expand-down: they have no limit here. APM2 4.12.2
bool seg_within64(const struct seg *s, uint64_t la, unsigned len)
{
  const uint64_t top = 0xffffffff00000000;
  uint64_t last = la + len - 1;
  bool data = (s->attr & (SEGA_P | SEGA_S)) == (SEGA_P | SEGA_S);
  if (!data || (s->attr & (TYPE_CODE | TYPE_E)) == TYPE_E || s->limit == 0xffffffff)
    return true;
  if (la >= top)
    return last >= la && (uint32_t)last <= s->limit;
  return last < top || (uint32_t)last <= s->limit;
}

uint64_t seg_linear(struct cpu *c, unsigned seg, uint64_t offset, unsigned size, enum access acc)
{
  const struct seg *s = &c->seg[seg];
  if (c->mode & MODE_CS64) {
    uint64_t la = seg >= SEG_FS ? s->base + offset : offset;
    if (unlikely(!canonical(la) || !canonical(la + size - 1)))
      return refuse(c, seg);
    if (unlikely(c->mode & MODE_LMSLE) && seg != SEG_GS && !seg_within64(s, la, size))
      return refuse(c, seg);
    return la;
  }
  offset = (uint32_t)offset;
  if (cpu_protected(c) && unlikely(!type_allows(s, acc)))
    return refuse(c, seg);
  if (unlikely(!limit_allows(s, offset, size)))
    return refuse(c, seg);
  return (uint32_t)(s->base + offset);
}

uint64_t op_linear(struct cpu *c, const struct op *op, unsigned size, enum access acc)
{
  uint64_t la = seg_linear(c, op->seg, op_offset(c, op), size, acc);
  if (unlikely(c->faulted))
    c->at = op;
  return la;
}
