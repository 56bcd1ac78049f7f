// The fast path of memory accesses, as cpu/mem.h has it: one compare with a tag of the TLB view.
#include "cpu/mem.h"
#include "engine/jit/run.h"

_Static_assert(sizeof(struct tlbe) == 32 && TLB_BITS == 12, "the index of an entry comes from bits 23:12");

// The linear address is in rcx; makes it the host's.
static void check(struct run *r, const struct jit_op *n, unsigned size, bool write)
{
  struct as *a = &r->as;
  int32_t tag = write ? offsetof(struct tlbe, wtag) : offsetof(struct tlbe, rtag);
  as_rr(a, false, 0x8b, H_RDX, H_RCX);
  as_shift(a, false, 5, H_RDX, 7);
  as_ri(a, false, 4, H_RDX, (TLB_SIZE - 1) * (int32_t)sizeof(struct tlbe));
  as_rm(a, true, 0x03, H_RDX, CPU, AT(tlb));
  as_lea(a, true, H_RAX, H_RCX, H_NONE, 0, (int32_t)size - 1);
  as_ri(a, true, 4, H_RAX, -4096);
  as_rm(a, true, 0x3b, H_RAX, H_RDX, tag);
  run_exit(r, as_jcc(a, CC_NZ), EXIT_HANDLER, n, 0);
  as_rm(a, true, 0x03, H_RCX, H_RDX, offsetof(struct tlbe, add));
  r->flags = false;
}

// The linear address of the operand, in rcx.
static void operand(struct run *r, const struct jit_op *n)
{
  const struct op *op = n->op;
  unsigned base = op->base == REG_ZERO * 8 ? H_NONE : run_get(r, op->base / 8);
  unsigned index = op->idx == REG_ZERO * 8 ? H_NONE : run_get(r, op->idx / 8);
  as_lea(&r->as, true, H_RCX, base, index, op->shift, op->disp);
  r->pinned = 0;
  if (op->ea == EA_SEG64)
    as_rm(&r->as, true, 0x03, H_RCX, CPU,
          AT(seg) + op->seg * (int32_t)sizeof(struct seg) + (int32_t)offsetof(struct seg, base));
}

struct place run_access(struct run *r, const struct jit_op *n, unsigned which)
{
  const struct jit_access *x = &n->access[which];
  if (x->group < 0) {
    if (which == JIT_OPERAND)
      operand(r, n);
    else
      as_lea(&r->as, true, H_RCX, run_get(r, (unsigned)x->base), H_NONE, 0, x->disp);
    check(r, n, x->size, x->write);
    return (struct place){H_RCX, 0};
  }
  const struct jit_group *g = &r->groups[x->group];
  if (x->first) {
    as_lea(&r->as, true, H_RCX, run_get(r, (unsigned)x->base), H_NONE, 0, x->disp - (x->offset - g->low));
    check(r, n, (unsigned)(g->high - g->low), g->write);
    unsigned h = run_claim(r);
    as_mov(&r->as, h, H_RCX);
    r->of_group[x->group] = (uint8_t)h;
  }
  if (x->last)
    r->freed |= (uint16_t)(1u << r->of_group[x->group]);
  return (struct place){r->of_group[x->group], x->offset - g->low};
}
