// Bit instructions: BT BTS BTR BTC BSF BSR SHLD SHRD. APM3 chapter 3.
#include "cpu/insn/integer.h"

#include "cpu/decode.h"
#include "cpu/mem.h"

// ---- BT and its relatives ----

// The address of the operand that holds the bit: with a register index the bit string goes on in both
// directions from the operand.
static uint64_t bit_address(struct cpu *c, const struct op *op, int64_t index, enum access acc)
{
  unsigned size = 1u << op->osz;
  int64_t delta = (index >> (3 + op->osz)) * size;
  if (op->ea == EA_64 || op->ea == EA_SEG64)
    return op_ea(c, op, size, acc) + delta;
  uint64_t off = op_offset(c, op) + delta;
  off = op->asz == 1 ? (uint16_t)off : op->asz == 2 ? (uint32_t)off : off;
  return seg_linear(c, op->seg, off, size, acc);
}

enum bit_what { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

static uint64_t change(uint64_t v, uint64_t bit, enum bit_what what)
{
  switch (what) {
  case BIT_SET:
    return v | bit;
  case BIT_RESET:
    return v & ~bit;
  case BIT_COMPLEMENT:
    return v ^ bit;
  default:
    return v;
  }
}

static bool bit_op(struct cpu *c, const struct op *op, enum bit_what what)
{
  unsigned size = 1u << op->osz, bits = 8 * size;
  bool by_register = op->reg != REG_ZERO * 8;
  uint64_t r = by_register ? reg_get(c, op->reg, op->osz) : (uint64_t)op->imm;
  uint64_t bit = 1ull << (r & (bits - 1)), v;
  if (!(op->flags & OPF_MEM)) {
    v = reg_get(c, op->rm, op->osz);
    if (what != BIT_TEST)
      reg_set(c, op->rm, op->osz, change(v, bit, what));
  } else {
    unsigned s = 64 - bits;
    int64_t index = by_register ? (int64_t)(r << s) >> s : 0;
    uint64_t la = bit_address(c, op, index, what == BIT_TEST ? ACC_READ : ACC_RW);
    if (c->faulted)
      return false;
    v = what == BIT_TEST ? mem_load(c, op, la, size) : mem_load_rmw(c, op, la, size);
    if (c->faulted)
      return false;
    if (what != BIT_TEST && !op_store(c, op, la, size, change(v, bit, what)))
      return false;
  }
  c->lah = (c->lah & ~1) | ((v & bit) != 0);
  return true;
}

bool x_bt(struct cpu *c, const struct op *op)
{
  return bit_op(c, op, BIT_TEST);
}
bool x_bts(struct cpu *c, const struct op *op)
{
  return bit_op(c, op, BIT_SET);
}
bool x_btr(struct cpu *c, const struct op *op)
{
  return bit_op(c, op, BIT_RESET);
}
bool x_btc(struct cpu *c, const struct op *op)
{
  return bit_op(c, op, BIT_COMPLEMENT);
}

// ---- BSF, BSR: the destination keeps its value if the source is 0, as the host has it ----

#define SCAN(name)                                                                                           \
  bool x_##name(struct cpu *c, const struct op *op)                                                          \
  {                                                                                                          \
    uint64_t v, d = c->r[op->reg / 8];                                                                       \
    uint16_t f;                                                                                              \
    if (!rm_get(c, op, op->osz, &v))                                                                         \
      return false;                                                                                          \
    if (op->osz == 1)                                                                                        \
      __asm__(#name "w %w2,%w0\n\tlahf\n\tseto %%al" : "+r"(d), "=&a"(f) : "r"(v) : "cc");                   \
    else if (op->osz == 2)                                                                                   \
      __asm__(#name "l %k2,%k0\n\tlahf\n\tseto %%al" : "+r"(d), "=&a"(f) : "r"(v) : "cc");                   \
    else                                                                                                     \
      __asm__(#name "q %2,%0\n\tlahf\n\tseto %%al" : "+r"(d), "=&a"(f) : "r"(v) : "cc");                     \
    c->r[op->reg / 8] = d;                                                                                   \
    c->fl = f;                                                                                               \
    return true;                                                                                             \
  }
SCAN(bsf)
SCAN(bsr)

// ---- SHLD, SHRD ----

static uint64_t value_shld(struct cpu *c, unsigned osz, uint64_t a, uint64_t b, uint8_t n)
{
  uint16_t f;
  if (osz == 1)
    __asm__("shldw %%cl,%w2,%w0\n\tlahf\n\tseto %%al" : "+r"(a), "=&a"(f) : "r"(b), "c"(n) : "cc");
  else if (osz == 2)
    __asm__("shldl %%cl,%k2,%k0\n\tlahf\n\tseto %%al" : "+r"(a), "=&a"(f) : "r"(b), "c"(n) : "cc");
  else
    __asm__("shldq %%cl,%2,%0\n\tlahf\n\tseto %%al" : "+r"(a), "=&a"(f) : "r"(b), "c"(n) : "cc");
  c->fl = f;
  return a;
}
static uint64_t value_shrd(struct cpu *c, unsigned osz, uint64_t a, uint64_t b, uint8_t n)
{
  uint16_t f;
  if (osz == 1)
    __asm__("shrdw %%cl,%w2,%w0\n\tlahf\n\tseto %%al" : "+r"(a), "=&a"(f) : "r"(b), "c"(n) : "cc");
  else if (osz == 2)
    __asm__("shrdl %%cl,%k2,%k0\n\tlahf\n\tseto %%al" : "+r"(a), "=&a"(f) : "r"(b), "c"(n) : "cc");
  else
    __asm__("shrdq %%cl,%2,%0\n\tlahf\n\tseto %%al" : "+r"(a), "=&a"(f) : "r"(b), "c"(n) : "cc");
  c->fl = f;
  return a;
}

#define BY_CL (1ll << 32) // in op->imm: the count is in CL; set by select_double

static bool shift_double(struct cpu *c, const struct op *op,
                         uint64_t (*value)(struct cpu *, unsigned, uint64_t, uint64_t, uint8_t))
{
  uint8_t n = (op->imm == BY_CL ? c->r[RCX] : (uint64_t)op->imm) & (op->osz == 3 ? 63 : 31);
  uint64_t la = 0, v, b = reg_get(c, op->reg, op->osz);
  unsigned size = 1u << op->osz;
  if (op->flags & OPF_MEM) {
    la = op_ea(c, op, size, ACC_RW);
    if (c->faulted)
      return false;
    v = mem_load_rmw(c, op, la, size);
    if (c->faulted)
      return false;
  } else {
    v = reg_get(c, op->rm, op->osz);
  }
  uint16_t old = c->fl;
  if (n)
    v = value(c, op->osz, v, b, n);
  if (!(op->flags & OPF_MEM)) {
    reg_set(c, op->rm, op->osz, v);
    return true;
  }
  if (op_store(c, op, la, size, v))
    return true;
  c->fl = old;
  return false;
}

bool select_double(struct op *op, const struct op_source *s)
{
  if (s->zo[2].type == ZYDIS_OPERAND_TYPE_REGISTER)
    op->imm = BY_CL;
  return false;
}
bool x_shld(struct cpu *c, const struct op *op)
{
  return shift_double(c, op, value_shld);
}
bool x_shrd(struct cpu *c, const struct op *op)
{
  return shift_double(c, op, value_shrd);
}
