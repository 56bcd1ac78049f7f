// Exec functions of ident.c: identification, model-specific registers, counters, MONITOR and MWAIT, random
// numbers.
#ifndef CPU_INSN_IDENT_H
#define CPU_INSN_IDENT_H

#include "cpu/insn.h"

bool x_cpuid(struct cpu *c, const struct op *op);
bool x_rdmsr(struct cpu *c, const struct op *op);
bool x_wrmsr(struct cpu *c, const struct op *op);
bool x_rdtsc(struct cpu *c, const struct op *op);
bool x_rdtscp(struct cpu *c, const struct op *op);
bool x_rdpid(struct cpu *c, const struct op *op);
bool x_rdpmc(struct cpu *c, const struct op *op);
bool x_rdpru(struct cpu *c, const struct op *op);
bool x_monitor(struct cpu *c, const struct op *op);
bool x_monitorx(struct cpu *c, const struct op *op);
bool x_mwait(struct cpu *c, const struct op *op);
bool x_mwaitx(struct cpu *c, const struct op *op);
bool x_mcommit(struct cpu *c, const struct op *op);
bool x_pause(struct cpu *c, const struct op *op);
bool x_rdrand(struct cpu *c, const struct op *op);
bool x_ud(struct cpu *c, const struct op *op);

#endif
