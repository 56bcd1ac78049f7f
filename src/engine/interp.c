// The interpreter's loop: finds blocks, runs them, and between them delivers exceptions and interrupts.
//
// What is exact here: an event is taken at the instruction where it is due. A block that would overrun the
// slice, an interrupt shadow, single-stepping, RF and instruction breakpoints are served by blocks of one
// instruction (MODE_STEP), so the shape of blocks never shows.
#include "cpu/debug.h"
#include "cpu/except.h"
#include "cpu/fpu.h"
#include "cpu/insn/hot.h"
#include "cpu/lapic.h"
#include "cpu/mca.h"
#include "cpu/msr.h"
#include "cpu/smm.h"
#include "cpu/svm/skinit.h"
#include "cpu/svm/world.h"
#include "cpu/tlb.h"
#include "engine/engine.h"
#include "engine/jit/jit.h"

// What masks physical interrupts: with V_INTR_MASKING a guest's IF is its own affair. APM2 15.21.1
static bool if_open(const struct cpu *c)
{
  if (unlikely(c->guest) && (c->svm->vintr & VINTR_MASKING))
    return c->svm->host_if;
  return c->sysflags & FL_IF;
}

static bool interrupts_open(const struct cpu *c)
{
  return if_open(c) && c->shadow == SHADOW_NONE && c->gif;
}

// A virtual NMI or interrupt of the guest that can be taken now. APM2 15.21.4, 15.21.10
static bool virtual_open(const struct cpu *c)
{
  return c->shadow == SHADOW_NONE && (c->svm->vgif ? (c->svm->vintr & VINTR_GIF) != 0 : c->gif);
}
static bool virtual_nmi_ready(const struct cpu *c)
{
  const struct svm *s = c->svm;
  return s->vnmi && (s->vintr & VINTR_NMI) && !(s->vintr & VINTR_NMI_MASK) && virtual_open(c);
}
static bool virtual_irq_ready(const struct cpu *c)
{
  uint64_t v = c->svm->vintr;
  return (v & VINTR_IRQ) && (c->sysflags & FL_IF) && virtual_open(c) &&
         ((v & VINTR_IGN_TPR) || (v >> VINTR_PRIO_SHIFT & 15) > (v & 15));
}

bool interp_runnable(struct cpu *c)
{
  if (c->run == RUN_ON)
    return true;
  if (c->pending & (PEND_RESET | PEND_STOP))
    return true;
  if (c->run == RUN_SHUTDOWN)
    return false;
  if (c->db_bits) // of the instruction after which it waits
    return true;
  if (c->run == RUN_WAIT_SIPI)
    return c->pending & (PEND_INIT | PEND_SIPI);
  if (((c->pending & PEND_MC) && c->gif) || ((c->pending & (PEND_INIT | PEND_SMI)) && smi_open(c)))
    return true;
  if ((c->pending & PEND_NMI) && !c->nmi_blocked && c->gif)
    return true;
  if ((c->pending & PEND_VINTR) && (virtual_nmi_ready(c) || virtual_irq_ready(c)))
    return true;
  return (c->pending & PEND_INTR) && ((if_open(c) && c->gif) || (c->run == RUN_MWAIT && c->mwait_break));
}

bool interp_hears(const struct cpu *c)
{
  switch (c->run) {
  case RUN_ON:
  case RUN_MWAIT: // a device may write to what it watches
    return true;
  case RUN_HALTED:
    return if_open(c) && c->gif;
  default:
    return false;
  }
}

// A delivery takes the time of an instruction: handlers that fault or are interrupted for ever before their
// first instruction hold their CPU, as on real hardware, but not the machine. What comes at the very end of a
// slice is delivered at the start of the next.
static void charge(struct cpu *c)
{
  *(c->kicked ? &c->stolen : &c->left) -= 1;
}
static bool used_up(const struct cpu *c)
{
  return c->left + c->stolen <= 0;
}

static void startup(struct cpu *c)
{
  c->seg[SEG_CS].sel = (uint16_t)(c->sipi_vector << 8);
  c->seg[SEG_CS].base = (uint64_t)c->sipi_vector << 12;
  c->ip = 0;
  c->run = RUN_ON;
  skinit_startup(c);
  cpu_changed(c);
}

// The virtual NMI and interrupt of a guest. APM2 15.21.4, 15.21.10
static void attend_virtual(struct cpu *c)
{
  struct svm *s = c->svm;
  if (virtual_nmi_ready(c)) {
    s->vintr = (s->vintr & ~VINTR_NMI) | VINTR_NMI_MASK;
    c->run = RUN_ON;
    bool blocked = c->nmi_blocked;
    except_nmi(c);
    c->nmi_blocked = blocked; // that is the physical one's
    charge(c);
    return;
  }
  if (!(s->vintr & (VINTR_IRQ | VINTR_NMI)))
    c->pending &= ~(uint32_t)PEND_VINTR;
  if (!virtual_irq_ready(c))
    return;
  if (svm_intercepts(s, VMEXIT_VINTR)) {
    svm_exit(c, VMEXIT_VINTR, 0, 0);
    return;
  }
  s->vintr &= ~VINTR_IRQ;
  svm_vintr_update(c);
  c->run = RUN_ON;
  except_interrupt(c, s->vintr >> VINTR_VECTOR_SHIFT & 0xff);
  charge(c);
}

