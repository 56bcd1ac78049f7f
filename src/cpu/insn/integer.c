// Integer instructions that are not hot: multiply and divide, compare and exchange, BCD, ENTER, XLAT, MOVBE.
// APM3 chapter 3.
#include "cpu/insn/integer.h"

#include "cpu/decode.h"
#include "cpu/insn/flags.h"
#include "cpu/insn/move.h"
#include "cpu/mem.h"

static uint64_t size_mask(unsigned osz)
{
  return osz == 3 ? ~0ull : (1ull << (8u << osz)) - 1;
}

// ---- MUL, IMUL with one operand ----

// Values by 128-bit arithmetic; the flags by the same instruction of the host would cost more than they are
// worth: CF = OF = the upper half is significant; SF, ZF, AF and PF are undefined and stay.
static void put_wide(struct cpu *c, unsigned osz, unsigned __int128 p, bool over)
{
  if (osz == 0) {
    REG16(c, RAX * 8) = (uint16_t)p;
  } else {
    reg_set(c, RAX * 8, osz, (uint64_t)p & size_mask(osz));
    reg_set(c, RDX * 8, osz, (uint64_t)(p >> (8u << osz)) & size_mask(osz));
  }
  c->lah = (c->lah & ~1) | over;
  c->of = over;
}

static int64_t sext(uint64_t v, unsigned osz)
{
  unsigned s = 64 - (8u << osz);
  return (int64_t)(v << s) >> s;
}

bool x_mul(struct cpu *c, const struct op *op)
{
  uint64_t v;
  if (!rm_get(c, op, op->osz, &v))
    return false;
  unsigned __int128 p = (unsigned __int128)reg_get(c, RAX * 8, op->osz) * v;
  put_wide(c, op->osz, p, p >> (8u << op->osz) != 0);
  return true;
}

bool x_imul1(struct cpu *c, const struct op *op)
{
  uint64_t v;
  if (!rm_get(c, op, op->osz, &v))
    return false;
  __int128 p = (__int128)sext(reg_get(c, RAX * 8, op->osz), op->osz) * sext(v, op->osz);
  __int128 low = sext((uint64_t)p, op->osz);
  put_wide(c, op->osz, (unsigned __int128)p, p != low);
  return true;
}

// ---- DIV, IDIV ----

// The dividend: AX, or rDX:rAX.
static unsigned __int128 dividend(const struct cpu *c, unsigned osz)
{
  if (osz == 0)
    return REG16(c, RAX * 8);
  return (unsigned __int128)reg_get(c, RDX * 8, osz) << (8u << osz) | reg_get(c, RAX * 8, osz);
}

static void put_quotient(struct cpu *c, unsigned osz, uint64_t q, uint64_t r)
{
  if (osz == 0) {
    REG8(c, RAX * 8) = q;
    REG8(c, RAX * 8 + 1) = r;
  } else {
    reg_set(c, RAX * 8, osz, q);
    reg_set(c, RDX * 8, osz, r);
  }
}

bool x_div(struct cpu *c, const struct op *op)
{
  uint64_t d;
  if (!rm_get(c, op, op->osz, &d))
    return false;
  if (d == 0)
    return raise_vec(c, VEC_DE);
  unsigned __int128 n = dividend(c, op->osz);
  if (likely((uint64_t)(n >> 64) == 0)) {
    uint64_t q = (uint64_t)n / d;
    if (q > size_mask(op->osz))
      return raise_vec(c, VEC_DE);
    put_quotient(c, op->osz, q, (uint64_t)n % d);
    return true;
  }
  if ((uint64_t)(n >> 64) >= d)
    return raise_vec(c, VEC_DE);
  uint64_t q, r;
  __asm__("divq %4" : "=a"(q), "=d"(r) : "0"((uint64_t)n), "1"((uint64_t)(n >> 64)), "r"(d) : "cc");
  put_quotient(c, op->osz, q, r);
  return true;
}

bool x_idiv(struct cpu *c, const struct op *op)
{
  uint64_t v;
  if (!rm_get(c, op, op->osz, &v))
    return false;
  int64_t d = sext(v, op->osz);
  if (d == 0)
    return raise_vec(c, VEC_DE);
  unsigned bits = 16u << op->osz;
  __int128 n = (__int128)(dividend(c, op->osz) << (128 - bits)) >> (128 - bits);
  // The most negative dividend by -1 would trap on the host too.
  if (d == -1) {
    unsigned __int128 q = -(unsigned __int128)n;
    if ((__int128)q != sext((uint64_t)q, op->osz) || (n != 0 && (__int128)q == n))
      return raise_vec(c, VEC_DE);
    put_quotient(c, op->osz, (uint64_t)q, 0);
    return true;
  }
  __int128 q = n / d;
  if (q != sext((uint64_t)q, op->osz))
    return raise_vec(c, VEC_DE);
  put_quotient(c, op->osz, (uint64_t)q, (uint64_t)(n % d));
  return true;
}

