// Integer instructions that are not hot; see integer.c, bits.c and integer.def.
#ifndef CPU_INSN_INTEGER_H
#define CPU_INSN_INTEGER_H

#include "cpu/insn.h"

insn_fn x_mul, x_imul1, x_div, x_idiv, x_cmpxchg, x_cmpxchg8b, x_cmpxchg16b, x_xadd, x_xlat, x_enter, x_movbe,
    x_movnti, x_salc, x_daa, x_das, x_aaa, x_aas, x_aam, x_aad;
insn_fn x_bt, x_bts, x_btr, x_btc, x_bsf, x_bsr, x_shld, x_shrd;

insn_select select_movbe, select_double;

#endif
