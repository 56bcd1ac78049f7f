// Shifts and rotates: SHL SHR SAR ROL ROR by a constant, by 1 or by CL. RCL and RCR too.
//
// The host shifts; a count of zero (after masking) leaves the flags as they are. Rotates change only CF and
// OF. APM3 chapter 3.
#include "cpu/insn/shift.h"

#include "cpu/insn/hot.h"

#define ROTATE_KEEP 0xfe00 // what rotates leave alone: all of lah but CF
// The guest's flags into the host's: CF goes in, and OF after a count above 1 is what the host makes of it.
#define FLAGS_IN "addb $0x7f,%%al\n\tsahf\n\t"

#define VALUE(name, bits, sfx, let, keep, before)                                                            \
  static inline uint##bits##_t value_##name##_##bits(struct cpu *c, uint##bits##_t a, uint8_t n)             \
  {                                                                                                          \
    uint16_t f = c->fl;                                                                                      \
    __asm__(before #name sfx " %%cl,%0\n\tlahf\n\tseto %%al" : "+" let(a), "+&a"(f) : "c"(n) : "cc");        \
    c->fl = (f & ~(keep)) | (c->fl & (keep));                                                                \
    return a;                                                                                                \
  }
// mask: 31, or 63 for 64-bit operands.
#define HANDLERS(name, bits)                                                                                 \
  static void name##_ri_##bits(struct cpu *c, const struct op *op)                                           \
  {                                                                                                          \
    SET##bits(c, op->rm, value_##name##_##bits(c, REG##bits(c, op->rm), (uint8_t)op->imm));                  \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void name##_rc_##bits(struct cpu *c, const struct op *op)                                           \
  {                                                                                                          \
    uint8_t n = c->r[RCX] & (bits == 64 ? 63 : 31);                                                          \
    if (n)                                                                                                   \
      SET##bits(c, op->rm, value_##name##_##bits(c, REG##bits(c, op->rm), n));                               \
    else                                                                                                     \
      SET##bits(c, op->rm, REG##bits(c, op->rm));                                                            \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static inline void name##_mem_##bits(struct cpu *c, const struct op *op, uint8_t n)                        \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    uint##bits##_t v;                                                                                        \
    EA(c, op, bits / 8, ACC_RW, la);                                                                         \
    RMW_LOAD(c, op, bits, v, la);                                                                            \
    uint16_t old = c->fl;                                                                                    \
    if (n)                                                                                                   \
      v = value_##name##_##bits(c, v, n);                                                                    \
    RMW_STORE(c, op, bits, la, v, old);                                                                      \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void name##_mi_##bits(struct cpu *c, const struct op *op)                                           \
  {                                                                                                          \
    return name##_mem_##bits(c, op, (uint8_t)op->imm);                                                       \
  }                                                                                                          \
  static void name##_mc_##bits(struct cpu *c, const struct op *op)                                           \
  {                                                                                                          \
    return name##_mem_##bits(c, op, c->r[RCX] & (bits == 64 ? 63 : 31));                                     \
  }
#define ROW(name, bits)                                                                                      \
  {                                                                                                          \
    name##_ri_##bits, name##_rc_##bits, name##_mi_##bits, name##_mc_##bits                                   \
  }
#define FAMILY_OF(name)                                                                                      \
  HANDLERS(name, 8)                                                                                          \
  HANDLERS(name, 16)                                                                                         \
  HANDLERS(name, 32) HANDLERS(name, 64) bool select_##name(struct op *op, const struct op_source *s)         \
  {                                                                                                          \
    static op_fn *const fns[4][4] = {ROW(name, 8), ROW(name, 16), ROW(name, 32), ROW(name, 64)};             \
    return select_shift(op, s, fns);                                                                         \
  }
#define FAMILY(name, keep, before)                                                                           \
  VALUE(name, 8, "b", "q", keep, before)                                                                     \
  VALUE(name, 16, "w", "r", keep, before)                                                                    \
  VALUE(name, 32, "l", "r", keep, before)                                                                    \
  VALUE(name, 64, "q", "r", keep, before)                                                                    \
  HANDLERS(name, 8)                                                                                          \
  HANDLERS(name, 16)                                                                                         \
  HANDLERS(name, 32) HANDLERS(name, 64) bool select_##name(struct op *op, const struct op_source *s)         \
  {                                                                                                          \
    static op_fn *const fns[4][4] = {ROW(name, 8), ROW(name, 16), ROW(name, 32), ROW(name, 64)};             \
    return select_shift(op, s, fns);                                                                         \
  }

// ROL and ROR write two flags, which follow from the result: CF is the bit that went around. OF is defined
// for a count of 1 only; else it stays.
#define ROTATES(bits, z, sfx, let)                                                                           \
  static inline uint##bits##_t value_rol_##bits(struct cpu *c, uint##bits##_t a, uint8_t n)                  \
  {                                                                                                          \
    unsigned by = n & (bits - 1);                                                                            \
    a = by ? a << by | a >> (bits - by) : a;                                                                 \
    c->lah = (c->lah & ~1) | (a & 1);                                                                        \
    if (n == 1)                                                                                              \
      c->of = (a >> (bits - 1) ^ a) & 1;                                                                     \
    return a;                                                                                                \
  }                                                                                                          \
  static inline uint##bits##_t value_ror_##bits(struct cpu *c, uint##bits##_t a, uint8_t n)                  \
  {                                                                                                          \
    unsigned by = n & (bits - 1);                                                                            \
    a = by ? a >> by | a << (bits - by) : a;                                                                 \
    c->lah = (c->lah & ~1) | (a >> (bits - 1) & 1);                                                          \
    if (n == 1)                                                                                              \
      c->of = (a >> (bits - 1) ^ a >> (bits - 2)) & 1;                                                       \
    return a;                                                                                                \
  }
SIZES(ROTATES)

static void nothing(struct cpu *c, const struct op *op)
{
  NEXT(c, op);
}
static void clear_upper(struct cpu *c, const struct op *op)
{
  REG64(c, op->rm) = REG32(c, op->rm);
  NEXT(c, op);
}

static bool select_shift(struct op *op, const struct op_source *s, op_fn *const fns[4][4])
{
  const ZydisDecodedOperand *d = &s->zo[0], *n = &s->zo[1];
  unsigned z = d->size == 8 ? 0 : d->size == 16 ? 1 : d->size == 32 ? 2 : 3;
  bool mem = d->type == ZYDIS_OPERAND_TYPE_MEMORY, by_cl = n->type == ZYDIS_OPERAND_TYPE_REGISTER;
  op->osz = z;
  if (!mem)
    op->rm = decode_reg(d->reg.value);
  if (!by_cl) {
    op->imm &= z == 3 ? 63 : 31;
    if (!op->imm && !mem) {
      op->fn = z == 2 ? clear_upper : nothing;
      return true;
    }
  }
  op->fn = fns[z][mem * 2 + by_cl];
  return true;
}

FAMILY(shl, 0, "")
FAMILY(shr, 0, "")
FAMILY(sar, 0, "")
FAMILY_OF(rol)
FAMILY_OF(ror)
FAMILY(rcl, ROTATE_KEEP, FLAGS_IN)
FAMILY(rcr, ROTATE_KEEP, FLAGS_IN)
