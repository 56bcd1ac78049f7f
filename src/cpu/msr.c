// RDMSR and WRMSR: a table of registers that keep a value, and functions for those that do something; see
// msr.h.
//
// Invariant: what no row and no case names gives #GP(0). APM2 appendix A, BKDG for family 10h 3.12.
#include "cpu/msr.h"

#include <stddef.h>

#include "cpu/cpu.h"
#include "cpu/cr.h"
#include "cpu/except.h"
#include "cpu/lapic.h"
#include "cpu/mca.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/perfctr.h"
#include "cpu/smm.h"
#include "cpu/svm/intercept.h"

enum msr_flag {
  M_RO = 1,     // writing gives #GP
  M_CANON = 2,  // #GP for a non-canonical address
  M_PHYS = 4,   // #GP for bits above the physical address
  M_K8 = 8,     // family 0Fh only
  M_10H = 16,   // family 10h and later
  M_INTEL = 32, // with vendor=GenuineIntel only
};

struct msr_row {
  uint32_t first;
  uint8_t count;
  uint8_t flags;
  uint16_t off;     // of the first, in struct cpu
  uint16_t feature; // FEAT_NONE: always there
  uint64_t write;   // bits that a write changes; the others keep their value
  uint64_t fault;   // bits that may not be 1 in a write
  uint64_t reset;
};

#define ANY      UINT64_MAX
#define CPU(f)   offsetof(struct cpu, f)
#define PLAIN(n) (offsetof(struct cpu, plain_msr) + 8 * (n))
#define LOW32    0xffffffffull

// Places in plain_msr.
enum {
  P_NB_CFG,
  P_INT_PENDING,
  P_MMCFG,
  P_PSTATE_CTL,
  P_OSVW_LENGTH,
  P_OSVW_STATUS,
  P_MC_REDIRECT,
  P_SMI_IO_CTL,
  P_SMI_CYCLE,
  P_COFVID_CTL,
  P_WATCHDOG,
  P_HTC,
  P_PLATFORM,
  P_FIDVID,
  P_FIDVID_LAST = P_FIDVID + 1,
  P_SMI_IO,
  P_SMI_IO_LAST = P_SMI_IO + 3,
  P_MC_MASK,
  P_MC_MASK_LAST = P_MC_MASK + 7,
  P_CFG,
  P_CFG_LAST = P_CFG + 3, // LS, IC, DC, BU
  P_CFG2,
  P_CFG2_LAST = P_CFG2 + 5, // 1028h..102Dh
  P_COUNT
};
_Static_assert(P_COUNT <= PERFCTR_PLAIN, "perfctr.c has the last two");

