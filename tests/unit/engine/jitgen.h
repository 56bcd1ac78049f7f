// Random 64-bit programs for test_jit.c: blocks of instructions of every form that the translator takes, and
// of some that it leaves to their handlers, joined by every kind of branch.
#ifndef TEST_JITGEN_H
#define TEST_JITGEN_H

#include <stdbool.h>
#include <stdint.h>

enum {
  JITGEN_CODE_MOST = 4096,
  JITGEN_BLOCKS = 6,
  JITGEN_TARGETS = 16, // addresses at JB_TARGETS
};

struct jitgen {
  uint64_t rng;
  uint64_t at; // linear address of code[0]
  uint8_t code[JITGEN_CODE_MOST];
  unsigned len;
  uint64_t r[16]; // registers at the start
  uint64_t fs, gs;
  uint64_t targets[JITGEN_TARGETS];
  // Branches to blocks that have no place yet.
  struct {
    unsigned pos, size, block;
  } fix[32];
  unsigned fixes;
  unsigned start[JITGEN_BLOCKS + 1];
};

uint64_t jitgen_random(struct jitgen *g);
unsigned jitgen_below(struct jitgen *g, unsigned n);
// The program of a seed, to lie at the linear address `at`.
void jitgen_program(struct jitgen *g, uint64_t seed, uint64_t at);

#endif
