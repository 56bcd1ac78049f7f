// Host code for hot blocks.
//
// A block that has been entered often enough is translated, op by op, into runs of host code. A run is a
// handler like any other: the fn of the op with which it begins, called with struct cpu in rdi. So host code
// and handlers mix freely: what there is no code for stays with its handler, which goes on into the next run
// by NEXT, and whatever is not the common case (a TLB miss, a fault, a device, a page with code) is left to
// the handler of the op in question, from which the rest of the block goes on op by op. A run keeps nothing
// of the guest's in host registers only: every register and every flag that anybody could see is in struct
// cpu when it may be left. That is why both engines have the same state after every op that can be looked at.
//
// Only 64-bit code is translated, and never blocks of one instruction (MODE_STEP).
#ifndef ENGINE_JIT_JIT_H
#define ENGINE_JIT_JIT_H

#include "cpu/decode.h"

struct err;

enum {
  JIT_ARENA = 12 << 20,
  JIT_BLOCK_MOST = 64 << 10, // more than the code of one block
};

struct jit; // the code of one machine

// hot: entries until a block is translated, 1 or more.
struct jit *jit_new(const struct decoder *d, struct ram *ram, unsigned hot, struct err *e);
void jit_free(struct jit *j);
// Called with each new block: counts its entries from now on, if it is of a kind that can be translated.
void jit_watch(struct jit *j, struct block *b);
// The block is dead: nobody comes in any more.
void jit_kill(struct jit *j, struct block *b);
// From host code, by a direct branch at whose end is `jump`: on into b, and next time without this.
void jit_link(struct cpu *c, struct block *b, uint8_t *jump);
// There was no room for a block. All blocks should be dropped and jit_reset be called.
bool jit_full(const struct jit *j);
void jit_reset(struct jit *j);

struct jit_stats {
  uint64_t blocks, ops, native; // translated, their ops, and those of them that have host code
  uint64_t bytes;               // of host code that are in use
};
struct jit_stats jit_stats(const struct jit *j);

// enter.S: calls the handler of an op; host code may use all registers.
void jit_enter(struct cpu *c, const struct op *op);

#endif
