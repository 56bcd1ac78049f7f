// Pairs that run as one: CMP or TEST of registers and constants with the Jcc that follows, in 64-bit code.
//
// The first op of the pair gets a handler that also does the branch, by the host's own conditional jump on
// the host's own flags; the second op stays where it is and lends its target. Both count as instructions, the
// flags are kept as ever, and neither can fault, so nothing of this shows.
#include "cpu/insn/fuse.h"

#include "cpu/insn/alu.h"
#include "cpu/insn/hot.h"

// The flags are stored before the jump: an output of asm goto is not defined where it jumps to, for clang
// before 17.
#define FUSED(kind, cc, form, bits, sfx, let, operand)                                                       \
  static void kind##_##form##_##bits##_j##cc(struct cpu *c, const struct op *op)                             \
  {                                                                                                          \
    __asm__ goto(#kind sfx " %1,%0\n\tlahf\n\tseto %%al\n\tmovw %%ax,%c2(%3)\n\tj" #cc " %l[taken]"          \
                 :                                                                                           \
                 : let(REG##bits(c, op->reg)), let((uint##bits##_t)(operand)),                               \
                   "i"(offsetof(struct cpu, fl)), "r"(c)                                                     \
                 : "rax", "memory", "cc"                                                                     \
                 : taken);                                                                                   \
    return go_direct(c, c->r[REG_IP] + op[1].off + op[1].len, 1);                                            \
  taken:                                                                                                     \
    return go_direct(c, c->r[REG_IP] + op[1].imm, 0);                                                        \
  }
#define FUSED_SIZES(kind, cc, form, operand8, operand32, operand64)                                          \
  FUSED(kind, cc, form, 8, "b", "q", operand8)                                                               \
  FUSED(kind, cc, form, 32, "l", "r", operand32)                                                             \
  FUSED(kind, cc, form, 64, "q", "r", operand64)
#define FUSED_CC(cc, CC)                                                                                     \
  FUSED_SIZES(cmp, cc, rr, REG8(c, op->rm), REG32(c, op->rm), REG64(c, op->rm))                              \
  FUSED_SIZES(cmp, cc, ri, op->imm, op->imm, op->imm)                                                        \
  FUSED_SIZES(test, cc, rr, REG8(c, op->rm), REG32(c, op->rm), REG64(c, op->rm))                             \
  FUSED_SIZES(test, cc, ri, op->imm, op->imm, op->imm)
CONDITIONS(FUSED_CC)

#define FUSED_ROW(kind, form, cc)                                                                            \
  {                                                                                                          \
    kind##_##form##_8_j##cc, NULL, kind##_##form##_32_j##cc, kind##_##form##_64_j##cc                        \
  }
#define FUSED_CASE(cc, CC)                                                                                   \
  case ZYDIS_MNEMONIC_J##CC: {                                                                               \
    static op_fn *const fns[4][4] = {FUSED_ROW(cmp, rr, cc), FUSED_ROW(cmp, ri, cc),                         \
                                     FUSED_ROW(test, rr, cc), FUSED_ROW(test, ri, cc)};                      \
    return fns[form][osz];                                                                                   \
  }

static op_fn *fused(unsigned row, enum alu_form form, unsigned osz)
{
  switch (row) {
    CONDITIONS(FUSED_CASE)
  default:
    return NULL;
  }
}

void fuse(struct op *first, const struct op *jcc, uint32_t mode)
{
  if (!(mode & MODE_CS64) || jcc->osz != 3)
    return;
  enum alu_form form = alu_form(first);
  if (form == ALU_OTHER)
    return;
  op_fn *fn = fused(jcc->row, form, first->osz);
  if (fn)
    first->fn = fn;
}
