// The floating-point state: x87, MMX, MXCSR, and where it lives while a CPU runs.
//
// Invariants. Between fpu_enter and fpu_leave (c->mxcsr_live) the host MXCSR holds the guest's rounding,
// FTZ and DAZ bits with all exceptions masked, and its flags are the guest's new ones, to be added to
// c->fx.mxcsr. With c->x87_live the host x87 unit holds the guest's registers, status word and tags, and the
// guest's control word with all exceptions masked; c->fx.fcw is the guest's own. The flags in the host's
// status word are the guest's; ES and B are derived from them and c->fx.fcw. Outside of the slice all is in
// c->fx. No host exception can occur. APM1 chapters 4 to 6, APM2 11.
#ifndef CPU_FPU_H
#define CPU_FPU_H

#include "cpu/cpu.h"

enum { // MXCSR
  MXCSR_FLAGS = 0x3f,
  MXCSR_DAZ = 1u << 6,
  MXCSR_MASKS = 0x1f80,
  MXCSR_RC = 3u << 13,
  MXCSR_FZ = 1u << 15,
  MXCSR_MM = 1u << 17, // misaligned exception mask: legacy SSE operands need no alignment
  MXCSR_RESET = 0x1f80,
};
enum { // exception flags of the x87 status word and MXCSR; masks of the control word
  FE_IE = 1,
  FE_DE = 2,
  FE_ZE = 4,
  FE_OE = 8,
  FE_UE = 16,
  FE_PE = 32,
  FE_ALL = 63,
};
enum { FSW_SF = 1u << 6, FSW_ES = 1u << 7, FSW_C1 = 1u << 9, FSW_TOP = 7u << 11, FSW_B = 1u << 15 };
enum { FCW_RESET = 0x40, FCW_INIT = 0x37f };

void fpu_reset(struct cpu *c);    // RESET#: x87, MMX, XMM, YMM, MXCSR; not at INIT
void fpu_init(struct cpu *c);     // what FNINIT does
void fpu_top_zero(struct cpu *c); // TOP = 0 with the registers where they are; c->fx must be current

// Around a slice; calls must pair. Nothing else in the host program may depend on MXCSR in between.
void fpu_enter(struct cpu *c);
void fpu_leave(struct cpu *c);

// Loads the guest's x87 registers into the host.
void fpu_load(struct cpu *c);
static inline void fpu_need(struct cpu *c)
{
  if (__builtin_expect(!c->x87_live, 0))
    fpu_load(c);
}
// Makes c->fx current (fsw with ES and B, ftw, st, mxcsr); what is live stays live.
void fpu_sync(struct cpu *c);
// The same, and the registers leave the host: c->fx may be changed afterwards.
void fpu_take(struct cpu *c);
// The guest's FSW with ES and B, and MXCSR with flags, as they are now.
uint16_t fpu_fsw(struct cpu *c);
uint32_t fpu_mxcsr(struct cpu *c);
// v must have no reserved bits set.
void fpu_set_mxcsr(struct cpu *c, uint32_t v);
void fpu_set_fcw(struct cpu *c, uint16_t v);
void fpu_clear_flags(struct cpu *c); // FNCLEX

// An unmasked x87 exception is pending.
bool fpu_pending(struct cpu *c);
// Drives FERR# according to fpu_pending and CR0.NE.
void fpu_ferr(struct cpu *c);
// Before an x87 or MMX instruction that waits: false if an exception is pending and CR0.NE is set (#MF), or
// is clear and IGNNE# too (the processor freezes: except_deliver).
bool fpu_wait(struct cpu *c);

// Bits that MXCSR may have.
static inline uint32_t fpu_mxcsr_mask(const struct cpu *c)
{
  return c->fx.mxcsr_mask;
}

#endif
