// Near branches; see branch.c and branch.def. Far forms share the mnemonics and go on to transfer.c.
#ifndef CPU_INSN_BRANCH_H
#define CPU_INSN_BRANCH_H

#include "cpu/insn.h"

insn_select select_jmp, select_call, select_ret, select_osz;
insn_fn x_jmp, x_call, x_ret, x_jcc, x_loop, x_jrcxz;

#define X(cc) insn_select select_j##cc;
X(o) X(no) X(b) X(nb) X(z) X(nz) X(be) X(nbe) X(s) X(ns) X(p) X(np) X(l) X(nl) X(le) X(nle)
#undef X

#endif