static const struct msr_row rows[] = {
    // first, count, flags, place, feature, write, fault, reset
    {0x2a, 1, M_RO, PLAIN(P_PLATFORM), FEAT_NONE, 0, 0, 0},
    {MSR_SPEC_CTRL, 1, 0, CPU(spec_ctrl), FEAT_IBRS, 7, ~7ull, 0},
    {MSR_SYSENTER_CS, 1, 0, CPU(sysenter_cs), FEAT_SEP, 0xffff, 0, 0},
    {MSR_SYSENTER_ESP, 1, 0, CPU(sysenter_esp), FEAT_SEP, ANY, 0, 0},
    {MSR_SYSENTER_EIP, 1, 0, CPU(sysenter_eip), FEAT_SEP, ANY, 0, 0},
    {0x1a0, 1, M_INTEL, CPU(misc_enable), FEAT_NONE, 0x400c50009, 0, 0x1801},
    {MSR_DEBUGCTL, 1, 0, CPU(debugctl), FEAT_NONE, 0x3f, ~0x3full, 0},
    {MSR_LAST_BRANCH_FROM, 1, M_RO, CPU(last_branch_from), FEAT_NONE, 0, 0, 0},
    {MSR_LAST_BRANCH_TO, 1, M_RO, CPU(last_branch_to), FEAT_NONE, 0, 0, 0},
    {MSR_LAST_INT_FROM, 1, M_RO, CPU(last_int_from), FEAT_NONE, 0, 0, 0},
    {MSR_LAST_INT_TO, 1, M_RO, CPU(last_int_to), FEAT_NONE, 0, 0, 0},
    {MSR_STAR, 1, 0, CPU(star), FEAT_SYSCALL, ANY, 0, 0},
    {MSR_LSTAR, 1, M_CANON, CPU(lstar), FEAT_LM, ANY, 0, 0},
    {MSR_CSTAR, 1, M_CANON, CPU(cstar), FEAT_LM, ANY, 0, 0},
    {MSR_SFMASK, 1, 0, CPU(sfmask), FEAT_LM, LOW32, 0, 0},
    {MSR_FS_BASE, 1, M_CANON, CPU(seg[SEG_FS].base), FEAT_LM, ANY, 0, 0},
    {MSR_GS_BASE, 1, M_CANON, CPU(seg[SEG_GS].base), FEAT_LM, ANY, 0, 0},
    {MSR_KERNEL_GS_BASE, 1, M_CANON, CPU(kernel_gs_base), FEAT_LM, ANY, 0, 0},
    {MSR_TSC_AUX, 1, 0, CPU(tsc_aux), FEAT_RDTSCP, LOW32, 0, 0},
    {MSR_SYSCFG, 1, 0, CPU(syscfg), FEAT_NONE, 0x7c0000, 0, 0},
    {MSR_IORR_BASE0, 1, M_PHYS, CPU(iorr_base[0]), FEAT_NONE, ~0xfe7ull, 0, 0},
    {MSR_IORR_BASE0 + 1, 1, M_PHYS, CPU(iorr_mask[0]), FEAT_NONE, ~0x7ffull, 0, 0},
    {MSR_IORR_BASE0 + 2, 1, M_PHYS, CPU(iorr_base[1]), FEAT_NONE, ~0xfe7ull, 0, 0},
    {MSR_IORR_BASE0 + 3, 1, M_PHYS, CPU(iorr_mask[1]), FEAT_NONE, ~0x7ffull, 0, 0},
    {MSR_TOP_MEM, 1, M_PHYS, CPU(top_mem), FEAT_NONE, ~0x7fffffull, 0, 0x4000000},
    {MSR_TOP_MEM2, 1, M_PHYS, CPU(top_mem2), FEAT_NONE, ~0x7fffffull, 0, 0},
    {MSR_NB_CFG, 1, 0, PLAIN(P_NB_CFG), FEAT_NONE, ANY, 0, 0},
    {0xc0010022, 1, 0, PLAIN(P_MC_REDIRECT), FEAT_NONE, 0x3ff, 0, 0},
    {0xc001003e, 1, 0, PLAIN(P_HTC), FEAT_NONE, ANY, 0, 0},
    {0xc0010041, 2, M_K8, PLAIN(P_FIDVID), FEAT_NONE, ANY, 0, 0},
    {MSR_MC_CTL_MASK0, 8, 0, PLAIN(P_MC_MASK), FEAT_MCA, ANY, 0, 0},
    {0xc0010050, 4, 0, PLAIN(P_SMI_IO), FEAT_NONE, ANY, 0, 0},
    {0xc0010054, 1, 0, PLAIN(P_SMI_IO_CTL), FEAT_NONE, ANY, 0, 0},
    {MSR_INT_PENDING, 1, 0, PLAIN(P_INT_PENDING), FEAT_NONE, LOW32, 0, 0},
    {0xc0010056, 1, 0, PLAIN(P_SMI_CYCLE), FEAT_NONE, ANY, 0, 0},
    {MSR_MMCFG_BASE, 1, M_PHYS | M_10H, PLAIN(P_MMCFG), FEAT_NONE, ~0xfffc2ull, 0, 0},
    {MSR_PSTATE_CTL, 1, M_10H, PLAIN(P_PSTATE_CTL), FEAT_NONE, 7, 0, 0},
    {MSR_COFVID_CTL, 1, M_10H, PLAIN(P_COFVID_CTL), FEAT_NONE, ANY, 0, 0},
    {0xc0010074, 1, M_10H, PLAIN(P_WATCHDOG), FEAT_NONE, 0x7f, 0, 0},
    {MSR_IGNNE, 1, 0, CPU(ignne), FEAT_NONE, 1, ~1ull, 0},
    // Errata software must be told about: none of the first four.
    {MSR_OSVW_LENGTH, 1, 0, PLAIN(P_OSVW_LENGTH), FEAT_OSVW, 0xffff, 0, 4},
    {MSR_OSVW_STATUS, 1, 0, PLAIN(P_OSVW_STATUS), FEAT_OSVW, ANY, 0, 0},
    {0xc0011020, 4, 0, PLAIN(P_CFG), FEAT_NONE, ANY, 0, 0},
    {0xc0011028, 6, M_10H, PLAIN(P_CFG2), FEAT_NONE, ANY, 0, 0}, // 1029h: DE_CFG
};
#define ROWS (sizeof rows / sizeof *rows)

static uint64_t *place(struct cpu *c, const struct msr_row *r, uint32_t index)
{
  return (uint64_t *)((char *)c + r->off) + (index - r->first);
}

