// MSRs that a guest may not touch itself. One that is not known here is not there: #GP.
#include "svm/exit.h"

#include "svm/mmio.h"
#include "svm/svm.h"
#include "svm/vcpu.h"

enum {
  MTRR_CAP = 0xfe,
  MTRR_VARIABLE = 0x200,
  MTRR_FIXED_64K = 0x250,
  MTRR_FIXED_16K = 0x258,
  MTRR_FIXED_4K = 0x268,
  MTRR_DEF_TYPE = 0x2ff,
  PATCH_LEVEL = 0x8b,
  BIOS_SIGN = 0x8b,
  MCG_CAP = 0x179,
  MCG_STATUS = 0x17a,
  DEBUGCTL = 0x1d9,
  LAST_BRANCH = 0x1db
};
#define AMD_FIRST 0xc0010000u
#define AMD_LAST  0xc0011fffu
#define VM_CR     0xc0010114u
#define HWCR      0xc0010015u

// Index of an MTRR in vcpu->mtrr, or -1: 11 fixed ones, then 8 pairs.
static int mtrr(uint32_t msr)
{
  if (msr == MTRR_FIXED_64K)
    return 0;
  if (msr - MTRR_FIXED_16K < 2)
    return 1 + (int)(msr - MTRR_FIXED_16K);
  if (msr - MTRR_FIXED_4K < 8)
    return 3 + (int)(msr - MTRR_FIXED_4K);
  return msr - MTRR_VARIABLE < 16 ? 11 + (int)(msr - MTRR_VARIABLE) : -1;
}

static bool read(struct vcpu *v, uint32_t msr, uint64_t *value)
{
  *value = 0;
  switch (msr) {
  case MSR_TSC:
    *value = rdtsc() + v->vmcb->control.tsc_offset;
    return true;
  case MSR_TSC_ADJUST:
    *value = v->tsc_adjust;
    return true;
  case MSR_APIC_BASE:
    *value = v->lapic.base;
    return true;
  case MSR_EFER:
    *value = vcpu_efer(v);
    return true;
  case MSR_PAT:
    *value = vcpu_nested(v) ? v->vmcb->save.g_pat : v->pat;
    return true;
  case MSR_TSC_AUX:
    *value = v->tsc_aux;
    return true;
  case MTRR_CAP:
    *value = 0x508; // 8 variable, fixed, write combining
    return true;
  case MTRR_DEF_TYPE:
    *value = v->mtrr_def;
    return true;
  case PATCH_LEVEL:
  case MCG_CAP:
  case MCG_STATUS:
  case DEBUGCTL:
  case VM_CR:
    return true;
  case HWCR:
    *value = 1 << 24; // TscFreqSel
    return true;
  default:
    if (mtrr(msr) >= 0) {
      *value = v->mtrr[mtrr(msr)];
      return true;
    }
    return (msr >= AMD_FIRST && msr <= AMD_LAST) || msr - LAST_BRANCH < 4;
  }
}

static bool set_efer(struct vcpu *v, uint64_t value)
{
  uint64_t old = vcpu_efer(v);
  if (value & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | 1ull << 14)) // FFXSR
    return false;
  if ((value ^ old) & EFER_LME && vcpu_cr0(v) & CR0_PG)
    return false;
  vcpu_set_efer(v, value);
  return true;
}

// x2APIC, bit 10, is not offered. An APIC that is switched off forgets what it was.
static bool set_apic_base(struct vcpu *v, uint64_t value)
{
  enum { ENABLE = 1 << 11, BOOT_CPU = 1 << 8 };
  if (value & ~(PTE_ADDR | ENABLE | BOOT_CPU) || value & svm_features.reserved)
    return false;
  if (v->lapic.base & ENABLE && !(value & ENABLE))
    vlapic_reset(v);
  v->lapic.base = (value & (PTE_ADDR | ENABLE)) | (v->lapic.base & BOOT_CPU);
  return true;
}

static bool valid_pat(uint64_t value)
{
  for (unsigned i = 0; i < 8; i++) {
    unsigned type = value >> 8 * i & 0xff;
    if (type > 7 || type == 2 || type == 3)
      return false;
  }
  return true;
}

static bool write(struct vcpu *v, uint32_t msr, uint64_t value)
{
  switch (msr) {
  case MSR_TSC:
    value -= rdtsc() + v->vmcb->control.tsc_offset; // by how much it moves
    v->tsc_adjust += value;
    v->vmcb->control.tsc_offset += value;
    return true;
  case MSR_TSC_ADJUST:
    v->vmcb->control.tsc_offset += value - v->tsc_adjust;
    v->tsc_adjust = value;
    return true;
  case MSR_APIC_BASE:
    return set_apic_base(v, value);
  case MSR_EFER:
    return set_efer(v, value);
  case MSR_PAT:
    if (!valid_pat(value))
      return false;
    v->pat = v->vmcb->save.g_pat = value;
    return true;
  case MSR_TSC_AUX:
    v->tsc_aux = value;
    wrmsr(MSR_TSC_AUX, value & UINT32_MAX);
    return true;
  case MTRR_DEF_TYPE:
    v->mtrr_def = value & 0xcff;
    return true;
  case PATCH_LEVEL:
  case MCG_STATUS:
  case DEBUGCTL:
    return true;
  default:
    if (mtrr(msr) >= 0) {
      v->mtrr[mtrr(msr)] = value;
      return true;
    }
    return msr >= AMD_FIRST && msr <= AMD_LAST && msr != VM_CR;
  }
}

void exit_msr(struct vcpu *v)
{
  uint32_t msr = (uint32_t)v->reg[RCX];
  uint64_t value = (v->reg[RAX] & UINT32_MAX) | v->reg[RDX] << 32;
  bool ok;
  if (v->vmcb->control.exitinfo1 & 1) {
    ok = write(v, msr, value);
  } else {
    ok = read(v, msr, &value);
    if (ok) {
      v->reg[RAX] = value & UINT32_MAX;
      v->reg[RDX] = value >> 32;
    }
  }
  if (ok)
    vcpu_skip(v);
  else
    vcpu_fault_error(v, V_GP, 0);
}
