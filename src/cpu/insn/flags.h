// The flags of CMP and ADD for operands of any size (log2 of bytes), for instructions that are not hot.
#ifndef CPU_INSN_FLAGS_H
#define CPU_INSN_FLAGS_H

#include "cpu/cpu.h"

#define FLAGS_OF(name, bits, sfx, let)                                                                       \
  do {                                                                                                       \
    uint##bits##_t x_ = (uint##bits##_t)a;                                                                   \
    __asm__(name sfx " %2,%0\n\tlahf\n\tseto %%al" : "+" let(x_), "=&a"(f) : let((uint##bits##_t)b) : "cc"); \
  } while (0)
#define FLAGS_ANY(name)                                                                                      \
  uint16_t f;                                                                                                \
  if (osz == 0)                                                                                              \
    FLAGS_OF(name, 8, "b", "q");                                                                             \
  else if (osz == 1)                                                                                         \
    FLAGS_OF(name, 16, "w", "r");                                                                            \
  else if (osz == 2)                                                                                         \
    FLAGS_OF(name, 32, "l", "r");                                                                            \
  else                                                                                                       \
    FLAGS_OF(name, 64, "q", "r");                                                                            \
  c->fl = f

static inline void flags_cmp(struct cpu *c, unsigned osz, uint64_t a, uint64_t b)
{
  FLAGS_ANY("cmp");
}
static inline void flags_add(struct cpu *c, unsigned osz, uint64_t a, uint64_t b)
{
  FLAGS_ANY("add");
}

#undef FLAGS_OF
#undef FLAGS_ANY

#endif
