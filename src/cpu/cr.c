// Control registers and EFER; see cr.h.
//
// What a write flushes is APM2 5.5.3: CR0.PG, CR4.PAE, PSE, PGE and clearing PCIDE empty the ASID's part of
// the TLB, global pages too; a load of CR3 empties the PCID but for global pages. What only changes rights
// (WP, SMEP, SMAP, PKE, NXE) removes nothing: views are made anew for new rights (tlb_select).
#include "cpu/cr.h"

#include "cpu/lapic.h"
#include "cpu/mmu.h"
#include "cpu/model.h"
#include "cpu/svm/world.h"

#define CR3_NO_FLUSH (1ull << 63)

static uint16_t current_pcid(const struct cpu *c)
{
  return c->cr4 & CR4_PCIDE ? c->cr3 & 0xfff : 0;
}

// At once, because an interrupt may be delivered before the next block.
static void rights_changed(struct cpu *c)
{
  cpu_changed(c);
  tlb_select(c);
}

static bool pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
  return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LMA);
}

bool pdpte_load(struct cpu *c, uint64_t cr3)
{
  if (mmu_two_stages(c)) // each walk reads them. APM2 15.25.10
    return true;
  uint64_t e[4];
  for (unsigned i = 0; i < 4; i++) {
    e[i] = phys_read(c, ((cr3 & 0xffffffe0) + 8 * i) & c->a20_mask, 8);
    if ((e[i] & 1) && (e[i] & (~(c->phys_mask & ~0xfffull) & ~0xe19ull))) // 11:9 are free, 4, 3 cache control
      return false;
  }
  memcpy(c->pdpte, e, sizeof e);
  return true;
}

// ---- CR0 ----

// Turning paging on and off with EFER.LME set enters and leaves long mode. APM2 14.6.2
static bool long_mode_allows(const struct cpu *c, uint64_t cr0)
{
  if (!(cr0 & CR0_PG))
    return !(c->mode & MODE_CS64) && !(c->cr4 & CR4_PCIDE);
  if (!(c->efer & EFER_LME))
    return true;
  return (c->cr4 & CR4_PAE) && !(c->seg[SEG_CS].attr & SEGA_L);
}

static bool cr0_legal(const struct cpu *c, uint64_t v)
{
  if (v >> 32 || ((v & CR0_PG) && !(v & CR0_PE)) || ((v & CR0_NW) && !(v & CR0_CD)))
    return false;
  return !((v ^ c->cr0) & CR0_PG) || long_mode_allows(c, v);
}

bool cr0_write(struct cpu *c, uint64_t v)
{
  if (!cr0_legal(c, v))
    return raise_gp(c, 0);
  v = (v & CR0_KNOWN) | CR0_ET;
  uint64_t changed = v ^ c->cr0, efer = c->efer;
  if (changed & CR0_PG) {
    efer &= ~(uint64_t)EFER_LMA;
    if ((v & CR0_PG) && (efer & EFER_LME))
      efer |= EFER_LMA;
  }
  if ((changed & (CR0_PG | CR0_CD | CR0_NW)) && pae_paging(v, c->cr4, efer) && !pdpte_load(c, c->cr3))
    return raise_gp(c, 0);
  c->cr0 = v;
  c->efer = efer;
  if (changed & CR0_PG)
    tlb_flush_linear(c, true);
  rights_changed(c);
  return true;
}

// ---- CR3 ----

static bool cr3_legal(const struct cpu *c, uint64_t v)
{
  if (c->cr4 & CR4_PCIDE)
    v &= ~CR3_NO_FLUSH;
  return !cpu_long(c) || !(v & ~c->phys_mask);
}

bool cr3_write(struct cpu *c, uint64_t v)
{
  bool keep = false;
  if (!cr3_legal(c, v))
    return raise_gp(c, 0);
  if (c->cr4 & CR4_PCIDE) {
    keep = v & CR3_NO_FLUSH;
    v &= ~CR3_NO_FLUSH;
  }
  if (pae_paging(c->cr0, c->cr4, c->efer) && !pdpte_load(c, v))
    return raise_gp(c, 0);
  c->cr3 = v;
  tlb_set_context(c, tlb_asid(c), current_pcid(c), keep);
  return true;
}

bool mmu_cr3_check(struct cpu *c, uint32_t v)
{
  uint64_t old[4];
  if (!pae_paging(c->cr0, c->cr4, c->efer))
    return true;
  memcpy(old, c->pdpte, sizeof old);
  if (!pdpte_load(c, v))
    return raise_gp(c, 0);
  memcpy(c->pdpte, old, sizeof old);
  return true;
}

void mmu_cr3_load(struct cpu *c, uint32_t v)
{
  if (pae_paging(c->cr0, c->cr4, c->efer))
    pdpte_load(c, v);
  c->cr3 = v;
  tlb_set_context(c, tlb_asid(c), 0, false);
}

// ---- CR4 ----

