// Control and environment of the x87 unit, MXCSR, FXSAVE and FXRSTOR. APM1 6.2, 11.4; APM5.
//
// All work on c->fx: fpu_sync makes it current before it is stored, fpu_take before it is loaded. A load
// checks and reads everything before it changes anything.
#include "cpu/insn/fpstate.h"

#include <string.h>

#include "cpu/fpu.h"
#include "cpu/mem.h"
#include "cpu/model.h"

bool fpstate_x87(struct cpu *c, bool waits)
{
  if (c->cr0 & (CR0_EM | CR0_TS))
    return raise_vec(c, VEC_NM);
  return !waits || fpu_wait(c);
}

// Bits 15:13 and 7 of the control word do not exist; bit 6 is always set.
static uint16_t fcw_fix(uint16_t v)
{
  return (v & 0x1f3f) | 0x40;
}

bool x_fninit(struct cpu *c, const struct op *op)
{
  if (!fpstate_x87(c, false))
    return false;
  fpu_init(c);
  return true;
}

bool x_fnclex(struct cpu *c, const struct op *op)
{
  if (!fpstate_x87(c, false))
    return false;
  fpu_clear_flags(c);
  return true;
}

bool x_fnop87(struct cpu *c, const struct op *op)
{
  return fpstate_x87(c, false);
}

bool x_fldcw(struct cpu *c, const struct op *op)
{
  if (!fpstate_x87(c, true))
    return false;
  uint64_t v, la = op_ea(c, op, 2, ACC_READ);
  if (c->faulted || !op_load(c, op, la, 2, &v))
    return false;
  fpu_set_fcw(c, fcw_fix(v));
  fpu_ferr(c);
  return true;
}

static bool store16(struct cpu *c, const struct op *op, uint16_t v)
{
  uint64_t la = op_ea(c, op, 2, ACC_WRITE);
  return !c->faulted && op_store(c, op, la, 2, v);
}

bool x_fnstcw(struct cpu *c, const struct op *op)
{
  return fpstate_x87(c, false) && store16(c, op, c->fx.fcw);
}

bool x_fnstsw(struct cpu *c, const struct op *op)
{
  if (!fpstate_x87(c, false))
    return false;
  if (op->flags & OPF_MEM)
    return store16(c, op, fpu_fsw(c));
  REG16(c, RAX * 8) = fpu_fsw(c);
  return true;
}

