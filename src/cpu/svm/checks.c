// The consistency checks of VMRUN; see checks.h.
#include "cpu/svm/checks.h"

#include "cpu/cr.h"
#include "cpu/except.h"
#include "cpu/model.h"

// clang-format off
static uint64_t save_efer(const struct vmcb *v) { return v->save.efer; }
static uint64_t save_cr0(const struct vmcb *v) { return v->save.cr0; }
static uint64_t save_cr3(const struct vmcb *v) { return v->save.cr3; }
static uint64_t save_cr4(const struct vmcb *v) { return v->save.cr4; }
static uint64_t save_dr6(const struct vmcb *v) { return v->save.dr6; }
static uint64_t save_dr7(const struct vmcb *v) { return v->save.dr7; }
static uint64_t save_cs(const struct vmcb *v) { return v->save.cs.attrib; }
static uint64_t save_g_pat(const struct vmcb *v) { return v->save.g_pat; }
static uint64_t ctl_vintr(const struct vmcb *v) { return v->control.vintr; }
static uint64_t ctl_asid(const struct vmcb *v) { return v->control.asid; }
static uint64_t ctl_misc2(const struct vmcb *v) { return v->control.intercepts[1]; }
static uint64_t ctl_iopm(const struct vmcb *v) { return v->control.iopm_base_pa; }
static uint64_t ctl_msrpm(const struct vmcb *v) { return v->control.msrpm_base_pa; }
static uint64_t ctl_np(const struct vmcb *v) { return v->control.np_control; }
static uint64_t ctl_ncr3(const struct vmcb *v) { return v->control.n_cr3; }
static uint64_t ctl_inject(const struct vmcb *v) { return v->control.eventinj; }
static uint64_t ctl_tlb(const struct vmcb *v) { return v->control.tlb_control; }

static bool pages(const struct vmcb *v) { return v->save.cr0 & CR0_PG; }
static bool lme(const struct vmcb *v) { return v->save.efer & EFER_LME; }
static bool nested(const struct vmcb *v) { return v->control.np_control & NP_ENABLE; }

// clang-format on

