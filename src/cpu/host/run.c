// Handlers that run stubs: they find the memory operand, and deal with unmasked exceptions.
//
// The plain ones (run_load, run_store) serve SSE and AVX with all exceptions masked: the flags gather in the
// host's MXCSR. The x87 ones see to it that the guest's registers are in the host. run_checked serves every
// form while the guest has exceptions unmasked; there an instruction's own flags decide whether it completes.
#include <string.h>

#include "cpu/fpu.h"
#include "cpu/host/code.h"
#include "cpu/mem.h"

bool host_gp(struct cpu *c, const struct op *op)
{
  c->at = op;
  c->ip = op_ip(c, op);
  return raise_gp(c, 0);
}

bool host_ud(struct cpu *c, const struct op *op)
{
  c->at = op;
  c->ip = op_ip(c, op);
  return raise_ud(c);
}

// ---- memory operands that are not plainly in RAM ----

uint64_t host_slow_load(struct cpu *c, const struct op *op, uint64_t la, unsigned size)
{
  return mem_read(c, op, la, c->host_buf, size) ? (uintptr_t)c->host_buf : 0;
}

uint64_t host_slow_run_store(struct cpu *c, const struct op *op, uint64_t la, unsigned size)
{
  if (!mem_probe_write(c, op, la, size))
    return 0;
  host_call(c, op, c->host_buf);
  return mem_write(c, op, la, c->host_buf, size);
}

uint64_t host_slow_vec_store(struct cpu *c, const struct op *op, uint64_t la, unsigned size)
{
  return mem_write(c, op, la, c->v[op->reg], size);
}

uint64_t host_slow_misaligned(struct cpu *c, const struct op *op)
{
  return ((c->fx.mxcsr & MXCSR_MM) && !(op->flags & OPF_VEX)) || host_gp(c, op);
}

// A misaligned operand, where alignment counts, goes through the buffer if it may be there at all.
#define LOADER(name, size, align)                                                                            \
  static void name(struct cpu *c, const struct op *op)                                                       \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    EA(c, op, size, ACC_READ, la);                                                                           \
    const struct tlbe *e = tlb_slot(c, la);                                                                  \
    void *p = (void *)(la + e->add);                                                                         \
    if (unlikely(!tlb_hit(e->rtag, la, size) || ((align) && (la & ((size)-1))))) {                           \
      if ((align) && (la & ((size)-1)) && !cold_host_misaligned(c, op))                                      \
        return;                                                                                              \
      p = (void *)cold_host_load(c, op, la, size);                                                           \
      if (!p)                                                                                                \
        return;                                                                                              \
    }                                                                                                        \
    host_call(c, op, p);                                                                                     \
    NEXT(c, op);                                                                                             \
  }
LOADER(load_1, 1, false)
LOADER(load_2, 2, false)
LOADER(load_4, 4, false)
LOADER(load_8, 8, false)
LOADER(load_16, 16, false)
LOADER(load_16a, 16, true)
LOADER(load_32, 32, false)
LOADER(load_32a, 32, true)

#define STORER(name, size, align)                                                                            \
  static void name(struct cpu *c, const struct op *op)                                                       \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    EA(c, op, size, ACC_WRITE, la);                                                                          \
    const struct tlbe *e = tlb_slot(c, la);                                                                  \
    if (unlikely(!tlb_hit(e->wtag, la, size) || ((align) && (la & ((size)-1))))) {                           \
      if ((align) && (la & ((size)-1)) && !cold_host_misaligned(c, op))                                      \
        return;                                                                                              \
      if (!cold_host_run_store(c, op, la, size))                                                             \
        return;                                                                                              \
    } else {                                                                                                 \
      host_call(c, op, (void *)(la + e->add));                                                               \
    }                                                                                                        \
    NEXT(c, op);                                                                                             \
  }
STORER(store_1, 1, false)
STORER(store_2, 2, false)
STORER(store_4, 4, false)
STORER(store_8, 8, false)
STORER(store_16, 16, false)
STORER(store_16a, 16, true)
STORER(store_32, 32, false)
STORER(store_32a, 32, true)

