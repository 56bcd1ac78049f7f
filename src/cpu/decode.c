// From guest bytes to ops; see decode.h.
//
// The fields of struct op are filled from Zydis' operands in one way for all instructions; then the row's
// select function may choose a hot handler, the host-code generator may take it, or op_exec calls the row's
// exec.
#include "cpu/decode.h"

#include <string.h>

#include "cpu/host/host.h"
#include "cpu/insn/fuse.h"
#include "cpu/insn/quiet.h"
#include "cpu/model.h"

void decoder_init(struct decoder *d, const struct model *model, struct host_code *host)
{
  ZydisDecoderInit(&d->z[0], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
  ZydisDecoderInit(&d->z[1], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
  ZydisDecoderInit(&d->z[2], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  for (int i = 0; i < 3; i++) {
    ZydisDecoderEnableMode(&d->z[i], ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYAN_TRUE);
    ZydisDecoderEnableMode(&d->z[i], ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
    ZydisDecoderEnableMode(&d->z[i], ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
    ZydisDecoderEnableMode(&d->z[i], ZYDIS_DECODER_MODE_KNC, ZYAN_FALSE);
    ZydisDecoderEnableMode(&d->z[i], ZYDIS_DECODER_MODE_LZCNT, model_allows(model, ZYDIS_ISA_SET_LZCNT));
    ZydisDecoderEnableMode(&d->z[i], ZYDIS_DECODER_MODE_TZCNT, model_allows(model, ZYDIS_ISA_SET_BMI1));
    ZydisDecoderEnableMode(&d->z[i], ZYDIS_DECODER_MODE_WBNOINVD, ZYAN_FALSE);
    ZydisDecoderEnableMode(&d->z[i], ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
  }
  d->model = model;
  d->host = host;
}

static unsigned mode_width(uint32_t mode)
{
  return mode & MODE_CS64 ? 2 : mode & MODE_CS32 ? 1 : 0;
}

unsigned decode_reg(ZydisRegister r)
{
  if (r >= ZYDIS_REGISTER_AL && r <= ZYDIS_REGISTER_BL)
    return (r - ZYDIS_REGISTER_AL) * 8;
  if (r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH)
    return (r - ZYDIS_REGISTER_AH) * 8 + 1;
  if (r >= ZYDIS_REGISTER_SPL && r <= ZYDIS_REGISTER_R15B)
    return (r - ZYDIS_REGISTER_SPL + 4) * 8;
  ZyanI8 id = ZydisRegisterGetId(r);
  switch (ZydisRegisterGetClass(r)) {
  case ZYDIS_REGCLASS_GPR16:
  case ZYDIS_REGCLASS_GPR32:
  case ZYDIS_REGCLASS_GPR64:
    return id * 8;
  case ZYDIS_REGCLASS_IP:
    return REG_IP * 8;
  case ZYDIS_REGCLASS_INVALID:
    return REG_ZERO * 8;
  default:
    return id < 0 ? 0 : id;
  }
}

static unsigned log2_bytes(unsigned bits)
{
  return bits <= 8 ? 0 : bits <= 16 ? 1 : bits <= 32 ? 2 : bits <= 64 ? 3 : bits <= 128 ? 4 : 5;
}

static unsigned seg_number(ZydisRegister r)
{
  return r >= ZYDIS_REGISTER_ES && r <= ZYDIS_REGISTER_GS ? r - ZYDIS_REGISTER_ES : SEG_DS;
}

static void fill_memory(struct op *op, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *m,
                        uint32_t mode)
{
  op->flags |= OPF_MEM;
  op->base = decode_reg(m->mem.base);
  op->idx = decode_reg(m->mem.index);
  op->shift = m->mem.scale <= 1 ? 0 : m->mem.scale == 2 ? 1 : m->mem.scale == 4 ? 2 : 3;
  op->seg = seg_number(m->mem.segment);
  int64_t disp = m->mem.disp.has_displacement ? m->mem.disp.value : 0;
  // A SIB byte with base 5 and mod 0 has a displacement and no base, whatever REX.B says; Zydis 4.0 names
  // R13.
  if (zi->raw.modrm.rm == 4 && zi->raw.modrm.mod == 0 && (zi->raw.sib.base & 7) == 5 &&
      m->mem.base != ZYDIS_REGISTER_NONE) {
    op->base = REG_ZERO * 8;
    disp = zi->raw.disp.value;
  }
  bool long_disp = false;
  if (op->base == REG_IP * 8) {
    disp += op->off + op->len;
    if (disp != (int32_t)disp) {
      disp -= op->off + op->len;
      op->flags |= OPF_RIP;
      long_disp = true;
    }
  }
  op->disp = (int32_t)disp;
  if (mode & MODE_CS64) {
    if (op->seg != SEG_FS && op->seg != SEG_GS)
      op->seg = op->base == RSP * 8 || op->base == RBP * 8 ? SEG_SS : SEG_DS;
    bool based = op->seg == SEG_FS || op->seg == SEG_GS;
    if (op->asz == 3)
      op->ea = based ? EA_SEG64 : EA_64;
    else
      op->ea = based ? EA_SLOW : EA_A32;
    if ((mode & MODE_LMSLE) && op->seg != SEG_GS)
      op->ea = EA_SLOW;
  } else if ((mode & MODE_FLAT) && op->asz == 2 && op->seg != SEG_CS && op->seg != SEG_FS &&
             op->seg != SEG_GS) {
    op->ea = EA_A32;
  } else {
    op->ea = EA_SLOW;
  }
  if (long_disp)
    op->ea = EA_SLOW;
}

static void fill(struct op *op, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo,
                 uint32_t mode)
{
  op->base = op->idx = op->reg = op->rm = REG_ZERO * 8;
  op->asz = log2_bytes(zi->address_width);
  op->osz = log2_bytes(zi->operand_width);
  op->seg = SEG_DS;
  op->row = zi->mnemonic;
  op->len = zi->length;
  if (zi->attributes & ZYDIS_ATTRIB_HAS_LOCK)
    op->flags |= OPF_LOCK;
  if (zi->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE))
    op->flags |= OPF_REP;
  if (zi->attributes & ZYDIS_ATTRIB_HAS_REPNE)
    op->flags |= OPF_REPNE;
  if (zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
    op->flags |= OPF_VEX;
  if (zi->attributes & ZYDIS_ATTRIB_HAS_SEGMENT) {
    if (zi->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_CS)
      op->seg = SEG_CS;
    else if (zi->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_SS)
      op->seg = SEG_SS;
    else if (zi->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_ES)
      op->seg = SEG_ES;
    else if (zi->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_FS)
      op->seg = SEG_FS;
    else if (zi->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_GS)
      op->seg = SEG_GS;
    else
      op->seg = SEG_DS;
    if ((mode & MODE_CS64) && op->seg < SEG_FS) // the others say nothing there
      op->seg = SEG_DS;
  }
  unsigned imms = 0, regs = 0;
  for (unsigned i = 0; i < zi->operand_count_visible; i++) {
    const ZydisDecodedOperand *o = &zo[i];
    switch (o->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER: {
      unsigned r = decode_reg(o->reg.value);
      if (o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM)
        op->rm = r;
      else if (o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG ||
               o->encoding == ZYDIS_OPERAND_ENCODING_OPCODE)
        op->reg = r;
      else if (op->reg == REG_ZERO * 8 && regs == 0)
        op->reg = r;
      else if (op->rm == REG_ZERO * 8)
        op->rm = r;
      regs++;
      break;
    }
    case ZYDIS_OPERAND_TYPE_MEMORY:
      fill_memory(op, zi, o, mode);
      break;
    case ZYDIS_OPERAND_TYPE_POINTER:
      op->imm = (int64_t)o->ptr.segment << 32 | o->ptr.offset;
      op->flags |= OPF_FAR;
      break;
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
      if (o->imm.is_relative)
        op->imm = o->imm.value.s + op->off + op->len;
      else if (imms == 0)
        op->imm = o->imm.is_signed ? o->imm.value.s : (int64_t)o->imm.value.u;
      else
        op->imm = zi->mnemonic == ZYDIS_MNEMONIC_ENTER ? (op->imm & 0xffff) | (int64_t)o->imm.value.u << 16
                                                       : (op->imm & 0xff) | (int64_t)o->imm.value.u << 8;
      imms++;
      break;
    default:
      break;
    }
  }
  if (zi->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
    op->flags |= OPF_FAR;
  // IN and OUT: the port's register, or none with the port in imm.
  if (zi->mnemonic == ZYDIS_MNEMONIC_IN || zi->mnemonic == ZYDIS_MNEMONIC_OUT) {
    op->reg = imms ? REG_ZERO * 8 : RDX * 8;
    const ZydisDecodedOperand *data = &zo[zi->mnemonic == ZYDIS_MNEMONIC_IN ? 0 : 1];
    op->osz = log2_bytes(data->size);
    if (imms)
      op->imm &= 0xff;
  }
}

static enum decode_status undefined(struct op *op, unsigned off, unsigned len)
{
  *op = (struct op){.fn = op_ud, .off = off, .len = len, .row = ZYDIS_MNEMONIC_UD2};
  return DECODE_END;
}

// LOCK MOV CR0 is MOV CR8, in all modes (APM2 15.21.3); Zydis has no LOCK there.
static bool is_lock_cr0(const struct decoder *d, const uint8_t *bytes, unsigned avail, uint32_t mode)
{
  unsigned i = (mode & MODE_CS64) && avail > 1 && (bytes[1] & 0xf4) == 0x40 ? 2 : 1; // REX without R
  return avail >= i + 3 && bytes[0] == 0xf0 && bytes[i] == 0x0f && (bytes[i + 1] & 0xfd) == 0x20 &&
         !(bytes[i + 2] & 0x38) && model_has(d->model, FEAT_CR8_LEGACY);
}

enum decode_status decode_one(struct decoder *d, const uint8_t *bytes, unsigned avail, uint32_t mode,
                              unsigned off, struct op *op)
{
  ZydisDecodedInstruction zi;
  ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
  ZyanStatus st = ZydisDecoderDecodeFull(&d->z[mode_width(mode)], bytes, avail > 15 ? 15 : avail, &zi, zo);
  if (st == ZYDIS_STATUS_NO_MORE_DATA)
    return avail >= 15 ? DECODE_LONG : DECODE_SHORT;
  if (st == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
    return DECODE_LONG;
  if (st == ZYDIS_STATUS_ILLEGAL_LOCK && is_lock_cr0(d, bytes, avail, mode)) {
    enum decode_status status = decode_one(d, bytes + 1, avail - 1, mode, off, op);
    op->len++;
    op->flags |= OPF_LOCK;
    return status;
  }
  if (ZYAN_FAILED(st))
    return undefined(op, off, 1);
  if (!model_allows(d->model, zi.meta.isa_set))
    return undefined(op, off, zi.length);
  *op = (struct op){.off = off};
  op->len = zi.length;
  fill(op, &zi, zo, mode);
  const struct insn_row *row = &insn_rows[zi.mnemonic];
  if ((row->flags & IF_NO64) && (mode & MODE_CS64))
    return undefined(op, off, zi.length);
  struct op_source src = {&zi, zo, mode};
  if (row->select && row->select(op, &src))
    return (row->flags & IF_END) || op->fn == op_exec_ptr_end || op->fn == op_exec_ptr_priv_end ? DECODE_END
                                                                                                : DECODE_OK;
  if (row->exec) {
    op->fn = row->flags & IF_END ? op_exec_end : op_exec;
    return row->flags & IF_END ? DECODE_END : DECODE_OK;
  }
  if (host_select(op, &zi, zo, d->host, mode))
    return op->fn == op_ud || op->fn == op_nm ? DECODE_END : DECODE_OK;
  return undefined(op, off, zi.length);
}

enum decode_status decode_block(struct decoder *d, struct block *b, const uint8_t *bytes, unsigned avail,
                                unsigned max)
{
  unsigned off = 0, n = 0;
  enum decode_status st = DECODE_OK;
  while (n < max && off < avail) {
    struct op *op = &b->ops[n];
    st = decode_one(d, bytes + off, avail - off, b->mode, off, op);
    if (st == DECODE_SHORT || st == DECODE_LONG)
      break;
    op->index = n++;
    off += op->len;
    if (st == DECODE_END) {
      if (n > 1 && op->fn != op_exec_end)
        fuse(op - 1, op, b->mode);
      break;
    }
  }
  b->count = n;
  b->bytes = b->extent = off;
  if (n && b->ops[n - 1].fn == op_ud) // with other bytes behind its first it might be an instruction
    b->extent = b->ops[n - 1].off + 15u < avail ? b->ops[n - 1].off + 15u : avail;
  bool go = (b->mode & (MODE_CS64 | MODE_FLAT)) && !(b->mode & MODE_STEP);
  b->ops[n] = (struct op){.fn = go ? op_end_go : op_end, .off = off, .index = n, .row = ZYDIS_MNEMONIC_NOP};
  if (n == 0)
    return st;
  if (!(b->mode & MODE_STEP))
    quiet(b->ops, n);
  return DECODE_OK;
}

unsigned decode_text(uint32_t mode, uint64_t ip, const uint8_t *bytes, unsigned avail, char *text,
                     unsigned size)
{
  ZydisDecoder z;
  ZydisFormatter f;
  ZydisDecodedInstruction zi;
  ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
  static const ZydisMachineMode modes[] = {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_MACHINE_MODE_LEGACY_32,
                                           ZYDIS_MACHINE_MODE_LONG_64};
  static const ZydisStackWidth widths[] = {ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32, ZYDIS_STACK_WIDTH_64};
  unsigned w = mode_width(mode);
  ZydisDecoderInit(&z, modes[w], widths[w]);
  ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
  if (ZYAN_FAILED(ZydisDecoderDecodeFull(&z, bytes, avail > 15 ? 15 : avail, &zi, zo)) ||
      ZYAN_FAILED(ZydisFormatterFormatInstruction(&f, &zi, zo, zi.operand_count_visible, text, size, ip,
                                                  ZYAN_NULL))) {
    if (size)
      text[0] = 0;
    return 0;
  }
  return zi.length;
}
