// State of a virtual CPU: reset, modes, control registers, what VMRUN does not switch. Running is in run.c.
#include "svm/vcpu.h"

#include "host/memory.h"
#include "svm/svm.h"

enum {
  CODE16 = 0x9b,
  DATA16 = 0x93,
  CODE32 = 0xc9b,
  CODE64 = 0xa9b,
  DATA32 = 0xc93,
  LDT = 0x82,
  TSS32 = 0x8b
};

static const struct vmcb_seg real_data = {0, DATA16, 0xffff, 0};

// Which exits every guest has, and those that shadow paging adds. APM2 15.9, 15.13; B-1
static void intercepts(struct vcpu *v)
{
  static const unsigned always[] = {
      VMEXIT_INTR,    VMEXIT_NMI,     VMEXIT_INIT,   VMEXIT_CPUID, VMEXIT_RSM,      VMEXIT_INVD,
      VMEXIT_HLT,     VMEXIT_INVLPGA, VMEXIT_IOIO,   VMEXIT_MSR,   VMEXIT_SHUTDOWN, VMEXIT_VMRUN,
      VMEXIT_VMMCALL, VMEXIT_VMLOAD,  VMEXIT_VMSAVE, VMEXIT_STGI,  VMEXIT_CLGI,     VMEXIT_SKINIT,
      VMEXIT_MONITOR, VMEXIT_MWAIT,   VMEXIT_XSETBV, VMEXIT_RDPMC, VMEXIT_RDPRU,
  };
  struct vmcb_control *c = &v->vmcb->control;
  for (unsigned i = 0; i < COUNT(always); i++)
    c->intercepts[(always[i] - 0x60) / 32] |= 1u << always[i] % 32;
  c->cr_intercepts = 1u << (16 + 8); // writes of CR8, the task priority
  // A guest can make these two follow each other without end, with no room for an interrupt between them.
  c->exception_intercepts = 1u << V_DB | 1u << V_AC;
  if (vcpu_nested(v))
    return;
  c->cr_intercepts |= 0x19 | 0x19 << 16; // CR0, CR3, CR4
  c->exception_intercepts |= 1u << V_PF;
  c->intercepts[0] |= 1u << (VMEXIT_INVLPG - 0x60);
  c->intercepts[2] |= 1u << (VMEXIT_INVPCID - 0xa0);
}

void vcpu_reset(struct vcpu *v)
{
  struct vmcb *b = v->vmcb;
  memset(b, 0, sizeof *b);
  memset(v->reg, 0, sizeof v->reg);
  memset(v->dr, 0, sizeof v->dr);
  intercepts(v);
  b->control.iopm_base_pa = svm_iopm();
  b->control.msrpm_base_pa = svm_msrpm();
  b->control.asid = v->asid ? v->asid : 1;
  b->control.vintr = VINTR_MASKING;
  b->control.tsc_offset = -v->guest->tsc_start;
  if (vcpu_nested(v)) {
    b->control.np_control = NP_ENABLE;
    b->control.n_cr3 = v->guest->n_cr3;
  }
  struct vmcb_save *s = &b->save;
  s->es = s->ss = s->ds = s->fs = s->gs = real_data;
  s->cs = (struct vmcb_seg){0xf000, CODE16, 0xffff, 0xffff0000};
  s->gdtr.limit = s->idtr.limit = 0xffff;
  s->ldtr = (struct vmcb_seg){0, LDT, 0xffff, 0};
  s->tr = (struct vmcb_seg){0, TSS32, 0xffff, 0};
  s->rip = 0xfff0;
  s->rflags = 2;
  s->dr6 = 0xffff0ff0;
  s->dr7 = 0x400;
  s->g_pat = v->pat = 0x0007040600070406;
  v->reg[RDX] = cpuid(1, 0).eax;
  v->cr0 = v->cr3 = v->cr4 = v->efer = 0;
  v->xcr0 = 1;
  v->tsc_adjust = 0;
  v->mtrr_def = 0xc06; // enabled, write-back, as a BIOS leaves it
  memset(v->mtrr, 0, sizeof v->mtrr);
  v->halted = v->nmi_inside = v->nmi_iret = v->nmi_step = false;
  v->nmi = 0;
  v->wait_sipi = v->number != 0;
  v->flush = true;
  memset(v->fpu, 0, v->guest->fpu_size);
  *(uint16_t *)v->fpu = 0x37f;                    // FCW
  *(uint32_t *)((uint8_t *)v->fpu + 24) = 0x1f80; // MXCSR
  vcpu_set_efer(v, 0);
  vcpu_set_cr4(v, 0);
  vcpu_set_cr0(v, CR0_ET);
  vcpu_set_cr3(v, 0);
  vlapic_reset(v);
}

void vcpu_real_mode(struct vcpu *v, uint16_t segment, uint64_t ip)
{
  v->vmcb->save.cs = (struct vmcb_seg){segment, CODE16, 0xffff, segment * 16ull};
  v->vmcb->save.rip = ip;
  v->wait_sipi = false;
}

void vcpu_protected_mode(struct vcpu *v, uint64_t ip)
{
  struct vmcb_save *s = &v->vmcb->save;
  s->cs = (struct vmcb_seg){0x10, CODE32, UINT32_MAX, 0};
  s->ds = s->es = s->fs = s->gs = s->ss = (struct vmcb_seg){0x18, DATA32, UINT32_MAX, 0};
  s->rip = ip;
  vcpu_set_cr0(v, CR0_PE | CR0_ET);
  v->wait_sipi = false;
}