// Delivers what is pending and may be delivered now, most urgent first. APM2 8.5.
static void attend(struct cpu *c)
{
  if (c->pending & PEND_RESET) {
    c->pending &= ~PEND_RESET;
    cpu_reset(c);
  }
  if (c->run == RUN_SHUTDOWN) // the board answers with a reset
    return;
  bool init = (c->pending & PEND_INIT) && c->gif && !c->in_smm;
  if (init && SVM_INTERCEPTED(c, VMEXIT_INIT)) {
    svm_exit(c, VMEXIT_INIT, 0, 0);
    return;
  }
  if (init && (c->vm_cr & VM_CR_R_INIT) && c->run != RUN_WAIT_SIPI) { // APM2 table 15-12
    c->pending &= ~(uint32_t)PEND_INIT;
    c->run = RUN_ON;
    raise_error(c, VEC_SX, 1);
    return;
  }
  if (init) {
    c->pending &= ~(PEND_INIT | PEND_NMI); // a SIPI that is pending came after it
    cpu_init(c);
  }
  if (c->run == RUN_WAIT_SIPI) {
    if (c->pending & PEND_SIPI) {
      c->pending &= ~PEND_SIPI;
      startup(c);
    }
    return;
  }
  c->pending &= ~PEND_SIPI;
  if ((c->pending & PEND_MC) && c->gif) { // mca_log has seen to CR4.MCE and MCIP
    c->pending &= ~PEND_MC;
    c->run = RUN_ON;
    if (mca_override(c))
      svm_exit(c, VMEXIT_EXCP0 + VEC_MC, 0, 0);
    else
      raise_vec(c, VEC_MC);
    return;
  }
  if ((c->pending & PEND_SMI) && smi_open(c) && c->shadow == SHADOW_NONE) {
    if (SVM_INTERCEPTED(c, VMEXIT_SMI) && !(c->hwcr & HWCR_SMM_LOCK)) { // it stays pending for the host
      svm_exit(c, VMEXIT_SMI, smi_exitinfo1(c), smi_exitinfo2(c));
      return;
    }
    c->pending &= ~(uint32_t)PEND_SMI;
    smm_enter(c);
    charge(c);
    return;
  }
  if ((c->pending & PEND_NMI) && !c->nmi_blocked && c->gif && c->shadow == SHADOW_NONE) {
    if (SVM_INTERCEPTED(c, VMEXIT_NMI)) { // it stays pending for the host
      svm_exit(c, VMEXIT_NMI, 0, 0);
      return;
    }
    c->pending &= ~PEND_NMI;
    c->run = RUN_ON;
    except_nmi(c);
    charge(c);
    return;
  }
  if (SVM_INTERCEPTED(c, VMEXIT_INTR) && (c->pending & PEND_INTR) && interrupts_open(c)) {
    svm_exit(c, VMEXIT_INTR, 0, 0);
    return;
  }
  if (unlikely(c->pending & PEND_VINTR) && !((c->pending & PEND_INTR) && interrupts_open(c))) {
    attend_virtual(c);
    return;
  }
  if (!(c->pending & PEND_INTR))
    return;
  if (c->run == RUN_MWAIT && c->mwait_break)
    c->run = RUN_ON;
  if (interrupts_open(c)) {
    int vector = lapic_ack(c);
    if (vector >= 0) {
      c->run = RUN_ON;
      except_interrupt(c, vector);
      charge(c);
    }
  }
}

// Anything that must be seen instruction by instruction.
static bool special(const struct cpu *c)
{
  return (c->sysflags & (FL_TF | FL_RF)) || c->shadow != SHADOW_NONE ||
         ((c->dr7 & 0xff) && debug_has_fetch_breakpoints(c)) || (c->debugctl & (DEBUGCTL_LBR | DEBUGCTL_BTF));
}

// The block at c->ip for this mode; `guess` may be it. NULL: a fault is waiting.
static struct block *find(struct engine *e, struct cpu *c, uint32_t mode, struct block *guess)
{
  uint64_t la = c->ip;
  if (mode & MODE_CS64) {
    if (unlikely(!canonical(la))) {
      raise_gp(c, 0);
      return NULL;
    }
  } else {
    if (unlikely(c->ip > c->seg[SEG_CS].limit)) {
      raise_gp(c, 0);
      return NULL;
    }
    la = (uint32_t)(c->seg[SEG_CS].base + c->ip);
  }
  uint64_t off = mem_fetch(c, la);
  if (unlikely(c->faulted))
    return NULL;
  if (guess && guess->ram == off && guess->mode == mode && !guess->dead)
    return guess;
  struct block *b = off == RAM_NONE ? NULL : code_get(&e->code, off, mode, c->log, c->ip);
  if (likely(b))
    return b;
  // The instruction crosses the page, or lies in device memory.
  uint8_t bytes[16];
  bool too_long;
  unsigned n = mem_fetch_bytes(c, la, bytes, 15);
  b = code_from_bytes(&e->code, bytes, n, mode, &too_long);
  if (b) {
    c->faulted = false; // of a byte that the instruction does not have
    return b;
  }
  if (!c->faulted)
    raise_gp(c, 0);
  return NULL;
}