static const struct msr_row *find(const struct cpu *c, uint32_t index)
{
  const struct model *m = c->model;
  unsigned lo = 0, hi = ROWS;
  while (lo < hi) {
    unsigned mid = (lo + hi) / 2;
    if (index >= rows[mid].first + rows[mid].count)
      lo = mid + 1;
    else
      hi = mid;
  }
  if (lo == ROWS || index < rows[lo].first)
    return NULL;
  const struct msr_row *r = &rows[lo];
  if (r->feature != FEAT_NONE && !model_has(m, r->feature))
    return NULL;
  if (((r->flags & M_INTEL) && !m->intel) || ((r->flags & M_10H) && model_family(m) < 0x10) ||
      ((r->flags & M_K8) && model_family(m) != 0xf))
    return NULL;
  return r;
}

// ---- those that do something ----

// P-state 0 is what the TSC counts; there are no others.
static uint64_t frequency_id(const struct cpu *c)
{
  uint64_t step = c->tsc_hz / 100000000;
  return step < 16 ? 0 : step - 16 > 63 ? 63 : step - 16;
}

static bool has_pred_cmd(const struct model *m)
{
  return model_has(m, FEAT_IBPB);
}

static uint64_t brand_word(const struct model *m, unsigned i)
{
  uint64_t v = 0;
  for (unsigned k = 0; k < 8; k++)
    v |= (uint64_t)(uint8_t)m->brand[8 * i + k] << 8 * k;
  return v;
}

// With nested paging the guest has a PAT of its own. APM2 15.25.4
static uint64_t *pat_of(struct cpu *c)
{
  return unlikely(c->guest) && c->svm->np ? &c->svm->g_pat : &c->pat;
}

static bool read_special(struct cpu *c, uint32_t index, uint64_t *v)
{
  const struct model *m = c->model;
  *v = 0;
  switch (index) {
  case MSR_TSC:
    *v = c->guest ? svm_tsc(c, cpu_tsc(c)) : cpu_tsc(c);
    return true;
  case MSR_TSC_RATIO:
    *v = c->svm->tsc_ratio;
    return model_has(m, FEAT_TSC_SCALE);
  case MSR_SVM_KEY: // reads as 0
    return model_has(m, FEAT_SVM_LOCK);
  case MSR_APIC_BASE:
    *v = c->apic_base;
    return model_has(m, FEAT_APIC);
  case MSR_TSC_ADJUST:
    *v = c->tsc_adjust;
    return model_has(m, FEAT_TSC_ADJUST);
  case MSR_UCODE_UPDATE:
    return true;
  case MSR_UCODE_REV:
    *v = model_family(m) >= 0x10 ? 0x010000dc : 0;
    return true;
  case MSR_MPERF:
  case MSR_APERF:
    *v = perfctr_fixed_read(c, index == MSR_APERF);
    if (c->guest && index == MSR_MPERF) // APM2 15.30.5
      *v = svm_scale(c, *v);
    return model_has(m, FEAT_RDPRU);
  case MSR_PAT:
    *v = *pat_of(c);
    return model_has(m, FEAT_PAT);
  case MSR_TSC_DEADLINE:
    *v = lapic_deadline_read(c);
    return model_has(m, FEAT_TSC_DEADLINE);
  case MSR_EFER:
    *v = c->efer;
    return true;
  case MSR_HWCR:
    *v = c->hwcr;
    return true;
  case MSR_BRAND0 ... MSR_BRAND0 + 5:
    *v = brand_word(m, index - MSR_BRAND0);
    return true;
  case MSR_PSTATE_LIMIT: // P-state 0 is both the highest and the lowest
  case MSR_PSTATE_STAT:
    return model_family(m) >= 0x10;
  case MSR_PSTATE0 ... MSR_PSTATE0 + 4:
    if (index == MSR_PSTATE0)
      *v = 1ull << 63 | 0x20u << 9 | frequency_id(c);
    return model_family(m) >= 0x10;
  case MSR_COFVID_STAT:
    *v = frequency_id(c) << 49 | 0x20u << 9 | frequency_id(c);
    return model_family(m) >= 0x10;
  case MSR_SMM_BASE:
  case MSR_SMM_ADDR:
  case MSR_SMM_MASK:
  case MSR_SMM_CTL:
  case MSR_SMM_KEY:
    return smm_msr_read(c, index, v);
  case MSR_VM_CR:
    *v = c->vm_cr;
    return model_has(m, FEAT_SVM);
  case MSR_VM_HSAVE_PA:
    *v = c->vm_hsave_pa;
    return model_has(m, FEAT_SVM);
  case 0xc0011004: // the feature bits that CPUID shows
    *v = (uint64_t)m->word[FW_1_ECX] << 32 | m->word[FW_1_EDX];
    return true;
  case 0xc0011005:
    *v = (uint64_t)m->word[FW_80000001_ECX] << 32 | m->word[FW_80000001_EDX];
    return true;
  }
  if (index >= MSR_PERF_CTL0 && index < MSR_PERF_CTR0 + 4)
    return perfctr_read(c, index, v);
  return false;
}

