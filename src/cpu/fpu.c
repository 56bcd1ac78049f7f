// The floating-point state and its stay in the host's registers; see fpu.h for the invariants.
#include "cpu/fpu.h"

#include <string.h>

#include "bus/irq.h"
#include "cpu/model.h"
#include "cpu/msr.h"

// An FXSAVE image of the host.
struct image {
  alignas(16) struct fxregs fx;
};

static inline void host_fxsave(struct image *i)
{
  __asm__ volatile("fxsave64 %0" : "=m"(*i));
}
static inline uint32_t host_stmxcsr(void)
{
  uint32_t v;
  __asm__ volatile("stmxcsr %0" : "=m"(v));
  return v;
}
static inline void host_ldmxcsr(uint32_t v)
{
  __asm__ volatile("ldmxcsr %0" : : "m"(v));
}

// The guest's modes, all exceptions masked, no flags.
static uint32_t live_mxcsr(const struct cpu *c)
{
  return (c->fx.mxcsr & (MXCSR_RC | MXCSR_FZ | MXCSR_DAZ)) | MXCSR_MASKS;
}

static uint16_t with_es(const struct cpu *c, uint16_t fsw)
{
  fsw &= ~(FSW_ES | FSW_B);
  return fsw & ~c->fx.fcw & FE_ALL ? fsw | FSW_ES | FSW_B : fsw;
}

void fpu_enter(struct cpu *c)
{
  c->host_mxcsr = host_stmxcsr();
  host_ldmxcsr(live_mxcsr(c));
  c->mxcsr_live = true;
}

void fpu_leave(struct cpu *c)
{
  fpu_take(c);
  if (c->mxcsr_live) {
    c->mxcsr_live = false;
    host_ldmxcsr(c->host_mxcsr);
  }
}

void fpu_load(struct cpu *c)
{
  struct image i;
  memset(&i, 0, sizeof i);
  i.fx.fcw = c->fx.fcw | FE_ALL;
  i.fx.fsw = c->fx.fsw & ~(FSW_ES | FSW_B);
  i.fx.ftw = c->fx.ftw;
  memcpy(i.fx.st, c->fx.st, sizeof i.fx.st);
  i.fx.mxcsr = host_stmxcsr();
  // FXRSTOR also loads the XMM registers, which the compiler may be using.
  __asm__ volatile("fxrstor64 %0"
                   :
                   : "m"(i)
                   : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                     "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory");
  c->x87_live = true;
}

static void sync_x87(struct cpu *c)
{
  if (!c->x87_live)
    return;
  struct image i;
  host_fxsave(&i);
  c->fx.fsw = with_es(c, i.fx.fsw);
  c->fx.ftw = i.fx.ftw;
  memcpy(c->fx.st, i.fx.st, sizeof i.fx.st);
}

void fpu_sync(struct cpu *c)
{
  sync_x87(c);
  c->fx.mxcsr = fpu_mxcsr(c);
}

void fpu_take(struct cpu *c)
{
  fpu_sync(c);
  if (c->x87_live) {
    c->x87_live = false;
    __asm__ volatile("fninit");
  }
}

uint16_t fpu_fsw(struct cpu *c)
{
  uint16_t fsw = c->fx.fsw;
  if (c->x87_live)
    __asm__ volatile("fnstsw %0" : "=a"(fsw));
  return with_es(c, fsw);
}

uint32_t fpu_mxcsr(struct cpu *c)
{
  return c->mxcsr_live ? c->fx.mxcsr | (host_stmxcsr() & MXCSR_FLAGS) : c->fx.mxcsr;
}

void fpu_set_mxcsr(struct cpu *c, uint32_t v)
{
  c->fx.mxcsr = v;
  if (c->mxcsr_live)
    host_ldmxcsr(live_mxcsr(c));
  cpu_changed(c);
}

void fpu_set_fcw(struct cpu *c, uint16_t v)
{
  c->fx.fcw = v;
  if (c->x87_live) {
    uint16_t live = v | FE_ALL;
    __asm__ volatile("fldcw %0" : : "m"(live));
  } else {
    c->fx.fsw = with_es(c, c->fx.fsw);
  }
  cpu_changed(c);
}

void fpu_clear_flags(struct cpu *c)
{
  if (c->x87_live)
    __asm__ volatile("fnclex");
  c->fx.fsw &= ~(FE_ALL | FSW_SF | FSW_ES | FSW_B);
  fpu_ferr(c);
}

bool fpu_pending(struct cpu *c)
{
  return (c->fx.fcw & FE_ALL) != FE_ALL && (fpu_fsw(c) & FSW_ES);
}

void fpu_ferr(struct cpu *c)
{
  if (c->ferr)
    irq_set(c->ferr, !(c->cr0 & CR0_NE) && fpu_pending(c));
}

// Errors are ignored: by the pin, or by the MSR in its place. APM2 15.30.2
static bool ignne(const struct cpu *c)
{
  return c->hwcr & HWCR_IGNNE_EM ? c->ignne & 1 : c->ignne_pin;
}

bool fpu_wait(struct cpu *c)
{
  if (unlikely((c->fx.fcw & FE_ALL) != FE_ALL) && fpu_pending(c)) {
    if (c->cr0 & CR0_NE)
      return raise_vec(c, VEC_MF);
    // Without CR0.NE the interrupt controller tells the guest (IRQ 13), and the processor stands still before
    // the instruction until an interrupt comes.
    fpu_ferr(c);
    if (!ignne(c)) {
      c->fault = (struct fault){.freeze = true};
      c->faulted = true;
      return false;
    }
  }
  return true;
}

void fpu_top_zero(struct cpu *c)
{
  unsigned top = c->fx.fsw >> 11 & 7;
  uint8_t st[8][16];
  memcpy(st, c->fx.st, sizeof st);
  for (unsigned i = 0; i < 8; i++)
    memcpy(c->fx.st[i], st[(i - top) & 7], sizeof st[i]);
  c->fx.fsw &= ~FSW_TOP;
}

void fpu_init(struct cpu *c)
{
  fpu_take(c);
  fpu_top_zero(c);
  c->fx.fcw = FCW_INIT;
  c->fx.fsw = 0;
  c->fx.ftw = 0;
  c->fx.fop = 0;
  c->fx.fip = c->fx.fdp = 0;
  fpu_ferr(c);
  cpu_changed(c);
}

void fpu_reset(struct cpu *c)
{
  if (c->x87_live)
    __asm__ volatile("fninit");
  c->x87_live = false;
  memset(&c->fx, 0, sizeof c->fx);
  memset(c->v, 0, sizeof c->v);
  c->fx.fcw = FCW_RESET;
  c->fx.ftw = 0xff; // all valid, all zero (APM2 table 14-1: FTW 5555h)
  c->fx.mxcsr = MXCSR_RESET;
  c->fx.mxcsr_mask = 0xffff;
  if (c->model && model_has(c->model, FEAT_MISALIGNSSE))
    c->fx.mxcsr_mask |= MXCSR_MM;
  if (c->mxcsr_live)
    host_ldmxcsr(live_mxcsr(c));
  cpu_changed(c);
}
