// The run that is being written: where it stands, what its host registers hold, what is left for its end.
//
// Registers: rdi is struct cpu. rax, rcx, rdx, rsi and r11 are free within an op. The others hold registers
// of the guest that were read or written in this run. Each write also goes to struct cpu at once, unless
// another one follows before the run may be left: so it can be left wherever that is possible without another
// thought.
#ifndef ENGINE_JIT_RUN_H
#define ENGINE_JIT_RUN_H

#include <stddef.h>

#include "cpu/insn/hot.h"
#include "engine/jit/asm.h"
#include "engine/jit/guest.h"

#define CPU       H_RDI
#define AT(field) ((int32_t)offsetof(struct cpu, field))
#define AT_REG(g) ((int32_t)offsetof(struct cpu, r) + (int32_t)(g)*8)

// Why a run is left off its straight way.
enum exit_kind {
  EXIT_HANDLER,  // on with the handler of `op`
  EXIT_LINK,     // the block has no link yet, or none that was made a jump; cpu.r[REG_IP] is the target's
  EXIT_UNLINKED, // the address in rax is not in the jump cache: go_unlinked
  EXIT_SPENT,    // the slice ended before this block, which was taken from it already
};

struct run_exit {
  enum exit_kind kind;
  uint8_t *from; // the jump's end
  const struct jit_op *op;
  unsigned slot;
};

enum { EXITS_MOST = 4 * BLOCK_MAX + 8 };

// What all runs share.
struct stubs {
  const uint8_t *enter;  // into the block in rsi, whatever it is, at cpu.r[REG_IP]
  const uint8_t *lookup; // into the block at cpu.r[REG_IP], by the jump cache
  const uint8_t *spent;  // the slice ends at cpu.r[REG_IP]
};

struct run {
  struct as as;
  struct as cold; // elsewhere, for the exits: what runs seldom is not to lie between what runs often
  int64_t to_rx;  // from where code is written to where it runs
  const struct stubs *stubs;
  const struct block *block;
  const struct jit_group *groups;
  const uint8_t *entry; // where the block begins, counted and all
  bool flags;           // the host's flags are the guest's
  uint16_t pinned;      // host registers that this op needs
  uint16_t held;        // those that hold the address of a group,
  uint16_t freed;       // and among them those that do not from the next op on
  uint32_t unseen;      // of this op: registers of the guest that need not be stored now
  uint32_t unstored;    // registers whose value is in the host's only
  int8_t host[REG_COUNT];
  int8_t guest[16];
  uint8_t of_group[JIT_GROUPS];
  unsigned turn;
  struct run_exit exits[EXITS_MOST];
  unsigned exit_count;
};

// A byte of the guest's memory: [host register + disp].
struct place {
  unsigned base;
  int32_t disp;
};

// regs.c
void run_begin(struct run *r);
unsigned run_get(struct run *r, unsigned guest);      // with its value
unsigned run_def(struct run *r, unsigned guest);      // to be written as a whole
void run_wrote(struct run *r, unsigned guest);        // its host register was
void run_flags_in(struct run *r);                     // the host's flags become the guest's; changes rax
void run_flags_out(struct run *r);                    // the reverse; changes rax
unsigned run_claim(struct run *r);                    // a host register for a group
void run_next(struct run *r, const struct jit_op *n); // another op begins
void run_exit(struct run *r, uint8_t *from, enum exit_kind kind, const struct jit_op *op, unsigned slot);

// memory.c: where the op's operand or its place on the stack is. Leaves to the op's handler if that cannot be
// accessed fast. Changes rax, rcx, rdx and flags unless it shares the check of an access before.
struct place run_access(struct run *r, const struct jit_op *n, unsigned which);

// body.c: an op that does not end the block.
void run_op(struct run *r, const struct jit_op *n);
// jump.c: an op that does, or the end of a block that was cut.
void run_jump(struct run *r, const struct jit_op *n);
void run_end(struct run *r, const struct op *terminator);
void run_handler(struct run *r, const struct jit_op *n); // on with an op's handler
void run_exits(struct run *r);                           // what run_exit left to be written
void run_entry(struct run *r);                           // the way into a block from other host code
void run_stubs(struct as *as, int64_t to_rx, struct stubs *stubs);
// Makes the block's entry lead to lookup: nobody is to come in any more.
void run_close(uint8_t *entry, int64_t to_rx, const struct stubs *stubs);

#endif