uint64_t cr4_allowed(const struct cpu *c)
{
  static const struct {
    uint32_t bits;
    enum feature feature;
  } rows[] = {
      {CR4_VME | CR4_PVI, FEAT_VME}, {CR4_TSD, FEAT_TSC},       {CR4_DE, FEAT_DE},
      {CR4_PSE, FEAT_PSE},           {CR4_PAE, FEAT_PAE},       {CR4_MCE, FEAT_MCE},
      {CR4_PGE, FEAT_PGE},           {CR4_PCE, FEAT_NONE},      {CR4_OSFXSR, FEAT_FXSR},
      {CR4_OSXMMEXCPT, FEAT_SSE},    {CR4_UMIP, FEAT_UMIP},     {CR4_FSGSBASE, FEAT_FSGSBASE},
      {CR4_PCIDE, FEAT_PCID},        {CR4_OSXSAVE, FEAT_XSAVE}, {CR4_SMEP, FEAT_SMEP},
      {CR4_SMAP, FEAT_SMAP},         {CR4_PKE, FEAT_PKU},
  };
  uint64_t allowed = 0;
  for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (rows[i].feature == FEAT_NONE || model_has(c->model, rows[i].feature))
      allowed |= rows[i].bits;
  return allowed;
}

static bool cr4_legal(const struct cpu *c, uint64_t v)
{
  if ((v & ~cr4_allowed(c)) || (cpu_long(c) && !(v & CR4_PAE)))
    return false;
  return !(v & ~c->cr4 & CR4_PCIDE) || (cpu_long(c) && !(c->cr3 & 0xfff));
}

bool cr4_write(struct cpu *c, uint64_t v)
{
  if (!cr4_legal(c, v))
    return raise_gp(c, 0);
  uint64_t changed = v ^ c->cr4;
  if ((changed & (CR4_PAE | CR4_PSE | CR4_PGE | CR4_SMEP)) && pae_paging(c->cr0, v, c->efer) &&
      !pdpte_load(c, c->cr3))
    return raise_gp(c, 0);
  c->cr4 = v;
  if ((changed & (CR4_PAE | CR4_PSE | CR4_PGE)) || (changed & ~v & CR4_PCIDE))
    tlb_flush_linear(c, true);
  tlb_set_context(c, tlb_asid(c), current_pcid(c), true);
  rights_changed(c);
  return true;
}

// ---- CR8 ----

bool cr8_write(struct cpu *c, uint64_t v)
{
  if (v & ~0xfull)
    return raise_gp(c, 0);
  // With V_INTR_MASKING a guest has a TPR of its own. APM2 15.21.2
  if (c->guest && (c->svm->vintr & VINTR_MASKING)) {
    c->svm->vintr = (c->svm->vintr & ~VINTR_TPR) | v;
    svm_vintr_update(c);
    return true;
  }
  c->cr8 = v;
  if (c->guest)
    c->svm->vintr = (c->svm->vintr & ~VINTR_TPR) | v;
  lapic_set_tpr(c, v);
  return true;
}

uint64_t cr8_read(const struct cpu *c)
{
  if (c->guest && (c->svm->vintr & VINTR_MASKING))
    return c->svm->vintr & 0xf;
  return c->lapic ? lapic_cr8(c->lapic) : c->cr8;
}

bool cr_check(struct cpu *c, unsigned n, uint64_t v)
{
  bool legal = n == 0   ? cr0_legal(c, v)
               : n == 3 ? cr3_legal(c, v)
               : n == 4 ? cr4_legal(c, v)
               : n == 8 ? !(v & ~0xfull)
                        : true;
  return legal || raise_gp(c, 0);
}

// ---- EFER ----

uint64_t efer_allowed(const struct cpu *c)
{
  uint64_t allowed = 0;
  if (model_has(c->model, FEAT_SYSCALL))
    allowed |= EFER_SCE;
  if (model_has(c->model, FEAT_LM)) // LMSLE came with revision D of the K8 and went with family 19h
    allowed |= EFER_LME | EFER_LMA | EFER_LMSLE;
  if (model_has(c->model, FEAT_NX))
    allowed |= EFER_NXE;
  if (model_has(c->model, FEAT_SVM) && !(c->vm_cr & 0x10)) // VM_CR.SVMDIS
    allowed |= EFER_SVME;
  if (model_has(c->model, FEAT_FFXSR))
    allowed |= EFER_FFXSR;
  if (model_has(c->model, FEAT_MCOMMIT))
    allowed |= EFER_MCOMMIT;
  return allowed;
}

bool efer_write(struct cpu *c, uint64_t v)
{
  if (v & ~efer_allowed(c))
    return raise_gp(c, 0);
  uint64_t changed = v ^ c->efer;
  // LMA follows LME and CR0.PG, and LME may not change under paging. APM2 3.1.7
  if ((changed & EFER_LMA) || ((changed & EFER_LME) && (c->cr0 & CR0_PG)))
    return raise_gp(c, 0);
  c->efer = v;
  rights_changed(c);
  return true;
}
