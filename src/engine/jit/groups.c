// Accesses that share one check.
//
// Within a run, accesses that lie near each other relative to the same value of a register (a frame on the
// stack, the fields of a structure) are checked together, by the first of them: one compare for the whole
// range, and the host's address stays in a register. That is right because nothing can change the TLB within
// a run: whatever might, leaves it. If the check fails, because the range crosses a page for example, the
// handlers do one access after the other.
#include "engine/jit/guest.h"

#include <string.h>

enum {
  RANGE_MOST = 128, // bytes: the larger, the more often it crosses a page
  HELD_MOST = 3,    // groups at one time, each of which takes a host register
  VALUES = 256,
};

// What a register holds: one of the values that there were, plus a constant.
struct value {
  uint16_t id;
  int32_t plus;
};

struct state {
  struct value reg[REG_COUNT];
  uint16_t ids;
  int16_t open[VALUES]; // by value: its newest group, or -1
};

static void forget(struct state *s, unsigned g)
{
  s->reg[g] = (struct value){s->ids++, 0};
}

static void forget_all(struct state *s)
{
  s->ids = 0;
  for (unsigned g = 0; g < REG_COUNT; g++)
    forget(s, g);
  memset(s->open, -1, sizeof s->open);
}

static void add(struct state *s, unsigned g, int64_t n)
{
  int64_t sum = s->reg[g].plus + n;
  if (sum > INT16_MAX || sum < INT16_MIN)
    forget(s, g);
  else
    s->reg[g].plus = (int32_t)sum;
}

// What the op makes of the registers.
static void step(struct state *s, const struct jit_op *n)
{
  const ZydisDecodedOperand *d = &n->zo[0], *x = &n->zo[1];
  bool to_reg = d->type == ZYDIS_OPERAND_TYPE_REGISTER && d->size == 64;
  switch (n->kind) {
  case JIT_PUSH:
  case JIT_CALL:
    add(s, RSP, -8);
    return;
  case JIT_POP:
    add(s, RSP, 8);
    forget(s, n->op->reg / 8);
    return;
  case JIT_LEAVE:
    s->reg[RSP] = s->reg[RBP];
    add(s, RSP, 8);
    forget(s, RBP);
    return;
  case JIT_WIDE:
    forget(s, RAX);
    forget(s, RDX);
    return;
  case JIT_LEA:
    if (to_reg && n->op->base != REG_ZERO * 8 && n->op->idx == REG_ZERO * 8) {
      s->reg[n->op->reg / 8] = s->reg[n->op->base / 8];
      add(s, n->op->reg / 8, n->op->disp);
    } else {
      forget(s, n->op->reg / 8);
    }
    return;
  case JIT_PLAIN:
    if (to_reg && x->type == ZYDIS_OPERAND_TYPE_REGISTER && n->zi.mnemonic == ZYDIS_MNEMONIC_MOV) {
      s->reg[jit_guest_reg(d)] = s->reg[jit_guest_reg(x)];
      return;
    }
    if (to_reg && x->type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
        (n->zi.mnemonic == ZYDIS_MNEMONIC_ADD || n->zi.mnemonic == ZYDIS_MNEMONIC_SUB)) {
      add(s, (unsigned)jit_guest_reg(d), n->zi.mnemonic == ZYDIS_MNEMONIC_ADD ? n->op->imm : -n->op->imm);
      return;
    }
    break;
  default:
    break;
  }
  for (unsigned i = 0; i < n->zi.operand_count_visible; i++)
    if (n->zo[i].type == ZYDIS_OPERAND_TYPE_REGISTER && jit_writes(&n->zo[i]))
      forget(s, (unsigned)jit_guest_reg(&n->zo[i]));
}

static struct jit_access operand(const struct jit_op *n)
{
  const ZydisDecodedOperand *m = jit_memory(n);
  if (!m || n->kind == JIT_LEA || n->kind == JIT_NOTHING)
    return (struct jit_access){.base = -1, .group = -1};
  bool sum = n->op->ea == EA_64 && n->op->base != REG_ZERO * 8 && n->op->idx == REG_ZERO * 8;
  return (struct jit_access){.base = (int8_t)(sum ? n->op->base / 8 : -1),
                             .group = -1,
                             .disp = n->op->disp,
                             .size = (uint8_t)(m->size / 8),
                             .write = jit_writes(m) || n->kind == JIT_XCHG};
}

