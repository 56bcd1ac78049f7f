// Moves: MOV, MOVZX, MOVSX, MOVSXD, LEA, XCHG, CMOVcc, SETcc, PUSH, POP, PUSHA, POPA, LEAVE, NOP, sign
// extensions, BSWAP.
//
// APM3 chapter 3. MOV, PUSH and POP with segment, control and debug registers go to their exec functions.
#include "cpu/insn/move.h"

#include "cpu/insn/hot.h"
#include "cpu/insn/paging.h"
#include "cpu/insn/system.h"

static unsigned size_index(const ZydisDecodedOperand *o)
{
  return o->size == 8 ? 0 : o->size == 16 ? 1 : o->size == 32 ? 2 : 3;
}

// ---- MOV ----

#define MOV(bits, z, sfx, let)                                                                               \
  static void mov_rr_##bits(struct cpu *c, const struct op *op)                                              \
  {                                                                                                          \
    SET##bits(c, op->reg, REG##bits(c, op->rm));                                                             \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void mov_ri_##bits(struct cpu *c, const struct op *op)                                              \
  {                                                                                                          \
    SET##bits(c, op->reg, (uint##bits##_t)op->imm);                                                          \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void mov_rm_##bits(struct cpu *c, const struct op *op)                                              \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    uint##bits##_t v;                                                                                        \
    EA(c, op, bits / 8, ACC_READ, la);                                                                       \
    LOAD(c, op, bits, v, la);                                                                                \
    SET##bits(c, op->reg, v);                                                                                \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void mov_mr_##bits(struct cpu *c, const struct op *op)                                              \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    EA(c, op, bits / 8, ACC_WRITE, la);                                                                      \
    STORE(c, op, bits, la, REG##bits(c, op->reg));                                                           \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void mov_mi_##bits(struct cpu *c, const struct op *op)                                              \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    EA(c, op, bits / 8, ACC_WRITE, la);                                                                      \
    STORE(c, op, bits, la, (uint##bits##_t)op->imm);                                                         \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  /* A 64-bit absolute address (MOV AL/AX/EAX/RAX, moffs): it stands in imm. */                              \
  static void mov_abs_rm_##bits(struct cpu *c, const struct op *op)                                          \
  {                                                                                                          \
    uint64_t la = (uint64_t)op->imm + (op->ea == EA_SEG64 ? c->seg[op->seg].base : 0);                       \
    uint##bits##_t v;                                                                                        \
    LOAD(c, op, bits, v, la);                                                                                \
    SET##bits(c, op->reg, v);                                                                                \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void mov_abs_mr_##bits(struct cpu *c, const struct op *op)                                          \
  {                                                                                                          \
    uint64_t la = (uint64_t)op->imm + (op->ea == EA_SEG64 ? c->seg[op->seg].base : 0);                       \
    STORE(c, op, bits, la, REG##bits(c, op->reg));                                                           \
    NEXT(c, op);                                                                                             \
  }
SIZES(MOV)

#define MOV_ROW(bits, z, sfx, let)                                                                           \
  {mov_rr_##bits, mov_ri_##bits,     mov_rm_##bits,    mov_mr_##bits,                                        \
   mov_mi_##bits, mov_abs_rm_##bits, mov_abs_mr_##bits},

// The same with a segment's limit in the way (EFER.LMSLE). rm tells the direction.
bool x_mov_abs(struct cpu *c, const struct op *op)
{
  unsigned size = 1u << op->osz;
  uint64_t v, la = seg_linear(c, op->seg, (uint64_t)op->imm, size, op->rm ? ACC_WRITE : ACC_READ);
  if (c->faulted)
    return false;
  if (op->rm)
    return op_store(c, op, la, size, reg_get(c, op->reg, op->osz));
  if (!op_load(c, op, la, size, &v))
    return false;
  reg_set(c, op->reg, op->osz, v);
  return true;
}

static bool is_seg(const ZydisDecodedOperand *o)
{
  return o->type == ZYDIS_OPERAND_TYPE_REGISTER &&
         ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_SEGMENT;
}
static bool is_class(const ZydisDecodedOperand *o, ZydisRegisterClass k)
{
  return o->type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(o->reg.value) == k;
}

static bool by_exec(struct op *op, insn_fn *fn, op_fn *how)
{
  op->ptr = fn;
  op->fn = how;
  return true;
}

static bool select_mov_system(struct op *op, const ZydisDecodedOperand *d, const ZydisDecodedOperand *x)
{
  const ZydisDecodedOperand *sys, *gen;
  bool to = is_seg(d) || is_class(d, ZYDIS_REGCLASS_CONTROL) || is_class(d, ZYDIS_REGCLASS_DEBUG);
  sys = to ? d : x;
  gen = to ? x : d;
  op->reg = ZydisRegisterGetId(sys->reg.value);
  if (gen->type == ZYDIS_OPERAND_TYPE_REGISTER) {
    op->rm = decode_reg(gen->reg.value);
    op->osz = size_index(gen);
  }
  if (is_seg(sys)) {
    op->reg = sys->reg.value - ZYDIS_REGISTER_ES;
    return to ? by_exec(op, x_mov_to_seg, op_exec_ptr_end) : by_exec(op, x_mov_from_seg, op_exec_ptr);
  }
  if (is_class(sys, ZYDIS_REGCLASS_CONTROL))
    return by_exec(op, to ? x_mov_to_cr : x_mov_from_cr, op_exec_ptr_priv_end);
  return by_exec(op, to ? x_mov_to_dr : x_mov_from_dr, op_exec_ptr_priv_end);
}

bool select_mov(struct op *op, const struct op_source *s)
{
  static op_fn *const fns[4][7] = {SIZES(MOV_ROW)};
  const ZydisDecodedOperand *d = &s->zo[0], *x = &s->zo[1];
  if (is_seg(d) || is_seg(x) || is_class(d, ZYDIS_REGCLASS_CONTROL) || is_class(x, ZYDIS_REGCLASS_CONTROL) ||
      is_class(d, ZYDIS_REGCLASS_DEBUG) || is_class(x, ZYDIS_REGCLASS_DEBUG))
    return select_mov_system(op, d, x);
  unsigned z = size_index(d);
  op->osz = z;
  const ZydisDecodedOperand *m = d->type == ZYDIS_OPERAND_TYPE_MEMORY   ? d
                                 : x->type == ZYDIS_OPERAND_TYPE_MEMORY ? x
                                                                        : NULL;
  if (m && (s->mode & MODE_CS64) && m->mem.base == ZYDIS_REGISTER_NONE &&
      m->mem.index == ZYDIS_REGISTER_NONE && m->mem.disp.has_displacement &&
      m->mem.disp.value != (int32_t)m->mem.disp.value && op->asz == 3) {
    op->imm = m->mem.disp.value;
    op->reg = decode_reg((m == d ? x : d)->reg.value);
    if (op->ea == EA_SLOW) { // for x_mov_abs
      op->rm = m == d;
      return false;
    }
    op->fn = fns[z][m == d ? 6 : 5];
    return true;
  }
  if (d->type == ZYDIS_OPERAND_TYPE_REGISTER) {
    op->reg = decode_reg(d->reg.value);
    if (x->type == ZYDIS_OPERAND_TYPE_REGISTER) {
      op->rm = decode_reg(x->reg.value);
      op->fn = fns[z][0];
    } else {
      op->fn = fns[z][x->type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? 1 : 2];
    }
  } else if (x->type == ZYDIS_OPERAND_TYPE_REGISTER) {
    op->reg = decode_reg(x->reg.value);
    op->fn = fns[z][3];
  } else {
    op->fn = fns[z][4];
  }
  return true;
}

// ---- MOVZX, MOVSX, MOVSXD ----

#define EXTEND(name, type, from, to)                                                                         \
  static void name##_rr_##from##_##to(struct cpu *c, const struct op *op)                                    \
  {                                                                                                          \
    SET##to(c, op->reg, (uint##to##_t)(type##from##_t)REG##from(c, op->rm));                                 \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void name##_rm_##from##_##to(struct cpu *c, const struct op *op)                                    \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    uint##from##_t v;                                                                                        \
    EA(c, op, from / 8, ACC_READ, la);                                                                       \
    LOAD(c, op, from, v, la);                                                                                \
    SET##to(c, op->reg, (uint##to##_t)(type##from##_t)v);                                                    \
    NEXT(c, op);                                                                                             \
  }
#define EXTENDS(name, type)                                                                                  \
  EXTEND(name, type, 8, 16)                                                                                  \
  EXTEND(name, type, 8, 32)                                                                                  \
  EXTEND(name, type, 8, 64)                                                                                  \
  EXTEND(name, type, 16, 16)                                                                                 \
  EXTEND(name, type, 16, 32) EXTEND(name, type, 16, 64) EXTEND(name, type, 32, 32) EXTEND(name, type, 32, 64)
EXTENDS(movzx, uint)
EXTENDS(movsx, int)
#define EXTEND_PAIR(name, from, to)                                                                          \
  {                                                                                                          \
    name##_rr_##from##_##to, name##_rm_##from##_##to                                                         \
  }
#define EXTEND_TABLE(name)                                                                                   \
  {                                                                                                          \
    {EXTEND_PAIR(name, 8, 16), EXTEND_PAIR(name, 8, 32), EXTEND_PAIR(name, 8, 64)},                          \
        {EXTEND_PAIR(name, 16, 16), EXTEND_PAIR(name, 16, 32), EXTEND_PAIR(name, 16, 64)},                   \
    {                                                                                                        \
      {NULL, NULL}, EXTEND_PAIR(name, 32, 32), EXTEND_PAIR(name, 32, 64)                                     \
    }                                                                                                        \
  }

static bool select_extend(struct op *op, const struct op_source *s, op_fn *const fns[3][3][2])
{
  const ZydisDecodedOperand *d = &s->zo[0], *x = &s->zo[1];
  unsigned to = size_index(d), from = size_index(x);
  if (from == 2 && to == 1) // MOVSXD r16, r/m32 moves 16 bits
    from = 1;
  if (to == 0 || from > 2) // the table has no such row
    return false;
  op->osz = to;
  op->reg = decode_reg(d->reg.value);
  if (x->type == ZYDIS_OPERAND_TYPE_REGISTER)
    op->rm = decode_reg(x->reg.value);
  op->fn = fns[from][to - 1][x->type == ZYDIS_OPERAND_TYPE_MEMORY];
  return op->fn != NULL;
}
bool select_movzx(struct op *op, const struct op_source *s)
{
  static op_fn *const fns[3][3][2] = EXTEND_TABLE(movzx);
  return select_extend(op, s, fns);
}
bool select_movsx(struct op *op, const struct op_source *s)
{
  static op_fn *const fns[3][3][2] = EXTEND_TABLE(movsx);
  return select_extend(op, s, fns);
}

// ---- LEA ----

static void lea_64(struct cpu *c, const struct op *op)
{
  REG64(c, op->reg) = REG64(c, op->base) + (REG64(c, op->idx) << op->shift) + (int64_t)op->disp;
  NEXT(c, op);
}
static void lea_32(struct cpu *c, const struct op *op)
{
  REG64(c, op->reg) = (uint32_t)(REG64(c, op->base) + (REG64(c, op->idx) << op->shift) + (int64_t)op->disp);
  NEXT(c, op);
}
static void lea_any(struct cpu *c, const struct op *op)
{
  reg_set(c, op->reg, op->osz, op_offset(c, op));
  NEXT(c, op);
}
bool select_lea(struct op *op, const struct op_source *s)
{
  op->reg = decode_reg(s->zo[0].reg.value);
  op->osz = size_index(&s->zo[0]);
  if ((op->flags & OPF_RIP) || op->asz == 1 || op->osz == 1 || (op->asz == 2 && op->osz == 3))
    op->fn = op->osz == 3 && op->asz == 2 && !(op->flags & OPF_RIP) ? lea_32 : lea_any;
  else
    op->fn = op->osz == 3 ? lea_64 : lea_32;
  return true;
}

// ---- XCHG ----

#define XCHG(bits, z, sfx, let)                                                                              \
  static void xchg_rr_##bits(struct cpu *c, const struct op *op)                                             \
  {                                                                                                          \
    uint##bits##_t v = REG##bits(c, op->reg);                                                                \
    SET##bits(c, op->reg, REG##bits(c, op->rm));                                                             \
    SET##bits(c, op->rm, v);                                                                                 \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void xchg_mr_##bits(struct cpu *c, const struct op *op)                                             \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    uint##bits##_t v;                                                                                        \
    EA(c, op, bits / 8, ACC_RW, la);                                                                         \
    RMW_LOAD(c, op, bits, v, la);                                                                            \
    STORE(c, op, bits, la, REG##bits(c, op->reg));                                                           \
    SET##bits(c, op->reg, v);                                                                                \
    NEXT(c, op);                                                                                             \
  }
SIZES(XCHG)
#define XCHG_ROW(bits, z, sfx, let) {xchg_rr_##bits, xchg_mr_##bits},

bool select_xchg(struct op *op, const struct op_source *s)
{
  static op_fn *const fns[4][2] = {SIZES(XCHG_ROW)};
  const ZydisDecodedOperand *a = &s->zo[0], *b = &s->zo[1];
  op->osz = size_index(a);
  if (a->type == ZYDIS_OPERAND_TYPE_MEMORY || b->type == ZYDIS_OPERAND_TYPE_MEMORY) {
    op->reg = decode_reg(a->type == ZYDIS_OPERAND_TYPE_MEMORY ? b->reg.value : a->reg.value);
    op->fn = fns[op->osz][1];
  } else {
    op->reg = decode_reg(a->reg.value);
    op->rm = decode_reg(b->reg.value);
    op->fn = fns[op->osz][0];
  }
  return true;
}

// ---- CMOVcc, SETcc ----

// A CMOVcc from memory reads in any case; a 32-bit one clears the upper half in any case.
#define CMOV(cc, bits)                                                                                       \
  static void cmov##cc##_rr_##bits(struct cpu *c, const struct op *op)                                       \
  {                                                                                                          \
    uint##bits##_t v = cond_##cc(c) ? REG##bits(c, op->rm) : REG##bits(c, op->reg);                          \
    SET##bits(c, op->reg, v);                                                                                \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void cmov##cc##_rm_##bits(struct cpu *c, const struct op *op)                                       \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    uint##bits##_t v;                                                                                        \
    EA(c, op, bits / 8, ACC_READ, la);                                                                       \
    LOAD(c, op, bits, v, la);                                                                                \
    v = cond_##cc(c) ? v : REG##bits(c, op->reg);                                                            \
    SET##bits(c, op->reg, v);                                                                                \
    NEXT(c, op);                                                                                             \
  }
#define CONDITIONAL(cc, CC)                                                                                  \
  CMOV(cc, 16) CMOV(cc, 32) CMOV(cc, 64) bool select_cmov##cc(struct op *op, const struct op_source *s)      \
  {                                                                                                          \
    static op_fn *const fns[3][2] = {{cmov##cc##_rr_16, cmov##cc##_rm_16},                                   \
                                     {cmov##cc##_rr_32, cmov##cc##_rm_32},                                   \
                                     {cmov##cc##_rr_64, cmov##cc##_rm_64}};                                  \
    op->osz = size_index(&s->zo[0]);                                                                         \
    if (op->osz == 0) /* the table has no such row */                                                        \
      return false;                                                                                          \
    op->fn = fns[op->osz - 1][s->zo[1].type == ZYDIS_OPERAND_TYPE_MEMORY];                                   \
    return true;                                                                                             \
  }                                                                                                          \
  static void set##cc##_r(struct cpu *c, const struct op *op)                                                \
  {                                                                                                          \
    REG8(c, op->rm) = cond_##cc(c);                                                                          \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void set##cc##_m(struct cpu *c, const struct op *op)                                                \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    EA(c, op, 1, ACC_WRITE, la);                                                                             \
    STORE(c, op, 8, la, cond_##cc(c));                                                                       \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  bool select_set##cc(struct op *op, const struct op_source *s)                                              \
  {                                                                                                          \
    op->fn = op->flags & OPF_MEM ? set##cc##_m : set##cc##_r;                                                \
    return true;                                                                                             \
  }
CONDITIONS(CONDITIONAL)

// ---- stack ----

static void push_r_64(struct cpu *c, const struct op *op)
{
  uint64_t la = c->r[RSP] - 8;
  STORE(c, op, 64, la, REG64(c, op->reg));
  c->r[RSP] = la;
  NEXT(c, op);
}
static void push_i_64(struct cpu *c, const struct op *op)
{
  uint64_t la = c->r[RSP] - 8;
  STORE(c, op, 64, la, (uint64_t)op->imm);
  c->r[RSP] = la;
  NEXT(c, op);
}
static void push_m_64(struct cpu *c, const struct op *op)
{
  uint64_t la, v;
  EA(c, op, 8, ACC_READ, la);
  LOAD(c, op, 64, v, la);
  la = c->r[RSP] - 8;
  STACK_STORE(c, op, 64, la, v);
  c->r[RSP] = la;
  NEXT(c, op);
}
static void pop_r_64(struct cpu *c, const struct op *op)
{
  uint64_t v;
  LOAD(c, op, 64, v, c->r[RSP]);
  c->r[RSP] += 8;
  REG64(c, op->reg) = v;
  NEXT(c, op);
}
static void push_r_32(struct cpu *c, const struct op *op) // flat stack, ESP
{
  uint32_t la = c->r[RSP] - 4;
  STORE(c, op, 32, la, REG32(c, op->reg));
  c->r[RSP] = la;
  NEXT(c, op);
}
static void push_i_32(struct cpu *c, const struct op *op)
{
  uint32_t la = c->r[RSP] - 4;
  STORE(c, op, 32, la, (uint32_t)op->imm);
  c->r[RSP] = la;
  NEXT(c, op);
}
static void pop_r_32(struct cpu *c, const struct op *op)
{
  uint32_t v, sp = c->r[RSP];
  LOAD(c, op, 32, v, sp);
  c->r[RSP] = sp + 4;
  REG64(c, op->reg) = v;
  NEXT(c, op);
}
static void leave_64(struct cpu *c, const struct op *op)
{
  uint64_t v, sp = c->r[RBP];
  LOAD(c, op, 64, v, sp);
  c->r[RSP] = sp + 8;
  c->r[RBP] = v;
  NEXT(c, op);
}

uint64_t near_mask(const struct cpu *c)
{
  return c->mode & MODE_CS64 ? ~0ull : c->mode & MODE_SS32 ? 0xffffffffull : 0xffffull;
}
void near_set(struct cpu *c, uint64_t sp)
{
  uint64_t m = near_mask(c);
  if (m == 0xffff)
    REG16(c, RSP * 8) = sp;
  else
    c->r[RSP] = sp & m;
}
bool near_push(struct cpu *c, const struct op *op, unsigned osz, uint64_t v)
{
  uint64_t sp = (c->r[RSP] - (1u << osz)) & near_mask(c);
  uint64_t la = seg_linear(c, SEG_SS, sp, 1u << osz, ACC_WRITE);
  if (c->faulted || !op_store(c, op, la, 1u << osz, v))
    return false;
  near_set(c, sp);
  return true;
}
bool near_load(struct cpu *c, const struct op *op, unsigned osz, uint64_t off, uint64_t *v)
{
  uint64_t sp = (c->r[RSP] + off) & near_mask(c);
  uint64_t la = seg_linear(c, SEG_SS, sp, 1u << osz, ACC_READ);
  return !c->faulted && op_load(c, op, la, 1u << osz, v);
}

// Any form with a register, memory or immediate operand.
bool x_push(struct cpu *c, const struct op *op)
{
  uint64_t v;
  if (op->flags & OPF_MEM) {
    if (!rm_get(c, op, op->osz, &v))
      return false;
  } else {
    v = op->reg != REG_ZERO * 8  ? reg_get(c, op->reg, op->osz)
        : op->rm != REG_ZERO * 8 ? reg_get(c, op->rm, op->osz)
                                 : (uint64_t)op->imm;
  }
  return near_push(c, op, op->osz, v);
}
bool x_pop(struct cpu *c, const struct op *op)
{
  uint64_t v;
  if (!near_load(c, op, op->osz, 0, &v))
    return false;
  if (!(op->flags & OPF_MEM)) {
    near_set(c, c->r[RSP] + (1u << op->osz));
    reg_set(c, op->reg != REG_ZERO * 8 ? op->reg : op->rm, op->osz, v);
    return true;
  }
  // The address of POP [rSP...] is computed with the incremented pointer.
  uint64_t old = c->r[RSP];
  near_set(c, old + (1u << op->osz));
  if (rm_set(c, op, op->osz, v))
    return true;
  c->r[RSP] = old;
  return false;
}
bool x_leave(struct cpu *c, const struct op *op)
{
  uint64_t old = c->r[RSP], v;
  near_set(c, c->r[RBP]);
  if (!near_load(c, op, op->osz, 0, &v)) {
    c->r[RSP] = old;
    return false;
  }
  near_set(c, c->r[RSP] + (1u << op->osz));
  reg_set(c, RBP * 8, op->osz, v);
  return true;
}

// PUSHA and POPA: eight registers in one block of the stack. POPA skips SP.
bool x_pusha(struct cpu *c, const struct op *op)
{
  unsigned size = 1u << op->osz;
  uint8_t image[32];
  for (unsigned i = 0; i < 8; i++)
    memcpy(image + (7 - i) * size, &c->r[i], size);
  uint64_t sp = (c->r[RSP] - 8 * size) & near_mask(c);
  uint64_t la = seg_linear(c, SEG_SS, sp, 8 * size, ACC_WRITE);
  if (c->faulted || !mem_write(c, op, la, image, 8 * size))
    return false;
  near_set(c, sp);
  return true;
}
bool x_popa(struct cpu *c, const struct op *op)
{
  unsigned size = 1u << op->osz;
  uint8_t image[32];
  uint64_t la = seg_linear(c, SEG_SS, c->r[RSP] & near_mask(c), 8 * size, ACC_READ);
  if (c->faulted || !mem_read(c, op, la, image, 8 * size))
    return false;
  for (unsigned i = 0; i < 8; i++) {
    uint64_t v = 0;
    memcpy(&v, image + (7 - i) * size, size);
    if (i != RSP)
      reg_set(c, i * 8, op->osz, v);
  }
  near_set(c, c->r[RSP] + 8 * size);
  return true;
}

// 64-bit code whose stack needs no checks but those of the TLB.
static bool wide_stack(const struct op_source *s)
{
  return (s->mode & (MODE_CS64 | MODE_LMSLE)) == MODE_CS64;
}

bool select_push(struct op *op, const struct op_source *s)
{
  const ZydisDecodedOperand *x = &s->zo[0];
  if (is_seg(x)) {
    op->reg = x->reg.value - ZYDIS_REGISTER_ES;
    op->osz = s->zi->operand_width == 64 ? 3 : s->zi->operand_width == 32 ? 2 : 1;
    return by_exec(op, x_push_seg, op_exec_ptr);
  }
  bool flat32 =
      (s->mode & (MODE_CS64 | MODE_CS32 | MODE_SS32 | MODE_FLAT)) == (MODE_CS32 | MODE_SS32 | MODE_FLAT);
  op->osz = s->zi->operand_width == 64 ? 3 : s->zi->operand_width == 32 ? 2 : 1;
  if (x->type == ZYDIS_OPERAND_TYPE_REGISTER)
    op->reg = decode_reg(x->reg.value);
  if (x->type != ZYDIS_OPERAND_TYPE_MEMORY)
    op->seg = SEG_SS;
  if (wide_stack(s) && op->osz == 3)
    op->fn = x->type == ZYDIS_OPERAND_TYPE_REGISTER    ? push_r_64
             : x->type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? push_i_64
                                                       : push_m_64;
  else if (flat32 && op->osz == 2 && x->type != ZYDIS_OPERAND_TYPE_MEMORY)
    op->fn = x->type == ZYDIS_OPERAND_TYPE_REGISTER ? push_r_32 : push_i_32;
  else
    return false;
  return true;
}
bool select_pop(struct op *op, const struct op_source *s)
{
  const ZydisDecodedOperand *x = &s->zo[0];
  op->osz = s->zi->operand_width == 64 ? 3 : s->zi->operand_width == 32 ? 2 : 1;
  if (is_seg(x)) {
    op->reg = x->reg.value - ZYDIS_REGISTER_ES;
    return by_exec(op, x_pop_seg, op_exec_ptr_end);
  }
  if (x->type != ZYDIS_OPERAND_TYPE_REGISTER)
    return false;
  bool flat32 =
      (s->mode & (MODE_CS64 | MODE_CS32 | MODE_SS32 | MODE_FLAT)) == (MODE_CS32 | MODE_SS32 | MODE_FLAT);
  op->reg = decode_reg(x->reg.value);
  op->seg = SEG_SS;
  if (wide_stack(s) && op->osz == 3)
    op->fn = pop_r_64;
  else if (flat32 && op->osz == 2)
    op->fn = pop_r_32;
  else
    return false;
  return true;
}
bool select_leave(struct op *op, const struct op_source *s)
{
  op->osz = s->zi->operand_width == 64 ? 3 : s->zi->operand_width == 32 ? 2 : 1;
  op->seg = SEG_SS;
  if (!wide_stack(s) || op->osz != 3)
    return false;
  op->fn = leave_64;
  return true;
}

// ---- small ones ----

static void nop(struct cpu *c, const struct op *op)
{
  NEXT(c, op);
}
bool select_nop(struct op *op, const struct op_source *s)
{
  op->fn = nop;
  return true;
}

#define SMALL(name, body)                                                                                    \
  static void name(struct cpu *c, const struct op *op)                                                       \
  {                                                                                                          \
    body;                                                                                                    \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  bool select_##name(struct op *op, const struct op_source *s)                                               \
  {                                                                                                          \
    op->fn = name;                                                                                           \
    return true;                                                                                             \
  }
SMALL(cbw, REG16(c, RAX * 8) = (int8_t)c->r[RAX])
SMALL(cwde, c->r[RAX] = (uint32_t)(int16_t)c->r[RAX])
SMALL(cdqe, c->r[RAX] = (int64_t)(int32_t)c->r[RAX])
SMALL(cwd, REG16(c, RDX * 8) = (int16_t)c->r[RAX] >> 15)
SMALL(cdq, c->r[RDX] = (uint32_t)((int32_t)c->r[RAX] >> 31))
SMALL(cqo, c->r[RDX] = (int64_t)c->r[RAX] >> 63)
SMALL(clc, c->lah &= ~1)
SMALL(stc, c->lah |= 1)
SMALL(cmc, c->lah ^= 1)
SMALL(cld, c->sysflags &= ~FL_DF)
SMALL(std, c->sysflags |= FL_DF)
SMALL(lahf, REG8(c, RAX * 8 + 1) = (c->lah & 0xd5) | 2)
SMALL(sahf, c->lah = (REG8(c, RAX * 8 + 1) & 0xd5) | 2)

static void bswap_32(struct cpu *c, const struct op *op)
{
  REG64(c, op->reg) = __builtin_bswap32(REG32(c, op->reg));
  NEXT(c, op);
}
static void bswap_64(struct cpu *c, const struct op *op)
{
  REG64(c, op->reg) = __builtin_bswap64(REG64(c, op->reg));
  NEXT(c, op);
}
static void bswap_16(struct cpu *c, const struct op *op) // undefined by the manual; processors clear it
{
  REG16(c, op->reg) = 0;
  NEXT(c, op);
}
bool select_bswap(struct op *op, const struct op_source *s)
{
  op->reg = decode_reg(s->zo[0].reg.value);
  op->fn = s->zo[0].size == 64 ? bswap_64 : s->zo[0].size == 32 ? bswap_32 : bswap_16;
  return true;
}
