// The cache of decoded code: blocks known by RAM offset and mode.
//
// Because a block's key is where its bytes lie, not the address under which they run, blocks outlive every
// change of address space. A write to a page that holds blocks drops just those whose bytes it touches: the
// page carries RAM_CODE, which keeps writes to it off the fast path. Dropped blocks stay in memory, marked
// dead, until the whole cache is emptied when its arena is full.
#ifndef ENGINE_CODE_H
#define ENGINE_CODE_H

#include "cpu/decode.h"

struct err;
struct jit;

#define CODE_ARENA       (24u << 20)
#define CODE_BUCKET_BITS 17 // a full arena has some 100000 blocks: most buckets hold one
#define CODE_BUCKETS     (1u << CODE_BUCKET_BITS)
#define CODE_SCRATCH     256

// An instruction that cannot be cached by its place: it crosses a page, or lies in device memory. Known
// by its bytes instead.
struct scratch {
  uint8_t bytes[16];
  uint32_t mode;
  uint8_t len;
  struct block *block;
};

struct code {
  struct decoder decoder;
  struct ram *ram;
  struct cpu **cpus;
  unsigned count;
  uint8_t *arena;
  size_t used;
  struct block **buckets;
  struct block **pages; // by RAM page: its blocks
  uint64_t *granules;   // by RAM page: which 64-byte pieces hold code
  struct block *build;  // room for one block of BLOCK_MAX
  struct scratch scratch[CODE_SCRATCH];
  struct jit *jit;                  // or NULL
  uint64_t built, dropped, emptied; // statistics
};

bool code_init(struct code *k, struct ram *ram, const struct model *model, struct host_code *host,
               struct cpu **cpus, unsigned count, struct err *e);
void code_free(struct code *k);

// The block at a RAM offset, made if need be. mode with MODE_STEP: one instruction. NULL: the first
// instruction does not end within its page.
struct block *code_get(struct code *k, uint64_t ram_off, uint32_t mode, struct log *log, uint64_t ip);
// A block of one instruction from bytes that were fetched by hand. NULL if they are not a whole instruction;
// *too_long then tells whether more bytes would not help (#GP).
struct block *code_from_bytes(struct code *k, const uint8_t *bytes, unsigned avail, uint32_t mode,
                              bool *too_long);
// Bytes of RAM were written: drops what was made from them. This is ram->written.
void code_written(void *code, uint64_t off, uint64_t len);
void code_empty(struct code *k);

#endif