static void tsc_write(struct cpu *c, uint64_t v)
{
  uint64_t by = v - cpu_tsc(c);
  c->tsc_offset += by;
  c->tsc_adjust += by;
  lapic_tsc_moved(c);
}

static bool vm_cr_write(struct cpu *c, uint64_t v)
{
  const uint64_t held = VM_CR_LOCK | VM_CR_SVMDIS;
  // SVMDIS under EFER.SVME faults whether it is locked or not. APM2 15.30.1
  if ((v & ~0x1full) || ((v & VM_CR_SVMDIS) && (c->efer & EFER_SVME)))
    return false;
  if ((c->vm_cr & VM_CR_LOCK) || !model_has(c->model, FEAT_SVM_LOCK))
    v = (v & ~held) | (c->vm_cr & held);
  // DPD shuts the debug port of the package; there is none, and the monitor and gdb of this machine are not
  // it.
  c->vm_cr = v;
  cpu_a20_update(c);
  return true;
}

static bool write_special(struct cpu *c, uint32_t index, uint64_t v)
{
  const struct model *m = c->model;
  switch (index) {
  case MSR_TSC:
    tsc_write(c, v);
    return true;
  case MSR_TSC_RATIO: // 8.32 fixed point
    if (!model_has(m, FEAT_TSC_SCALE) || v >> 40)
      return false;
    c->svm->tsc_ratio = v;
    return true;
  case MSR_SVM_KEY: // APM2 15.31: kept while VM_CR.LOCK is clear, and opens the lock when it comes again
    if (!model_has(m, FEAT_SVM_LOCK))
      return false;
    if (!(c->vm_cr & VM_CR_LOCK))
      c->svm->key = v;
    else if (v && v == c->svm->key)
      c->vm_cr &= ~(uint64_t)VM_CR_LOCK;
    return true;
  case MSR_APIC_BASE:
    return model_has(m, FEAT_APIC) && lapic_base_write(c, v);
  case MSR_TSC_ADJUST:
    if (!model_has(m, FEAT_TSC_ADJUST))
      return false;
    c->tsc_offset += v - c->tsc_adjust;
    c->tsc_adjust = v;
    lapic_tsc_moved(c);
    return true;
  case MSR_PRED_CMD: // nothing is predicted
    return has_pred_cmd(m) && !(v & ~1ull);
  case MSR_UCODE_UPDATE:
  case MSR_UCODE_REV:
  case 0xc0010020: // AMD's patch loader: the processor already is at its last patch level
    return true;
  case MSR_MPERF:
  case MSR_APERF:
    if (!model_has(m, FEAT_RDPRU))
      return false;
    perfctr_fixed_write(c, index == MSR_APERF, v);
    return true;
  case MSR_PAT:
    if (!model_has(m, FEAT_PAT) || !pat_valid(v))
      return false;
    *pat_of(c) = v;
    return true;
  case MSR_TSC_DEADLINE:
    if (!model_has(m, FEAT_TSC_DEADLINE))
      return false;
    lapic_deadline_write(c, v);
    return true;
  case MSR_EFER:
    return efer_write(c, v);
  case MSR_HWCR:
    if (c->hwcr & HWCR_SMM_LOCK) // write-once until reset
      v |= HWCR_SMM_LOCK;
    c->hwcr = v & 0x3ffffffff;
    return true;
  case MSR_BRAND0 ... MSR_BRAND0 + 5:
    return true; // the name is the model's
  case MSR_PSTATE0 ... MSR_PSTATE0 + 4:
    return model_family(m) >= 0x10; // firmware's business: fixed here
  case MSR_SMM_BASE:
  case MSR_SMM_ADDR:
  case MSR_SMM_MASK:
  case MSR_SMM_CTL:
  case MSR_SMM_KEY:
    return smm_msr_write(c, index, v);
  case MSR_VM_CR:
    return model_has(m, FEAT_SVM) && vm_cr_write(c, v);
  case MSR_VM_HSAVE_PA:
    if (!model_has(m, FEAT_SVM) || (v & 0xfff) || v >> m->phys_bits)
      return false;
    c->vm_hsave_pa = v;
    return true;
  case 0xc0011004:
  case 0xc0011005:
    return true;
  }
  if (index >= MSR_PERF_CTL0 && index < MSR_PERF_CTR0 + 4)
    return perfctr_write(c, index, v);
  return false;
}

