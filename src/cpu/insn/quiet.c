// Arithmetic whose flags nobody sees: all that an op of registers and constants would write is overwritten
// later in the block, and nothing between can read it, fault or leave the block.
//
// Whatever is not known here counts as if it did all of that, and so does the end of a block: flags are right
// wherever anybody can look. Blocks of one instruction (MODE_STEP) never have such ops.
#include "cpu/insn/quiet.h"

#include "cpu/insn/alu.h"
#include "cpu/insn/hot.h"

// ---- handlers that leave the flags alone ----

#define RR(name, bits, expr)                                                                                 \
  static void name##_rr_##bits(struct cpu *c, const struct op *op)                                           \
  {                                                                                                          \
    uint##bits##_t a = REG##bits(c, op->reg), b = REG##bits(c, op->rm);                                      \
    SET##bits(c, op->reg, expr);                                                                             \
    NEXT(c, op);                                                                                             \
  }
#define RI(name, bits, expr)                                                                                 \
  static void name##_ri_##bits(struct cpu *c, const struct op *op)                                           \
  {                                                                                                          \
    uint##bits##_t a = REG##bits(c, op->reg), b = (uint##bits##_t)op->imm;                                   \
    SET##bits(c, op->reg, expr);                                                                             \
    NEXT(c, op);                                                                                             \
  }
#define R(name, bits, expr)                                                                                  \
  static void name##_##bits(struct cpu *c, const struct op *op)                                              \
  {                                                                                                          \
    uint##bits##_t a = REG##bits(c, op->rm);                                                                 \
    SET##bits(c, op->rm, expr);                                                                              \
    NEXT(c, op);                                                                                             \
  }
// By a constant that is not 0.
#define SHIFT(name, bits, type, expr)                                                                        \
  static void name##_##bits(struct cpu *c, const struct op *op)                                              \
  {                                                                                                          \
    type##bits##_t a = (type##bits##_t)REG##bits(c, op->rm);                                                 \
    uint8_t n = (uint8_t)op->imm;                                                                            \
    SET##bits(c, op->rm, expr);                                                                              \
    NEXT(c, op);                                                                                             \
  }
#define QUIET(bits)                                                                                          \
  RR(add, bits, a + b)                                                                                       \
  RI(add, bits, a + b)                                                                                       \
  RR(sub, bits, a - b)                                                                                       \
  RI(sub, bits, a - b)                                                                                       \
  RR(and, bits, a &b)                                                                                        \
  RI(and, bits, a &b)                                                                                        \
  RR(or, bits, a | b)                                                                                        \
  RI(or, bits, a | b)                                                                                        \
  RR(xor, bits, a ^ b)                                                                                       \
  RI(xor, bits, a ^ b)                                                                                       \
  R(inc, bits, a + 1)                                                                                        \
  R(dec, bits, a - 1)                                                                                        \
  R(neg, bits, -a)                                                                                           \
  SHIFT(shl, bits, uint, a << n)                                                                             \
  SHIFT(shr, bits, uint, a >> n)                                                                             \
  SHIFT(sar, bits, int, a >> n)                                                                              \
  SHIFT(rol, bits, uint, a << n | a >> (bits - n))                                                           \
  SHIFT(ror, bits, uint, a >> n | a << (bits - n))
QUIET(32)
QUIET(64)

// ---- what ops do to flags ----

enum { CF = 1, OF = 2, OTHERS = 4, ALL = 7 };

struct effect {
  uint8_t reads, writes;
  op_fn *quiet; // the same without writing flags
};

#define PAIR(ROW, name)                                                                                      \
  case ZYDIS_MNEMONIC_##ROW:                                                                                 \
    *e = (struct effect){0, ALL, NULL};                                                                      \
    if (op->osz >= 2 && alu_operands(op) == ALU_RR)                                                          \
      e->quiet = op->osz == 3 ? name##_rr_64 : name##_rr_32;                                                 \
    if (op->osz >= 2 && alu_operands(op) == ALU_RI)                                                          \
      e->quiet = op->osz == 3 ? name##_ri_64 : name##_ri_32;                                                 \
    return true;
#define SINGLE(ROW, name, written)                                                                           \
  case ZYDIS_MNEMONIC_##ROW:                                                                                 \
    *e = (struct effect){0, written, NULL};                                                                  \
    if (op->osz >= 2)                                                                                        \
      e->quiet = op->osz == 3 ? name##_64 : name##_32;                                                       \
    return true;
#define SHIFTED(ROW, name, written)                                                                          \
  case ZYDIS_MNEMONIC_##ROW:                                                                                 \
    if (!op->imm) /* by CL, which may be 0; or by 0 */                                                       \
      return false;                                                                                          \
    *e = (struct effect){0, written, NULL};                                                                  \
    if (op->osz >= 2)                                                                                        \
      e->quiet = op->osz == 3 ? name##_64 : name##_32;                                                       \
    return true;

// False: it may fault, leave the block or read flags, or is not known.
static bool effect(const struct op *op, struct effect *e)
{
  *e = (struct effect){0};
  if (op->row == ZYDIS_MNEMONIC_LEA)
    return true;
  if (op->flags & (OPF_MEM | OPF_LOCK))
    return false;
  switch (op->row) {
  case ZYDIS_MNEMONIC_MOV: // not those of segment, control and debug registers
    return op->fn != op_exec_ptr && op->fn != op_exec_ptr_end && op->fn != op_exec_ptr_priv_end;
  case ZYDIS_MNEMONIC_MOVZX:
  case ZYDIS_MNEMONIC_MOVSX:
  case ZYDIS_MNEMONIC_MOVSXD:
  case ZYDIS_MNEMONIC_BSWAP:
  case ZYDIS_MNEMONIC_NOT:
  case ZYDIS_MNEMONIC_CDQE:
  case ZYDIS_MNEMONIC_CWDE:
    return true;
  case ZYDIS_MNEMONIC_CMP:
  case ZYDIS_MNEMONIC_TEST:
    *e = (struct effect){0, ALL, NULL};
    return true;
  case ZYDIS_MNEMONIC_ADC:
  case ZYDIS_MNEMONIC_SBB:
    *e = (struct effect){CF, ALL, NULL};
    return true;
    PAIR(ADD, add)
    PAIR(SUB, sub)
    PAIR(AND, and)
    PAIR(OR, or)
    PAIR(XOR, xor)
    SINGLE(INC, inc, ALL & ~CF)
    SINGLE(DEC, dec, ALL & ~CF)
    SINGLE(NEG, neg, ALL)
    SHIFTED(SHL, shl, ALL)
    SHIFTED(SHR, shr, ALL)
    SHIFTED(SAR, sar, ALL)
    SHIFTED(ROL, rol, CF | (op->imm == 1 ? OF : 0))
    SHIFTED(ROR, ror, CF | (op->imm == 1 ? OF : 0))
  default:
    return false;
  }
}

void quiet(struct op *ops, unsigned count)
{
  unsigned live = ALL;
  while (count--) {
    struct op *op = &ops[count];
    struct effect e;
    if (!effect(op, &e))
      live = ALL;
    else if (e.quiet && !(e.writes & live))
      op->fn = e.quiet;
    else
      live = (live & ~e.writes) | e.reads;
  }
}
