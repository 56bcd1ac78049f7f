// Makes a stub: loads, the instruction encoded anew, stores.
//
// In a stub rdi is struct cpu and rsi the memory operand. Vector registers keep their guest number, rax, rcx
// and rdx too (instructions name them implicitly); other general registers become r8..r10. MMX and x87
// registers are live in the host (fpu.h). Flags go through rax: LAHF and SETO, as in c->fl.
#include <string.h>

#include "cpu/host/code.h"

struct use {
  ZydisRegister hostreg;
  bool read, write;
};

struct plan {
  struct use gpr[20]; // 16..19: AH, CH, DH, BH
  struct use vec[16];
  bool vex, wide; // VEX-encoded vector instruction; 256 bits somewhere
  bool flags_in, flags_out;
  unsigned next; // of the pool
};

static void put(struct emit *e, const void *p, unsigned n)
{
  if (e->len + n <= sizeof e->code) {
    memcpy(e->code + e->len, p, n);
    e->len += n;
  } else {
    e->len = sizeof e->code + 1; // found at the end
  }
}
#define PUT(e, ...)                                                                                          \
  do {                                                                                                       \
    const uint8_t b_[] = {__VA_ARGS__};                                                                      \
    put((e), b_, sizeof b_);                                                                                 \
  } while (0)

static void put32(struct emit *e, uint32_t v)
{
  put(e, &v, 4);
}

// mov between a 64-bit host register and c->r[guest].
static void put_gpr(struct emit *e, bool store, unsigned hostid, unsigned guest)
{
  PUT(e, 0x48 | (hostid & 8) >> 1, store ? 0x89 : 0x8b, 0x47 | (hostid & 7) << 3, guest * 8);
}

// movups or vmovups between xmm/ymm n and c->v[n].
static void put_vec(struct emit *e, const struct plan *p, bool store, unsigned n)
{
  if (p->vex)
    PUT(e, 0xc5, (n & 8 ? 0x78 : 0xf8) | (p->wide || store ? 4 : 0), store ? 0x11 : 0x10,
        0x87 | (n & 7) << 3);
  else if (n & 8)
    PUT(e, 0x44, 0x0f, store ? 0x11 : 0x10, 0x87 | (n & 7) << 3);
  else
    PUT(e, 0x0f, store ? 0x11 : 0x10, 0x87 | (n & 7) << 3);
  put32(e, offsetof(struct cpu, v) + n * 32);
}

static ZydisRegister same_width(ZydisRegisterClass class, unsigned id)
{
  return ZydisRegisterEncode(class, id);
}

// Notes a general register operand and gives it a host register; returns the number or -1.
static int plan_gpr(struct plan *p, ZydisRegister r, bool read, bool write, bool implicit)
{
  ZydisRegister full = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);
  int guest = ZydisRegisterGetId(full);
  if (guest < 0 || guest > 15 || (implicit && guest > RDX))
    return -1;
  bool high = r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH;
  if (high && write)
    return -1;
  struct use *u = &p->gpr[high ? 16 + guest : guest];
  if (!u->hostreg) {
    unsigned id = guest <= RDX && !high ? (unsigned)guest : 8 + p->next++;
    if (id > 10)
      return -1;
    u->hostreg = ZYDIS_REGISTER_RAX + id;
  }
  u->read |= read;
  u->write |= write;
  return u->hostreg - ZYDIS_REGISTER_RAX;
}