static struct jit_access stack(const struct jit_op *n)
{
  bool down = n->kind == JIT_PUSH || n->kind == JIT_CALL;
  if (!down && n->kind != JIT_POP && n->kind != JIT_LEAVE && n->kind != JIT_RET)
    return (struct jit_access){.base = -1, .group = -1};
  return (struct jit_access){
      .base = n->kind == JIT_LEAVE ? RBP : RSP, .group = -1, .disp = down ? -8 : 0, .size = 8, .write = down};
}

static void join(struct state *s, struct jit_access *x, struct jit_group *groups, int16_t *count)
{
  if (x->base < 0)
    return;
  struct value v = s->reg[x->base];
  int64_t offset = (int64_t)v.plus + x->disp;
  if (offset > INT16_MAX || offset < INT16_MIN || v.id >= VALUES)
    return;
  x->offset = (int32_t)offset;
  int32_t end = x->offset + x->size;
  int16_t g = s->open[v.id];
  if (g >= 0) {
    int32_t low = x->offset < groups[g].low ? x->offset : groups[g].low;
    int32_t high = end > groups[g].high ? end : groups[g].high;
    if (high - low <= RANGE_MOST) {
      groups[g] = (struct jit_group){low, high, groups[g].write || x->write};
      x->group = g;
      return;
    }
  }
  if (*count == JIT_GROUPS)
    return;
  groups[*count] = (struct jit_group){x->offset, end, x->write};
  s->open[v.id] = x->group = (*count)++;
}

// Marks where groups begin and end, and dissolves those of one access and those for which there is no
// register.
static void settle(struct jit_op *ops, unsigned count, unsigned groups)
{
  struct span {
    struct jit_access *first, *last;
    unsigned from, to, members;
  } span[JIT_GROUPS] = {0};
  bool out[JIT_GROUPS] = {0};
  for (unsigned i = 0; i < count * JIT_ACCESSES; i++) {
    struct jit_access *x = &ops[i / JIT_ACCESSES].access[i % JIT_ACCESSES];
    if (x->group < 0)
      continue;
    struct span *p = &span[x->group];
    if (!p->members++) {
      p->first = x;
      p->from = i / JIT_ACCESSES;
    }
    p->last = x;
    p->to = i / JIT_ACCESSES;
  }
  for (unsigned g = 0; g < groups; g++) {
    unsigned held = 0;
    for (unsigned o = 0; o < g; o++)
      held += !out[o] && span[o].to >= span[g].from && span[g].to >= span[o].from;
    out[g] = span[g].members < 2 || held >= HELD_MOST || !OP_CHAIN;
    if (!out[g])
      span[g].first->first = span[g].last->last = true;
  }
  for (unsigned i = 0; i < count * JIT_ACCESSES; i++) {
    struct jit_access *x = &ops[i / JIT_ACCESSES].access[i % JIT_ACCESSES];
    if (x->group >= 0 && out[x->group])
      x->group = -1;
  }
}

void jit_group(struct jit_op *ops, unsigned count, struct jit_group *groups)
{
  struct state s;
  int16_t made = 0;
  forget_all(&s);
  for (unsigned i = 0; i < count; i++) {
    struct jit_op *n = &ops[i];
    n->access[JIT_OPERAND] = n->access[JIT_STACK] = (struct jit_access){.base = -1, .group = -1};
    if (n->kind == JIT_HANDLER) { // another run begins behind it
      forget_all(&s);
      continue;
    }
    n->access[JIT_OPERAND] = operand(n);
    n->access[JIT_STACK] = stack(n);
    // A branch looks for its target between them.
    for (unsigned k = 0; k < JIT_ACCESSES; k++)
      join(&s, &n->access[k], groups, &made);
    step(&s, n);
  }
  settle(ops, count, (unsigned)made);
}