bool x_fwait(struct cpu *c, const struct op *op)
{
  if ((c->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
    return raise_vec(c, VEC_NM);
  return fpu_wait(c);
}

bool x_emms(struct cpu *c, const struct op *op)
{
  if (c->cr0 & CR0_EM)
    return raise_ud(c);
  if (!fpstate_x87(c, true))
    return false;
  if (c->x87_live) {
    __asm__ volatile("emms");
  } else {
    fpu_top_zero(c);
    c->fx.ftw = 0;
  }
  return true;
}

// ---- FNSTENV, FLDENV, FNSAVE, FRSTOR ----

// The two-bit tags, as FNSTENV stores them, from the registers. APM1 6.2.2.
static uint16_t full_tags(const struct cpu *c)
{
  unsigned top = c->fx.fsw >> 11 & 7;
  uint16_t tags = 0;
  for (unsigned i = 0; i < 8; i++) {
    unsigned tag = 0;
    uint64_t m;
    uint16_t e;
    memcpy(&m, c->fx.st[(i - top) & 7], 8);
    memcpy(&e, c->fx.st[(i - top) & 7] + 8, 2);
    e &= 0x7fff;
    if (!(c->fx.ftw >> i & 1))
      tag = 3;
    else if (e == 0 && m == 0)
      tag = 1;
    else if (e == 0 || e == 0x7fff || !(m >> 63))
      tag = 2;
    tags |= tag << (2 * i);
  }
  return tags;
}

static uint8_t short_tags(uint16_t tags)
{
  uint8_t t = 0;
  for (unsigned i = 0; i < 8; i++)
    t |= ((tags >> (2 * i) & 3) != 3) << i;
  return t;
}

// Words are 2 bytes with a 16-bit operand size, else 4.
static unsigned env_size(const struct op *op)
{
  return op->osz == 1 ? 14 : 28;
}

static void env_put(const struct cpu *c, const struct op *op, uint8_t *buf)
{
  uint32_t ip = c->fx.fip, dp = c->fx.fdp;
  uint16_t cs = c->mode & MODE_CS64 ? 0 : c->fx.fip >> 32, ds = c->mode & MODE_CS64 ? 0 : c->fx.fdp >> 32;
  uint32_t w[7] = {c->fx.fcw, c->fx.fsw, full_tags(c)};
  bool wide = op->osz != 1;
  if (cpu_protected(c)) {
    w[3] = ip;
    w[4] = wide ? cs | (uint32_t)(c->fx.fop & 0x7ff) << 16 : cs;
    w[5] = dp;
    w[6] = ds;
  } else {
    ip += cs << 4;
    dp += ds << 4;
    w[3] = ip & 0xffff;
    w[4] = (wide ? (ip >> 16 & 0xffff) << 12 : (ip >> 16 & 0xf) << 12) | (c->fx.fop & 0x7ff);
    w[5] = dp & 0xffff;
    w[6] = wide ? (dp >> 16 & 0xffff) << 12 : (dp >> 16 & 0xf) << 12;
  }
  for (unsigned i = 0; i < 7; i++) {
    if (wide) {
      uint32_t v = i < 3 || i == 6 ? w[i] | (i < 3 || cpu_protected(c) ? 0xffff0000u : 0) : w[i];
      if (!cpu_protected(c) && (i == 3 || i == 5))
        v |= 0xffff0000u;
      memcpy(buf + i * 4, &v, 4);
    } else {
      uint16_t v = w[i];
      memcpy(buf + i * 2, &v, 2);
    }
  }
}

// Loads the environment into c->fx (which is the truth then); c->fx.st is still relative to the old top.
static void env_get(struct cpu *c, const struct op *op, const uint8_t *buf)
{
  uint32_t w[7] = {0};
  bool wide = op->osz != 1;
  for (unsigned i = 0; i < 7; i++)
    memcpy(&w[i], buf + i * (wide ? 4 : 2), wide ? 4 : 2);
  uint64_t ip, dp;
  if (cpu_protected(c)) {
    ip = w[3] | (uint64_t)(w[4] & 0xffff) << 32;
    dp = w[5] | (uint64_t)(w[6] & 0xffff) << 32;
    if (wide)
      c->fx.fop = w[4] >> 16 & 0x7ff;
  } else {
    ip = (w[3] & 0xffff) | (uint64_t)(w[4] >> 12 & (wide ? 0xffff : 0xf)) << 16;
    dp = (w[5] & 0xffff) | (uint64_t)(w[6] >> 12 & (wide ? 0xffff : 0xf)) << 16;
    c->fx.fop = w[4] & 0x7ff;
  }
  c->fx.fip = ip;
  c->fx.fdp = dp;
  c->fx.fsw = w[1] & ~(FSW_ES | FSW_B);
  c->fx.ftw = short_tags(w[2]);
  fpu_set_fcw(c, fcw_fix(w[0])); // works out ES
}

bool x_fnstenv(struct cpu *c, const struct op *op)
{
  uint8_t buf[28];
  if (!fpstate_x87(c, false))
    return false;
  fpu_sync(c);
  env_put(c, op, buf);
  uint64_t la = op_ea(c, op, env_size(op), ACC_WRITE);
  if (c->faulted || !mem_write(c, op, la, buf, env_size(op)))
    return false;
  fpu_set_fcw(c, c->fx.fcw | FE_ALL);
  fpu_ferr(c);
  return true;
}

bool x_fldenv(struct cpu *c, const struct op *op)
{
  uint8_t buf[28];
  if (!fpstate_x87(c, true))
    return false;
  uint64_t la = op_ea(c, op, env_size(op), ACC_READ);
  if (c->faulted || !mem_read(c, op, la, buf, env_size(op)))
    return false;
  fpu_take(c);
  // The registers stay where they are physically, so relative to a new top they move.
  uint8_t phys[8][16];
  unsigned top = c->fx.fsw >> 11 & 7;
  for (unsigned i = 0; i < 8; i++)
    memcpy(phys[(i + top) & 7], c->fx.st[i], 16);
  env_get(c, op, buf);
  top = c->fx.fsw >> 11 & 7;
  for (unsigned i = 0; i < 8; i++)
    memcpy(c->fx.st[i], phys[(i + top) & 7], 16);
  fpu_ferr(c);
  return true;
}

bool x_fnsave(struct cpu *c, const struct op *op)
{
  uint8_t buf[108];
  unsigned n = env_size(op);
  if (!fpstate_x87(c, false))
    return false;
  fpu_sync(c);
  env_put(c, op, buf);
  for (unsigned i = 0; i < 8; i++)
    memcpy(buf + n + i * 10, c->fx.st[i], 10);
  uint64_t la = op_ea(c, op, n + 80, ACC_WRITE);
  if (c->faulted || !mem_write(c, op, la, buf, n + 80))
    return false;
  fpu_init(c);
  return true;
}

bool x_frstor(struct cpu *c, const struct op *op)
{
  uint8_t buf[108];
  unsigned n = env_size(op);
  if (!fpstate_x87(c, true))
    return false;
  uint64_t la = op_ea(c, op, n + 80, ACC_READ);
  if (c->faulted || !mem_read(c, op, la, buf, n + 80))
    return false;
  fpu_take(c);
  env_get(c, op, buf);
  memset(c->fx.st, 0, sizeof c->fx.st);
  for (unsigned i = 0; i < 8; i++)
    memcpy(c->fx.st[i], buf + n + i * 10, 10);
  fpu_ferr(c);
  return true;
}

// ---- MXCSR ----

static bool mxcsr_allowed(struct cpu *c, const struct op *op)
{
  if (op->flags & OPF_VEX ? c->mode & MODE_NO_AVX : (c->cr0 & CR0_EM) || !(c->cr4 & CR4_OSFXSR))
    return raise_ud(c);
  return c->cr0 & CR0_TS ? raise_vec(c, VEC_NM) : true;
}

bool x_ldmxcsr(struct cpu *c, const struct op *op)
{
  if (!mxcsr_allowed(c, op))
    return false;
  uint64_t v, la = op_ea(c, op, 4, ACC_READ);
  if (c->faulted || !op_load(c, op, la, 4, &v))
    return false;
  if (v & ~(uint64_t)fpu_mxcsr_mask(c))
    return raise_gp(c, 0);
  fpu_set_mxcsr(c, v);
  return true;
}

bool x_stmxcsr(struct cpu *c, const struct op *op)
{
  if (!mxcsr_allowed(c, op))
    return false;
  uint64_t la = op_ea(c, op, 4, ACC_WRITE);
  return !c->faulted && op_store(c, op, la, 4, fpu_mxcsr(c));
}

// ---- FXSAVE, FXRSTOR ----

void fpstate_put_pointers(const struct cpu *c, uint8_t *image, bool wide)
{
  uint64_t ip = c->fx.fip, dp = c->fx.fdp;
  if (!wide && (c->mode & MODE_CS64)) { // the upper halves are no selectors
    ip = (uint32_t)ip;
    dp = (uint32_t)dp;
  }
  memcpy(image + 6, &c->fx.fop, 2);
  memcpy(image + 8, &ip, 8);
  memcpy(image + 16, &dp, 8);
}

void fpstate_get_pointers(struct cpu *c, const uint8_t *image, bool wide)
{
  memcpy(&c->fx.fop, image + 6, 2);
  memcpy(&c->fx.fip, image + 8, 8);
  memcpy(&c->fx.fdp, image + 16, 8);
  c->fx.fop &= 0x7ff;
  if (!wide) {
    c->fx.fip &= 0xffffffffffffull;
    c->fx.fdp &= 0xffffffffffffull;
  }
}

// Which XMM registers FXSAVE moves: none without CR4.OSFXSR, nor with EFER.FFXSR at CPL 0 in 64-bit mode.
static unsigned fx_xmm(const struct cpu *c)
{
  if (!(c->cr4 & CR4_OSFXSR))
    return 0;
  if (!(c->mode & MODE_CS64))
    return 8;
  return (c->efer & EFER_FFXSR) && c->cpl == 0 ? 0 : 16;
}

// AMD's processors save and load the pointers only while an exception is pending, until the feature
// XSaveErPtr: then the pointers are always there, zero if none is pending. APM2 11.4.4.3.
static bool always_pointers(const struct cpu *c)
{
  return c->model && model_has(c->model, FEAT_XSAVEERPTR);
}

static bool fx_address(struct cpu *c, const struct op *op, enum access acc, uint64_t *la)
{
  if (!fpstate_x87(c, false))
    return false;
  *la = op_ea(c, op, 512, acc);
  if (c->faulted)
    return false;
  return *la & 15 ? raise_gp(c, 0) : true;
}

static bool fxsave(struct cpu *c, const struct op *op, bool wide)
{
  uint64_t la;
  alignas(16) uint8_t buf[416] = {0};
  if (!fx_address(c, op, ACC_WRITE, &la) || !mem_probe_write(c, op, la, 512))
    return false;
  fpu_sync(c);
  memcpy(buf, &c->fx, 6);
  bool pending = c->fx.fsw & FSW_ES;
  if (pending)
    fpstate_put_pointers(c, buf, wide);
  unsigned xmm = fx_xmm(c);
  if (c->cr4 & CR4_OSFXSR) {
    uint32_t mask = fpu_mxcsr_mask(c);
    memcpy(buf + 24, &c->fx.mxcsr, 4);
    memcpy(buf + 28, &mask, 4);
  }
  memcpy(buf + 32, c->fx.st, 128);
  for (unsigned i = 0; i < xmm; i++)
    memcpy(buf + 160 + i * 16, c->v[i], 16);
  if (pending || always_pointers(c))
    return mem_write(c, op, la, buf, 160 + xmm * 16);
  unsigned from = c->cr4 & CR4_OSFXSR ? 24 : 32; // what is not stored stays as it is
  return mem_write(c, op, la, buf, 6) && mem_write(c, op, la + from, buf + from, 160 - from + xmm * 16);
}

bool x_fxsave(struct cpu *c, const struct op *op)
{
  return fxsave(c, op, false);
}
bool x_fxsave64(struct cpu *c, const struct op *op)
{
  return fxsave(c, op, true);
}

static bool fxrstor(struct cpu *c, const struct op *op, bool wide)
{
  uint64_t la;
  alignas(16) uint8_t buf[512];
  if (!fx_address(c, op, ACC_READ, &la) || !mem_read(c, op, la, buf, 512))
    return false;
  uint32_t mxcsr;
  memcpy(&mxcsr, buf + 24, 4);
  if ((c->cr4 & CR4_OSFXSR) && (mxcsr & ~fpu_mxcsr_mask(c)))
    return raise_gp(c, 0);
  fpu_take(c);
  uint16_t fcw;
  memcpy(&fcw, buf, 2);
  memcpy(&c->fx.fsw, buf + 2, 2);
  c->fx.ftw = buf[4];
  memset(c->fx.st, 0, sizeof c->fx.st);
  for (unsigned i = 0; i < 8; i++)
    memcpy(c->fx.st[i], buf + 32 + i * 16, 10);
  fpu_set_fcw(c, fcw_fix(fcw));
  if ((c->fx.fsw & FSW_ES) || always_pointers(c))
    fpstate_get_pointers(c, buf, wide);
  if (c->cr4 & CR4_OSFXSR)
    fpu_set_mxcsr(c, mxcsr);
  for (unsigned i = 0; i < fx_xmm(c); i++)
    memcpy(c->v[i], buf + 160 + i * 16, 16);
  fpu_ferr(c);
  return true;
}

bool x_fxrstor(struct cpu *c, const struct op *op)
{
  return fxrstor(c, op, false);
}
bool x_fxrstor64(struct cpu *c, const struct op *op)
{
  return fxrstor(c, op, true);
}