op_fn *run_load(unsigned size, bool align)
{
  switch (size) {
  case 1:
    return load_1;
  case 2:
    return load_2;
  case 4:
    return load_4;
  case 8:
    return load_8;
  case 16:
    return align ? load_16a : load_16;
  case 32:
    return align ? load_32a : load_32;
  default:
    return NULL;
  }
}

op_fn *run_store(unsigned size, bool align)
{
  switch (size) {
  case 1:
    return store_1;
  case 2:
    return store_2;
  case 4:
    return store_4;
  case 8:
    return store_8;
  case 16:
    return align ? store_16a : store_16;
  case 32:
    return align ? store_32a : store_32;
  default:
    return NULL;
  }
}

void run_nop(struct cpu *c, const struct op *op)
{
  NEXT(c, op);
}

// ---- VEX-encoded integer instructions outside of 64-bit mode ----

void run_prot(struct cpu *c, const struct op *op)
{
  if (!cpu_protected(c)) {
    host_ud(c, op);
    return;
  }
  host_call(c, op, NULL);
  NEXT(c, op);
}

void run_prot_load(struct cpu *c, const struct op *op)
{
  if (!cpu_protected(c)) {
    host_ud(c, op);
    return;
  }
  run_load(host_size(op), false)(c, op);
}

// ---- x87 and MMX ----

// The memory operand for reading, or NULL after a fault.
static inline void *load_operand(struct cpu *c, const struct op *op, uint64_t la, unsigned size)
{
  const struct tlbe *e = tlb_slot(c, la);
  if (likely(tlb_hit(e->rtag, la, size)))
    return (void *)(la + e->add);
  return (void *)cold_host_load(c, op, la, size);
}

void run_mmx(struct cpu *c, const struct op *op)
{
  host_need_x87(c);
  host_call(c, op, NULL);
  NEXT(c, op);
}

void run_mmx_load(struct cpu *c, const struct op *op)
{
  unsigned size = host_size(op);
  uint64_t la;
  EA(c, op, size, ACC_READ, la);
  if ((op->reg & HA_ALIGN) && (la & (size - 1)) && !(c->fx.mxcsr & MXCSR_MM)) {
    host_gp(c, op);
    return;
  }
  void *p = (op->reg & HA_ALIGN) && (la & (size - 1)) ? (void *)cold_host_load(c, op, la, size)
                                                      : load_operand(c, op, la, size);
  if (!p)
    return;
  host_need_x87(c);
  host_call(c, op, p);
  NEXT(c, op);
}

static inline bool store_operand(struct cpu *c, const struct op *op, uint64_t la, unsigned size)
{
  const struct tlbe *e = tlb_slot(c, la);
  host_need_x87(c);
  if (likely(tlb_hit(e->wtag, la, size))) {
    host_call(c, op, (void *)(la + e->add));
    return true;
  }
  return cold_host_run_store(c, op, la, size);
}

void run_mmx_store(struct cpu *c, const struct op *op)
{
  unsigned size = host_size(op);
  uint64_t la;
  EA(c, op, size, ACC_WRITE, la);
  if (!store_operand(c, op, la, size))
    return;
  NEXT(c, op);
}

// The last x87 instruction's pointers, in the form of FXSAVE: 64 bits, or 32 with the selector above.
static inline void note_ip(struct cpu *c, const struct op *op)
{
  c->fx.fop = (uint16_t)(op->reg << 8 | op->rm) & 0x7ff;
  c->fx.fip = op_ip(c, op);
  if (!(c->mode & MODE_CS64))
    c->fx.fip |= (uint64_t)c->seg[SEG_CS].sel << 32;
}

static inline void note_mem(struct cpu *c, const struct op *op, uint64_t la)
{
  if (c->mode & MODE_CS64)
    c->fx.fdp = la;
  else
    c->fx.fdp = (uint32_t)(la - c->seg[op->seg].base) | (uint64_t)c->seg[op->seg].sel << 32;
}

void run_x87(struct cpu *c, const struct op *op)
{
  host_need_x87(c);
  note_ip(c, op);
  host_call(c, op, NULL);
  NEXT(c, op);
}

