// SSE4A: EXTRQ, INSERTQ, MOVNTSS, MOVNTSD. In C, because only AMD's processors have them. APM4.
//
// The field's length (0: 64) and position are six bits each; where their sum exceeds 64 the manual leaves the
// result undefined. The upper quadword, undefined too, becomes 0.
#include <string.h>

#include "cpu/host/code.h"
#include "cpu/mem.h"

static inline uint64_t low(const struct cpu *c, unsigned n)
{
  uint64_t v;
  memcpy(&v, c->v[n], 8);
  return v;
}
static inline uint64_t high(const struct cpu *c, unsigned n)
{
  uint64_t v;
  memcpy(&v, c->v[n] + 8, 8);
  return v;
}
static inline void set(struct cpu *c, unsigned n, uint64_t v)
{
  memcpy(c->v[n], &v, 8);
  memset(c->v[n] + 8, 0, 8);
}

static inline uint64_t field_mask(unsigned len)
{
  return len & 63 ? (1ull << (len & 63)) - 1 : ~0ull;
}

// control: length in bits 5:0, position in bits 13:8
static inline uint64_t extract(uint64_t v, uint64_t control)
{
  return v >> (control >> 8 & 63) & field_mask(control);
}
static inline uint64_t insert(uint64_t into, uint64_t v, uint64_t control)
{
  unsigned pos = control >> 8 & 63;
  uint64_t m = field_mask(control);
  return (into & ~(m << pos)) | (v & m) << pos;
}

static void extrq_imm(struct cpu *c, const struct op *op)
{
  set(c, op->reg, extract(low(c, op->reg), op->imm));
  NEXT(c, op);
}
static void extrq_reg(struct cpu *c, const struct op *op)
{
  set(c, op->reg, extract(low(c, op->reg), low(c, op->rm)));
  NEXT(c, op);
}
static void insertq_imm(struct cpu *c, const struct op *op)
{
  set(c, op->reg, insert(low(c, op->reg), low(c, op->rm), op->imm));
  NEXT(c, op);
}
static void insertq_reg(struct cpu *c, const struct op *op)
{
  set(c, op->reg, insert(low(c, op->reg), low(c, op->rm), high(c, op->rm)));
  NEXT(c, op);
}
static void movntss(struct cpu *c, const struct op *op)
{
  uint64_t la;
  EA(c, op, 4, ACC_WRITE, la);
  STORE(c, op, 32, la, (uint32_t)low(c, op->reg));
  NEXT(c, op);
}
static void movntsd(struct cpu *c, const struct op *op)
{
  uint64_t la;
  EA(c, op, 8, ACC_WRITE, la);
  STORE(c, op, 64, la, low(c, op->reg));
  NEXT(c, op);
}

op_fn *sse4a_select(struct op *op, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo)
{
  unsigned n = zi->operand_count_visible;
  switch (zi->mnemonic) {
  case ZYDIS_MNEMONIC_EXTRQ:
    op->reg = ZydisRegisterGetId(zo[0].reg.value);
    if (n == 3) {
      op->imm = (zo[1].imm.value.u & 63) | (zo[2].imm.value.u & 63) << 8;
      return extrq_imm;
    }
    op->rm = ZydisRegisterGetId(zo[1].reg.value);
    return extrq_reg;
  case ZYDIS_MNEMONIC_INSERTQ:
    op->reg = ZydisRegisterGetId(zo[0].reg.value);
    op->rm = ZydisRegisterGetId(zo[1].reg.value);
    if (n == 4) {
      op->imm = (zo[2].imm.value.u & 63) | (zo[3].imm.value.u & 63) << 8;
      return insertq_imm;
    }
    return insertq_reg;
  case ZYDIS_MNEMONIC_MOVNTSS:
  case ZYDIS_MNEMONIC_MOVNTSD:
    op->reg = ZydisRegisterGetId(zo[1].reg.value);
    return zi->mnemonic == ZYDIS_MNEMONIC_MOVNTSS ? movntss : movntsd;
  default:
    return NULL;
  }
}
