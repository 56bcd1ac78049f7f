// VMRUN VMLOAD VMSAVE VMMCALL STGI CLGI SKINIT. APM2 15.5 to 15.17; APM3
// chapter 4.
//
// The order of checks: #UD without EFER.SVME or outside of protected mode, #GP at CPL above 0 and for an
// address that no VMCB can have, then the intercept (APM2 15.9).
#include "cpu/insn/svm.h"

#include "cpu/except.h"
#include "cpu/mem.h"
#include "cpu/mmu.h"
#include "cpu/model.h"
#include "cpu/smm.h"
#include "cpu/svm/skinit.h"
#include "cpu/svm/world.h"

static bool privileged(struct cpu *c)
{
  if (!(c->efer & EFER_SVME) || !cpu_protected(c) || !model_has(c->model, FEAT_SVM))
    return raise_ud(c);
  return c->cpl == 0 || raise_gp(c, 0);
}

static bool not_intercepted(struct cpu *c, enum vmexit code)
{
  return !SVM_INTERCEPTED(c, code) || svm_exit(c, code, 0, 0);
}

// rAX as a VMCB's address: #GP if it is not aligned or beyond physical memory.
static bool vmcb_address(struct cpu *c, const struct op *op, uint64_t *pa)
{
  *pa = reg_get(c, RAX * 8, op->asz);
  return (!(*pa & 0xfff) && !(*pa & ~c->phys_mask)) || raise_gp(c, 0);
}

bool x_vmrun(struct cpu *c, const struct op *op)
{
  uint64_t pa;
  if (!c->gif && !debug_check_vmrun(c))
    return false;
  if (!privileged(c) || !vmcb_address(c, op, &pa) || !not_intercepted(c, VMEXIT_VMRUN))
    return false;
  return svm_vmrun(c, pa);
}

bool x_vmmcall(struct cpu *c, const struct op *op)
{
  if (SVM_INTERCEPTED(c, VMEXIT_VMMCALL))
    return svm_exit(c, VMEXIT_VMMCALL, 0, 0);
  return raise_ud(c);
}

// SKINIT and SVM-Lock have it without EFER.SVME: APM2 15.4, 15.31.
bool x_stgi(struct cpu *c, const struct op *op)
{
  if (!model_has(c->model, FEAT_SVM) || !cpu_protected(c) ||
      (!(c->efer & EFER_SVME) && !model_has(c->model, FEAT_SKINIT) && !model_has(c->model, FEAT_SVM_LOCK)))
    return raise_ud(c);
  if (c->cpl != 0)
    return raise_gp(c, 0);
  if (SVM_INTERCEPTED(c, VMEXIT_STGI))
    return svm_exit(c, VMEXIT_STGI, 0, 0);
  if (c->guest && c->svm->vgif) {
    c->svm->vintr |= VINTR_GIF;
    svm_vintr_update(c);
    return true;
  }
  c->gif = true;
  if (c->pending)
    cpu_kick(c);
  return true;
}

bool x_clgi(struct cpu *c, const struct op *op)
{
  if (!privileged(c) || !not_intercepted(c, VMEXIT_CLGI))
    return false;
  if (c->guest && c->svm->vgif)
    c->svm->vintr &= ~VINTR_GIF;
  else
    c->gif = false;
  return true;
}

bool x_rsm(struct cpu *c, const struct op *op)
{
  return smm_rsm(c);
}

// Like STGI it needs no EFER.SVME where CPUID shows SKINIT.
bool x_skinit(struct cpu *c, const struct op *op)
{
  if (!model_has(c->model, FEAT_SVM) || !cpu_protected(c) ||
      (!(c->efer & EFER_SVME) && !model_has(c->model, FEAT_SKINIT)))
    return raise_ud(c);
  if (c->cpl != 0)
    return raise_gp(c, 0);
  if (SVM_INTERCEPTED(c, VMEXIT_SKINIT))
    return svm_exit(c, VMEXIT_SKINIT, 0, 0);
  skinit_execute(c);
  return true;
}

// ---- VMLOAD, VMSAVE ----

static void field(struct cpu *c, uint64_t pa, unsigned off, void *p, unsigned size, bool save)
{
  uint64_t v = 0;
  if (save) {
    memcpy(&v, p, size);
    phys_write(c, pa + 0x400 + off, size, v);
  } else {
    v = phys_read(c, pa + 0x400 + off, size);
    memcpy(p, &v, size);
  }
}

// Bases are loaded with bits 63:48 copied from bit 47. APM2 15.5.1
static uint64_t sign_extend(uint64_t base)
{
  return (uint64_t)((int64_t)(base << 16) >> 16);
}

static void segment(struct cpu *c, uint64_t pa, unsigned off, struct seg *s, bool save)
{
  field(c, pa, off, &s->sel, 2, save);
  field(c, pa, off + 2, &s->attr, 2, save);
  field(c, pa, off + 4, &s->limit, 4, save);
  field(c, pa, off + 8, &s->base, 8, save);
  s->attr &= 0xfff;
  s->base = sign_extend(s->base);
}

#define SAVE(f) offsetof(struct vmcb_save, f)

static bool load_or_save(struct cpu *c, const struct op *op, bool save)
{
  uint64_t pa;
  if (!privileged(c) || !vmcb_address(c, op, &pa) ||
      !not_intercepted(c, save ? VMEXIT_VMSAVE : VMEXIT_VMLOAD))
    return false;
  if (unlikely(c->guest) && c->svm->vmload_exits)
    return svm_exit(c, save ? VMEXIT_VMSAVE : VMEXIT_VMLOAD, 0, 0);
  // Not intercepted in a guest: the operand is guest-physical if that is virtualized (APM2 15.33.1), else
  // real.
  if (unlikely(c->guest) && c->svm->virt_vmload && !mmu_guest_physical(c, pa, save ? MMU_W : MMU_R, &pa))
    return false;
  segment(c, pa, SAVE(fs), &c->seg[SEG_FS], save);
  segment(c, pa, SAVE(gs), &c->seg[SEG_GS], save);
  segment(c, pa, SAVE(tr), &c->tr, save);
  segment(c, pa, SAVE(ldtr), &c->ldtr, save);
  field(c, pa, SAVE(kernel_gs_base), &c->kernel_gs_base, 8, save);
  c->kernel_gs_base = sign_extend(c->kernel_gs_base);
  field(c, pa, SAVE(star), &c->star, 8, save);
  field(c, pa, SAVE(lstar), &c->lstar, 8, save);
  field(c, pa, SAVE(cstar), &c->cstar, 8, save);
  field(c, pa, SAVE(sfmask), &c->sfmask, 8, save);
  field(c, pa, SAVE(sysenter_cs), &c->sysenter_cs, 8, save);
  field(c, pa, SAVE(sysenter_esp), &c->sysenter_esp, 8, save);
  field(c, pa, SAVE(sysenter_eip), &c->sysenter_eip, 8, save);
  cpu_changed(c);
  return true;
}

bool x_vmload(struct cpu *c, const struct op *op)
{
  return load_or_save(c, op, false);
}

bool x_vmsave(struct cpu *c, const struct op *op)
{
  return load_or_save(c, op, true);
}
