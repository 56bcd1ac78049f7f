// Exec functions of system.c and debug.c: segment registers, descriptor tables, flags, HLT, SWAPGS, MOV DR.
#ifndef CPU_INSN_SYSTEM_H
#define CPU_INSN_SYSTEM_H

#include "cpu/insn.h"

// Forms of MOV, PUSH and POP; the rows of those mnemonics belong to the integer family.
bool x_mov_to_seg(struct cpu *c, const struct op *op);
bool x_mov_from_seg(struct cpu *c, const struct op *op);
bool x_push_seg(struct cpu *c, const struct op *op);
bool x_pop_seg(struct cpu *c, const struct op *op);
bool x_mov_to_dr(struct cpu *c, const struct op *op);
bool x_mov_from_dr(struct cpu *c, const struct op *op);

bool x_lds(struct cpu *c, const struct op *op);
bool x_les(struct cpu *c, const struct op *op);
bool x_lfs(struct cpu *c, const struct op *op);
bool x_lgs(struct cpu *c, const struct op *op);
bool x_lss(struct cpu *c, const struct op *op);
bool x_lgdt(struct cpu *c, const struct op *op);
bool x_lidt(struct cpu *c, const struct op *op);
bool x_sgdt(struct cpu *c, const struct op *op);
bool x_sidt(struct cpu *c, const struct op *op);
bool x_lldt(struct cpu *c, const struct op *op);
bool x_ltr(struct cpu *c, const struct op *op);
bool x_sldt(struct cpu *c, const struct op *op);
bool x_str(struct cpu *c, const struct op *op);
bool x_verr(struct cpu *c, const struct op *op);
bool x_verw(struct cpu *c, const struct op *op);
bool x_lar(struct cpu *c, const struct op *op);
bool x_lsl(struct cpu *c, const struct op *op);
bool x_arpl(struct cpu *c, const struct op *op);
bool x_pushf(struct cpu *c, const struct op *op);
bool x_popf(struct cpu *c, const struct op *op);
bool x_cli(struct cpu *c, const struct op *op);
bool x_sti(struct cpu *c, const struct op *op);
bool x_hlt(struct cpu *c, const struct op *op);
bool x_swapgs(struct cpu *c, const struct op *op);
bool x_rdfsbase(struct cpu *c, const struct op *op);
bool x_rdgsbase(struct cpu *c, const struct op *op);
bool x_wrfsbase(struct cpu *c, const struct op *op);
bool x_wrgsbase(struct cpu *c, const struct op *op);

#endif
