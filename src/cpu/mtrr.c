// Memory type range registers and page attribute table. APM2 7.7 and 7.8.
//
// Memory types change nothing in how RAM is accessed here; they are kept and checked as software sees them,
// and combined for who asks (nested paging, `info tlb`).
#include "cpu/cpu.h"
#include "cpu/model.h"
#include "cpu/msr.h"

enum { DEF_FE = 1u << 10, DEF_E = 1u << 11 };
enum { FIXED_RDDRAM = 1u << 4, FIXED_WRDRAM = 1u << 3 };
#define FIXED_ROUTE 0x1818181818181818ull // RdDram and WrDram of each byte

static bool mtrr_valid(unsigned type)
{
  return type == MEM_UC || type == MEM_WC || type == MEM_WT || type == MEM_WP || type == MEM_WB;
}

bool pat_valid(uint64_t v)
{
  for (unsigned i = 0; i < 64; i += 8) {
    unsigned type = v >> i & 0xff;
    if (!mtrr_valid(type) && type != MEM_UC_MINUS)
      return false;
  }
  return true;
}

// Index into mtrr_fixed, or -1.
static int fixed_index(uint32_t msr)
{
  if (msr == MSR_MTRR_FIX64K)
    return 0;
  if (msr == MSR_MTRR_FIX16K || msr == MSR_MTRR_FIX16K + 1)
    return 1 + (msr - MSR_MTRR_FIX16K);
  if (msr >= MSR_MTRR_FIX4K && msr <= MSR_MTRR_FIX4K + 7)
    return 3 + (msr - MSR_MTRR_FIX4K);
  return -1;
}

bool mtrr_read(const struct cpu *c, uint32_t index, uint64_t *v)
{
  const struct model *m = c->model;
  int fixed = fixed_index(index);
  if (!model_has(m, FEAT_MTRR))
    return false;
  if (index == MSR_MTRRCAP)
    *v = m->mtrrs | 1u << 8 | 1u << 10; // fixed ranges, WC
  else if (index == MSR_MTRR_DEF_TYPE)
    *v = c->mtrr_def_type;
  else if (fixed >= 0)
    *v = c->syscfg & SYSCFG_MTRR_FIX_DRAM_MOD_EN ? c->mtrr_fixed[fixed] : c->mtrr_fixed[fixed] & ~FIXED_ROUTE;
  else if (index >= MSR_MTRR_BASE0 && index < MSR_MTRR_BASE0 + 2u * m->mtrrs)
    *v = index & 1 ? c->mtrr_mask[(index - MSR_MTRR_BASE0) / 2] : c->mtrr_base[(index - MSR_MTRR_BASE0) / 2];
  else
    return false;
  return true;
}

static bool fixed_write(struct cpu *c, int i, uint64_t v)
{
  bool route = c->syscfg & SYSCFG_MTRR_FIX_DRAM_MOD_EN;
  for (unsigned b = 0; b < 64; b += 8) {
    if (!mtrr_valid(v >> b & 0xe7) || (!route && (v >> b & 0x18)))
      return false;
  }
  c->mtrr_fixed[i] = route ? v : v | (c->mtrr_fixed[i] & FIXED_ROUTE);
  return true;
}

bool mtrr_write(struct cpu *c, uint32_t index, uint64_t v)
{
  const struct model *m = c->model;
  uint64_t phys = (1ull << m->phys_bits) - 1;
  int fixed = fixed_index(index);
  if (!model_has(m, FEAT_MTRR))
    return false;
  if (index == MSR_MTRR_DEF_TYPE) {
    if ((v & ~(uint64_t)(DEF_E | DEF_FE | 0xff)) || !mtrr_valid(v & 0xff))
      return false;
    c->mtrr_def_type = v;
    return true;
  }
  if (fixed >= 0)
    return fixed_write(c, fixed, v);
  if (index < MSR_MTRR_BASE0 || index >= MSR_MTRR_BASE0 + 2u * m->mtrrs)
    return false;
  if (index & 1) {
    if (v & ~((phys & ~0xfffull) | 1u << 11))
      return false;
    c->mtrr_mask[(index - MSR_MTRR_BASE0) / 2] = v;
  } else {
    if ((v & ~((phys & ~0xfffull) | 0xff)) || !mtrr_valid(v & 0xff))
      return false;
    c->mtrr_base[(index - MSR_MTRR_BASE0) / 2] = v;
  }
  return true;
}

uint8_t mtrr_type(const struct cpu *c, uint64_t pa)
{
  if (!(c->mtrr_def_type & DEF_E))
    return MEM_UC;
  if (pa < 0x100000 && (c->mtrr_def_type & DEF_FE)) {
    unsigned i = pa < 0x80000   ? pa >> 16
                 : pa < 0xc0000 ? 8 + ((pa - 0x80000) >> 14)
                                : 24 + ((pa - 0xc0000) >> 12);
    return c->mtrr_fixed[i / 8] >> (i % 8 * 8) & 7;
  }
  if (pa >= 1ull << 32 && pa < c->top_mem2 && (c->syscfg & SYSCFG_TOM2_EN) &&
      (c->syscfg & SYSCFG_TOM2_FORCE_WB))
    return MEM_WB;
  int type = -1;
  for (unsigned i = 0; i < c->model->mtrrs; i++) {
    uint64_t mask = c->mtrr_mask[i] & ~0xfffull;
    if (!(c->mtrr_mask[i] >> 11 & 1) || (pa & mask) != (c->mtrr_base[i] & mask))
      continue;
    int t = c->mtrr_base[i] & 7;
    if (type < 0 || t == type)
      type = t;
    else if (t == MEM_UC || type == MEM_UC)
      type = MEM_UC;
    else if ((t == MEM_WT && type == MEM_WB) || (t == MEM_WB && type == MEM_WT))
      type = MEM_WT;
    else
      type = MEM_UC; // undefined by the manual: the strictest
  }
  return type < 0 ? c->mtrr_def_type & 7 : type;
}

uint8_t memtype_combine(uint8_t mtrr, uint8_t pat)
{
  switch (pat) {
  case MEM_UC:
    return MEM_UC;
  case MEM_UC_MINUS:
    return mtrr == MEM_WC ? MEM_WC : MEM_UC;
  case MEM_WC:
    return MEM_WC;
  case MEM_WT:
    return mtrr == MEM_WB || mtrr == MEM_WT ? MEM_WT : MEM_UC;
  case MEM_WP:
    return mtrr == MEM_WB || mtrr == MEM_WP ? MEM_WP : MEM_UC;
  default: // WB
    return mtrr;
  }
}
