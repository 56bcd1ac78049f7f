// The instruction table, put together from the families' rows; see insn.h.
#include <Zydis/Zydis.h>

#include "cpu/insn.h"
#include "cpu/insn/alu.h"
#include "cpu/insn/branch.h"
#include "cpu/insn/fpstate.h"
#include "cpu/insn/ident.h"
#include "cpu/insn/integer.h"
#include "cpu/insn/move.h"
#include "cpu/insn/paging.h"
#include "cpu/insn/portio.h"
#include "cpu/insn/shift.h"
#include "cpu/insn/string.h"
#include "cpu/insn/svm.h"
#include "cpu/insn/system.h"
#include "cpu/insn/transfer.h"

#define INSN(m, exec, select, flags, icpt) [ZYDIS_MNEMONIC_##m] = {exec, select, flags, icpt},

const struct insn_row insn_rows[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
#include "cpu/insn/alu.def"
#include "cpu/insn/branch.def"
#include "cpu/insn/fpstate.def"
#include "cpu/insn/ident.def"
#include "cpu/insn/integer.def"
#include "cpu/insn/move.def"
#include "cpu/insn/paging.def"
#include "cpu/insn/portio.def"
#include "cpu/insn/shift.def"
#include "cpu/insn/string.def"
#include "cpu/insn/svm.def"
#include "cpu/insn/system.def"
#include "cpu/insn/transfer.def"
};
