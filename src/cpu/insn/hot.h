// What the hot handlers share: flags through the host, going to the next block, conditions.
#ifndef CPU_INSN_HOT_H
#define CPU_INSN_HOT_H

#include "cpu/decode.h"
#include "cpu/mem.h"

// ---- leaving a block ----

// Where a block has no link yet: by the jump cache, and the link is made if the target is in the same page.
void go_unlinked(struct cpu *c, uint64_t ip, unsigned slot);

// Leaves c->ip alone unless the slice ends here: while a block runs, c->r[REG_IP] is what counts.
static inline __attribute__((always_inline)) void enter_block(struct cpu *c, struct block *b, uint64_t ip)
{
  int64_t left = c->left - b->count;
  if (unlikely(left < 0)) {
    c->ip = ip;
    return;
  }
  c->left = left;
  c->r[REG_IP] = ip;
  c->block = b;
  return b->ops[0].fn(c, b->ops);
}

// Worlds run the same kernels at the same addresses: each has its own places.
static inline struct jump *jump_slot(struct cpu *c, uint64_t ip)
{
  return &c->jumps[(ip ^ ip >> 12 ^ c->jump_salt) & (JUMP_CACHE - 1)];
}

// Indirect: through the CPU's jump cache.
static inline __attribute__((always_inline)) void go_indirect(struct cpu *c, uint64_t ip)
{
#if OP_CHAIN
  struct jump *j = jump_slot(c, ip);
  if (likely(j->ip == ip && j->key == c->jump_key && !j->block->dead))
    return enter_block(c, j->block, ip);
#endif
  c->ip = ip;
}

// Direct: through the block's own link. slot 0: taken, 1: fall-through. Only for blocks of 64-bit or flat
// code that are no MODE_STEP blocks.
static inline __attribute__((always_inline)) void go_direct(struct cpu *c, uint64_t ip, unsigned slot)
{
#if OP_CHAIN
  struct block *b = c->block->next[slot];
  if (likely(b && !b->dead))
    return enter_block(c, b, ip);
#endif
  return go_unlinked(c, ip, slot);
}

// ---- conditions, in the order of the opcode's low nibble ----

// clang-format off
static inline bool cond_o(const struct cpu *c) { return c->of; }
static inline bool cond_b(const struct cpu *c) { return c->lah & 1; }
static inline bool cond_z(const struct cpu *c) { return c->lah & 0x40; }
static inline bool cond_be(const struct cpu *c) { return c->lah & 0x41; }
static inline bool cond_s(const struct cpu *c) { return c->lah & 0x80; }
static inline bool cond_p(const struct cpu *c) { return c->lah & 4; }
static inline bool cond_l(const struct cpu *c) { return c->lah >> 7 != c->of; }
static inline bool cond_le(const struct cpu *c) { return (c->lah & 0x40) || c->lah >> 7 != c->of; }
static inline bool cond_no(const struct cpu *c) { return !cond_o(c); }
static inline bool cond_nb(const struct cpu *c) { return !cond_b(c); }
static inline bool cond_nz(const struct cpu *c) { return !cond_z(c); }
static inline bool cond_nbe(const struct cpu *c) { return !cond_be(c); }
static inline bool cond_ns(const struct cpu *c) { return !cond_s(c); }
static inline bool cond_np(const struct cpu *c) { return !cond_p(c); }
static inline bool cond_nl(const struct cpu *c) { return !cond_l(c); }
static inline bool cond_nle(const struct cpu *c) { return !cond_le(c); }

// clang-format on

// X(lower case, Zydis suffix of Jcc, of CMOVcc and SETcc)
#define CONDITIONS(X)                                                                                        \
  X(o, O)                                                                                                    \
  X(no, NO)                                                                                                  \
  X(b, B)                                                                                                    \
  X(nb, NB)                                                                                                  \
  X(z, Z)                                                                                                    \
  X(nz, NZ) X(be, BE) X(nbe, NBE) X(s, S) X(ns, NS) X(p, P) X(np, NP) X(l, L) X(nl, NL) X(le, LE) X(nle, NLE)

// ---- sizes: X(bits, log2 of bytes, asm suffix, register letter for asm operands) ----
#define SIZES(X) X(8, 0, "b", "q") X(16, 1, "w", "r") X(32, 2, "l", "r") X(64, 3, "q", "r")

#define SET8(c, off, v)  (REG8(c, off) = (v))
#define SET16(c, off, v) (REG16(c, off) = (v))
#define SET32(c, off, v) (REG64(c, off) = (uint32_t)(v))
#define SET64(c, off, v) (REG64(c, off) = (v))

#endif
