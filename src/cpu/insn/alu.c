// Integer arithmetic and logic: ADD OR ADC SBB AND SUB XOR CMP TEST, INC DEC NEG NOT, IMUL with two and three
// operands.
//
// The host computes value and flags with the same instruction; LAHF and SETO bring the flags into the form
// in which struct cpu keeps them. APM3 chapter 3.
#include "cpu/insn/alu.h"

#include "cpu/insn/hot.h"

// value_NAME_BITS: the operation on values; sets the flags.
#define VALUE2(name, bits, sfx, let)                                                                         \
  static inline uint##bits##_t value_##name##_##bits(struct cpu *c, uint##bits##_t a, uint##bits##_t b)      \
  {                                                                                                          \
    uint16_t f;                                                                                              \
    __asm__(#name sfx " %2,%0\n\tlahf\n\tseto %%al" : "+" let(a), "=&a"(f) : let(b) : "cc");                 \
    c->fl = f;                                                                                               \
    return a;                                                                                                \
  }
// With carry in: bit 8 of fl.
#define VALUE2C(name, bits, sfx, let)                                                                        \
  static inline uint##bits##_t value_##name##_##bits(struct cpu *c, uint##bits##_t a, uint##bits##_t b)      \
  {                                                                                                          \
    uint16_t f = c->fl;                                                                                      \
    __asm__("btw $8,%w1\n\t" #name sfx " %2,%0\n\tlahf\n\tseto %%al"                                         \
            : "+&" let(a), "+&a"(f)                                                                          \
            : let(b)                                                                                         \
            : "cc");                                                                                         \
    c->fl = f;                                                                                               \
    return a;                                                                                                \
  }
// Flags only.
#define VALUE2F(name, bits, sfx, let)                                                                        \
  static inline uint##bits##_t value_##name##_##bits(struct cpu *c, uint##bits##_t a, uint##bits##_t b)      \
  {                                                                                                          \
    uint16_t f;                                                                                              \
    __asm__(#name sfx " %2,%1\n\tlahf\n\tseto %%al" : "=&a"(f) : let(a), let(b) : "cc");                     \
    c->fl = f;                                                                                               \
    return a;                                                                                                \
  }

#define HOT_R(name, bits)                                                                                    \
  static void name##_rr_##bits(struct cpu *c, const struct op *op)                                           \
  {                                                                                                          \
    SET##bits(c, op->reg, value_##name##_##bits(c, REG##bits(c, op->reg), REG##bits(c, op->rm)));            \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void name##_ri_##bits(struct cpu *c, const struct op *op)                                           \
  {                                                                                                          \
    SET##bits(c, op->reg, value_##name##_##bits(c, REG##bits(c, op->reg), (uint##bits##_t)op->imm));         \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void name##_rm_##bits(struct cpu *c, const struct op *op)                                           \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    uint##bits##_t v;                                                                                        \
    EA(c, op, bits / 8, ACC_READ, la);                                                                       \
    LOAD(c, op, bits, v, la);                                                                                \
    SET##bits(c, op->reg, value_##name##_##bits(c, REG##bits(c, op->reg), v));                               \
    NEXT(c, op);                                                                                             \
  }
// Read, modify, write: the flags change only once the write went through.
#define HOT_M(name, bits)                                                                                    \
  static void name##_mr_##bits(struct cpu *c, const struct op *op)                                           \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    uint##bits##_t v;                                                                                        \
    EA(c, op, bits / 8, ACC_RW, la);                                                                         \
    RMW_LOAD(c, op, bits, v, la);                                                                            \
    uint16_t old = c->fl;                                                                                    \
    v = value_##name##_##bits(c, v, REG##bits(c, op->reg));                                                  \
    RMW_STORE(c, op, bits, la, v, old);                                                                      \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void name##_mi_##bits(struct cpu *c, const struct op *op)                                           \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    uint##bits##_t v;                                                                                        \
    EA(c, op, bits / 8, ACC_RW, la);                                                                         \
    RMW_LOAD(c, op, bits, v, la);                                                                            \
    uint16_t old = c->fl;                                                                                    \
    v = value_##name##_##bits(c, v, (uint##bits##_t)op->imm);                                                \
    RMW_STORE(c, op, bits, la, v, old);                                                                      \
    NEXT(c, op);                                                                                             \
  }
// Compare-like: nothing is written.
#define HOT_F(name, bits)                                                                                    \
  static void name##_rr_##bits(struct cpu *c, const struct op *op)                                           \
  {                                                                                                          \
    value_##name##_##bits(c, REG##bits(c, op->reg), REG##bits(c, op->rm));                                   \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void name##_ri_##bits(struct cpu *c, const struct op *op)                                           \
  {                                                                                                          \
    value_##name##_##bits(c, REG##bits(c, op->reg), (uint##bits##_t)op->imm);                                \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void name##_rm_##bits(struct cpu *c, const struct op *op)                                           \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    uint##bits##_t v;                                                                                        \
    EA(c, op, bits / 8, ACC_READ, la);                                                                       \
    LOAD(c, op, bits, v, la);                                                                                \
    value_##name##_##bits(c, REG##bits(c, op->reg), v);                                                      \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void name##_mr_##bits(struct cpu *c, const struct op *op)                                           \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    uint##bits##_t v;                                                                                        \
    EA(c, op, bits / 8, ACC_READ, la);                                                                       \
    LOAD(c, op, bits, v, la);                                                                                \
    value_##name##_##bits(c, v, REG##bits(c, op->reg));                                                      \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void name##_mi_##bits(struct cpu *c, const struct op *op)                                           \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    uint##bits##_t v;                                                                                        \
    EA(c, op, bits / 8, ACC_READ, la);                                                                       \
    LOAD(c, op, bits, v, la);                                                                                \
    value_##name##_##bits(c, v, (uint##bits##_t)op->imm);                                                    \
    NEXT(c, op);                                                                                             \
  }
#define HOT_ROW(name, bits)                                                                                  \
  {                                                                                                          \
    name##_rr_##bits, name##_ri_##bits, name##_rm_##bits, name##_mr_##bits, name##_mi_##bits                 \
  }
#define HOT_TABLE(name)                                                                                      \
  static op_fn *const name##_fns[4][5] = {HOT_ROW(name, 8), HOT_ROW(name, 16), HOT_ROW(name, 32),            \
                                          HOT_ROW(name, 64)};

#define FAMILY_RM(name)                                                                                      \
  VALUE2(name, 8, "b", "q")                                                                                  \
  VALUE2(name, 16, "w", "r")                                                                                 \
  VALUE2(name, 32, "l", "r")                                                                                 \
  VALUE2(name, 64, "q", "r")                                                                                 \
  HOT_R(name, 8)                                                                                             \
  HOT_R(name, 16)                                                                                            \
  HOT_R(name, 32)                                                                                            \
  HOT_R(name, 64) HOT_M(name, 8) HOT_M(name, 16) HOT_M(name, 32) HOT_M(name, 64) HOT_TABLE(name)
#define FAMILY_RMC(name)                                                                                     \
  VALUE2C(name, 8, "b", "q")                                                                                 \
  VALUE2C(name, 16, "w", "r")                                                                                \
  VALUE2C(name, 32, "l", "r")                                                                                \
  VALUE2C(name, 64, "q", "r")                                                                                \
  HOT_R(name, 8)                                                                                             \
  HOT_R(name, 16)                                                                                            \
  HOT_R(name, 32)                                                                                            \
  HOT_R(name, 64) HOT_M(name, 8) HOT_M(name, 16) HOT_M(name, 32) HOT_M(name, 64) HOT_TABLE(name)
#define FAMILY_F(name)                                                                                       \
  VALUE2F(name, 8, "b", "q")                                                                                 \
  VALUE2F(name, 16, "w", "r")                                                                                \
  VALUE2F(name, 32, "l", "r")                                                                                \
  VALUE2F(name, 64, "q", "r") HOT_F(name, 8) HOT_F(name, 16) HOT_F(name, 32) HOT_F(name, 64) HOT_TABLE(name)

FAMILY_RM(add)
FAMILY_RM(or)
FAMILY_RMC(adc)
FAMILY_RMC(sbb)
FAMILY_RM(and)
FAMILY_RM(sub)
FAMILY_RM(xor)
FAMILY_F(cmp)
FAMILY_F(test)

// The five forms: both operands registers, register and immediate, register and memory, memory and register,
// memory and immediate. `reg` is the destination register, or the source register of a memory destination.
static bool select_alu(struct op *op, const struct op_source *s, op_fn *const fns[4][5])
{
  const ZydisDecodedOperand *d = &s->zo[0], *x = &s->zo[1];
  unsigned z = d->size == 8 ? 0 : d->size == 16 ? 1 : d->size == 32 ? 2 : 3;
  op->osz = z;
  if (d->type == ZYDIS_OPERAND_TYPE_REGISTER) {
    op->reg = decode_reg(d->reg.value);
    if (x->type == ZYDIS_OPERAND_TYPE_REGISTER) {
      op->rm = decode_reg(x->reg.value);
      op->fn = fns[z][0];
    } else if (x->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
      op->fn = fns[z][1];
    } else {
      op->fn = fns[z][2];
    }
  } else if (x->type == ZYDIS_OPERAND_TYPE_REGISTER) {
    op->reg = decode_reg(x->reg.value);
    op->fn = fns[z][3];
  } else {
    op->fn = fns[z][4];
  }
  return true;
}

#define SELECT(name)                                                                                         \
  bool select_##name(struct op *op, const struct op_source *s)                                               \
  {                                                                                                          \
    return select_alu(op, s, name##_fns);                                                                    \
  }
SELECT(add)
SELECT(or)
SELECT(adc)
SELECT(sbb)
SELECT(and)
SELECT(sub)
SELECT(xor)
SELECT(cmp)
SELECT(test)

enum alu_form alu_form(const struct op *op)
{
  op_fn *const *cmp = cmp_fns[op->osz & 3], *const *test = test_fns[op->osz & 3];
  return op->fn == cmp[0]    ? ALU_CMP_RR
         : op->fn == cmp[1]  ? ALU_CMP_RI
         : op->fn == test[0] ? ALU_TEST_RR
         : op->fn == test[1] ? ALU_TEST_RI
                             : ALU_OTHER;
}

enum alu_operands alu_operands(const struct op *op)
{
  op_fn *const *fns;
  switch (op->row) {
  case ZYDIS_MNEMONIC_ADD:
    fns = add_fns[op->osz & 3];
    break;
  case ZYDIS_MNEMONIC_SUB:
    fns = sub_fns[op->osz & 3];
    break;
  case ZYDIS_MNEMONIC_AND:
    fns = and_fns[op->osz & 3];
    break;
  case ZYDIS_MNEMONIC_OR:
    fns = or_fns[op->osz & 3];
    break;
  default:
    fns = xor_fns[op->osz & 3];
  }
  return op->fn == fns[0] ? ALU_RR : op->fn == fns[1] ? ALU_RI : ALU_MEMORY;
}

// ---- one operand ----

#define KEEP_CF 0x100 // the bit of fl that INC and DEC leave alone

#define VALUE1(name, bits, sfx, let, keep)                                                                   \
  static inline uint##bits##_t value_##name##_##bits(struct cpu *c, uint##bits##_t a)                        \
  {                                                                                                          \
    uint16_t f;                                                                                              \
    __asm__(#name sfx " %0\n\tlahf\n\tseto %%al" : "+" let(a), "=&a"(f) : : "cc");                           \
    c->fl = (f & ~(keep)) | (c->fl & (keep));                                                                \
    return a;                                                                                                \
  }
#define VALUE1_NOT(bits)                                                                                     \
  static inline uint##bits##_t value_not_##bits(struct cpu *c, uint##bits##_t a)                             \
  {                                                                                                          \
    return ~a;                                                                                               \
  }
#define HOT_1(name, bits)                                                                                    \
  static void name##_r_##bits(struct cpu *c, const struct op *op)                                            \
  {                                                                                                          \
    SET##bits(c, op->rm, value_##name##_##bits(c, REG##bits(c, op->rm)));                                    \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void name##_m_##bits(struct cpu *c, const struct op *op)                                            \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    uint##bits##_t v;                                                                                        \
    EA(c, op, bits / 8, ACC_RW, la);                                                                         \
    RMW_LOAD(c, op, bits, v, la);                                                                            \
    uint16_t old = c->fl;                                                                                    \
    v = value_##name##_##bits(c, v);                                                                         \
    RMW_STORE(c, op, bits, la, v, old);                                                                      \
    NEXT(c, op);                                                                                             \
  }
#define FAMILY_1(name, keep)                                                                                 \
  VALUE1(name, 8, "b", "q", keep)                                                                            \
  VALUE1(name, 16, "w", "r", keep)                                                                           \
  VALUE1(name, 32, "l", "r", keep) VALUE1(name, 64, "q", "r", keep) FAMILY_1H(name)
#define FAMILY_1H(name)                                                                                      \
  HOT_1(name, 8)                                                                                             \
  HOT_1(name, 16)                                                                                            \
  HOT_1(name, 32) HOT_1(name, 64) bool select_##name(struct op *op, const struct op_source *s)               \
  {                                                                                                          \
    static op_fn *const fns[4][2] = {{name##_r_8, name##_m_8},                                               \
                                     {name##_r_16, name##_m_16},                                             \
                                     {name##_r_32, name##_m_32},                                             \
                                     {name##_r_64, name##_m_64}};                                            \
    const ZydisDecodedOperand *d = &s->zo[0];                                                                \
    unsigned z = d->size == 8 ? 0 : d->size == 16 ? 1 : d->size == 32 ? 2 : 3;                               \
    op->osz = z;                                                                                             \
    if (d->type == ZYDIS_OPERAND_TYPE_REGISTER)                                                              \
      op->rm = decode_reg(d->reg.value);                                                                     \
    op->fn = fns[z][d->type == ZYDIS_OPERAND_TYPE_MEMORY];                                                   \
    return true;                                                                                             \
  }

FAMILY_1(inc, KEEP_CF)
FAMILY_1(dec, KEEP_CF)
FAMILY_1(neg, 0)
VALUE1_NOT(8)
VALUE1_NOT(16)
VALUE1_NOT(32)
VALUE1_NOT(64)
FAMILY_1H(not )

// ---- IMUL r, r/m and r, r/m, imm ----

#define IMUL(bits, sfx)                                                                                      \
  static inline uint##bits##_t value_imul_##bits(struct cpu *c, uint##bits##_t a, uint##bits##_t b)          \
  {                                                                                                          \
    uint16_t f;                                                                                              \
    __asm__("imul" sfx " %2,%0\n\tlahf\n\tseto %%al" : "+r"(a), "=&a"(f) : "r"(b) : "cc");                   \
    c->fl = f;                                                                                               \
    return a;                                                                                                \
  }                                                                                                          \
  static void imul_rr_##bits(struct cpu *c, const struct op *op)                                             \
  {                                                                                                          \
    SET##bits(c, op->reg, value_imul_##bits(c, REG##bits(c, op->reg), REG##bits(c, op->rm)));                \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void imul_rm_##bits(struct cpu *c, const struct op *op)                                             \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    uint##bits##_t v;                                                                                        \
    EA(c, op, bits / 8, ACC_READ, la);                                                                       \
    LOAD(c, op, bits, v, la);                                                                                \
    SET##bits(c, op->reg, value_imul_##bits(c, REG##bits(c, op->reg), v));                                   \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void imul_rri_##bits(struct cpu *c, const struct op *op)                                            \
  {                                                                                                          \
    SET##bits(c, op->reg, value_imul_##bits(c, REG##bits(c, op->rm), (uint##bits##_t)op->imm));              \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void imul_rmi_##bits(struct cpu *c, const struct op *op)                                            \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    uint##bits##_t v;                                                                                        \
    EA(c, op, bits / 8, ACC_READ, la);                                                                       \
    LOAD(c, op, bits, v, la);                                                                                \
    SET##bits(c, op->reg, value_imul_##bits(c, v, (uint##bits##_t)op->imm));                                 \
    NEXT(c, op);                                                                                             \
  }
IMUL(16, "w")
IMUL(32, "l")
IMUL(64, "q")

// The one-operand form goes to its exec function.
bool select_imul(struct op *op, const struct op_source *s)
{
  static op_fn *const fns[3][4] = {{imul_rr_16, imul_rm_16, imul_rri_16, imul_rmi_16},
                                   {imul_rr_32, imul_rm_32, imul_rri_32, imul_rmi_32},
                                   {imul_rr_64, imul_rm_64, imul_rri_64, imul_rmi_64}};
  unsigned n = s->zi->operand_count_visible;
  if (n < 2 || s->zo[1].visibility == ZYDIS_OPERAND_VISIBILITY_IMPLICIT ||
      s->zo[0].visibility == ZYDIS_OPERAND_VISIBILITY_IMPLICIT)
    return false;
  unsigned z = s->zo[0].size == 16 ? 0 : s->zo[0].size == 32 ? 1 : 2;
  op->osz = z + 1;
  op->fn = fns[z][(s->zo[1].type == ZYDIS_OPERAND_TYPE_MEMORY) + (n >= 3 ? 2 : 0)];
  return true;
}