// Collects what is read and written, and rewrites the operands of the request. False: not for us.
static bool make_plan(struct plan *p, ZydisEncoderRequest *rq, const ZydisDecodedInstruction *zi,
                      const ZydisDecodedOperand *zo)
{
  memset(p, 0, sizeof *p);
  unsigned ex = 0; // explicit operands come first in both lists
  for (unsigned i = 0; i < zi->operand_count; i++) {
    const ZydisDecodedOperand *o = &zo[i];
    bool read = o->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
    bool write = o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
    bool partial = o->actions & (ZYDIS_OPERAND_ACTION_CONDREAD | ZYDIS_OPERAND_ACTION_CONDWRITE);
    bool visible = o->visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN && i < rq->operand_count;
    ZydisEncoderOperand *eo = visible ? &rq->operands[ex++] : NULL;
    if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
      if (!eo || o->mem.type != ZYDIS_MEMOP_TYPE_MEM || eo->type != ZYDIS_OPERAND_TYPE_MEMORY)
        return false;
      eo->mem.base = ZYDIS_REGISTER_RSI;
      eo->mem.index = ZYDIS_REGISTER_NONE;
      eo->mem.scale = 0;
      eo->mem.displacement = 0;
      continue;
    }
    if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
      continue;
    ZydisRegister r = o->reg.value;
    ZydisRegisterClass class = ZydisRegisterGetClass(r);
    int id = ZydisRegisterGetId(r);
    switch (class) {
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM:
      if (id < 0 || id > 15)
        return false;
      if (class == ZYDIS_REGCLASS_YMM)
        p->wide = true;
      // Legacy forms may leave parts of the destination alone.
      p->vec[id].read |= read || partial || zi->encoding != ZYDIS_INSTRUCTION_ENCODING_VEX;
      p->vec[id].write |= write;
      p->vec[id].hostreg = r;
      break;
    case ZYDIS_REGCLASS_GPR8:
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64: {
      bool implicit = o->visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT;
      bool keep = partial || class == ZYDIS_REGCLASS_GPR16 || class == ZYDIS_REGCLASS_GPR8;
      int host = plan_gpr(p, r, read || keep, write, implicit);
      if (host < 0)
        return false;
      if (!eo)
        break;
      if (class == ZYDIS_REGCLASS_GPR8) // al, cl, dl, r8b..r10b
        eo->reg.value = host < 4 ? ZYDIS_REGISTER_AL + host : ZYDIS_REGISTER_R8B + (host - 8);
      else
        eo->reg.value = same_width(class, host);
      break;
    }
    case ZYDIS_REGCLASS_FLAGS: // its actions are not reliable (ADCX)
    case ZYDIS_REGCLASS_X87:
    case ZYDIS_REGCLASS_MMX:
      break;
    default:
      if (r == ZYDIS_REGISTER_X87STATUS || r == ZYDIS_REGISTER_X87CONTROL || r == ZYDIS_REGISTER_X87TAG ||
          r == ZYDIS_REGISTER_MXCSR)
        break;
      return false;
    }
  }
  if (zi->cpu_flags) {
    const ZydisAccessedFlags *f = zi->cpu_flags;
    p->flags_out = (f->modified | f->set_0 | f->set_1 | f->undefined) & FL_ARITH;
    p->flags_in = p->flags_out || (f->tested & FL_ARITH); // what the instruction leaves alone must be there
  }
  for (int i = 0; i < 16; i++)
    p->vex |= p->vec[i].hostreg != 0 && zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
  return true;
}

// Encodes, then decodes the result and compares: nothing else than the instruction asked for may come out.
static bool encode(struct host_code *h, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo,
                   ZydisEncoderRequest *rq, uint8_t *code, ZyanUSize *len)
{
  static const ZydisOperandSizeHint hints[] = {ZYDIS_OPERAND_SIZE_HINT_NONE, ZYDIS_OPERAND_SIZE_HINT_64,
                                               ZYDIS_OPERAND_SIZE_HINT_32};
  ZydisOperandSizeHint given = rq->operand_size_hint;
  for (unsigned t = 0; t < 3; t++) {
    rq->operand_size_hint = t ? hints[t] : given;
    *len = 15;
    if (ZYAN_FAILED(ZydisEncoderEncodeInstruction(rq, code, len)))
      continue;
    ZydisDecodedInstruction di;
    ZydisDecodedOperand dq[ZYDIS_MAX_OPERAND_COUNT];
    if (ZYAN_FAILED(ZydisDecoderDecodeFull(&h->decoder, code, *len, &di, dq)))
      continue;
    bool same = di.mnemonic == zi->mnemonic && di.length == *len && di.operand_count == zi->operand_count &&
                di.encoding == zi->encoding && host_has(h, di.meta.isa_set);
    for (unsigned i = 0; same && i < di.operand_count; i++) {
      const ZydisDecodedOperand *a = &zo[i], *b = &dq[i];
      same = a->type == b->type && a->actions == b->actions;
      if (!same)
        break;
      if (b->type == ZYDIS_OPERAND_TYPE_MEMORY) {
        same = a->size == b->size && b->mem.base == ZYDIS_REGISTER_RSI &&
               b->mem.index == ZYDIS_REGISTER_NONE && b->mem.type == ZYDIS_MEMOP_TYPE_MEM &&
               b->mem.disp.value == 0 && b->mem.segment == ZYDIS_REGISTER_DS;
      } else if (b->type == ZYDIS_OPERAND_TYPE_REGISTER) {
        ZydisRegisterClass class = ZydisRegisterGetClass(b->reg.value);
        if (class == ZYDIS_REGCLASS_FLAGS)
          continue;
        same = class == ZydisRegisterGetClass(a->reg.value);
        bool gpr = class == ZYDIS_REGCLASS_GPR8 || class == ZYDIS_REGCLASS_GPR16 ||
                   class == ZYDIS_REGCLASS_GPR32 || class == ZYDIS_REGCLASS_GPR64;
        if (gpr) // of those, only what the stub may touch
          same &= ZydisRegisterGetId(
                      ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, b->reg.value)) <= 2 ||
                  ZydisRegisterGetId(
                      ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, b->reg.value)) >= 8;
        else
          same &= a->reg.value == b->reg.value;
      } else if (b->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        same = (uint8_t)a->imm.value.u == (uint8_t)b->imm.value.u;
      }
    }
    if (same)
      return true;
  }
  return false;
}

