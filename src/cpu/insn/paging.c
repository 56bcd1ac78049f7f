// Control registers, TLB and cache management, protection keys: APM3, the instructions' own pages.
//
// There is no cache whose contents differ from memory, and memory is accessed in program order: write-backs,
// fences and prefetches have nothing to do but their checks.
#include "cpu/insn/paging.h"

#include "cpu/cr.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/svm/intercept.h"
#include "cpu/tlb.h"

// ---- MOV CR ----

// LOCK MOV CR0 is MOV CR8 where there is no REX prefix to say so.
static unsigned cr_number(const struct cpu *c, const struct op *op)
{
  bool alternate = (op->flags & OPF_LOCK) && op->reg == 0 && model_has(c->model, FEAT_CR8_LEGACY);
  return alternate ? 8 : op->reg;
}

bool x_mov_to_cr(struct cpu *c, const struct op *op)
{
  uint64_t v = reg_get(c, op->rm, cpu_code64(c) ? 3 : 2);
  unsigned n = cr_number(c, op);
  if (n > 4 ? n != 8 : n == 1)
    return raise_ud(c);
  if (unlikely(c->guest) && (!cr_check(c, n, v) || !svm_mov_cr(c, n, true, op->rm / 8) ||
                             (n == 0 && !svm_cr0_selective(c, v, op->rm / 8))))
    return false;
  bool done;
  switch (n) {
  case 0:
    done = cr0_write(c, v);
    break;
  case 2:
    c->cr2 = v;
    done = true;
    break;
  case 3:
    done = cr3_write(c, v);
    break;
  case 4:
    done = cr4_write(c, v);
    break;
  default:
    done = cr8_write(c, v);
  }
  if (unlikely(c->guest) && done)
    return svm_write_trap(c, VMEXIT_CR0_WRITE_TRAP + n, v);
  return done;
}

bool x_mov_from_cr(struct cpu *c, const struct op *op)
{
  uint64_t v;
  unsigned n = cr_number(c, op);
  if (n > 4 ? n != 8 : n == 1)
    return raise_ud(c);
  if (unlikely(c->guest) && !svm_mov_cr(c, n, false, op->rm / 8))
    return false;
  switch (n) {
  case 0:
    v = c->cr0;
    break;
  case 2:
    v = c->cr2;
    break;
  case 3:
    v = c->cr3;
    break;
  case 4:
    v = c->cr4;
    break;
  default:
    v = cr8_read(c);
  }
  reg_set(c, op->rm, cpu_code64(c) ? 3 : 2, v);
  return true;
}

// ---- the machine status word ----

bool x_lmsw(struct cpu *c, const struct op *op)
{
  uint64_t v;
  if (unlikely(c->guest) && !svm_lmsw(c)) // before the operand is read
    return false;
  if (!rm_get(c, op, 1, &v))
    return false;
  // PE can be set but not cleared.
  v = (c->cr0 & ~(uint64_t)(CR0_MP | CR0_EM | CR0_TS)) | (v & (CR0_PE | CR0_MP | CR0_EM | CR0_TS));
  if (!cr0_write(c, v))
    return false;
  return !unlikely(c->guest) || svm_write_trap(c, VMEXIT_CR0_WRITE_TRAP, v);
}

bool x_smsw(struct cpu *c, const struct op *op)
{
  if (c->cpl != 0 && (c->cr4 & CR4_UMIP))
    return raise_gp(c, 0);
  if (unlikely(c->guest) && (c->svm->cr_intercepts & 1))
    return svm_exit(c, VMEXIT_CR0_READ, 0, 0);
  return rm_set(c, op, op->flags & OPF_MEM ? 1 : op->osz, c->cr0);
}

bool x_clts(struct cpu *c, const struct op *op)
{
  if (unlikely(c->guest) && !svm_clts(c))
    return false;
  c->cr0 &= ~(uint64_t)CR0_TS;
  cpu_changed(c);
  return !unlikely(c->guest) || svm_write_trap(c, VMEXIT_CR0_WRITE_TRAP, c->cr0);
}

// ---- TLB ----