static bool svme_clear(const struct cpu *c, const struct vmcb *v)
{
  return !(v->save.efer & EFER_SVME);
}
static bool cr0_cache(const struct cpu *c, const struct vmcb *v)
{
  return !(v->save.cr0 & CR0_CD) && (v->save.cr0 & CR0_NW);
}
static bool cr0_high(const struct cpu *c, const struct vmcb *v)
{
  return v->save.cr0 >> 32;
}
static bool cr3_mbz(const struct cpu *c, const struct vmcb *v)
{
  return v->save.cr3 & ~c->phys_mask;
}
static bool cr4_mbz(const struct cpu *c, const struct vmcb *v)
{
  return v->save.cr4 & ~cr4_allowed(c);
}
static bool dr6_high(const struct cpu *c, const struct vmcb *v)
{
  return v->save.dr6 >> 32;
}
static bool dr7_high(const struct cpu *c, const struct vmcb *v)
{
  return v->save.dr7 >> 32;
}
static bool efer_mbz(const struct cpu *c, const struct vmcb *v)
{
  return v->save.efer & ~(efer_allowed(c) | EFER_SVME);
}
static bool no_long_mode(const struct cpu *c, const struct vmcb *v)
{
  return (v->save.efer & (EFER_LME | EFER_LMA)) && !model_has(c->model, FEAT_LM);
}
static bool long_no_pae(const struct cpu *c, const struct vmcb *v)
{
  return lme(v) && pages(v) && !(v->save.cr4 & CR4_PAE);
}
static bool long_no_pe(const struct cpu *c, const struct vmcb *v)
{
  return lme(v) && pages(v) && !(v->save.cr0 & CR0_PE);
}
static bool long_cs_ld(const struct cpu *c, const struct vmcb *v)
{
  return lme(v) && pages(v) && (v->save.cr4 & CR4_PAE) && (v->save.cs.attrib & SEGA_L) &&
         (v->save.cs.attrib & SEGA_DB);
}
static bool vmrun_open(const struct cpu *c, const struct vmcb *v)
{
  return !(v->control.intercepts[1] & 1);
}
// A map of `size` bytes must end below the highest physical address. The I/O map is two pages and what an
// access to port FFFFh needs of the third.
static bool beyond(const struct cpu *c, uint64_t pa, uint64_t size)
{
  pa &= ~0xfffull;
  return pa > c->phys_mask || pa + size > c->phys_mask;
}
static bool iopm_beyond(const struct cpu *c, const struct vmcb *v)
{
  return (v->control.intercepts[0] >> (VMEXIT_IOIO - 0x60) & 1) && beyond(c, v->control.iopm_base_pa, 0x2001);
}
static bool msrpm_beyond(const struct cpu *c, const struct vmcb *v)
{
  return (v->control.intercepts[0] >> (VMEXIT_MSR - 0x60) & 1) && beyond(c, v->control.msrpm_base_pa, 0x2000);
}
static bool vnmi_open(const struct cpu *c, const struct vmcb *v)
{
  return (v->control.vintr & VINTR_NMI_ENABLE) && model_has(c->model, FEAT_VNMI) &&
         !(v->control.intercepts[0] >> (VMEXIT_NMI - 0x60) & 1);
}
static bool asid_zero(const struct cpu *c, const struct vmcb *v)
{
  return v->control.asid == 0;
}
static bool asid_large(const struct cpu *c, const struct vmcb *v)
{
  return v->control.asid >= c->model->asids;
}
static bool tlb_bad(const struct cpu *c, const struct vmcb *v)
{
  switch (v->control.tlb_control) {
  case TLB_NOTHING:
  case TLB_ALL:
    return false;
  case TLB_GUEST:
  case TLB_GUEST_NONGLOBAL:
    return !model_has(c->model, FEAT_FLUSHBYASID);
  default:
    return true;
  }
}
static bool host_unpaged(const struct cpu *c, const struct vmcb *v)
{
  return nested(v) && !(c->cr0 & CR0_PG);
}
static bool ncr3_mbz(const struct cpu *c, const struct vmcb *v)
{
  return nested(v) && (v->control.n_cr3 & ~c->phys_mask);
}
static bool g_pat_bad(const struct cpu *c, const struct vmcb *v)
{
  if (!nested(v))
    return false;
  for (unsigned i = 0; i < 8; i++) {
    unsigned type = v->save.g_pat >> (8 * i) & 0xff;
    if (type > 7 || type == 2 || type == 3)
      return true;
  }
  return false;
}
static bool code64(const struct vmcb *v)
{
  return lme(v) && pages(v) && (v->save.cs.attrib & SEGA_L);
}
// APM2 15.20: a reserved type, an exception vector that is none, NMI as an exception, and an exception that
// the guest's mode does not have (INTO and BOUND are not in 64-bit mode) are illegal.
#define EXCEPTIONS 0x400f7dfbu // 0 to 19 without NMI, 9 and 15; and #SX
static bool inject_bad(const struct cpu *c, const struct vmcb *v)
{
  uint64_t e = v->control.eventinj;
  if (!(e & EVENTINJ_VALID))
    return false;
  unsigned type = e >> EVENTINJ_TYPE_SHIFT & 7, vector = e & EVENTINJ_VECTOR;
  switch (type) {
  case EVENT_INTR:
  case EVENT_NMI:
  case EVENT_SOFT:
    return false;
  case EVENT_EXCEPTION:
    return vector > 31 || !(EXCEPTIONS >> vector & 1) ||
           ((vector == VEC_OF || vector == VEC_BR) && code64(v));
  default:
    return true;
  }
}

#define ALWAYS 0
#define CHECKED_GROUPS                                                                                       \
  (CLEAN_I | CLEAN_IOPM | CLEAN_ASID | CLEAN_TPR | CLEAN_NP | CLEAN_CRX | CLEAN_DRX | CLEAN_SEG)

