// Saving, restoring and controlling the floating-point state: see fpstate.c, xsave.c.
#ifndef CPU_INSN_FPSTATE_H
#define CPU_INSN_FPSTATE_H

#include "cpu/insn.h"

insn_fn x_fninit, x_fnclex, x_fldcw, x_fnstcw, x_fnstsw, x_fwait, x_fnstenv, x_fldenv, x_fnsave, x_frstor,
    x_emms;
insn_fn x_fnop87, x_ldmxcsr, x_stmxcsr;
insn_fn x_fxsave, x_fxrstor, x_fxsave64, x_fxrstor64;
insn_fn x_xsave, x_xsave64, x_xsaveopt, x_xsaveopt64, x_xsavec, x_xsavec64, x_xrstor, x_xrstor64;
insn_fn x_xgetbv, x_xsetbv;

// #NM by CR0.EM or CR0.TS; then, if it waits, #MF for a pending exception.
bool fpstate_x87(struct cpu *c, bool waits);
// Pointers of the last x87 instruction in FXSAVE's two forms.
void fpstate_put_pointers(const struct cpu *c, uint8_t *image, bool wide);
void fpstate_get_pointers(struct cpu *c, const uint8_t *image, bool wide);

#endif