// ---- compare and exchange ----

// Loads the destination with the right to write it; *la is its address if it is memory.
static bool rmw_get(struct cpu *c, const struct op *op, unsigned size, uint64_t *la, uint64_t *v)
{
  if (!(op->flags & OPF_MEM)) {
    *v = reg_get(c, op->rm, op->osz);
    return true;
  }
  *la = op_ea(c, op, size, ACC_RW);
  if (c->faulted)
    return false;
  *v = mem_load_rmw(c, op, *la, size);
  return !c->faulted;
}

bool x_cmpxchg(struct cpu *c, const struct op *op)
{
  uint64_t la = 0, v, acc = reg_get(c, RAX * 8, op->osz);
  unsigned size = 1u << op->osz;
  if (!rmw_get(c, op, size, &la, &v))
    return false;
  bool same = v == acc;
  uint64_t put = same ? reg_get(c, op->reg, op->osz) : v;
  if (op->flags & OPF_MEM) {
    if (!op_store(c, op, la, size, put))
      return false;
  } else if (same) {
    reg_set(c, op->rm, op->osz, put);
  }
  flags_cmp(c, op->osz, acc, v);
  if (!same)
    reg_set(c, RAX * 8, op->osz, v);
  return true;
}

bool x_cmpxchg8b(struct cpu *c, const struct op *op)
{
  uint64_t la = op_ea(c, op, 8, ACC_RW), v;
  if (c->faulted)
    return false;
  v = mem_load_rmw(c, op, la, 8);
  if (c->faulted)
    return false;
  uint64_t want = c->r[RDX] << 32 | (uint32_t)c->r[RAX];
  bool same = v == want;
  if (!op_store(c, op, la, 8, same ? c->r[RCX] << 32 | (uint32_t)c->r[RBX] : v))
    return false;
  c->lah = (c->lah & ~0x40) | (same ? 0x40 : 0);
  if (!same) {
    c->r[RAX] = (uint32_t)v;
    c->r[RDX] = v >> 32;
  }
  return true;
}

bool x_cmpxchg16b(struct cpu *c, const struct op *op)
{
  uint64_t la = op_ea(c, op, 16, ACC_RW), v[2];
  if (c->faulted)
    return false;
  if (la & 15)
    return raise_gp(c, 0);
  if (!mem_probe_write(c, op, la, 16) || !mem_read(c, op, la, v, 16))
    return false;
  bool same = v[0] == c->r[RAX] && v[1] == c->r[RDX];
  uint64_t put[2] = {same ? c->r[RBX] : v[0], same ? c->r[RCX] : v[1]};
  if (!mem_write(c, op, la, put, 16))
    return false;
  c->lah = (c->lah & ~0x40) | (same ? 0x40 : 0);
  if (!same) {
    c->r[RAX] = v[0];
    c->r[RDX] = v[1];
  }
  return true;
}

bool x_xadd(struct cpu *c, const struct op *op)
{
  uint64_t la = 0, v, r = reg_get(c, op->reg, op->osz);
  unsigned size = 1u << op->osz;
  if (!rmw_get(c, op, size, &la, &v))
    return false;
  if ((op->flags & OPF_MEM) && !op_store(c, op, la, size, v + r))
    return false;
  flags_add(c, op->osz, v, r);
  reg_set(c, op->reg, op->osz, v);
  if (!(op->flags & OPF_MEM))
    reg_set(c, op->rm, op->osz, v + r);
  return true;
}

// ---- odds and ends ----

bool x_xlat(struct cpu *c, const struct op *op)
{
  uint64_t off = c->r[RBX] + REG8(c, RAX * 8), v;
  off &= size_mask(op->asz);
  uint64_t la = seg_linear(c, op->seg, off, 1, ACC_READ);
  if (c->faulted || !op_load(c, op, la, 1, &v))
    return false;
  REG8(c, RAX * 8) = v;
  return true;
}

bool x_enter(struct cpu *c, const struct op *op)
{
  unsigned osz = c->mode & MODE_CS64 && op->osz == 2 ? 3 : op->osz, size = 1u << osz;
  unsigned level = op->imm >> 16 & 31, bytes = op->imm & 0xffff;
  uint64_t m = near_mask(c), old = c->r[RSP], bp = c->r[RBP], v;
  if (!near_push(c, op, osz, bp))
    return false;
  uint64_t frame = c->r[RSP];
  for (unsigned i = 1; i < level; i++) {
    uint64_t la = seg_linear(c, SEG_SS, (bp - i * size) & m, size, ACC_READ);
    if (c->faulted || !op_load(c, op, la, size, &v) || !near_push(c, op, osz, v))
      goto undo;
  }
  if (level && !near_push(c, op, osz, frame))
    goto undo;
  // The new top must be writable, or the next push would be the one to fault with the frame half made.
  uint64_t top = (c->r[RSP] - bytes) & m;
  uint64_t la = seg_linear(c, SEG_SS, top, size, ACC_WRITE);
  if (c->faulted || !mem_probe_write(c, op, la, size))
    goto undo;
  near_set(c, top);
  reg_set(c, RBP * 8, osz, frame & size_mask(osz));
  return true;
undo:
  c->r[RSP] = old;
  return false;
}

