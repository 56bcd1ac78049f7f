// Selectors of the hot arithmetic handlers; see alu.c and alu.def.
#ifndef CPU_INSN_ALU_H
#define CPU_INSN_ALU_H

#include "cpu/insn.h"

insn_select select_add, select_or, select_adc, select_sbb, select_and, select_sub, select_xor, select_cmp,
    select_test, select_inc, select_dec, select_neg, select_not, select_imul;

#endif
