// Exec functions of transfer.c and syscall.c: far transfers, software interrupts, system calls.
#ifndef CPU_INSN_TRANSFER_H
#define CPU_INSN_TRANSFER_H

#include "cpu/insn.h"

// Far forms of JMP, CALL and RET; the rows of those mnemonics belong to the integer family.
bool x_jmp_far(struct cpu *c, const struct op *op);
bool x_call_far(struct cpu *c, const struct op *op);
bool x_ret_far(struct cpu *c, const struct op *op);

bool x_iret(struct cpu *c, const struct op *op);
bool x_int(struct cpu *c, const struct op *op);
bool x_int3(struct cpu *c, const struct op *op);
bool x_int1(struct cpu *c, const struct op *op);
bool x_into(struct cpu *c, const struct op *op);
bool x_bound(struct cpu *c, const struct op *op);
bool x_syscall(struct cpu *c, const struct op *op);
bool x_sysret(struct cpu *c, const struct op *op);
bool x_sysenter(struct cpu *c, const struct op *op);
bool x_sysexit(struct cpu *c, const struct op *op);

#endif
