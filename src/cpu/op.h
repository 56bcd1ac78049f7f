// A decoded instruction (struct op), a run of them (struct block), and how handlers hand over.
//
// A handler executes one op and then calls the next op's handler in tail position (NEXT), so a block
// runs without returning to a loop. A handler that cannot go on simply returns: the engine then looks
// at c->faulted and c->ip. Every block ends with an op that sets c->ip. No handler may keep the address of
// a local variable across NEXT (it would stop the compiler from making it a jump).
#ifndef CPU_OP_H
#define CPU_OP_H

#include "cpu/cpu.h"

typedef void op_fn(struct cpu *c, const struct op *op);

// How the offset of a memory operand becomes a linear address.
enum ea_kind {
  EA_64,    // base + index << shift + disp: 64-bit mode without FS or GS, or flat 32-bit (then A32)
  EA_SEG64, // 64-bit mode with FS or GS: plus the segment's base
  EA_A32,   // offset cut to 32 bits; segments flat
  EA_SLOW,  // anything else: address size in `asz`, segment checks by op_linear
};

enum op_flag {
  OPF_MEM = 1, // the ModRM operand is memory
  OPF_LOCK = 2,
  OPF_REP = 4, // F3 as a repeat prefix (REP, REPE)
  OPF_REPNE = 8,
  OPF_RIP = 16, // EA_SLOW: disp is relative to the next instruction (else already to the block's start)
  OPF_VEX = 32,
  OPF_FAR = 64, // a far branch or far pointer
};

struct op {
  op_fn *fn;
  union {
    // Immediates are sign-extended to 64 bits as the instruction does. Near branches: displacement of
    // the target from the block's start. Far pointers: selector << 32 | offset. ENTER: level << 16 | size.
    int64_t imm;
    const void *ptr; // host code stub
  };
  int32_t disp;
  uint16_t row;  // ZydisMnemonic: index into insn_rows
  uint16_t off;  // bytes from the block's start to this instruction
  uint8_t index; // number of instructions in the block before this one
  uint8_t reg;   // ModRM.reg or first explicit register: byte offset from struct cpu; for segment,
                 // control, debug, x87, MMX, XMM and YMM registers: their number
  uint8_t rm;    // ModRM.rm register (if not OPF_MEM) or second explicit register: likewise
  uint8_t base;  // byte offsets of the address registers; REG_ZERO * 8 if missing
  uint8_t idx;
  uint8_t shift : 2, ea : 2, len : 4;
  uint8_t asz : 2, seg : 3, osz : 3; // log2 of bytes: address size (1..3), operand size (0..5)
  uint8_t flags;                     // enum op_flag
};
_Static_assert(sizeof(struct op) == 32, "two ops to a cache line");

#define BLOCK_MAX 48 // instructions in a block

struct block {
  uint64_t ram;          // RAM offset of the first byte
  uint32_t mode;         // enum mode_bit
  uint16_t bytes;        // length of the guest code
  uint8_t count;         // guest instructions
  bool dead;             // dropped; its memory stays until the whole cache is emptied
  struct block *next[2]; // chained successors in the same page: taken, fall-through
  struct block *hash;    // bucket list
  struct block *page;    // list of the page's blocks
  uint16_t op_count;     // entries of ops[], terminator included
  uint16_t extent;       // bytes that it depends on: more than `bytes` if it ends with what does not decode
  uint32_t heat;         // entries until it is translated
  const void *native;    // the way in from host code
  op_fn *first;    // the handler of ops[0], which stands for the block while it is counted or translated
  struct op ops[]; // count or fewer (fused) ops and a terminator
};

// ---- registers ----

#define REG8(c, off)  (*(uint8_t *)((char *)(c) + (off)))
#define REG16(c, off) (*(uint16_t *)((char *)(c) + (off)))
#define REG32(c, off) (*(uint32_t *)((char *)(c) + (off))) // read only: writes must clear the upper half
#define REG64(c, off) (*(uint64_t *)((char *)(c) + (off)))

// By operand size (log2), zero-extended; off as in struct op.
static inline uint64_t reg_get(const struct cpu *c, unsigned off, unsigned osz)
{
  switch (osz) {
  case 0:
    return REG8(c, off);
  case 1:
    return REG16(c, off);
  case 2:
    return REG32(c, off);
  default:
    return REG64(c, off);
  }
}
static inline void reg_set(struct cpu *c, unsigned off, unsigned osz, uint64_t v)
{
  switch (osz) {
  case 0:
    REG8(c, off) = v;
    break;
  case 1:
    REG16(c, off) = v;
    break;
  case 2:
    REG64(c, off) = (uint32_t)v;
    break;
  default:
    REG64(c, off) = v;
  }
}

// ---- instruction pointers ----

// Offset in CS of the op, and of what follows it, within the running block. In 16- and 32-bit code the
// sum is cut to 32 bits (a block never wraps at 64 KB: the decoder ends it there).
static inline uint64_t op_ip(const struct cpu *c, const struct op *op)
{
  uint64_t ip = c->r[REG_IP] + op->off;
  return c->mode & MODE_CS64 ? ip : (uint32_t)ip;
}
static inline uint64_t op_next_ip(const struct cpu *c, const struct op *op)
{
  uint64_t ip = c->r[REG_IP] + op->off + op->len;
  return c->mode & MODE_CS64 ? ip : (uint32_t)ip;
}

// ---- handing over ----

#ifdef __has_feature // clang's way of saying it
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
#define OP_CHAIN 1 // tail calls are jumps: a block may go straight on into the next block
#else
#define OP_CHAIN 0
#endif

#define NEXT(c, op) return (op)[1].fn((c), (op) + 1)

#endif