// The operand's linear address; neither limits nor types are looked at.
static uint64_t bare_linear(const struct cpu *c, const struct op *op)
{
  uint64_t offset = op_offset(c, op);
  if (cpu_code64(c))
    return op->seg >= SEG_FS ? c->seg[op->seg].base + offset : offset;
  return (uint32_t)(c->seg[op->seg].base + offset);
}

bool x_invlpg(struct cpu *c, const struct op *op)
{
  uint64_t la = bare_linear(c, op);
  if (SVM_INTERCEPTED(c, VMEXIT_INVLPG))
    return svm_exit(c, VMEXIT_INVLPG, model_has(c->model, FEAT_DECODEASSISTS) ? la : 0, 0);
  if (canonical(la))
    tlb_flush_page(c, la);
  return true;
}

bool x_invlpga(struct cpu *c, const struct op *op)
{
  if (!(c->efer & EFER_SVME) || !cpu_protected(c))
    return raise_ud(c);
  if (c->cpl != 0)
    return raise_gp(c, 0);
  if (SVM_INTERCEPTED(c, VMEXIT_INVLPGA))
    return svm_exit(c, VMEXIT_INVLPGA, 0, 0);
  uint64_t la = reg_get(c, RAX * 8, op->asz);
  uint32_t asid = REG32(c, RCX * 8);
  if (canonical(la) && asid < c->model->asids)
    tlb_flush_page_asid(c, la, asid);
  return true;
}

enum { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL_GLOBAL, INVPCID_ALL };

// The intercept comes before the descriptor is read, and tells where it is and the type. APM2 15.9
bool x_invpcid(struct cpu *c, const struct op *op)
{
  uint64_t d[2]; // PCID, linear address
  uint64_t type = reg_get(c, op->reg, cpu_code64(c) ? 3 : 2);
  if (SVM_INTERCEPTED(c, VMEXIT_INVPCID))
    return svm_exit(c, VMEXIT_INVPCID, bare_linear(c, op), type);
  uint64_t la = op_ea(c, op, sizeof d, ACC_READ);
  if (c->faulted || !mem_read(c, op, la, d, sizeof d))
    return false;
  if (type > INVPCID_ALL || d[0] >> 12)
    return raise_gp(c, 0);
  bool one = type == INVPCID_ADDRESS || type == INVPCID_CONTEXT;
  if (one && d[0] && !(c->cr4 & CR4_PCIDE))
    return raise_gp(c, 0);
  switch (type) {
  case INVPCID_ADDRESS:
    if (!canonical(d[1]))
      return raise_gp(c, 0);
    tlb_flush_page_pcid(c, d[1], d[0]);
    break;
  case INVPCID_CONTEXT:
    tlb_flush_pcid(c, d[0]);
    break;
  case INVPCID_ALL_GLOBAL:
    tlb_flush_linear(c, true);
    break;
  default:
    tlb_flush_linear(c, false);
  }
  return true;
}

// ---- broadcast ----

enum { // of rAX
  PGB_VA = 1,
  PGB_PCID = 2,
  PGB_ASID = 4,
  PGB_GLOBAL = 8,
  PGB_FINAL = 16, // only last levels: there are no others
  PGB_RESERVED = 0xfe0,
};
#define PGB_LARGE (1u << 31) // of ECX: pages of 2 MB

// In a guest only with leave of the VMCB, and then for its own ASID.
static bool broadcast_undefined(const struct cpu *c)
{
  return c->guest && !c->svm->invlpgb;
}

static bool invlpgb_illegal(const struct cpu *c, uint64_t rax)
{
  uint32_t ecx = REG32(c, RCX * 8), edx = REG32(c, RDX * 8);
  return (rax & PGB_RESERVED) || (ecx & 0xffff) > INVLPGB_COUNT_MAX || (ecx & ~(PGB_LARGE | 0xffff)) ||
         edx >> 28 || (!c->guest && (rax & PGB_ASID) && (edx & 0xffff) >= c->model->asids) ||
         ((rax & PGB_PCID) && (edx >> 16) && !(c->cr4 & CR4_PCIDE));
}

