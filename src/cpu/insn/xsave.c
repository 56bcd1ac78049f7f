// XSAVE and its kin, XGETBV, XSETBV. APM2 11.5; offsets of components come from the CPU model.
//
// Components: x87, SSE, AVX (the upper halves of YMM0..15), PKRU. A component is in use when it differs from
// its initial state; that is worked out when asked for, so the answer depends on nothing but the registers.
#include <string.h>

#include "cpu/fpu.h"
#include "cpu/insn/fpstate.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/svm/svm.h"

enum { LEGACY = 512, HEADER = 64, EXTENDED = LEGACY + HEADER };
#define COMPACTED (1ull << 63)

static bool allowed(struct cpu *c)
{
  if (!(c->cr4 & CR4_OSXSAVE))
    return raise_ud(c);
  return c->cr0 & CR0_TS ? raise_vec(c, VEC_NM) : true;
}

static unsigned vectors(const struct cpu *c)
{
  return c->mode & MODE_CS64 ? 16 : 8;
}

static bool all_zero(const void *p, unsigned n) // n: a multiple of 8
{
  uint64_t any = 0, w;
  for (unsigned i = 0; i < n; i += 8) {
    memcpy(&w, (const uint8_t *)p + i, 8);
    any |= w;
  }
  return !any;
}

// After fpu_sync. Bit 1 without regard to MXCSR.
static uint64_t in_use(const struct cpu *c)
{
  uint64_t m = 0;
  if (c->fx.fcw != FCW_INIT || c->fx.fsw || c->fx.ftw || c->fx.fop || c->fx.fip || c->fx.fdp ||
      !all_zero(c->fx.st[0], sizeof c->fx.st))
    m |= XCR0_X87;
  for (unsigned i = 0; i < vectors(c); i++) {
    if (!all_zero(c->v[i], 16))
      m |= XCR0_SSE;
    if (!all_zero(c->v[i] + 16, 16))
      m |= XCR0_AVX;
  }
  if (c->pkru)
    m |= XCR0_PKRU;
  return m;
}

static uint64_t requested(const struct cpu *c)
{
  return c->xcr0 & ((uint64_t)(uint32_t)c->r[RDX] << 32 | (uint32_t)c->r[RAX]);
}

static bool area(struct cpu *c, const struct op *op, enum access acc, uint64_t *la)
{
  if (!allowed(c))
    return false;
  *la = op_ea(c, op, EXTENDED, acc);
  if (c->faulted)
    return false;
  return *la & 63 ? raise_gp(c, 0) : true;
}

// Where a component beyond the legacy area lies, from the start.
static uint32_t offset_of(uint64_t xcomp, unsigned bit)
{
  if (!(xcomp & COMPACTED))
    return xsave_offset(bit);
  uint32_t at = EXTENDED;
  for (unsigned i = 2; i < bit; i++)
    if (xcomp >> i & 1)
      at += xsave_component_size(i);
  return at;
}

enum kind { PLAIN, OPT, COMPACT };

