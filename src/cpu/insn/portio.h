// Exec functions of portio.c.
#ifndef CPU_INSN_PORTIO_H
#define CPU_INSN_PORTIO_H

#include "cpu/insn.h"

bool x_in(struct cpu *c, const struct op *op);
bool x_out(struct cpu *c, const struct op *op);
bool x_ins(struct cpu *c, const struct op *op);
bool x_outs(struct cpu *c, const struct op *op);

#endif