static uint64_t swap(uint64_t v, unsigned osz)
{
  return osz == 1 ? __builtin_bswap16(v) : osz == 2 ? __builtin_bswap32(v) : __builtin_bswap64(v);
}

bool x_movbe(struct cpu *c, const struct op *op)
{
  uint64_t la, v;
  bool store = op->imm; // set by select_movbe
  la = op_ea(c, op, 1u << op->osz, store ? ACC_WRITE : ACC_READ);
  if (c->faulted)
    return false;
  if (store)
    return op_store(c, op, la, 1u << op->osz, swap(reg_get(c, op->reg, op->osz), op->osz));
  if (!op_load(c, op, la, 1u << op->osz, &v))
    return false;
  reg_set(c, op->reg, op->osz, swap(v, op->osz));
  return true;
}

bool select_movbe(struct op *op, const struct op_source *s)
{
  op->imm = s->zo[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
  return false;
}

bool x_movnti(struct cpu *c, const struct op *op)
{
  uint64_t la = op_ea(c, op, 1u << op->osz, ACC_WRITE);
  return !c->faulted && op_store(c, op, la, 1u << op->osz, reg_get(c, op->reg, op->osz));
}

bool x_salc(struct cpu *c, const struct op *op)
{
  REG8(c, RAX * 8) = cpu_cf(c) ? 0xff : 0;
  return true;
}

// ---- decimal arithmetic: the host has none of it in 64-bit mode; APM3 gives the algorithms ----

static void szp(struct cpu *c, uint8_t v, bool cf, bool af)
{
  uint16_t f;
  __asm__("testb %1,%1\n\tlahf" : "=a"(f) : "q"(v) : "cc");
  c->lah = (f >> 8 & 0xc4) | 2 | (af ? 0x10 : 0) | cf;
}

bool x_daa(struct cpu *c, const struct op *op)
{
  uint8_t al = REG8(c, RAX * 8), old = al;
  bool cf = cpu_cf(c) || old > 0x99, af = c->lah & 0x10;
  if ((al & 15) > 9 || af) {
    al += 6; // a carry out of this sets no CF of its own: old is above 0x99 then
    af = true;
  }
  if (cf)
    al += 0x60;
  REG8(c, RAX * 8) = al;
  szp(c, al, cf, af);
  return true;
}

bool x_das(struct cpu *c, const struct op *op)
{
  uint8_t al = REG8(c, RAX * 8), old = al;
  bool cf = cpu_cf(c), af = c->lah & 0x10, new_cf = false;
  if ((al & 15) > 9 || af) {
    new_cf = cf || al < 6;
    al -= 6;
    af = true;
  }
  if (old > 0x99 || cf) {
    al -= 0x60;
    new_cf = true;
  }
  REG8(c, RAX * 8) = al;
  szp(c, al, new_cf, af);
  return true;
}

bool x_aaa(struct cpu *c, const struct op *op)
{
  bool adjust = (REG8(c, RAX * 8) & 15) > 9 || (c->lah & 0x10);
  if (adjust)
    REG16(c, RAX * 8) += 0x106;
  REG8(c, RAX * 8) &= 15;
  c->lah = (c->lah & ~0x11) | (adjust ? 0x11 : 0);
  return true;
}

bool x_aas(struct cpu *c, const struct op *op)
{
  bool adjust = (REG8(c, RAX * 8) & 15) > 9 || (c->lah & 0x10);
  if (adjust) {
    REG16(c, RAX * 8) -= 6;
    REG8(c, RAX * 8 + 1) -= 1;
  }
  REG8(c, RAX * 8) &= 15;
  c->lah = (c->lah & ~0x11) | (adjust ? 0x11 : 0);
  return true;
}

bool x_aam(struct cpu *c, const struct op *op)
{
  uint8_t base = op->imm, al = REG8(c, RAX * 8);
  if (base == 0)
    return raise_vec(c, VEC_DE);
  REG8(c, RAX * 8 + 1) = al / base;
  REG8(c, RAX * 8) = al % base;
  szp(c, al % base, false, false);
  c->of = 0;
  return true;
}

bool x_aad(struct cpu *c, const struct op *op)
{
  uint8_t al = REG8(c, RAX * 8) + REG8(c, RAX * 8 + 1) * (uint8_t)op->imm;
  REG16(c, RAX * 8) = al;
  szp(c, al, false, false);
  c->of = 0;
  return true;
}
