// From guest bytes to ops: Zydis decodes, the instruction table chooses handlers.
#ifndef CPU_DECODE_H
#define CPU_DECODE_H

#include <Zydis/Zydis.h>

#include "cpu/insn.h"

struct model;
struct host_code;

// What a select function sees.
struct op_source {
  const ZydisDecodedInstruction *zi;
  const ZydisDecodedOperand *zo; // explicit and implicit ones first (zi->operand_count_visible)
  uint32_t mode;
};

// One per machine: the Zydis decoders for 16-, 32- and 64-bit code under the rules of the CPU model.
struct decoder {
  ZydisDecoder z[3];
  const struct model *model;
  struct host_code *host;
};

void decoder_init(struct decoder *d, const struct model *model, struct host_code *host);

enum decode_status {
  DECODE_OK,
  DECODE_END,   // decoded, and it ends its block
  DECODE_SHORT, // the bytes end in the middle of the instruction
  DECODE_LONG,  // longer than 15 bytes: #GP(0)
};

// Decodes one instruction at bytes[0..avail) into *op (handler included). off: its offset from the block's
// start. What is not an instruction of this CPU becomes an op that raises #UD (DECODE_END).
enum decode_status decode_one(struct decoder *d, const uint8_t *bytes, unsigned avail, uint32_t mode,
                              unsigned off, struct op *op);

// Fills b->ops, count, bytes from code at bytes[0..avail), at most `max` instructions, adding a
// terminator. b->mode is given. Returns DECODE_SHORT with b->count == 0 if not even one instruction is whole.
enum decode_status decode_block(struct decoder *d, struct block *b, const uint8_t *bytes, unsigned avail,
                                unsigned max);

// One line of assembly for logs and the monitor; returns the length, 0 if undecodable.
unsigned decode_text(uint32_t mode, uint64_t ip, const uint8_t *bytes, unsigned avail, char *text,
                     unsigned size);

// Byte offset of a general register in struct cpu; the number for any other kind.
unsigned decode_reg(ZydisRegister r);

#endif
