// A guest instruction as the translator sees it: decoded once more, with what it does to flags.
#ifndef ENGINE_JIT_GUEST_H
#define ENGINE_JIT_GUEST_H

#include "cpu/decode.h"

// How an op is translated.
enum jit_kind {
  JIT_HANDLER, // not at all
  JIT_NOTHING, // NOP
  JIT_PLAIN,   // the same instruction with other registers, its memory operand at [rcx]
  JIT_LEA,
  JIT_WIDE, // CWDE, CDQE, CDQ, CQO
  JIT_BSWAP,
  JIT_XCHG,
  JIT_PUSH,
  JIT_POP,
  JIT_LEAVE,
  // These end the block:
  JIT_JMP,
  JIT_JCC,
  JIT_CALL,
  JIT_RET,
};

enum jit_flag { JIT_CF = 1, JIT_OF = 2, JIT_OTHERS = 4, JIT_ALL = 7 };

struct jit_op {
  const struct op *op;
  const uint8_t *bytes; // of the guest's code
  op_fn *handler;
  ZydisDecodedInstruction zi;
  ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
  enum jit_kind kind;
  uint8_t reads;  // flags that it needs
  uint8_t writes; // flags that it changes, or may change
  uint8_t kills;  // flags that it overwrites in any case
  bool keep;      // its flags are seen by somebody: they go to struct cpu
};

// Fills kind, reads, writes and kills from the rest.
void jit_classify(struct jit_op *n);
// From the last op to the first: sets keep, and gives back to their handlers those that cannot do it.
void jit_liveness(struct jit_op *ops, unsigned count);

// The number of a general register of the guest (its index in cpu.r); -1: AH..BH or no general register.
int jit_guest_reg(const ZydisDecodedOperand *o);
// The operand in memory, or NULL.
const ZydisDecodedOperand *jit_memory(const struct jit_op *n);

#endif
