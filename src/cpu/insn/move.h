// Selectors and exec functions of move.c; see move.def.
#ifndef CPU_INSN_MOVE_H
#define CPU_INSN_MOVE_H

#include "cpu/insn.h"

insn_select select_mov, select_movzx, select_movsx, select_lea, select_xchg, select_push, select_pop,
    select_leave, select_nop, select_bswap, select_cbw, select_cwde, select_cdqe, select_cwd, select_cdq,
    select_cqo, select_clc, select_stc, select_cmc, select_cld, select_std, select_lahf, select_sahf;
insn_fn x_push, x_pop, x_pusha, x_popa, x_leave, x_mov_abs;

#define X(cc) insn_select select_cmov##cc, select_set##cc;
X(o)
X(no)
X(b)
X(nb)
X(z)
X(nz)
X(be)
X(nbe)
X(s)
X(ns)
X(p)
X(np)
X(l)
X(nl)
X(le)
X(nle)
#undef X

// The stack of the current mode: width of the pointer, its update, a push, a load at an offset.
uint64_t near_mask(const struct cpu *c);
void near_set(struct cpu *c, uint64_t sp);
bool near_push(struct cpu *c, const struct op *op, unsigned osz, uint64_t v);
bool near_load(struct cpu *c, const struct op *op, unsigned osz, uint64_t off, uint64_t *v);

#endif
