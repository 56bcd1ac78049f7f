// Instructions that the hypervisor does in the guest's place: moves from and to devices, and control
// registers. APM3 chapter 1 (encoding). Nothing but bytes in, so it is tested on the host too.
#ifndef SVM_DECODE_H
#define SVM_DECODE_H

#include <stdbool.h>
#include <stdint.h>

enum insn_op {
  INSN_NONE,
  INSN_LOAD,      // register = memory
  INSN_LOAD_ZERO, // MOVZX
  INSN_LOAD_SIGN, // MOVSX
  INSN_STORE,     // memory = register
  INSN_STORE_IMM, // memory = immediate
  INSN_XCHG,
  INSN_ALU,      // memory = memory op register or immediate, or flags of it
  INSN_ALU_LOAD, // register = register op memory
  INSN_TEST,
  INSN_STOS,
  INSN_MOVS,
  INSN_MOV_FROM_CR,
  INSN_MOV_TO_CR,
  INSN_CLTS,
  INSN_LMSW,
  INSN_SMSW,
  INSN_INVLPG,
  INSN_OTHER, // length known, nothing else
};

enum insn_seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

struct insn {
  enum insn_op op;
  uint8_t length;
  uint8_t size;         // of the operand in memory: 1, 2, 4, 8
  uint8_t dest_size;    // of the register
  uint8_t address_size; // 2, 4, 8
  uint8_t reg;          // general or control register
  uint8_t alu;          // 0 ADD 1 OR 2 ADC 3 SBB 4 AND 5 SUB 6 XOR 7 CMP
  bool high;            // reg is AH, CH, DH, BH: number 0 to 3, bits 15:8
  bool has_imm, rep, memory;
  uint64_t imm;
  // the memory operand
  int8_t base, index; // registers, or -1; base 16: the next instruction's address
  uint8_t scale, seg;
  int64_t disp;
};

// bits: 16, 32, 64 by CS. False if it is none of these, or the bytes do not suffice.
bool insn_decode(const uint8_t *bytes, unsigned n, unsigned bits, struct insn *i);

#endif