// A part of the address that is not valid matches everything; global pages count for every PCID.
static void invlpgb_on(struct cpu *c, uint64_t rax, uint32_t ecx, uint32_t edx)
{
  struct tlb_match m = {.by_page = rax & PGB_VA,
                        .by_pcid = rax & PGB_PCID,
                        .by_asid = rax & PGB_ASID,
                        .global = rax & PGB_GLOBAL,
                        .pcid = edx >> 16 & 0xfff,
                        .asid = edx & 0xffff};
  if (!m.by_page) {
    tlb_flush_match(c, &m);
    return;
  }
  uint64_t step = ecx & PGB_LARGE ? 1 << 21 : 1 << 12;
  for (unsigned i = 0; i <= (ecx & 0xffff); i++) {
    m.la = (rax & ~0xfffull) + i * step;
    if (canonical(m.la))
      tlb_flush_match(c, &m);
  }
}

// The others have done it before the next instruction: TLBSYNC has nothing to wait for.
bool x_invlpgb(struct cpu *c, const struct op *op)
{
  uint64_t rax = reg_get(c, RAX * 8, op->asz);
  if (c->cpl != 0)
    return raise_gp(c, 0);
  bool illegal = broadcast_undefined(c) || invlpgb_illegal(c, rax);
  if (SVM_INTERCEPTED(c, VMEXIT_INVLPGB))
    return svm_exit(c, VMEXIT_INVLPGB, 0, 0);
  if (illegal && SVM_INTERCEPTED(c, VMEXIT_INVLPGB_ILLEGAL))
    return svm_exit(c, VMEXIT_INVLPGB_ILLEGAL, 0, 0);
  if (illegal)
    return broadcast_undefined(c) ? raise_ud(c) : raise_gp(c, 0);
  uint32_t edx = REG32(c, RDX * 8);
  if (c->guest) { // whatever it says, its own
    rax |= PGB_ASID;
    edx = (edx & 0xffff0000) | c->svm->asid;
  }
  for (unsigned i = 0; i < c->cpus; i++)
    if (c->all[i])
      invlpgb_on(c->all[i], rax, REG32(c, RCX * 8), edx);
  return true;
}

bool x_tlbsync(struct cpu *c, const struct op *op)
{
  if (broadcast_undefined(c))
    return raise_ud(c);
  if (c->cpl != 0)
    return raise_gp(c, 0);
  return !SVM_INTERCEPTED(c, VMEXIT_TLBSYNC) || svm_exit(c, VMEXIT_TLBSYNC, 0, 0);
}

// ---- caches ----

bool x_cache_line(struct cpu *c, const struct op *op)
{
  uint64_t la = op_ea(c, op, 1, ACC_READ);
  return !c->faulted && mem_probe_read(c, op, la, 1);
}

bool x_hint(struct cpu *c, const struct op *op)
{
  return true;
}

bool x_clzero(struct cpu *c, const struct op *op)
{
  static const uint8_t zero[64];
  uint64_t offset = reg_get(c, RAX * 8, op->asz) & ~63ull;
  uint64_t la = seg_linear(c, op->seg, offset, sizeof zero, ACC_WRITE);
  return !c->faulted && mem_write(c, op, la, zero, sizeof zero);
}

// ---- SMAP and protection keys ----

static bool set_ac(struct cpu *c, uint32_t ac)
{
  if (c->cpl != 0)
    return raise_ud(c);
  if ((c->sysflags & FL_AC) != ac) {
    c->sysflags ^= FL_AC;
    cpu_changed(c);
  }
  return true;
}

bool x_stac(struct cpu *c, const struct op *op)
{
  return set_ac(c, FL_AC);
}

bool x_clac(struct cpu *c, const struct op *op)
{
  return set_ac(c, 0);
}

bool x_rdpkru(struct cpu *c, const struct op *op)
{
  if (!(c->cr4 & CR4_PKE))
    return raise_ud(c);
  if (REG32(c, RCX * 8))
    return raise_gp(c, 0);
  reg_set(c, RAX * 8, 2, c->pkru);
  reg_set(c, RDX * 8, 2, 0);
  return true;
}

bool x_wrpkru(struct cpu *c, const struct op *op)
{
  if (!(c->cr4 & CR4_PKE))
    return raise_ud(c);
  if (REG32(c, RCX * 8) || REG32(c, RDX * 8))
    return raise_gp(c, 0);
  c->pkru = REG32(c, RAX * 8);
  tlb_select(c);
  return true;
}