void vcpu_long_mode(struct vcpu *v, uint64_t ip, uint64_t cr3)
{
  vcpu_protected_mode(v, ip);
  v->vmcb->save.cs.attrib = CODE64;
  vcpu_set_efer(v, EFER_LME);
  vcpu_set_cr4(v, CR4_PAE);
  vcpu_set_cr3(v, cr3);
  vcpu_set_cr0(v, CR0_PG | CR0_PE | CR0_ET);
  if (vcpu_nested(v))
    v->vmcb->save.efer |= EFER_LMA;
}

// The VMCB's registers from the guest's: with shadow paging, paging is always on, in the form of PAE or, in
// long mode, four levels; without CR0.PE that is paged real mode. APM2 15.19.1
static void shadow_registers(struct vcpu *v)
{
  struct vmcb_save *s = &v->vmcb->save;
  bool lma = v->efer & EFER_LMA;
  s->cr0 = (v->cr0 | CR0_PG | CR0_WP) & ~(CR0_CD | CR0_NW);
  s->cr4 = (v->cr4 | CR4_PAE) & ~(CR4_PCIDE | CR4_PKE);
  if (!(v->cr0 & CR0_PG))
    s->cr4 &= ~(CR4_SMEP | CR4_SMAP);
  // NXE is always on, so that a page fault says whether it was a fetch.
  s->efer = (v->efer & ~(EFER_LME | EFER_LMA)) | EFER_SVME | EFER_NXE | (lma ? EFER_LME | EFER_LMA : 0);
  s->cr3 = shadow_root(v);
}

void vcpu_set_cr0(struct vcpu *v, uint64_t value)
{
  value = (value & 0xe005003f) | CR0_ET;
  if (vcpu_nested(v)) {
    v->vmcb->save.cr0 = value;
    return;
  }
  uint64_t changed = v->cr0 ^ value;
  v->cr0 = value;
  if (changed & CR0_PG)
    v->efer = value & CR0_PG && v->efer & EFER_LME ? v->efer | EFER_LMA : v->efer & ~EFER_LMA;
  if (changed & (CR0_PG | CR0_WP | CR0_PE))
    shadow_flush(v);
  shadow_registers(v);
}

void vcpu_set_cr3(struct vcpu *v, uint64_t value)
{
  if (vcpu_nested(v)) {
    v->vmcb->save.cr3 = value;
    return;
  }
  v->cr3 = value;
  shadow_flush(v);
}

void vcpu_set_cr4(struct vcpu *v, uint64_t value)
{
  if (vcpu_nested(v)) {
    v->vmcb->save.cr4 = value;
    return;
  }
  v->cr4 = value;
  shadow_flush(v);
  shadow_registers(v);
}

void vcpu_set_efer(struct vcpu *v, uint64_t value)
{
  if (vcpu_nested(v)) {
    v->vmcb->save.efer = (value & ~EFER_LMA) | (v->vmcb->save.efer & EFER_LMA) | EFER_SVME;
    return;
  }
  bool nx = (v->efer ^ value) & EFER_NXE;
  v->efer = (value & ~EFER_LMA) | (v->efer & EFER_LMA);
  if (nx)
    shadow_flush(v);
  shadow_registers(v);
}

static void set_xcr0(uint64_t value)
{
  __asm__ volatile("xsetbv" : : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(0));
}

// Debug address registers: the VMCB has only DR6 and DR7.
static void load_dr(const uint64_t dr[4])
{
  __asm__ volatile("mov %0, %%dr0; mov %1, %%dr1; mov %2, %%dr2; mov %3, %%dr3"
                   :
                   : "r"(dr[0]), "r"(dr[1]), "r"(dr[2]), "r"(dr[3]));
}

static void save_dr(uint64_t dr[4])
{
  __asm__ volatile("mov %%dr0, %0; mov %%dr1, %1; mov %%dr2, %2; mov %%dr3, %3"
                   : "=r"(dr[0]), "=r"(dr[1]), "=r"(dr[2]), "=r"(dr[3]));
}

void vcpu_load(struct vcpu *v)
{
  struct cpu *c = this_cpu();
  if (c->xcr0) {
    set_xcr0(c->xcr0_all);
    __asm__ volatile("xrstor64 (%0)" : : "r"(v->fpu), "a"(UINT32_MAX), "d"(UINT32_MAX) : "memory");
    set_xcr0(v->xcr0);
  } else {
    __asm__ volatile("fxrstor64 (%0)" : : "r"(v->fpu) : "memory");
  }
  load_dr(v->dr);
  if (svm_features.rdtscp)
    wrmsr(MSR_TSC_AUX, v->tsc_aux);
  c->current = v;
}

void vcpu_save(struct vcpu *v)
{
  struct cpu *c = this_cpu();
  if (c->xcr0) {
    set_xcr0(c->xcr0_all);
    __asm__ volatile("xsave64 (%0)" : : "r"(v->fpu), "a"(UINT32_MAX), "d"(UINT32_MAX) : "memory");
  } else {
    __asm__ volatile("fxsave64 (%0)" : : "r"(v->fpu) : "memory");
  }
  save_dr(v->dr);
  c->current = NULL;
}
