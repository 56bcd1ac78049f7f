// Ops within a block; see run.h.
#include "engine/jit/run.h"

// ---- the same instruction with other registers ----

struct form {
  unsigned opcode; // with its map: 0x0fXX
  unsigned ext;    // ModRM.reg if there is no register in it
  int reg, rm;     // registers of the guest in ModRM.reg and ModRM.rm; -1: none
  bool reg_read, reg_write, rm_read, rm_write;
  bool by_cl;
};

static unsigned bytes_of(const ZydisDecodedOperand *o)
{
  return o->size / 8;
}

// A register that is written in part is read, too.
static void role(const struct jit_op *n, const ZydisDecodedOperand *o, int *reg, bool *read, bool *write)
{
  *reg = jit_guest_reg(o);
  *write = jit_writes(o);
  *read = (o->actions & ZYDIS_OPERAND_ACTION_MASK_READ) || (*write && o->size < 32) ||
          n->zi.meta.category == ZYDIS_CATEGORY_CMOV;
}

// Forms with AL, AX, EAX or RAX, or with a register in the opcode, become those with a ModRM byte.
static void general_form(const struct jit_op *n, struct form *f)
{
  unsigned op = n->zi.opcode;
  if (n->zi.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT) {
    f->opcode = 0x0f00 | op;
  } else if (op < 0x40 && (op & 7) >= 4) {
    f->opcode = 0x80 | (op & 1);
    f->ext = op >> 3;
  } else if (op == 0xa8 || op == 0xa9) {
    f->opcode = 0xf6 | (op & 1);
    f->ext = 0;
  } else if (op >= 0xb0 && op <= 0xbf) {
    f->opcode = op < 0xb8 ? 0xc6 : 0xc7;
    f->ext = 0;
  }
}

static struct form form_of(const struct jit_op *n)
{
  struct form f = {.opcode = n->zi.opcode, .ext = n->zi.raw.modrm.reg, .reg = -1, .rm = -1};
  for (unsigned i = 0; i < n->zi.operand_count_visible; i++) {
    const ZydisDecodedOperand *o = &n->zo[i];
    if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
      continue;
    if (o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG)
      role(n, o, &f.reg, &f.reg_read, &f.reg_write);
    else if (i == 1 && o->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM)
      f.by_cl = true;
    else
      role(n, o, &f.rm, &f.rm_read, &f.rm_write);
  }
  general_form(n, &f);
  return f;
}

// Handlers shift by CL. What is undefined then (OF, and CF of counts beyond the operand) need not be the same
// with a constant; so if somebody sees the flags, the constant goes to CL.
static bool shift_by_cl(const struct jit_op *n, struct form *f)
{
  if (!n->keep || n->kills != JIT_ALL || n->op->imm == 1 || n->zi.meta.category != ZYDIS_CATEGORY_SHIFT)
    return false;
  f->opcode = 0xd2 | (f->opcode & 1);
  return true;
}

// The largest constant is the 64-bit one of MOV, which has a form of its own.
static void constants(struct as *a, const struct jit_op *n)
{
  for (unsigned i = 0; i < 2; i++)
    if (n->zi.raw.imm[i].size)
      as_bytes(a, n->bytes + n->zi.raw.imm[i].offset, n->zi.raw.imm[i].size / 8u);
}

static void plain(struct run *r, const struct jit_op *n)
{
  struct as *a = &r->as;
  struct form f = form_of(n);
  const ZydisDecodedOperand *m = jit_memory(n);
  bool cl = f.by_cl, inc = n->zi.mnemonic == ZYDIS_MNEMONIC_INC || n->zi.mnemonic == ZYDIS_MNEMONIC_DEC;
  if (n->zi.raw.imm[0].size == 64) {
    as_imm64(a, run_def(r, (unsigned)f.rm), (uint64_t)n->op->imm);
    run_wrote(r, (unsigned)f.rm);
    return;
  }
  bool constant_cl = shift_by_cl(n, &f);
  struct place at = {0};
  if (m)
    at = run_access(r, n, JIT_OPERAND);
  // Those that are read come first: one that is only written may be the same.
  if (f.reg >= 0 && f.reg_read)
    run_get(r, (unsigned)f.reg);
  if (f.rm >= 0 && f.rm_read)
    run_get(r, (unsigned)f.rm);
  unsigned reg = f.reg >= 0 ? run_def(r, (unsigned)f.reg) : f.ext;
  unsigned rm = m ? at.base : run_def(r, (unsigned)f.rm);
  if (cl)
    as_mov(a, H_RCX, run_get(r, RCX));
  if (constant_cl)
    as_imm64(a, H_RCX, (uint64_t)n->op->imm);
  if (n->reads || (n->keep && (cl || inc)))
    run_flags_in(r);
  // Zydis' size of the first operand is that of the operation; MOVZX and MOVSX have another one for the
  // second.
  unsigned size = bytes_of(&n->zo[0]);
  bool byte = false;
  for (unsigned i = 0; i < n->zi.operand_count_visible; i++)
    byte |= n->zo[i].type == ZYDIS_OPERAND_TYPE_REGISTER && n->zo[i].size == 8;
  if (size == 2)
    as_8(a, 0x66);
  as_rex(a, size == 8, f.reg >= 0 ? reg : 0, H_NONE, rm, byte);
  as_opcode(a, f.opcode);
  if (m)
    as_memory(a, reg, at.base, H_NONE, 0, at.disp);
  else
    as_8(a, 0xc0 | (reg & 7) << 3 | (rm & 7));
  if (!constant_cl)
    constants(a, n);
  if (f.reg >= 0 && f.reg_write)
    run_wrote(r, (unsigned)f.reg);
  if (f.rm >= 0 && f.rm_write)
    run_wrote(r, (unsigned)f.rm);
  if (n->writes && !inc) // those keep CF, right or wrong
    r->flags = n->kills == JIT_ALL || n->keep;
  if (n->keep)
    run_flags_out(r);
}