// The same by the jump cache. step: MODE_STEP or 0; a block of one instruction has another place in it.
static inline struct block *lookup(struct engine *e, struct cpu *c, uint32_t step)
{
  struct jump *j = jump_slot(c, step ? c->ip + 0x800 : c->ip);
  uint64_t key = c->jump_key | step;
  if (likely(j->ip == c->ip && j->key == key && !j->block->dead))
    return j->block;
  // After a change of the address space the same code is likely to be at the same place.
  struct block *b = find(e, c, c->mode | step, j->ip == c->ip ? j->block : NULL);
  if (b && b->ram != RAM_NONE && key == (c->jump_key | step))
    *j = (struct jump){c->ip, key, b};
  return b;
}

static void run_block(struct cpu *c, struct block *b)
{
  c->r[REG_IP] = c->ip;
  c->block = b;
  c->left -= b->count;
  jit_enter(c, b->ops);
  if (unlikely(c->patched))
    cpu_unpatch(c);
  if (unlikely(c->faulted))
    cpu_unwind(c);
  c->block = NULL;
}

// Code segments that could end in the middle of a block: every instruction is checked on its own.
static bool limit_near(const struct cpu *c, const struct block *b)
{
  return !(c->mode & (MODE_CS64 | MODE_FLAT)) && c->ip + b->bytes - 1 > c->seg[SEG_CS].limit;
}

static void step_one(struct engine *e, struct cpu *c)
{
  bool trap = (c->sysflags & FL_TF) != 0;
  if ((c->dr7 & 0xff) && !(c->sysflags & FL_RF) && !debug_check_fetch(c))
    return;
  struct block *b = lookup(e, c, MODE_STEP);
  if (!b)
    return;
  if (limit_near(c, b)) {
    raise_gp(c, 0);
    return;
  }
  uint64_t from = c->ip;
  uint32_t length = b->bytes;
  bool guest = c->guest;
  c->rf_clear = true;
  c->trap_tf = trap;
  run_block(c, b);
  if (c->faulted) {
    c->shadow_next = SHADOW_NONE;
    return;
  }
  if (c->rf_clear)
    c->sysflags &= ~FL_RF;
  c->shadow = c->shadow_next;
  c->shadow_next = SHADOW_NONE;
  // A taken branch, for the last-branch registers and for single-stepping by branches
  // (APM2 13.1.1.8, 13.1.4).
  bool branched = c->ip != from + length && c->ip != from && c->guest == guest;
  if (branched)
    debug_branch(c, from, c->ip);
  if (c->trap_tf && (branched || !(c->debugctl & DEBUGCTL_BTF)))
    c->db_bits |= DR6_BS;
  c->trap_tf = false;
}

void interp_run(struct engine *e, struct cpu *c, uint64_t instructions)
{
  c->left = c->slice = instructions;
  c->stolen = 0;
  c->kicked = false;
  fpu_enter(c);
  for (;;) {
    if (unlikely(c->faulted)) {
      c->db_bits = 0; // of the instruction that did not complete
      except_deliver(c);
      c->shadow = c->shadow_next = SHADOW_NONE;
      charge(c);
    }
    if (unlikely(used_up(c)))
      break;
    if (unlikely(c->db_bits) && c->shadow != SHADOW_MOV_SS) {
      uint64_t bits = c->db_bits;
      c->db_bits = 0;
      except_debug_trap(c, bits);
      charge(c);
      continue;
    }
    if (unlikely(c->pending)) {
      int64_t before = c->left + c->stolen;
      attend(c);
      // What it took may leave the next one open: that comes before the handler's first instruction.
      if (c->faulted || c->left + c->stolen != before)
        continue;
    }
    if (unlikely(c->mode_stale))
      cpu_mode_update(c);
    if (unlikely(c->kicked)) {
      c->left += c->stolen;
      c->stolen = 0;
      c->kicked = false;
      if ((c->pending & PEND_STOP) || used_up(c))
        break;
      continue;
    }
    if (unlikely(c->run != RUN_ON || c->left <= 0))
      break;
    if (unlikely(special(c))) {
      step_one(e, c);
      continue;
    }
    struct block *b = lookup(e, c, 0);
    if (unlikely(!b))
      continue;
    if (unlikely(b->count > c->left || limit_near(c, b))) {
      step_one(e, c);
      continue;
    }
    run_block(c, b);
    c->shadow = c->shadow_next;
    c->shadow_next = SHADOW_NONE;
  }
  if (c->mode_stale)
    cpu_mode_update(c);
  fpu_leave(c);
  c->pending &= ~PEND_STOP;
  c->left += c->stolen;
  c->stolen = 0;
  c->instructions += c->slice - c->left;
  c->slice = c->left = 0;
}
