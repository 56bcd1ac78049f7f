// Fusing a comparison with the branch that follows; see fuse.c.
#ifndef CPU_INSN_FUSE_H
#define CPU_INSN_FUSE_H

#include "cpu/insn.h"

// Called for two neighbours in a block of which the second has just been decoded. Does nothing if they are no
// pair.
void fuse(struct op *first, const struct op *jcc, uint32_t mode);

#endif
