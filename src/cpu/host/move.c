// Moves between vector registers, general registers and memory, without a stub: they are the bulk of what
// compilers make of SSE2, and need no arithmetic.
#include <string.h>

#include "cpu/fpu.h"
#include "cpu/host/code.h"
#include "cpu/mem.h"

typedef uint64_t pair __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t word64 __attribute__((aligned(1), may_alias));

static inline pair *vec(struct cpu *c, unsigned n)
{
  return (pair *)c->v[n];
}
static inline word64 *half(struct cpu *c, unsigned n, unsigned which)
{
  return (word64 *)(c->v[n] + which * 8);
}

// Loads of 16 and 32 bytes; `body` uses p.
#define LOADER(name, size, align, body)                                                                      \
  static void name(struct cpu *c, const struct op *op)                                                       \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    EA(c, op, size, ACC_READ, la);                                                                           \
    if ((align) && unlikely(la & ((size)-1)) && !cold_host_misaligned(c, op))                                \
      return;                                                                                                \
    const struct tlbe *e = tlb_slot(c, la);                                                                  \
    const uint8_t *p = (const uint8_t *)(la + e->add);                                                       \
    if (unlikely(!tlb_hit(e->rtag, la, size)) && !(p = (const uint8_t *)cold_host_load(c, op, la, size)))    \
      return;                                                                                                \
    body;                                                                                                    \
    NEXT(c, op);                                                                                             \
  }
#define STORER(name, size, align)                                                                            \
  static void name(struct cpu *c, const struct op *op)                                                       \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    EA(c, op, size, ACC_WRITE, la);                                                                          \
    if ((align) && unlikely(la & ((size)-1)) && !cold_host_misaligned(c, op))                                \
      return;                                                                                                \
    const struct tlbe *e = tlb_slot(c, la);                                                                  \
    if (likely(tlb_hit(e->wtag, la, size)))                                                                  \
      memcpy((void *)(la + e->add), c->v[op->reg], size);                                                    \
    else if (!cold_host_vec_store(c, op, la, size))                                                          \
      return;                                                                                                \
    NEXT(c, op);                                                                                             \
  }

#define LEGACY16 *vec(c, op->reg) = *(const pair *)p
#define VEX16                                                                                                \
  *vec(c, op->reg) = *(const pair *)p, vec(c, op->reg)[1] = (pair)                                           \
  {                                                                                                          \
    0, 0                                                                                                     \
  }
#define VEX32 *vec(c, op->reg) = *(const pair *)p, vec(c, op->reg)[1] = ((const pair *)p)[1]

LOADER(ld16, 16, false, LEGACY16)
LOADER(ld16a, 16, true, LEGACY16)
LOADER(vld16, 16, false, VEX16)
LOADER(vld16a, 16, true, VEX16)
LOADER(ld_ymm, 32, false, VEX32)
LOADER(ld_ymma, 32, true, VEX32)
STORER(st16, 16, false)
STORER(st16a, 16, true)
STORER(st_ymm, 32, false)
STORER(st_ymma, 32, true)

static void mv16(struct cpu *c, const struct op *op)
{
  *vec(c, op->reg) = *vec(c, op->rm);
  NEXT(c, op);
}

