// Machine check architecture; see mca.h. APM2 9.3, BKDG for family 10h 2.13.
#include "cpu/mca.h"

#include <string.h>

#include "cpu/cpu.h"
#include "cpu/except.h"
#include "cpu/model.h"
#include "cpu/msr.h"
#include "cpu/svm/svm.h"

enum { MCG_CTL_P = 1u << 8 };

static bool present(const struct cpu *c)
{
  return model_has(c->model, FEAT_MCA);
}

bool mca_read(const struct cpu *c, uint32_t index, uint64_t *v)
{
  unsigned banks = c->model->mc_banks;
  if (!present(c))
    return false;
  switch (index) {
  case MSR_MCG_CAP:
    *v = banks | MCG_CTL_P;
    return true;
  case MSR_MCG_STATUS:
    *v = c->mcg_status;
    return true;
  case MSR_MCG_CTL:
    *v = c->mcg_ctl;
    return true;
  }
  if (index < MSR_MC0_CTL || index >= MSR_MC0_CTL + 4 * banks)
    return false;
  unsigned i = (index - MSR_MC0_CTL) / 4;
  const uint64_t *reg[4] = {&c->mc_ctl[i], &c->mc_status[i], &c->mc_addr[i], &c->mc_misc[i]};
  *v = *reg[index & 3];
  return true;
}

bool mca_write(struct cpu *c, uint32_t index, uint64_t v)
{
  unsigned banks = c->model->mc_banks;
  if (!present(c))
    return false;
  switch (index) {
  case MSR_MCG_STATUS:
    if (v & ~(uint64_t)(MCG_RIPV | MCG_EIPV | MCG_MCIP))
      return false;
    c->mcg_status = v;
    return true;
  case MSR_MCG_CTL:
    c->mcg_ctl = v;
    return true;
  }
  if (index < MSR_MC0_CTL || index >= MSR_MC0_CTL + 4 * banks)
    return false;
  unsigned i = (index - MSR_MC0_CTL) / 4;
  switch (index & 3) {
  case 0:
    if (c->model->intel && v && v != UINT64_MAX)
      return false;
    c->mc_ctl[i] = v;
    return true;
  case 1: // software may clear it; anything else only to test its handler
    if (v && !(c->hwcr & HWCR_MC_STATUS_WR_EN))
      return false;
    c->mc_status[i] = v;
    return true;
  case 2:
    c->mc_addr[i] = v;
    return true;
  default:
    c->mc_misc[i] = v;
    return true;
  }
}

// What was logged outlives the reset, so that the next system finds it (BKDG 31116, 2.13.1).
void mca_reset(struct cpu *c)
{
  c->mcg_status = 0;
  c->mcg_ctl = 0;
  memset(c->mc_ctl, 0, sizeof c->mc_ctl);
}

bool mca_override(const struct cpu *c)
{
  return c->guest && !(c->cr4 & CR4_MCE) && (c->svm->host_cr4 & CR4_MCE) &&
         model_has(c->model, FEAT_HOST_MCE_OVERRIDE);
}

void mca_log(struct cpu *c, unsigned bank, uint64_t status, uint64_t addr, uint64_t misc)
{
  if (!present(c) || bank >= c->model->mc_banks || !(status & MCI_VAL))
    return;
  uint64_t old = c->mc_status[bank];
  bool keep = (old & MCI_VAL) && ((old & MCI_UC) || !(status & MCI_UC));
  if (keep) {
    c->mc_status[bank] |= MCI_OVER;
  } else {
    c->mc_status[bank] = status | (old & MCI_VAL ? MCI_OVER : 0);
    if (status & MCI_ADDRV)
      c->mc_addr[bank] = addr;
    if (status & MCI_MISCV)
      c->mc_misc[bank] = misc;
  }
  if (!(status & MCI_UC) || !(status & MCI_EN) || !(c->mcg_ctl >> bank & 1))
    return;
  if ((c->mcg_status & MCG_MCIP) || !((c->cr4 & CR4_MCE) || mca_override(c))) {
    cpu_shutdown(c);
    return;
  }
  c->mcg_status |= MCG_MCIP | (status & MCI_PCC ? 0 : MCG_RIPV);
  cpu_request(c, PEND_MC);
}