// ---- the way in ----

static bool is_mtrr(uint32_t i)
{
  return i == MSR_MTRRCAP || i == MSR_MTRR_DEF_TYPE || (i >= MSR_MTRR_BASE0 && i < MSR_MTRR_FIX4K + 8);
}

static bool is_mca(uint32_t i)
{
  return (i >= MSR_MCG_CAP && i <= MSR_MCG_CTL) || (i >= MSR_MC0_CTL && i < MSR_MC0_CTL + 0x80);
}

bool msr_read(struct cpu *c, uint32_t index, uint64_t *v)
{
  const struct msr_row *r = find(c, index);
  bool ok;
  *v = 0;
  if (r) {
    *v = index == MSR_NB_CFG && c->chip ? c->chip->nb_config(c->chip_arg, c) : *place(c, r, index);
    return true;
  }
  if (is_mtrr(index))
    ok = mtrr_read(c, index, v);
  else if (is_mca(index))
    ok = mca_read(c, index, v);
  else if (index >= MSR_X2APIC && index < MSR_X2APIC + 0x100)
    ok = lapic_x2apic_read(c, index, v);
  else
    ok = read_special(c, index, v);
  if (!ok)
    log_line(c->log, LOG_UNIMP, "cpu %u: RDMSR %08x gives #GP\n", c->index, index);
  return ok;
}

static bool row_write(struct cpu *c, const struct msr_row *r, uint32_t index, uint64_t v)
{
  if ((r->flags & M_RO) || (v & r->fault))
    return false;
  if ((r->flags & M_CANON) && !canonical(v))
    return false;
  if ((r->flags & M_PHYS) && v >> c->model->phys_bits)
    return false;
  uint64_t *p = place(c, r, index);
  *p = (*p & ~r->write) | (v & r->write);
  if (index == MSR_NB_CFG && c->chip)
    c->chip->set_nb_config(c->chip_arg, c, v);
  if (index == MSR_MMCFG_BASE && c->chip)
    c->chip->set_mmcfg(c->chip_arg, c, *p);
  return true;
}

bool msr_write(struct cpu *c, uint32_t index, uint64_t v)
{
  const struct msr_row *r = find(c, index);
  bool ok;
  if (r)
    ok = row_write(c, r, index, v);
  else if (is_mtrr(index))
    ok = mtrr_write(c, index, v);
  else if (is_mca(index))
    ok = mca_write(c, index, v);
  else if (index >= MSR_X2APIC && index < MSR_X2APIC + 0x100)
    ok = lapic_x2apic_write(c, index, v);
  else
    ok = write_special(c, index, v);
  if (!ok)
    log_line(c->log, LOG_UNIMP, "cpu %u: WRMSR %08x, %016llx gives #GP\n", c->index, index,
             (unsigned long long)v);
  return ok;
}

void msr_reset(struct cpu *c)
{
  for (unsigned i = 0; i < ROWS; i++) {
    for (unsigned k = 0; k < rows[i].count; k++) {
      // FS and GS bases are registers that cpu_reset sets with their segments.
      if (rows[i].first != MSR_FS_BASE && rows[i].first != MSR_GS_BASE)
        *place(c, &rows[i], rows[i].first + k) = rows[i].reset;
    }
  }
  if (model_has(c->model, FEAT_LFENCE_SERIALIZING))
    c->plain_msr[P_CFG2 + 1] = 2; // DE_CFG: LFENCE serializes
  c->pat = 0x0007040600070406;
  c->hwcr = 1u << 24; // the TSC counts at the rate of P-state 0
  c->vm_cr = 0;
  c->vm_hsave_pa = 0;
  c->tsc_adjust = 0;
  c->tsc_offset = -tsc_from_ns(clock_now(c->clock), c->tsc_hz); // the TSC starts from 0
  c->mtrr_def_type = 0;
  for (unsigned i = 0; i < 11; i++)
    c->mtrr_fixed[i] = 0;
  for (unsigned i = 0; i < 8; i++)
    c->mtrr_base[i] = c->mtrr_mask[i] = 0;
  perfctr_reset(c);
  mca_reset(c);
  c->rng = 0x9e3779b97f4a7c15ull * (c->index + 1);
}
