// Selectors of shift.c; see shift.def.
#ifndef CPU_INSN_SHIFT_H
#define CPU_INSN_SHIFT_H

#include "cpu/insn.h"

insn_select select_shl, select_shr, select_sar, select_rol, select_ror, select_rcl, select_rcr;

#endif
