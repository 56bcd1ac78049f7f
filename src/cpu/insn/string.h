// String instructions; see string.c and string.def.
#ifndef CPU_INSN_STRING_H
#define CPU_INSN_STRING_H

#include "cpu/insn.h"

insn_select select_movs, select_stos, select_lods, select_cmps, select_scas;

#endif
