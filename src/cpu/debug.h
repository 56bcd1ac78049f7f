// The debug facilities beside except.h: register values, last-branch recording. APM2 13.1.
#ifndef CPU_DEBUG_H
#define CPU_DEBUG_H

#include "cpu/cpu.h"

#define DR6_FIXED 0xffff0ff0ull
#define DR7_FIXED 0x400ull
#define DR6_BS    (1ull << 14)
#define DR6_BT    (1ull << 15)

enum { DEBUGCTL_LBR = 1, DEBUGCTL_BTF = 2 };

// Writes DR7 as MOV DR7 does, without its checks.
void debug_set_dr7(struct cpu *c, uint64_t v);

// A control transfer for the last-branch registers.
static inline void debug_branch(struct cpu *c, uint64_t from, uint64_t to)
{
  if (unlikely(c->debugctl & DEBUGCTL_LBR)) {
    c->last_branch_from = from;
    c->last_branch_to = to;
  }
}

#endif