const struct svm_check svm_checks[] = {
    {"efer.svme", CLEAN_CRX, "15.5.1", svme_clear, "EFER", save_efer, "EFER.SVME must be 1"},
    {"cr0.cd-nw", CLEAN_CRX, "15.5.1", cr0_cache, "CR0", save_cr0, "CR0.NW must be 0 if CR0.CD is 0"},
    {"cr0.high", CLEAN_CRX, "15.5.1", cr0_high, "CR0", save_cr0, "CR0[63:32] must be 0"},
    {"cr3.mbz", CLEAN_CRX, "15.5.1", cr3_mbz, "CR3", save_cr3,
     "no bit above the physical address may be set"},
    {"cr4.mbz", CLEAN_CRX, "15.5.1", cr4_mbz, "CR4", save_cr4,
     "no bit may be set that the processor does not have"},
    {"dr6.high", CLEAN_DRX, "15.5.1", dr6_high, "DR6", save_dr6, "DR6[63:32] must be 0"},
    {"dr7.high", CLEAN_DRX, "15.5.1", dr7_high, "DR7", save_dr7, "DR7[63:32] must be 0"},
    {"efer.mbz", CLEAN_CRX, "15.5.1", efer_mbz, "EFER", save_efer,
     "no bit may be set that the processor does not have"},
    {"efer.no-lm", CLEAN_CRX, "15.5.1", no_long_mode, "EFER", save_efer,
     "LME and LMA need a processor with long mode"},
    {"long.pae", CLEAN_CRX, "15.5.1", long_no_pae, "CR4", save_cr4, "EFER.LME and CR0.PG need CR4.PAE"},
    {"long.pe", CLEAN_CRX, "15.5.1", long_no_pe, "CR0", save_cr0, "EFER.LME and CR0.PG need CR0.PE"},
    {"long.cs", CLEAN_CRX | CLEAN_SEG, "15.5.1", long_cs_ld, "CS.attrib", save_cs,
     "CS.L and CS.D must not both be 1 in long mode"},
    {"vmrun", CLEAN_I, "15.5.1", vmrun_open, "intercepts at 010h", ctl_misc2, "VMRUN must be intercepted"},
    {"iopm", CLEAN_I | CLEAN_IOPM, "15.5.1", iopm_beyond, "IOPM_BASE_PA", ctl_iopm,
     "the map must lie within physical memory"},
    {"msrpm", CLEAN_I | CLEAN_IOPM, "15.5.1", msrpm_beyond, "MSRPM_BASE_PA", ctl_msrpm,
     "the map must lie within physical memory"},
    {"eventinj", ALWAYS, "15.20", inject_bad, "EVENTINJ", ctl_inject,
     "the event must be one that can be injected"},
    {"vnmi", CLEAN_TPR | CLEAN_I, "15.21.10", vnmi_open, "VINTR", ctl_vintr,
     "V_NMI_ENABLE needs the NMI intercept"},
    {"asid.zero", CLEAN_ASID, "15.5.1", asid_zero, "ASID", ctl_asid, "ASID 0 is the host's"},
    {"asid.large", CLEAN_ASID, "15.16", asid_large, "ASID", ctl_asid,
     "CPUID Fn8000_000A EBX gives the number of ASIDs"},
    {"tlb_control", ALWAYS, "15.16.2", tlb_bad, "TLB_CONTROL", ctl_tlb,
     "must be 0 or 1, or 3 or 7 with FlushByAsid"},
    {"np.host", ALWAYS, "15.25.3", host_unpaged, "NP_ENABLE", ctl_np, "the host must have paging enabled"},
    {"n_cr3", CLEAN_NP, "15.25.3", ncr3_mbz, "N_CR3", ctl_ncr3,
     "no bit above the physical address may be set"},
    {"g_pat", CLEAN_NP, "15.25.4", g_pat_bad, "G_PAT", save_g_pat, "every entry must be a memory type"},
    {NULL, 0, NULL, NULL, NULL, NULL, NULL},
};

const struct svm_check *svm_check(const struct cpu *c, const struct vmcb *v, uint32_t dirty)
{
  // What most VMRUNs are: nothing is new, and the rows that look every time have nothing to look at.
  if (likely(!(dirty & CHECKED_GROUPS) && !(v->control.eventinj & EVENTINJ_VALID) &&
             v->control.tlb_control == TLB_NOTHING && (!nested(v) || (c->cr0 & CR0_PG))))
    return NULL;
  for (const struct svm_check *k = svm_checks; k->id; k++)
    if ((!k->groups || (k->groups & dirty)) && k->fails(c, v))
      return k;
  return NULL;
}
