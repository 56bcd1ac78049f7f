// Near branches: JMP, Jcc, CALL, RET, LOOPcc, JrCXZ. APM3 chapter 3.
//
// Handlers serve 64-bit code and flat 32-bit code; the exec functions serve everything else, with the check
// of the target against the limit of CS.
#include "cpu/insn/branch.h"

#include "cpu/insn/hot.h"
#include "cpu/insn/move.h"
#include "cpu/insn/transfer.h"

void go_unlinked(struct cpu *c, uint64_t ip, unsigned slot)
{
#if OP_CHAIN
  struct jump *j = jump_slot(c, ip);
  if (j->ip == ip && j->key == c->jump_key && !j->block->dead) {
    if (((c->r[REG_IP] ^ ip) >> 12) == 0)
      c->block->next[slot] = j->block;
    return enter_block(c, j->block, ip);
  }
#endif
  c->ip = ip;
}

// ---- hot ----

static void jmp_64(struct cpu *c, const struct op *op)
{
  return go_direct(c, c->r[REG_IP] + op->imm, 0);
}
static void jmp_32(struct cpu *c, const struct op *op)
{
  return go_direct(c, (uint32_t)(c->r[REG_IP] + op->imm), 0);
}

#define JCC(cc, CC)                                                                                          \
  static void j##cc##_64(struct cpu *c, const struct op *op)                                                 \
  {                                                                                                          \
    if (cond_##cc(c))                                                                                        \
      return go_direct(c, c->r[REG_IP] + op->imm, 0);                                                        \
    return go_direct(c, c->r[REG_IP] + op->off + op->len, 1);                                                \
  }                                                                                                          \
  static void j##cc##_32(struct cpu *c, const struct op *op)                                                 \
  {                                                                                                          \
    if (cond_##cc(c))                                                                                        \
      return go_direct(c, (uint32_t)(c->r[REG_IP] + op->imm), 0);                                            \
    return go_direct(c, (uint32_t)(c->r[REG_IP] + op->off + op->len), 1);                                    \
  }
CONDITIONS(JCC)

// A target that is not canonical faults at the branch.
static void bad_target(struct cpu *c, const struct op *op)
{
  c->at = op;
  raise_gp(c, 0);
}

static void call_64(struct cpu *c, const struct op *op)
{
  uint64_t la = c->r[RSP] - 8;
  STORE(c, op, 64, la, c->r[REG_IP] + op->off + op->len);
  c->r[RSP] = la;
  return go_direct(c, c->r[REG_IP] + op->imm, 0);
}
static void call_32(struct cpu *c, const struct op *op)
{
  uint32_t la = c->r[RSP] - 4;
  STORE(c, op, 32, la, (uint32_t)(c->r[REG_IP] + op->off + op->len));
  c->r[RSP] = la;
  return go_direct(c, (uint32_t)(c->r[REG_IP] + op->imm), 0);
}
static void call_r_64(struct cpu *c, const struct op *op)
{
  uint64_t la = c->r[RSP] - 8, to = REG64(c, op->rm);
  if (unlikely(!canonical(to)))
    return bad_target(c, op);
  STORE(c, op, 64, la, c->r[REG_IP] + op->off + op->len);
  c->r[RSP] = la;
  return go_indirect(c, to);
}
static void call_m_64(struct cpu *c, const struct op *op)
{
  uint64_t la, to;
  EA(c, op, 8, ACC_READ, la);
  LOAD(c, op, 64, to, la);
  if (unlikely(!canonical(to)))
    return bad_target(c, op);
  la = c->r[RSP] - 8;
  STACK_STORE(c, op, 64, la, c->r[REG_IP] + op->off + op->len);
  c->r[RSP] = la;
  return go_indirect(c, to);
}
static void jmp_r_64(struct cpu *c, const struct op *op)
{
  uint64_t to = REG64(c, op->rm);
  if (unlikely(!canonical(to)))
    return bad_target(c, op);
  return go_indirect(c, to);
}
static void jmp_m_64(struct cpu *c, const struct op *op)
{
  uint64_t la, to;
  EA(c, op, 8, ACC_READ, la);
  LOAD(c, op, 64, to, la);
  if (unlikely(!canonical(to)))
    return bad_target(c, op);
  return go_indirect(c, to);
}
static void ret_64(struct cpu *c, const struct op *op)
{
  uint64_t to;
  LOAD(c, op, 64, to, c->r[RSP]);
  if (unlikely(!canonical(to)))
    return bad_target(c, op);
  c->r[RSP] += 8 + (uint16_t)op->imm;
  return go_indirect(c, to);
}
static void ret_32(struct cpu *c, const struct op *op)
{
  uint32_t to, sp = c->r[RSP];
  LOAD(c, op, 32, to, sp);
  c->r[RSP] = sp + 4 + (uint16_t)op->imm;
  return go_indirect(c, to);
}

void op_end_go(struct cpu *c, const struct op *op)
{
  return go_direct(c, op_ip(c, op), 1);
}

enum width { W_64, W_32, W_ANY };

// Which kind of hot handler serves this branch in this mode.
static enum width width_of(const struct op_source *s)
{
  unsigned w = s->zi->operand_width;
  if (s->mode & MODE_STEP) // blocks of one instruction have no links worth following
    return W_ANY;
  if (s->mode & MODE_CS64)
    return w == 64 ? W_64 : W_ANY;
  if ((s->mode & (MODE_CS32 | MODE_FLAT | MODE_SS32)) == (MODE_CS32 | MODE_FLAT | MODE_SS32))
    return w == 32 ? W_32 : W_ANY;
  return W_ANY;
}

static unsigned branch_osz(const struct op_source *s)
{
  return s->zi->operand_width == 64 ? 3 : s->zi->operand_width == 32 ? 2 : 1;
}

#define SELECT_JCC(cc, CC)                                                                                   \
  bool select_j##cc(struct op *op, const struct op_source *s)                                                \
  {                                                                                                          \
    op->osz = branch_osz(s);                                                                                 \
    enum width w = width_of(s);                                                                              \
    if (w == W_ANY)                                                                                          \
      return false;                                                                                          \
    op->fn = w == W_64 ? j##cc##_64 : j##cc##_32;                                                            \
    return true;                                                                                             \
  }
CONDITIONS(SELECT_JCC)

// Handlers of a near JMP or CALL: relative in 64-bit and in flat 32-bit code, by register and by memory in
// 64-bit code.
struct near_fns {
  op_fn *rel64, *rel32, *reg64, *mem64;
};

static bool select_near(struct op *op, const struct op_source *s, const struct near_fns *fns)
{
  enum width w = width_of(s);
  op->osz = branch_osz(s);
  if ((op->flags & OPF_FAR) || w == W_ANY)
    return false;
  if (s->zo[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
    op->fn = w == W_64 ? fns->rel64 : fns->rel32;
  else if (w == W_64)
    op->fn = op->flags & OPF_MEM ? fns->mem64 : fns->reg64;
  else
    return false;
  return true;
}
bool select_jmp(struct op *op, const struct op_source *s)
{
  static const struct near_fns fns = {jmp_64, jmp_32, jmp_r_64, jmp_m_64};
  return select_near(op, s, &fns);
}
bool select_call(struct op *op, const struct op_source *s)
{
  static const struct near_fns fns = {call_64, call_32, call_r_64, call_m_64};
  if (!(op->flags & OPF_MEM))
    op->seg = SEG_SS;
  if (s->mode & MODE_LMSLE) { // the stack has a limit
    op->osz = branch_osz(s);
    return false;
  }
  return select_near(op, s, &fns);
}
bool select_ret(struct op *op, const struct op_source *s)
{
  enum width w = width_of(s);
  op->osz = branch_osz(s);
  op->seg = SEG_SS;
  if ((op->flags & OPF_FAR) || w == W_ANY || (s->mode & MODE_LMSLE))
    return false;
  op->fn = w == W_64 ? ret_64 : ret_32;
  return true;
}

// ---- any mode ----

// Cuts the target to the operand size and checks it.
static bool branch_to(struct cpu *c, const struct op *op, uint64_t to)
{
  if (op->osz == 1)
    to &= 0xffff;
  else if (!(c->mode & MODE_CS64))
    to = (uint32_t)to;
  if (c->mode & MODE_CS64 ? !canonical(to) : to > c->seg[SEG_CS].limit)
    return raise_gp(c, 0);
  c->next_ip = to;
  return true;
}

static bool condition(const struct cpu *c, unsigned row)
{
  switch (row) {
#define CASE(cc, CC)                                                                                         \
  case ZYDIS_MNEMONIC_J##CC:                                                                                 \
    return cond_##cc(c);
    CONDITIONS(CASE)
  default:
    return true;
  }
}

bool x_jcc(struct cpu *c, const struct op *op)
{
  return !condition(c, op->row) || branch_to(c, op, c->r[REG_IP] + op->imm);
}

// The target of a near JMP or CALL.
static bool target(struct cpu *c, const struct op *op, uint64_t *to)
{
  if (!(op->flags & OPF_MEM) && op->reg == REG_ZERO * 8 && op->rm == REG_ZERO * 8) {
    *to = c->r[REG_IP] + op->imm;
    return true;
  }
  if (op->flags & OPF_MEM)
    return rm_get(c, op, op->osz, to);
  *to = reg_get(c, op->rm, op->osz);
  return true;
}

bool x_jmp(struct cpu *c, const struct op *op)
{
  uint64_t to;
  if (op->flags & OPF_FAR)
    return x_jmp_far(c, op);
  return target(c, op, &to) && branch_to(c, op, to);
}
bool x_call(struct cpu *c, const struct op *op)
{
  uint64_t to, back = c->next_ip;
  if (op->flags & OPF_FAR)
    return x_call_far(c, op);
  if (!target(c, op, &to) || !branch_to(c, op, to))
    return false;
  if (near_push(c, op, op->osz, back))
    return true;
  c->next_ip = back;
  return false;
}
bool x_ret(struct cpu *c, const struct op *op)
{
  uint64_t to;
  if (op->flags & OPF_FAR)
    return x_ret_far(c, op);
  if (!near_load(c, op, op->osz, 0, &to) || !branch_to(c, op, to))
    return false;
  near_set(c, c->r[RSP] + (1u << op->osz) + (uint16_t)op->imm);
  return true;
}

// LOOPcc and JrCXZ count in the register of the address size.
bool x_loop(struct cpu *c, const struct op *op)
{
  uint64_t n = reg_get(c, RCX * 8, op->asz) - 1;
  n = op->asz == 1 ? (uint16_t)n : op->asz == 2 ? (uint32_t)n : n;
  bool take = n != 0;
  if (op->row == ZYDIS_MNEMONIC_LOOPE)
    take = take && cond_z(c);
  else if (op->row == ZYDIS_MNEMONIC_LOOPNE)
    take = take && cond_nz(c);
  if (take && !branch_to(c, op, c->r[REG_IP] + op->imm))
    return false;
  reg_set(c, RCX * 8, op->asz, n);
  return true;
}
bool x_jrcxz(struct cpu *c, const struct op *op)
{
  if (reg_get(c, RCX * 8, op->asz) != 0)
    return true;
  return branch_to(c, op, c->r[REG_IP] + op->imm);
}
bool select_osz(struct op *op, const struct op_source *s)
{
  op->osz = branch_osz(s);
  return false;
}