// One for each size of operand, for speed.
#define X87(size)                                                                                            \
  static void x87_load_##size(struct cpu *c, const struct op *op)                                            \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    EA(c, op, size, ACC_READ, la);                                                                           \
    void *p = load_operand(c, op, la, size);                                                                 \
    if (!p)                                                                                                  \
      return;                                                                                                \
    host_need_x87(c);                                                                                        \
    note_ip(c, op);                                                                                          \
    note_mem(c, op, la);                                                                                     \
    host_call(c, op, p);                                                                                     \
    NEXT(c, op);                                                                                             \
  }                                                                                                          \
  static void x87_store_##size(struct cpu *c, const struct op *op)                                           \
  {                                                                                                          \
    uint64_t la;                                                                                             \
    EA(c, op, size, ACC_WRITE, la);                                                                          \
    if (!store_operand(c, op, la, size))                                                                     \
      return;                                                                                                \
    note_ip(c, op);                                                                                          \
    note_mem(c, op, la);                                                                                     \
    NEXT(c, op);                                                                                             \
  }
X87(2)
X87(4)
X87(8)
X87(10)

op_fn *run_x87_mem(unsigned size, bool store)
{
  switch (size) {
  case 2:
    return store ? x87_store_2 : x87_load_2;
  case 4:
    return store ? x87_store_4 : x87_load_4;
  case 8:
    return store ? x87_store_8 : x87_load_8;
  case 10:
    return store ? x87_store_10 : x87_load_10;
  default:
    return NULL;
  }
}

// ---- with exceptions unmasked ----

// The environment as FNSTENV stores it in 32-bit protected mode.
struct env32 {
  uint32_t fcw, fsw, ftw, fip, fcs, fdp, fds;
};

// Runs an x87 stub with the guest's own control word: the host's unit then does what the guest's would,
// stores and pops left out included, and reports at the next waiting instruction, of which there is none
// before FNSTENV. Returns the flags that the instruction raised.
static uint32_t x87_unmasked(struct cpu *c, const struct op *op, void *mem)
{
  uint16_t before, fcw = c->fx.fcw;
  struct env32 env;
  __asm__ volatile("fnstsw %0; fnclex; fldcw %1" : "=&a"(before) : "m"(fcw) : "memory");
  host_call(c, op, mem);
  __asm__ volatile("fnstenv %0" : "=m"(env) : : "memory"); // masks all
  uint32_t raised = env.fsw & FE_ALL;
  env.fcw = 0xffff0000u | fcw | FE_ALL;
  env.fsw = (env.fsw & ~(uint32_t)(FSW_ES | FSW_B)) | (before & (FE_ALL | FSW_SF));
  __asm__ volatile("fldenv %0" : : "m"(env) : "memory");
  fpu_ferr(c);
  return raised;
}

// The state that an SSE instruction may change, to be put back.
struct vec_state {
  uint8_t v[16][32];
  uint64_t r[REG_COUNT];
  uint16_t fl;
};

static inline uint32_t read_mxcsr(void)
{
  uint32_t v;
  __asm__ volatile("stmxcsr %0" : "=m"(v));
  return v;
}
static inline void write_mxcsr(uint32_t v)
{
  __asm__ volatile("ldmxcsr %0" : : "m"(v));
}

static void vec_restore(struct cpu *c, const struct vec_state *s)
{
  memcpy(c->v, s->v, sizeof s->v);
  memcpy(c->r, s->r, sizeof s->r);
  c->fl = s->fl;
}