static bool save(struct cpu *c, const struct op *op, enum kind kind, bool wide)
{
  uint64_t la, header[2] = {0, 0};
  if (!area(c, op, ACC_WRITE, &la))
    return false;
  fpu_sync(c);
  uint64_t rfbm = requested(c), used = in_use(c);
  bool mxcsr_used = c->fx.mxcsr != MXCSR_RESET;
  if (kind == COMPACT) {
    header[0] = rfbm & (used | (mxcsr_used ? XCR0_SSE : 0));
    header[1] = rfbm | COMPACTED;
  } else {
    if (!mem_read(c, op, la + LEGACY, header, 8))
      return false;
    header[0] = (header[0] & ~rfbm) | (rfbm & used);
  }
  uint64_t put = kind == PLAIN ? rfbm : kind == OPT ? rfbm & used : header[0];
  bool mxcsr = kind == COMPACT ? put & XCR0_SSE : rfbm & (XCR0_SSE | XCR0_AVX);

  uint32_t avx = offset_of(header[1], 2), pkru = offset_of(header[1], 9);
  unsigned n = vectors(c);
  if (((put & XCR0_X87) && (!mem_probe_write(c, op, la, 160))) ||
      (mxcsr && !mem_probe_write(c, op, la + 24, 8)) ||
      ((put & XCR0_SSE) && !mem_probe_write(c, op, la + 160, n * 16)) ||
      !mem_probe_write(c, op, la + LEGACY, 16) ||
      ((put & XCR0_AVX) && !mem_probe_write(c, op, la + avx, n * 16)) ||
      ((put & XCR0_PKRU) && !mem_probe_write(c, op, la + pkru, 8)))
    return false;

  uint8_t buf[256] = {0};
  if (put & XCR0_X87) {
    memcpy(buf, &c->fx, 6);
    bool pending = c->fx.fsw & FSW_ES;
    if (pending)
      fpstate_put_pointers(c, buf, wide);
    memcpy(buf + 32, c->fx.st, 128);
    if (!mem_write(c, op, la, buf, 24) || !mem_write(c, op, la + 32, buf + 32, 128))
      return false;
  }
  if (mxcsr) {
    uint32_t m[2] = {c->fx.mxcsr, fpu_mxcsr_mask(c)};
    if (!mem_write(c, op, la + 24, m, 8))
      return false;
  }
  if (put & XCR0_SSE) {
    for (unsigned i = 0; i < n; i++)
      memcpy(buf + i * 16, c->v[i], 16);
    if (!mem_write(c, op, la + 160, buf, n * 16))
      return false;
  }
  if (put & XCR0_AVX) {
    for (unsigned i = 0; i < n; i++)
      memcpy(buf + i * 16, c->v[i] + 16, 16);
    if (!mem_write(c, op, la + avx, buf, n * 16))
      return false;
  }
  if (put & XCR0_PKRU) {
    uint64_t v = c->pkru;
    if (!mem_write(c, op, la + pkru, &v, 8))
      return false;
  }
  return mem_write(c, op, la + LEGACY, header, kind == COMPACT ? 16 : 8);
}

// True if the header is one that XRSTOR accepts.
static bool header_good(const struct cpu *c, const uint64_t *h)
{
  if (h[1] & COMPACTED) {
    if (!c->model || !model_has(c->model, FEAT_XSAVEC))
      return false;
    return !(h[1] & ~COMPACTED & ~c->xcr0) && !(h[0] & ~h[1]) && all_zero(&h[2], 48);
  }
  return !(h[0] & ~c->xcr0) && !h[1] && !h[2];
}

static void restore_x87(struct cpu *c, const uint8_t *buf, bool wide)
{
  uint16_t fcw;
  memcpy(&fcw, buf, 2);
  memcpy(&c->fx.fsw, buf + 2, 2);
  c->fx.ftw = buf[4];
  memset(c->fx.st, 0, sizeof c->fx.st);
  for (unsigned i = 0; i < 8; i++)
    memcpy(c->fx.st[i], buf + 32 + i * 16, 10);
  fpu_set_fcw(c, (fcw & 0x1f3f) | 0x40);
  if (c->fx.fsw & FSW_ES) {
    fpstate_get_pointers(c, buf, wide);
  } else {
    c->fx.fop = 0;
    c->fx.fip = c->fx.fdp = 0;
  }
  fpu_ferr(c);
}