// ---- others ----

static void lea(struct run *r, const struct jit_op *n)
{
  const struct op *op = n->op;
  unsigned base = op->base == REG_ZERO * 8 ? H_NONE : run_get(r, op->base / 8);
  unsigned index = op->idx == REG_ZERO * 8 ? H_NONE : run_get(r, op->idx / 8);
  unsigned to = run_def(r, op->reg / 8);
  as_lea(&r->as, op->osz == 3, to, base, index, op->shift, op->disp);
  run_wrote(r, op->reg / 8);
}

static void wide(struct run *r, const struct jit_op *n)
{
  struct as *a = &r->as;
  unsigned from = run_get(r, RAX);
  bool quad = n->zi.mnemonic == ZYDIS_MNEMONIC_CQO;
  switch (n->zi.mnemonic) {
  case ZYDIS_MNEMONIC_CWDE:
    as_rr(a, false, 0x0fbf, from, from);
    run_wrote(r, RAX);
    return;
  case ZYDIS_MNEMONIC_CDQE:
    as_rr(a, true, 0x63, from, from);
    run_wrote(r, RAX);
    return;
  default: { // CDQ, CQO
    unsigned to = run_def(r, RDX);
    as_rr(a, quad, 0x8b, to, from);
    as_shift(a, quad, 7, to, quad ? 63 : 31);
    r->flags = false;
    run_wrote(r, RDX);
  }
  }
}

static void bswap(struct run *r, const struct jit_op *n)
{
  unsigned g = n->op->reg / 8, h = run_get(r, g);
  as_rex(&r->as, n->zo[0].size == 64, 0, H_NONE, h, false);
  as_8(&r->as, 0x0f);
  as_8(&r->as, 0xc8 | (h & 7));
  run_wrote(r, g);
}

static void xchg(struct run *r, const struct jit_op *n)
{
  struct as *a = &r->as;
  const ZydisDecodedOperand *m = jit_memory(n);
  bool w = n->zo[0].size == 64;
  unsigned g = (unsigned)jit_guest_reg(&n->zo[n->zo[0].type == ZYDIS_OPERAND_TYPE_MEMORY]);
  if (m) {
    struct place at = run_access(r, n, JIT_OPERAND);
    unsigned h = run_get(r, g);
    as_rm(a, w, 0x8b, H_RAX, at.base, at.disp);
    as_rm(a, w, 0x89, h, at.base, at.disp);
    as_mov(a, h, H_RAX);
    run_wrote(r, g);
    return;
  }
  unsigned g2 = (unsigned)jit_guest_reg(&n->zo[1]), h = run_get(r, g), h2 = run_get(r, g2);
  as_rr(a, w, 0x8b, H_RAX, h);
  as_rr(a, w, 0x8b, h, h2);
  as_rr(a, w, 0x8b, h2, H_RAX);
  run_wrote(r, g);
  run_wrote(r, g2);
}

static void push(struct run *r, const struct jit_op *n)
{
  struct as *a = &r->as;
  const ZydisDecodedOperand *o = &n->zo[0];
  bool memory = o->type == ZYDIS_OPERAND_TYPE_MEMORY;
  if (memory) {
    struct place from = run_access(r, n, JIT_OPERAND);
    as_load(a, H_RSI, from.base, from.disp);
  }
  struct place to = run_access(r, n, JIT_STACK);
  unsigned sp = run_get(r, RSP);
  if (o->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
    as_rm(a, true, 0xc7, 0, to.base, to.disp);
    as_32(a, (uint32_t)n->op->imm);
  } else {
    as_store(a, memory ? (unsigned)H_RSI : run_get(r, n->op->reg / 8), to.base, to.disp);
  }
  as_lea(a, true, sp, sp, H_NONE, 0, -8);
  run_wrote(r, RSP);
}

// POP rSP: the value that is popped counts.
static void pop(struct run *r, const struct jit_op *n)
{
  struct as *a = &r->as;
  struct place from = run_access(r, n, JIT_STACK);
  unsigned sp = run_get(r, RSP);
  as_lea(a, true, sp, sp, H_NONE, 0, 8);
  run_wrote(r, RSP);
  as_load(a, run_def(r, n->op->reg / 8), from.base, from.disp);
  run_wrote(r, n->op->reg / 8);
}

static void leave(struct run *r, const struct jit_op *n)
{
  struct as *a = &r->as;
  struct place from = run_access(r, n, JIT_STACK);
  unsigned bp = run_get(r, RBP);
  as_lea(a, true, run_def(r, RSP), bp, H_NONE, 0, 8);
  run_wrote(r, RSP);
  as_load(a, bp, from.base, from.disp);
  run_wrote(r, RBP);
}

void run_op(struct run *r, const struct jit_op *n)
{
  run_next(r, n);
  switch (n->kind) {
  case JIT_PLAIN:
    plain(r, n);
    break;
  case JIT_LEA:
    lea(r, n);
    break;
  case JIT_WIDE:
    wide(r, n);
    break;
  case JIT_BSWAP:
    bswap(r, n);
    break;
  case JIT_XCHG:
    xchg(r, n);
    break;
  case JIT_PUSH:
    push(r, n);
    break;
  case JIT_POP:
    pop(r, n);
    break;
  case JIT_LEAVE:
    leave(r, n);
    break;
  default:
    break;
  }
}
