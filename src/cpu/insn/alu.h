// Selectors of the hot arithmetic handlers; see alu.c and alu.def.
#ifndef CPU_INSN_ALU_H
#define CPU_INSN_ALU_H

#include "cpu/insn.h"

insn_select select_add, select_or, select_adc, select_sbb, select_and, select_sub, select_xor, select_cmp,
    select_test, select_inc, select_dec, select_neg, select_not, select_imul;

// CMP and TEST that touch only registers and constants, as fuse.c tells them apart.
enum alu_form { ALU_CMP_RR, ALU_CMP_RI, ALU_TEST_RR, ALU_TEST_RI, ALU_OTHER };
enum alu_form alu_form(const struct op *op);

// The operands of an ADD, SUB, AND, OR or XOR, as quiet.c tells them apart.
enum alu_operands { ALU_RR, ALU_RI, ALU_MEMORY };
enum alu_operands alu_operands(const struct op *op);

#endif
