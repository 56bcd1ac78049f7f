// Inside cpu/host: the arena of stubs, how a stub is made, how handlers describe themselves.
#ifndef CPU_HOST_CODE_H
#define CPU_HOST_CODE_H

#include "cpu/host/host.h"
#include "cpu/mem.h"

enum {
  HOST_ARENA = 4 << 20,
  HOST_MARGIN = 64 << 10, // more than one block can need
  HOST_SLOTS = 1 << 17,   // of the hash, a power of two
  HOST_STUB_MAX = 512,    // bytes of one stub
};
_Static_assert(BLOCK_MAX *(HOST_STUB_MAX + 16) < HOST_MARGIN, "one block fits into the margin");

struct host_code {
  uint8_t *rw; // one memory, mapped twice: nothing is writable and executable at one address
  uint8_t *rx;
  uint32_t used, count;
  uint32_t *slots; // offset of a stub + 1, 0: free
  bool isa[ZYDIS_ISA_SET_MAX_VALUE + 1];
  ZydisDecoder decoder; // to check what was encoded
};

// A stub is called with struct cpu in rdi and the address of the memory operand, if there is one, in rsi. It
// keeps all registers but rax, rcx, rdx, r8..r10 and the vector registers, and uses no stack.

struct emit {
  uint8_t code[HOST_STUB_MAX];
  unsigned len;
};

// Copies the code into the arena, or finds its equal there. NULL if there is no room.
const void *host_code_add(struct host_code *h, const struct emit *e);

// How a stub ends.
enum stub_end {
  STUB_RET,  // called by a handler
  STUB_NEXT, // is itself the handler of an op without a memory operand
};
// Makes the stub for an instruction of an allowed set; NULL if that is not possible.
const void *stub_make(struct host_code *h, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo,
                      enum stub_end end);

// What the general handlers must know: in op->reg, bits 7:3 (bits 2:0 are the upper part of FOP).
enum host_attr {
  HA_X87 = 1 << 3,   // x87 instruction: pointers are recorded, op->rm holds the lower part of FOP
  HA_MMX = 1 << 4,   // uses the MMX registers
  HA_ALIGN = 1 << 5, // the memory operand must be aligned to its size
  HA_STORE = 1 << 6, // the memory operand is written
  HA_SSE = 1 << 7,   // may raise SIMD floating-point exceptions
};

// A handler for a direct move, or NULL: move.c
op_fn *move_select(struct op *op, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo);
// Gathers, masked moves and the like, done element by element, and SSE4A: masked.c, insn/sse4a.c
op_fn *masked_select(struct op *op, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo);
op_fn *sse4a_select(struct op *op, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo);

// Size of the memory operand, from op->osz: log2 of bytes, or SIZE_10.
enum { SIZE_10 = 6 };
static inline unsigned host_size(const struct op *op)
{
  return op->osz == SIZE_10 ? 10 : 1u << op->osz;
}

// Handlers for stubs: run.c.
op_fn *run_load(unsigned size, bool align);
op_fn *run_store(unsigned size, bool align);
void run_nop(struct cpu *c, const struct op *op);
void run_prot(struct cpu *c, const struct op *op); // register form that real mode does not have
void run_prot_load(struct cpu *c, const struct op *op);
void run_mmx(struct cpu *c, const struct op *op); // MMX, and x87 with all exceptions masked
void run_mmx_load(struct cpu *c, const struct op *op);
void run_mmx_store(struct cpu *c, const struct op *op);
void run_x87(struct cpu *c, const struct op *op);
op_fn *run_x87_mem(unsigned size, bool store);
void run_checked(struct cpu *c, const struct op *op); // anything, with exceptions unmasked

// ---- what handlers call off the fast path, through the thunks of cpu/cold.S: they keep all registers but
// rax ----

// The memory operand, copied to c->host_buf; 0 after a fault.
uint64_t host_slow_load(struct cpu *c, const struct op *op, uint64_t la, unsigned size);
// Runs the stub with c->host_buf as its operand and writes that to memory; 0 after a fault.
uint64_t host_slow_run_store(struct cpu *c, const struct op *op, uint64_t la, unsigned size);
// Writes the first bytes of vector register op->reg; 0 after a fault.
uint64_t host_slow_vec_store(struct cpu *c, const struct op *op, uint64_t la, unsigned size);
// 0 and #GP(0), unless MXCSR.MM allows a legacy SSE operand to be misaligned.
uint64_t host_slow_misaligned(struct cpu *c, const struct op *op);

#define COLD_HOST(name)                                                                                      \
  static inline uint64_t cold_##name(struct cpu *c, const struct op *op, uint64_t la, unsigned size)         \
  {                                                                                                          \
    uint64_t v;                                                                                              \
    __asm__ volatile("call thunk_" #name : "=a"(v) : "D"(c), "S"(op), "d"(la), "c"(size) : COLD_CLOBBERS);   \
    return v;                                                                                                \
  }
COLD_HOST(host_load)
COLD_HOST(host_run_store)
COLD_HOST(host_vec_store)
static inline uint64_t cold_host_misaligned(struct cpu *c, const struct op *op)
{
  uint64_t v;
  __asm__ volatile("call thunk_host_misaligned" : "=a"(v) : "D"(c), "S"(op) : COLD_CLOBBERS);
  return v;
}

// fpu_need for handlers.
static inline void host_need_x87(struct cpu *c)
{
  uint64_t ignored;
  if (unlikely(!c->x87_live))
    __asm__ volatile("call thunk_fpu_load" : "=a"(ignored) : "D"(c) : COLD_CLOBBERS);
}

// Runs the op's stub. A stub uses no stack, and no register but these, so a handler stays a leaf.
static inline void host_call(struct cpu *c, const struct op *op, void *mem)
{
  __asm__ volatile("call *%0"
                   :
                   : "m"(op->ptr), "D"(c), "S"(mem)
                   : "rax", "rdx", "rcx", "r8", "r9", "r10", COLD_CLOBBERS);
}

// A fault of the running op: marks it and returns false.
bool host_gp(struct cpu *c, const struct op *op);
bool host_ud(struct cpu *c, const struct op *op);

#endif
