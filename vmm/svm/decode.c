// See decode.h.
#include "svm/decode.h"

struct bytes {
  const uint8_t *p;
  unsigned n, at;
  bool bad;
};

static uint64_t take(struct bytes *b, unsigned len)
{
  uint64_t v = 0;
  if (b->at + len > b->n) {
    b->bad = true;
    return 0;
  }
  for (unsigned i = 0; i < len; i++)
    v |= (uint64_t)b->p[b->at + i] << 8 * i;
  b->at += len;
  return v;
}

static int64_t take_signed(struct bytes *b, unsigned len)
{
  uint64_t v = take(b, len);
  unsigned shift = 64 - 8 * len;
  return (int64_t)(v << shift) >> shift;
}

struct prefix {
  uint8_t rex;
  bool operand, address, rep;
  int seg; // -1: none
};

static uint8_t prefixes(struct bytes *b, unsigned bits, struct prefix *p)
{
  static const uint8_t seg[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
  p->seg = -1;
  for (;;) {
    uint8_t c = (uint8_t)take(b, 1);
    bool is_seg = false;
    for (int i = 0; i < 6; i++)
      if (c == seg[i])
        p->seg = i, is_seg = true;
    if (c == 0x66)
      p->operand = true;
    else if (c == 0x67)
      p->address = true;
    else if (c == 0xf2 || c == 0xf3)
      p->rep = true;
    else if (bits == 64 && (c & 0xf0) == 0x40) {
      p->rex = c;
      continue;
    } else if (c != 0xf0 && !is_seg)
      return c;
    if (b->bad)
      return 0;
    p->rex = 0; // REX counts only as the last prefix
  }
}

static void modrm16(struct bytes *b, struct insn *i, unsigned mod, unsigned rm)
{
  static const int8_t base[] = {3, 3, 5, 5, 6, 7, 5, 3}, index[] = {6, 7, 6, 7, -1, -1, -1, -1};
  i->base = base[rm];
  i->index = index[rm];
  i->scale = 1;
  if (mod == 0 && rm == 6) {
    i->base = -1;
    i->disp = (int64_t)take(b, 2);
    return;
  }
  i->disp = mod == 1 ? take_signed(b, 1) : mod == 2 ? take_signed(b, 2) : 0;
  if (i->base == 5)
    i->seg = SEG_SS;
}

static void modrm32(struct bytes *b, struct insn *i, const struct prefix *p, unsigned bits, unsigned mod,
                    unsigned rm)
{
  i->base = (int8_t)(rm | (p->rex & 1) << 3);
  if (rm == 4) {
    uint8_t sib = (uint8_t)take(b, 1);
    i->scale = (uint8_t)(1 << (sib >> 6));
    i->index = (int8_t)((sib >> 3 & 7) | (p->rex & 2) << 2);
    if (i->index == 4)
      i->index = -1;
    i->base = (int8_t)((sib & 7) | (p->rex & 1) << 3);
    if ((sib & 7) == 5 && mod == 0) {
      i->base = -1;
      i->disp = take_signed(b, 4);
    }
  } else if (rm == 5 && mod == 0) {
    i->base = bits == 64 ? 16 : -1;
    i->disp = take_signed(b, 4);
  }
  if (mod)
    i->disp = take_signed(b, mod == 1 ? 1 : 4);
  if (i->base == 4 || i->base == 5)
    i->seg = SEG_SS;
}

static uint8_t modrm(struct bytes *b, struct insn *i, const struct prefix *p, unsigned bits)
{
  uint8_t m = (uint8_t)take(b, 1);
  unsigned mod = m >> 6, rm = m & 7;
  i->reg = (uint8_t)((m >> 3 & 7) | (p->rex & 4) << 1);
  i->seg = SEG_DS;
  i->memory = mod != 3;
  if (mod == 3)
    i->base = (int8_t)(rm | (p->rex & 1) << 3);
  else if (i->address_size == 2)
    modrm16(b, i, mod, rm);
  else
    modrm32(b, i, p, bits, mod, rm);
  if (p->seg >= 0)
    i->seg = (uint8_t)p->seg;
  return m;
}

static void byte_register(struct insn *i, const struct prefix *p)
{
  if (i->dest_size == 1 && !p->rex && i->reg >= 4 && i->reg < 8) {
    i->reg -= 4;
    i->high = true;
  }
}

static void immediate(struct bytes *b, struct insn *i, unsigned size)
{
  i->has_imm = true;
  i->imm = (uint64_t)take_signed(b, size == 8 ? 4 : size);
}

static enum insn_op two_bytes(struct bytes *b, struct insn *i, const struct prefix *p, unsigned bits,
                              unsigned size)
{
  uint8_t c = (uint8_t)take(b, 1), m;
  switch (c) {
  case 0x01:
    m = modrm(b, i, p, bits);
    switch (m >> 3 & 7) {
    case 4:
      i->size = i->dest_size = i->memory ? 2 : (uint8_t)size;
      return INSN_SMSW;
    case 6:
      i->size = i->dest_size = 2;
      return INSN_LMSW;
    case 7:
      return i->memory ? INSN_INVLPG : INSN_OTHER;
    default:
      return INSN_OTHER;
    }
  case 0x06:
    return INSN_CLTS;
  case 0x20:
  case 0x22: // MOD is ignored: a register always
    m = (uint8_t)take(b, 1);
    i->reg = (uint8_t)((m >> 3 & 7) | (p->rex & 4) << 1);
    i->base = (int8_t)((m & 7) | (p->rex & 1) << 3);
    i->size = i->dest_size = bits == 64 ? 8 : 4;
    return c == 0x20 ? INSN_MOV_FROM_CR : INSN_MOV_TO_CR;
  case 0xb6:
  case 0xb7:
  case 0xbe:
  case 0xbf:
    modrm(b, i, p, bits);
    i->size = c & 1 ? 2 : 1;
    return c < 0xb8 ? INSN_LOAD_ZERO : INSN_LOAD_SIGN;
  case 0x08: // INVD
  case 0x09: // WBINVD
  case 0x30: // WRMSR
  case 0x32: // RDMSR
  case 0x33: // RDPMC
  case 0xa2: // CPUID
    return INSN_OTHER;
  default:
    return INSN_NONE;
  }
}

static enum insn_op one_byte(struct bytes *b, struct insn *i, const struct prefix *p, unsigned bits,
                             uint8_t c, unsigned size)
{
  bool byte = !(c & 1);
  if (byte)
    i->size = i->dest_size = 1;
  if (c < 0x40 && (c & 7) < 4) {
    modrm(b, i, p, bits);
    byte_register(i, p);
    i->alu = c >> 3;
    return c & 2 ? INSN_ALU_LOAD : INSN_ALU;
  }
  switch (c) {
  case 0x80:
  case 0x81:
  case 0x83:
    i->alu = modrm(b, i, p, bits) >> 3 & 7;
    immediate(b, i, c == 0x81 ? size : 1);
    return INSN_ALU;
  case 0x84:
  case 0x85:
    modrm(b, i, p, bits);
    byte_register(i, p);
    return INSN_TEST;
  case 0x86:
  case 0x87:
    modrm(b, i, p, bits);
    byte_register(i, p);
    return INSN_XCHG;
  case 0x88:
  case 0x89:
  case 0x8a:
  case 0x8b:
    modrm(b, i, p, bits);
    byte_register(i, p);
    return c & 2 ? INSN_LOAD : INSN_STORE;
  case 0xa0:
  case 0xa1:
  case 0xa2:
  case 0xa3:
    i->seg = p->seg >= 0 ? (uint8_t)p->seg : SEG_DS;
    i->memory = true;
    i->disp = (int64_t)take(b, i->address_size);
    i->reg = 0;
    return c & 2 ? INSN_STORE : INSN_LOAD;
  case 0xa4:
  case 0xa5:
    i->seg = p->seg >= 0 ? (uint8_t)p->seg : SEG_DS;
    return INSN_MOVS;
  case 0xaa:
  case 0xab:
    i->seg = SEG_ES;
    return INSN_STOS;
  case 0xc6:
  case 0xc7:
    if (modrm(b, i, p, bits) >> 3 & 7)
      return INSN_NONE;
    immediate(b, i, i->size);
    return INSN_STORE_IMM;
  case 0xf6:
  case 0xf7:
    if ((modrm(b, i, p, bits) >> 3 & 7) > 1)
      return INSN_NONE;
    immediate(b, i, i->size);
    return INSN_TEST;
  case 0xf4: // HLT
    return INSN_OTHER;
  default:
    return INSN_NONE;
  }
}

bool insn_decode(const uint8_t *bytes, unsigned n, unsigned bits, struct insn *i)
{
  struct bytes b = {bytes, n > 15 ? 15 : n, 0, false};
  struct prefix p = {0};
  *i = (struct insn){.base = -1, .index = -1, .scale = 1};
  uint8_t c = prefixes(&b, bits, &p);
  bool small = (bits == 16) != p.operand;
  unsigned size = p.rex & 8 ? 8 : small ? 2 : 4;
  if (bits == 64)
    i->address_size = p.address ? 4 : 8;
  else
    i->address_size = (bits == 16) != p.address ? 2 : 4;
  i->size = i->dest_size = (uint8_t)size;
  i->rep = p.rep;
  i->op = c == 0x0f ? two_bytes(&b, i, &p, bits, size) : one_byte(&b, i, &p, bits, c, size);
  i->length = (uint8_t)b.at;
  return i->op != INSN_NONE && !b.bad;
}
