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

// A memory access whose address is a register of the guest plus a constant may share the check of another one
// that is near by: see groups.c.
struct jit_access {
  int8_t base;    // guest register; -1: none, or the address is not of that kind
  int16_t group;  // index into jit_groups, or -1: it is checked by itself
  int32_t disp;   // from the register
  int32_t offset; // from what the group's offsets count from
  uint8_t size;
  bool write;
  bool first, last; // of its group
};

enum { JIT_OPERAND, JIT_STACK, JIT_ACCESSES };

struct jit_op {
  const struct op *op;
  const uint8_t *bytes; // of the guest's code
  op_fn *handler;
  ZydisDecodedInstruction zi;
  ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
  enum jit_kind kind;
  uint8_t reads;   // flags that it needs
  uint8_t writes;  // flags that it changes, or may change
  uint8_t kills;   // flags that it overwrites in any case
  bool keep;       // its flags are seen by somebody: they go to struct cpu
  uint32_t unseen; // registers whose value from this op nobody sees: they are written again before the run
                   // may be left
  struct jit_access access[JIT_ACCESSES];
};

struct jit_group {
  int32_t low, high; // offsets of the bytes that it covers
  bool write;
};

enum { JIT_GROUPS = BLOCK_MAX };

// Fills kind, reads, writes and kills from the rest.
void jit_classify(struct jit_op *n);
// groups.c: sets access of all ops that are translated.
void jit_group(struct jit_op *ops, unsigned count, struct jit_group *groups);
// From the last op to the first: sets keep and unseen, and gives back to their handlers those that cannot do
// it. False: there were such, and what was made of the ops before has to be made again.
bool jit_liveness(struct jit_op *ops, unsigned count);

// The number of a general register of the guest (its index in cpu.r); -1: AH..BH or no general register.
int jit_guest_reg(const ZydisDecodedOperand *o);
// The operand in memory, or NULL.
const ZydisDecodedOperand *jit_memory(const struct jit_op *n);
// A register operand is written.
bool jit_writes(const ZydisDecodedOperand *o);
// The registers that an op writes, as a mask.
uint32_t jit_written(const struct jit_op *n);

#endif