// Scalars: the rest of the 128 bits becomes 0; VEX: of the 256.
#define SCALAR(bits)                                                                                         \
  static void ld##bits(struct cpu *c, const struct op *op)                                                   \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    EA(c, op, bits / 8, ACC_READ, la);                                                                       \
    uint##bits##_t x;                                                                                        \
    LOAD(c, op, bits, x, la);                                                                                \
    *vec(c, op->reg) = (pair){x, 0};                                                                         \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void vld##bits(struct cpu *c, const struct op *op)                                                  \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    EA(c, op, bits / 8, ACC_READ, la);                                                                       \
    uint##bits##_t x;                                                                                        \
    LOAD(c, op, bits, x, la);                                                                                \
    *vec(c, op->reg) = (pair){x, 0};                                                                         \
    vec(c, op->reg)[1] = (pair){0, 0};                                                                       \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void st##bits(struct cpu *c, const struct op *op)                                                   \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    EA(c, op, bits / 8, ACC_WRITE, la);                                                                      \
    STORE(c, op, bits, la, (uint##bits##_t) * half(c, op->reg, 0));                                          \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void from_gpr##bits(struct cpu *c, const struct op *op)                                             \
  {                                                                                                          \
    *vec(c, op->reg) = (pair){(uint##bits##_t)REG64(c, op->rm), 0};                                          \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void vfrom_gpr##bits(struct cpu *c, const struct op *op)                                            \
  {                                                                                                          \
    *vec(c, op->reg) = (pair){(uint##bits##_t)REG64(c, op->rm), 0};                                          \
    vec(c, op->reg)[1] = (pair){0, 0};                                                                       \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void to_gpr##bits(struct cpu *c, const struct op *op)                                               \
  {                                                                                                          \
    REG64(c, op->rm) = (uint##bits##_t) * half(c, op->reg, 0);                                               \
    NEXT(c, op);                                                                                             \
  }
SCALAR(32)
SCALAR(64)

#define HALF(n)                                                                                              \
  static void ld_half##n(struct cpu *c, const struct op *op)                                                 \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    EA(c, op, 8, ACC_READ, la);                                                                              \
    uint64_t x;                                                                                              \
    LOAD(c, op, 64, x, la);                                                                                  \
    *half(c, op->reg, n) = x;                                                                                \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void st_half##n(struct cpu *c, const struct op *op)                                                 \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    EA(c, op, 8, ACC_WRITE, la);                                                                             \
    STORE(c, op, 64, la, *half(c, op->reg, n));                                                              \
    NEXT(c, op);                                                                                             \
  }
HALF(0)
HALF(1)

static void movss_xx(struct cpu *c, const struct op *op)
{
  memcpy(c->v[op->reg], c->v[op->rm], 4);
  NEXT(c, op);
}
static void movsd_xx(struct cpu *c, const struct op *op)
{
  *half(c, op->reg, 0) = *half(c, op->rm, 0);
  NEXT(c, op);
}
static void movq_xx(struct cpu *c, const struct op *op)
{
  *vec(c, op->reg) = (pair){*half(c, op->rm, 0), 0};
  NEXT(c, op);
}
static void zero(struct cpu *c, const struct op *op) // PXOR and friends of a register with itself
{
  *vec(c, op->reg) = (pair){0, 0};
  NEXT(c, op);
}

// MOVNTI
static void nti32(struct cpu *c, const struct op *op)
{
  uint64_t la;
  EA(c, op, 4, ACC_WRITE, la);
  STORE(c, op, 32, la, REG32(c, op->reg));
  NEXT(c, op);
}
static void nti64(struct cpu *c, const struct op *op)
{
  uint64_t la;
  EA(c, op, 8, ACC_WRITE, la);
  STORE(c, op, 64, la, REG64(c, op->reg));
  NEXT(c, op);
}

static bool is_xmm(const ZydisDecodedOperand *o)
{
  return o->type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_XMM;
}
static bool is_gpr(const ZydisDecodedOperand *o)
{
  if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
    return false;
  ZydisRegisterClass k = ZydisRegisterGetClass(o->reg.value);
  return k == ZYDIS_REGCLASS_GPR32 || k == ZYDIS_REGCLASS_GPR64;
}
static bool is_mem(const ZydisDecodedOperand *o)
{
  return o->type == ZYDIS_OPERAND_TYPE_MEMORY;
}

// Whole-register moves: destination and source in zo[0] and zo[1].
static op_fn *whole(struct op *op, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo,
                    bool align)
{
  bool vex = zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
  const ZydisDecodedOperand *reg = is_mem(&zo[0]) ? &zo[1] : &zo[0];
  bool wide = ZydisRegisterGetClass(reg->reg.value) == ZYDIS_REGCLASS_YMM;
  if (!wide && !is_xmm(reg)) // MOVNTQ
    return NULL;
  op->reg = ZydisRegisterGetId(reg->reg.value);
  if (is_mem(&zo[0]))
    return wide ? align ? st_ymma : st_ymm : align ? st16a : st16;
  if (is_mem(&zo[1]))
    return wide ? align ? ld_ymma : ld_ymm : vex ? align ? vld16a : vld16 : align ? ld16a : ld16;
  if (vex)
    return NULL;
  op->rm = ZydisRegisterGetId(zo[1].reg.value);
  return mv16;
}

// MOVD and MOVQ with an XMM register.
static op_fn *scalar(struct op *op, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo)
{
  bool vex = zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
  if (is_xmm(&zo[0])) {
    op->reg = ZydisRegisterGetId(zo[0].reg.value);
    if (is_mem(&zo[1]))
      return zo[1].size == 64 ? vex ? vld64 : ld64 : vex ? vld32 : ld32;
    if (is_gpr(&zo[1])) {
      op->rm = ZydisRegisterGetId(zo[1].reg.value) * 8;
      return zo[1].size == 64 ? vex ? vfrom_gpr64 : from_gpr64 : vex ? vfrom_gpr32 : from_gpr32;
    }
    if (is_xmm(&zo[1]) && !vex) {
      op->rm = ZydisRegisterGetId(zo[1].reg.value);
      return movq_xx;
    }
    return NULL;
  }
  if (!is_xmm(&zo[1]))
    return NULL;
  op->reg = ZydisRegisterGetId(zo[1].reg.value);
  if (is_mem(&zo[0]))
    return zo[0].size == 64 ? st64 : st32;
  if (is_gpr(&zo[0])) {
    op->rm = ZydisRegisterGetId(zo[0].reg.value) * 8;
    return zo[0].size == 64 ? to_gpr64 : to_gpr32;
  }
  return NULL;
}

op_fn *move_select(struct op *op, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo)
{
  switch (zi->mnemonic) {
  case ZYDIS_MNEMONIC_MOVUPS:
  case ZYDIS_MNEMONIC_MOVUPD:
  case ZYDIS_MNEMONIC_MOVDQU:
  case ZYDIS_MNEMONIC_LDDQU:
  case ZYDIS_MNEMONIC_VMOVUPS:
  case ZYDIS_MNEMONIC_VMOVUPD:
  case ZYDIS_MNEMONIC_VMOVDQU:
  case ZYDIS_MNEMONIC_VLDDQU:
    return whole(op, zi, zo, false);
  case ZYDIS_MNEMONIC_MOVAPS:
  case ZYDIS_MNEMONIC_MOVAPD:
  case ZYDIS_MNEMONIC_MOVDQA:
  case ZYDIS_MNEMONIC_MOVNTPS:
  case ZYDIS_MNEMONIC_MOVNTPD:
  case ZYDIS_MNEMONIC_MOVNTDQ:
  case ZYDIS_MNEMONIC_MOVNTDQA:
  case ZYDIS_MNEMONIC_VMOVAPS:
  case ZYDIS_MNEMONIC_VMOVAPD:
  case ZYDIS_MNEMONIC_VMOVDQA:
  case ZYDIS_MNEMONIC_VMOVNTPS:
  case ZYDIS_MNEMONIC_VMOVNTPD:
  case ZYDIS_MNEMONIC_VMOVNTDQ:
  case ZYDIS_MNEMONIC_VMOVNTDQA:
    return whole(op, zi, zo, true);
  case ZYDIS_MNEMONIC_MOVD:
  case ZYDIS_MNEMONIC_MOVQ:
  case ZYDIS_MNEMONIC_VMOVD:
  case ZYDIS_MNEMONIC_VMOVQ:
    return scalar(op, zi, zo);
  case ZYDIS_MNEMONIC_MOVSS:
  case ZYDIS_MNEMONIC_MOVSD:
    if (is_xmm(&zo[0]) && is_xmm(&zo[1])) {
      op->reg = ZydisRegisterGetId(zo[0].reg.value);
      op->rm = ZydisRegisterGetId(zo[1].reg.value);
      return zi->mnemonic == ZYDIS_MNEMONIC_MOVSS ? movss_xx : movsd_xx;
    }
    return scalar(op, zi, zo);
  case ZYDIS_MNEMONIC_VMOVSS:
  case ZYDIS_MNEMONIC_VMOVSD:
    return is_mem(&zo[0]) || is_mem(&zo[1]) ? scalar(op, zi, zo) : NULL;
  case ZYDIS_MNEMONIC_MOVLPS:
  case ZYDIS_MNEMONIC_MOVLPD:
  case ZYDIS_MNEMONIC_MOVHPS:
  case ZYDIS_MNEMONIC_MOVHPD: {
    bool high = zi->mnemonic == ZYDIS_MNEMONIC_MOVHPS || zi->mnemonic == ZYDIS_MNEMONIC_MOVHPD;
    op->reg = ZydisRegisterGetId(zo[is_mem(&zo[0])].reg.value);
    if (is_mem(&zo[0]))
      return high ? st_half1 : st_half0;
    return high ? ld_half1 : ld_half0;
  }
  case ZYDIS_MNEMONIC_PXOR:
  case ZYDIS_MNEMONIC_XORPS:
  case ZYDIS_MNEMONIC_XORPD:
    if (!is_xmm(&zo[0]) || zo[1].type != ZYDIS_OPERAND_TYPE_REGISTER || zo[0].reg.value != zo[1].reg.value)
      return NULL;
    op->reg = ZydisRegisterGetId(zo[0].reg.value);
    return zero;
  case ZYDIS_MNEMONIC_MOVNTI:
    op->reg = ZydisRegisterGetId(zo[1].reg.value) * 8;
    return zo[0].size == 64 ? nti64 : nti32;
  default:
    return NULL;
  }
}
