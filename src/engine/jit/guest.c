// What can be translated, and whose flags are seen; see guest.h.
#include "engine/jit/guest.h"

int jit_guest_reg(const ZydisDecodedOperand *o)
{
  ZydisRegisterClass k = ZydisRegisterGetClass(o->reg.value);
  if (k != ZYDIS_REGCLASS_GPR8 && k != ZYDIS_REGCLASS_GPR16 && k != ZYDIS_REGCLASS_GPR32 &&
      k != ZYDIS_REGCLASS_GPR64)
    return -1;
  unsigned off = decode_reg(o->reg.value);
  return off & 7 ? -1 : (int)(off / 8);
}

const ZydisDecodedOperand *jit_memory(const struct jit_op *n)
{
  for (unsigned i = 0; i < n->zi.operand_count_visible; i++)
    if (n->zo[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
      return &n->zo[i];
  return NULL;
}

// All operands are general registers other than AH..BH, constants, or memory whose address is a sum.
static bool simple_operands(const struct jit_op *n)
{
  for (unsigned i = 0; i < n->zi.operand_count_visible; i++) {
    const ZydisDecodedOperand *o = &n->zo[i];
    if (o->type == ZYDIS_OPERAND_TYPE_REGISTER && jit_guest_reg(o) < 0)
      return false;
    if (o->type == ZYDIS_OPERAND_TYPE_POINTER)
      return false;
    if (o->type != ZYDIS_OPERAND_TYPE_MEMORY)
      continue;
    if (n->op->ea != EA_64 && n->op->ea != EA_SEG64)
      return false;
    // MOV with an absolute address of 64 bits
    if (n->zi.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && n->zi.opcode >= 0xa0 && n->zi.opcode <= 0xa3)
      return false;
  }
  return true;
}

static void plain(struct jit_op *n, uint8_t reads, uint8_t writes, uint8_t kills)
{
  n->kind = JIT_PLAIN;
  n->reads = reads;
  n->writes = writes;
  n->kills = kills;
}

static void shift(struct jit_op *n)
{
  const ZydisDecodedOperand *by = &n->zo[1];
  bool memory = n->zo[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
  if (by->type == ZYDIS_OPERAND_TYPE_REGISTER) {
    if (!memory) // the address would be where the count must be
      plain(n, 0, JIT_ALL, 0);
  } else if (n->op->imm && (!memory || n->op->imm == 1)) {
    plain(n, 0, JIT_ALL, JIT_ALL);
  }
}

// OF follows from the result only for a count of 1; else it stays, which the host's instruction does not
// promise.
static void rotate(struct jit_op *n)
{
  if (n->zo[0].type == ZYDIS_OPERAND_TYPE_REGISTER && n->zo[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
      n->op->imm && n->zo[0].size >= 32)
    plain(n, 0, JIT_CF | JIT_OF, 0);
}

static void stack(struct jit_op *n, enum jit_kind kind)
{
  if (n->zi.operand_width == 64 && (n->zo[0].type != ZYDIS_OPERAND_TYPE_MEMORY || kind == JIT_PUSH))
    n->kind = kind;
}

// A target may be further from the block's start than a displacement of 32 bits goes.
static void branch(struct jit_op *n, enum jit_kind kind)
{
  bool near = n->zo[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE || n->op->imm == (int32_t)n->op->imm;
  if (n->zi.operand_width == 64 && !(n->op->flags & OPF_FAR) && near)
    n->kind = kind;
}

static void by_mnemonic(struct jit_op *n)
{
  const ZydisDecodedOperand *d = &n->zo[0];
  switch (n->zi.mnemonic) {
  case ZYDIS_MNEMONIC_ADD:
  case ZYDIS_MNEMONIC_OR:
  case ZYDIS_MNEMONIC_AND:
  case ZYDIS_MNEMONIC_SUB:
  case ZYDIS_MNEMONIC_XOR:
  case ZYDIS_MNEMONIC_CMP:
  case ZYDIS_MNEMONIC_TEST:
  case ZYDIS_MNEMONIC_NEG:
    plain(n, 0, JIT_ALL, JIT_ALL);
    break;
  case ZYDIS_MNEMONIC_ADC:
  case ZYDIS_MNEMONIC_SBB:
    plain(n, JIT_CF, JIT_ALL, JIT_ALL);
    break;
  case ZYDIS_MNEMONIC_INC:
  case ZYDIS_MNEMONIC_DEC:
    plain(n, 0, JIT_ALL & ~JIT_CF, JIT_ALL & ~JIT_CF);
    break;
  case ZYDIS_MNEMONIC_IMUL:
    if (n->zi.operand_count_visible >= 2)
      plain(n, 0, JIT_ALL, JIT_ALL);
    break;
  case ZYDIS_MNEMONIC_SHL:
  case ZYDIS_MNEMONIC_SHR:
  case ZYDIS_MNEMONIC_SAR:
    shift(n);
    break;
  case ZYDIS_MNEMONIC_ROL:
  case ZYDIS_MNEMONIC_ROR:
    rotate(n);
    break;
  case ZYDIS_MNEMONIC_NOT:
  case ZYDIS_MNEMONIC_MOV:
  case ZYDIS_MNEMONIC_MOVZX:
  case ZYDIS_MNEMONIC_MOVSX:
  case ZYDIS_MNEMONIC_MOVSXD:
    plain(n, 0, 0, 0);
    break;
  case ZYDIS_MNEMONIC_LEA:
    if (n->op->asz == 3 && d->size >= 32 && !(n->op->flags & OPF_RIP))
      n->kind = JIT_LEA;
    break;
  case ZYDIS_MNEMONIC_CWDE:
  case ZYDIS_MNEMONIC_CDQE:
  case ZYDIS_MNEMONIC_CDQ:
  case ZYDIS_MNEMONIC_CQO:
    n->kind = JIT_WIDE;
    break;
  case ZYDIS_MNEMONIC_BSWAP:
    if (d->size >= 32)
      n->kind = JIT_BSWAP;
    break;
  case ZYDIS_MNEMONIC_XCHG:
    if (d->size >= 32)
      n->kind = JIT_XCHG;
    break;
  case ZYDIS_MNEMONIC_NOP:
    n->kind = JIT_NOTHING;
    break;
  case ZYDIS_MNEMONIC_PUSH:
    stack(n, JIT_PUSH);
    break;
  case ZYDIS_MNEMONIC_POP:
    stack(n, JIT_POP);
    break;
  case ZYDIS_MNEMONIC_LEAVE:
    if (n->zi.operand_width == 64)
      n->kind = JIT_LEAVE;
    break;
  case ZYDIS_MNEMONIC_JMP:
    branch(n, JIT_JMP);
    break;
  case ZYDIS_MNEMONIC_CALL:
    branch(n, JIT_CALL);
    break;
  case ZYDIS_MNEMONIC_RET:
    branch(n, JIT_RET);
    break;
  default:
    break;
  }
}

void jit_classify(struct jit_op *n)
{
  n->kind = JIT_HANDLER;
  n->reads = n->writes = n->kills = 0;
  n->keep = false;
  if (n->zi.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
    return;
  switch (n->zi.meta.category) {
  case ZYDIS_CATEGORY_CMOV:
  case ZYDIS_CATEGORY_SETCC:
    plain(n, JIT_ALL, 0, 0);
    break;
  case ZYDIS_CATEGORY_COND_BR: // Jcc has its condition in the opcode; LOOPcc and JrCXZ do not
    if ((n->zi.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (n->zi.opcode & 0xf0) == 0x70) ||
        (n->zi.opcode_map == ZYDIS_OPCODE_MAP_0F && (n->zi.opcode & 0xf0) == 0x80)) {
      branch(n, JIT_JCC);
      n->reads = JIT_ALL;
    }
    break;
  default:
    by_mnemonic(n);
    break;
  }
  if (n->kind != JIT_HANDLER && n->kind != JIT_NOTHING && n->kind != JIT_LEA && !simple_operands(n)) {
    n->kind = JIT_HANDLER;
    n->reads = n->writes = n->kills = 0;
  }
}

bool jit_writes(const ZydisDecodedOperand *o)
{
  return o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
}

// A run may be left before this op, which must then find all flags in struct cpu.
static bool may_leave(const struct jit_op *n)
{
  if (n->kind == JIT_HANDLER || n->kind >= JIT_JMP)
    return true;
  for (unsigned i = 0; i < JIT_ACCESSES; i++)
    if (n->access[i].size && (n->access[i].group < 0 || n->access[i].first))
      return true;
  return false;
}

uint32_t jit_written(const struct jit_op *n)
{
  uint32_t mask = 0;
  if (n->kind >= JIT_PUSH && n->kind != JIT_JMP && n->kind != JIT_JCC)
    mask |= 1u << RSP;
  if (n->kind == JIT_LEAVE)
    mask |= 1u << RBP;
  if (n->kind == JIT_WIDE)
    mask |=
        1u << (n->zi.mnemonic == ZYDIS_MNEMONIC_CWDE || n->zi.mnemonic == ZYDIS_MNEMONIC_CDQE ? RAX : RDX);
  for (unsigned i = 0; i < n->zi.operand_count_visible && n->kind != JIT_NOTHING && n->kind != JIT_WIDE; i++)
    if (n->zo[i].type == ZYDIS_OPERAND_TYPE_REGISTER && jit_writes(&n->zo[i])) {
      int g = jit_guest_reg(&n->zo[i]);
      mask |= g >= 0 ? 1u << g : 0;
    }
  return mask;
}

bool jit_liveness(struct jit_op *ops, unsigned count)
{
  unsigned live = JIT_ALL;
  uint32_t later = 0; // registers that are written before the run may be left
  bool same = true;
  while (count--) {
    struct jit_op *n = &ops[count];
    n->keep = (n->writes & live) != 0;
    bool rotates = n->zi.mnemonic == ZYDIS_MNEMONIC_ROL || n->zi.mnemonic == ZYDIS_MNEMONIC_ROR;
    if (n->kind == JIT_PLAIN && rotates && n->keep) {
      n->kind = JIT_HANDLER;
      same = false;
    }
    n->unseen = later;
    if (may_leave(n)) {
      live = JIT_ALL;
      later = 0;
    } else {
      live = (live & ~n->kills) | n->reads;
      later |= jit_written(n);
    }
  }
  return same;
}