// Runs an SSE stub on trial: if it raised an exception that is not masked, everything is put back, the flags
// stay in MXCSR, and #XF (or #UD without CR4.OSXMMEXCPT) is raised. APM1 4.10. One thing is not exact: PE
// beside an unmasked overflow or underflow comes from the masked result, the processor's from one of
// unbounded exponent.
static bool sse_unmasked(struct cpu *c, const struct op *op, void *mem)
{
  struct vec_state s;
  memcpy(s.v, c->v, sizeof s.v);
  memcpy(s.r, c->r, sizeof s.r);
  s.fl = c->fl;
  uint32_t live = read_mxcsr(), unmasked = ~c->fx.mxcsr >> 7 & FE_ALL;
  if (unmasked & FE_UE)
    live &= ~MXCSR_FZ; // counts only while underflow is masked
  write_mxcsr(live & ~MXCSR_FLAGS);
  host_call(c, op, mem);
  uint32_t raised = read_mxcsr() & MXCSR_FLAGS;
  if ((unmasked & FE_UE) && !(raised & (FE_UE | (unmasked & (FE_IE | FE_DE | FE_ZE))))) {
    // Unmasked, a tiny result counts even if it is exact; flushing to zero shows it (but not for VCVTPS2PH,
    // which does not flush: there an exact tiny half is not reported).
    struct vec_state done;
    memcpy(done.v, c->v, sizeof done.v);
    memcpy(done.r, c->r, sizeof done.r);
    done.fl = c->fl;
    vec_restore(c, &s);
    write_mxcsr((live & ~MXCSR_FLAGS) | MXCSR_FZ);
    host_call(c, op, mem);
    raised |= read_mxcsr() & FE_UE;
    vec_restore(c, &done);
  }
  if (raised & unmasked & (FE_IE | FE_DE | FE_ZE)) // found before computing: no result, no flags of it
    raised &= FE_IE | FE_DE | FE_ZE;
  write_mxcsr(live | raised | (c->fx.mxcsr & MXCSR_FZ));
  if (!(raised & unmasked))
    return true;
  vec_restore(c, &s);
  return raise_vec(c, c->cr4 & CR4_OSXMMEXCPT ? VEC_XF : VEC_UD);
}

// A conversion to or from MMX raised #XF: the registers are as in c->fx, but in MMX mode already,
// unless MMX registers were only a memory operand's stand-in.
static void mmx_undo(struct cpu *c, const struct op *op)
{
  uint8_t st[8][16];
  unsigned top = c->fx.fsw >> 11 & 7;
  c->x87_live = false;
  __asm__ volatile("fninit");
  if ((op->flags & OPF_MEM) && (op->row == ZYDIS_MNEMONIC_CVTPI2PS || op->row == ZYDIS_MNEMONIC_CVTPI2PD))
    return;
  memcpy(st, c->fx.st, sizeof st);
  for (unsigned i = 0; i < 8; i++)
    memcpy(c->fx.st[i], st[(i - top) & 7], 16);
  c->fx.fsw &= ~FSW_TOP;
  c->fx.ftw = 0xff;
}

static bool checked(struct cpu *c, const struct op *op)
{
  unsigned attr = op->reg, size = host_size(op);
  bool store = attr & HA_STORE, load = (op->flags & OPF_MEM) && !store;
  bool x87 = attr & HA_X87, live = attr & (HA_X87 | HA_MMX);
  c->at = op;
  c->ip = op_ip(c, op);
  if (live && !fpu_wait(c))
    return false;
  uint64_t la = 0;
  void *mem = c->host_buf;
  if (op->flags & OPF_MEM) {
    la = op_ea(c, op, size, store ? ACC_WRITE : ACC_READ);
    if (c->faulted)
      return false;
    if ((attr & HA_ALIGN) && (la & (size - 1)) && ((op->flags & OPF_VEX) || !(c->fx.mxcsr & MXCSR_MM)))
      return raise_gp(c, 0);
  }
  if (load && !mem_read(c, op, la, mem, size))
    return false;
  if (store && !mem_probe_write(c, op, la, size))
    return false;
  if (live)
    fpu_need(c);
  if (x87) {
    uint32_t raised = x87_unmasked(c, op, mem) & ~c->fx.fcw & FE_ALL;
    note_ip(c, op);
    if (op->flags & OPF_MEM)
      note_mem(c, op, la);
    if (raised & ~FE_PE) // nothing was stored
      store = false;
  } else if (attr & HA_SSE) {
    if (attr & HA_MMX) { // keep the MMX registers as they are in c->fx
      fpu_take(c);
      fpu_need(c);
    }
    if (!sse_unmasked(c, op, mem)) {
      if (attr & HA_MMX)
        mmx_undo(c, op);
      return false;
    }
  } else {
    host_call(c, op, mem);
  }
  return !store || mem_write(c, op, la, mem, size);
}

void run_checked(struct cpu *c, const struct op *op)
{
  if (!checked(c, op))
    return;
  NEXT(c, op);
}
