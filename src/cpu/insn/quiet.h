// Leaving out flags that nobody sees; see quiet.c.
#ifndef CPU_INSN_QUIET_H
#define CPU_INSN_QUIET_H

#include "cpu/op.h"

// For the ops of a whole block, before its terminator; not of MODE_STEP.
void quiet(struct op *ops, unsigned count);

#endif