static bool restore(struct cpu *c, const struct op *op, bool wide)
{
  uint64_t la, h[8];
  alignas(16) uint8_t legacy[416], avx[256] = {0};
  uint64_t pkru = 0;
  if (!area(c, op, ACC_READ, &la) || !mem_read(c, op, la + LEGACY, h, sizeof h))
    return false;
  if (!header_good(c, h))
    return raise_gp(c, 0);
  uint64_t rfbm = requested(c), load = rfbm & h[0]; // the rest of rfbm is initialised
  bool mxcsr = h[1] & COMPACTED ? load & XCR0_SSE : rfbm & (XCR0_SSE | XCR0_AVX);
  unsigned n = vectors(c);
  if (!mem_read(c, op, la, legacy, sizeof legacy) ||
      ((load & XCR0_AVX) && !mem_read(c, op, la + offset_of(h[1], 2), avx, n * 16)) ||
      ((load & XCR0_PKRU) && !mem_read(c, op, la + offset_of(h[1], 9), &pkru, 8)))
    return false;
  uint32_t m;
  memcpy(&m, legacy + 24, 4);
  if (mxcsr && (m & ~fpu_mxcsr_mask(c)))
    return raise_gp(c, 0);
  if (pkru >> 32)
    return raise_gp(c, 0);

  if (rfbm & XCR0_X87) {
    fpu_take(c);
    if (load & XCR0_X87) {
      restore_x87(c, legacy, wide);
    } else {
      fpu_init(c);
      memset(c->fx.st, 0, sizeof c->fx.st);
    }
  }
  if (mxcsr)
    fpu_set_mxcsr(c, m);
  else if (rfbm & XCR0_SSE) // compacted, not in use
    fpu_set_mxcsr(c, MXCSR_RESET);
  if (rfbm & XCR0_SSE)
    for (unsigned i = 0; i < n; i++) {
      if (load & XCR0_SSE)
        memcpy(c->v[i], legacy + 160 + i * 16, 16);
      else
        memset(c->v[i], 0, 16);
    }
  if (rfbm & XCR0_AVX)
    for (unsigned i = 0; i < n; i++)
      memcpy(c->v[i] + 16, avx + i * 16, 16);
  if (rfbm & XCR0_PKRU) {
    c->pkru = pkru;
    cpu_changed(c);
  }
  return true;
}

bool x_xsave(struct cpu *c, const struct op *op)
{
  return save(c, op, PLAIN, false);
}
bool x_xsave64(struct cpu *c, const struct op *op)
{
  return save(c, op, PLAIN, true);
}
bool x_xsaveopt(struct cpu *c, const struct op *op)
{
  return save(c, op, OPT, false);
}
bool x_xsaveopt64(struct cpu *c, const struct op *op)
{
  return save(c, op, OPT, true);
}
bool x_xsavec(struct cpu *c, const struct op *op)
{
  return save(c, op, COMPACT, false);
}
bool x_xsavec64(struct cpu *c, const struct op *op)
{
  return save(c, op, COMPACT, true);
}
bool x_xrstor(struct cpu *c, const struct op *op)
{
  return restore(c, op, false);
}
bool x_xrstor64(struct cpu *c, const struct op *op)
{
  return restore(c, op, true);
}

bool x_xgetbv(struct cpu *c, const struct op *op)
{
  uint64_t v;
  if (!(c->cr4 & CR4_OSXSAVE))
    return raise_ud(c);
  switch ((uint32_t)c->r[RCX]) {
  case 0:
    v = c->xcr0;
    break;
  case 1:
    if (!c->model || !model_has(c->model, FEAT_XGETBV1))
      return raise_gp(c, 0);
    fpu_sync(c);
    v = c->xcr0 & (in_use(c) | (c->fx.mxcsr != MXCSR_RESET ? XCR0_SSE : 0));
    break;
  default:
    return raise_gp(c, 0);
  }
  c->r[RAX] = (uint32_t)v;
  c->r[RDX] = v >> 32;
  return true;
}

bool x_xsetbv(struct cpu *c, const struct op *op)
{
  uint64_t v = (uint64_t)(uint32_t)c->r[RDX] << 32 | (uint32_t)c->r[RAX];
  if (!(c->cr4 & CR4_OSXSAVE))
    return raise_ud(c);
  if (SVM_INTERCEPTED(c, VMEXIT_XSETBV)) // before all #GP, that of the privilege level too (APM2 15.9)
    return svm_exit(c, VMEXIT_XSETBV, 0, 0);
  if (c->cpl != 0 || (uint32_t)c->r[RCX] != 0 || !(v & XCR0_X87) || ((v & XCR0_AVX) && !(v & XCR0_SSE)) ||
      !c->model || (v & ~c->model->xcr0))
    return raise_gp(c, 0);
  c->xcr0 = v;
  cpu_changed(c);
  return true;
}
