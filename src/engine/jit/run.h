// The run that is being written: where it stands, what its host registers hold, what is left for its end.
//
// Registers: rdi is struct cpu. rax, rcx, rdx, rsi and r11 are free within an op. The others hold registers of the
// guest that were read or written in this run; each write also goes to struct cpu at once, so that a run can be
// left anywhere without another thought.
#ifndef ENGINE_JIT_RUN_H
#define ENGINE_JIT_RUN_H

#include <stddef.h>

#include "cpu/insn/hot.h"
#include "engine/jit/asm.h"
#include "engine/jit/guest.h"

#define CPU H_RDI
#define AT(field) ((int32_t)offsetof(struct cpu, field))
#define AT_REG(g) ((int32_t)offsetof(struct cpu, r) + (int32_t)(g) * 8)

// Why a run is left off its straight way.
enum exit_kind {
  EXIT_HANDLER,  // on with the handler of `op`
  EXIT_UNLINKED, // the block has no link yet: go_unlinked
  EXIT_SPENT,    // the slice ends: c->ip = start + disp
  EXIT_SPENT_AT, // c->ip = rax
};

struct run_exit {
  enum exit_kind kind;
  uint8_t *from; // the jump's end
  const struct jit_op *op;
  int32_t disp;
  unsigned slot;
};

enum { EXITS_MOST = 4 * BLOCK_MAX + 8 };

struct run {
  struct as as;
  const struct block *block;
  const uint8_t *entry; // where the block's first run begins, or NULL: this is not the first
  bool flags;           // the host's flags are the guest's
  uint16_t pinned;      // host registers that this op needs
  int8_t host[REG_COUNT];
  int8_t guest[16];
  unsigned turn;
  struct run_exit exits[EXITS_MOST];
  unsigned exit_count;
};

// regs.c
void run_begin(struct run *r);
unsigned run_get(struct run *r, unsigned guest); // with its value
unsigned run_def(struct run *r, unsigned guest); // to be written as a whole
void run_wrote(struct run *r, unsigned guest);   // its host register was
void run_set(struct run *r, unsigned guest, unsigned host); // guest register = host register
void run_flags_in(struct run *r);                // the host's flags become the guest's; changes rax
void run_flags_out(struct run *r);               // the reverse; changes rax
void run_exit(struct run *r, uint8_t *from, enum exit_kind kind, const struct jit_op *op, unsigned slot, int32_t disp);

// memory.c: rcx = the host address of the memory operand, or of `size` bytes at host register `la` + disp; leaves to
// the op's handler if that cannot be accessed fast. Changes rax, rdx and flags.
void run_operand(struct run *r, const struct jit_op *n, unsigned size, bool write);
void run_address(struct run *r, const struct jit_op *n, unsigned la, int32_t disp, unsigned size, bool write);

// body.c: an op that does not end the block.
void run_op(struct run *r, const struct jit_op *n);
// jump.c: an op that does, or the end of a block that was cut.
void run_jump(struct run *r, const struct jit_op *n);
void run_end(struct run *r, const struct op *terminator);
void run_handler(struct run *r, const struct jit_op *n); // on with an op's handler
void run_exits(struct run *r);                           // what run_exit left to be written

#endif