const void *stub_make(struct host_code *h, const ZydisDecodedInstruction *zi, const ZydisDecodedOperand *zo,
                      enum stub_end end)
{
  ZydisEncoderRequest rq;
  if (ZYAN_FAILED(ZydisEncoderDecodedInstructionToEncoderRequest(zi, zo, zi->operand_count_visible, &rq)))
    return NULL;
  rq.machine_mode = ZYDIS_MACHINE_MODE_LONG_64;
  rq.prefixes = 0;
  rq.address_size_hint = ZYDIS_ADDRESS_SIZE_HINT_NONE;
  rq.allowed_encodings = zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX ? ZYDIS_ENCODABLE_ENCODING_VEX
                                                                        : ZYDIS_ENCODABLE_ENCODING_LEGACY;
  struct plan p;
  uint8_t code[16];
  ZyanUSize len;
  if (!make_plan(&p, &rq, zi, zo) || !encode(h, zi, zo, &rq, code, &len))
    return NULL;

  struct emit e = {.len = 0};
  if (p.flags_in) {
    PUT(&e, 0x0f, 0xb7, 0x87); // movzx eax, word [rdi + fl]
    put32(&e, offsetof(struct cpu, fl));
    PUT(&e, 0x04, 0x7f, 0x9e); // add al, 127 (OF = al); sahf
  }
  for (unsigned i = 0; i < 20; i++)
    if (p.gpr[i].read) {
      unsigned id = p.gpr[i].hostreg - ZYDIS_REGISTER_RAX;
      if (i >= 16) // movzx r32, byte [rdi + i * 8 + 1]
        PUT(&e, 0x40 | (id & 8) >> 1, 0x0f, 0xb6, 0x47 | (id & 7) << 3, (i - 16) * 8 + 1);
      else
        put_gpr(&e, false, id, i);
    }
  for (unsigned i = 0; i < 16; i++)
    if (p.vec[i].read)
      put_vec(&e, &p, false, i);
  put(&e, code, len);
  for (unsigned i = 0; i < 16; i++)
    if (p.vec[i].write)
      put_vec(&e, &p, true, i);
  for (unsigned i = 0; i < 16; i++)
    if (p.gpr[i].write)
      put_gpr(&e, true, p.gpr[i].hostreg - ZYDIS_REGISTER_RAX, i);
  if (p.flags_out) {
    PUT(&e, 0x9f, 0x0f, 0x90, 0xc0, 0x66, 0x89, 0x87); // lahf; seto al; mov [rdi + fl], ax
    put32(&e, offsetof(struct cpu, fl));
  }
  if (p.vex)
    PUT(&e, 0xc5, 0xf8, 0x77); // vzeroupper: the program around uses SSE
  if (end == STUB_NEXT)
    PUT(&e, 0x48, 0x83, 0xc6, sizeof(struct op), 0xff, 0x26); // add rsi, 32; jmp [rsi]
  else
    PUT(&e, 0xc3);
  return e.len <= sizeof e.code ? host_code_add(h, &e) : NULL;
}
