// CPUID: the machine's, without what the guest does not get.
#include "svm/exit.h"

#include "host/lapic.h"
#include "svm/mmio.h"
#include "svm/vcpu.h"

enum { HYPERVISOR = 0x40000000 };

static void standard(const struct vcpu *v, uint32_t leaf, struct cpuid *r)
{
  switch (leaf) {
  case 0:
    if (r->eax > 0xd)
      r->eax = 0xd;
    break;
  case 1: {
    unsigned n = v->guest->vcpu_count;
    r->ebx = (r->ebx & 0xffff) | v->number << 24 | n << 16;
    r->ecx &=
        ~(1u << 3 | 1u << 5 | 1u << 21 | 1u << 24 | 1u << 27); // MONITOR, VMX, x2APIC, TSC deadline, OSXSAVE
    r->ecx |= 1u << 31 | (vcpu_cr4(v) & CR4_OSXSAVE ? 1u << 27 : 0);
    if (!vcpu_nested(v))
      r->ecx &= ~(1u << 17);                    // PCID
    r->edx &= ~(1u << 7 | 1u << 14 | 1u << 28); // MCE, MCA, HTT
    r->edx |= n > 1 ? 1u << 28 : 0;
    if (!(v->lapic.base & 1 << 11))
      r->edx &= ~(1u << 9);
    break;
  }
  case 5:
    *r = (struct cpuid){0};
    break;
  case 6:
    *r = (struct cpuid){.eax = 4}; // ARAT: the APIC's timer always runs
    break;
  case 7:
    r->ecx &= ~(1u << 16);                                  // LA57
    r->edx &= ~(1u << 26 | 1u << 27 | 1u << 29 | 1u << 31); // speculation control, which is not switched
    if (!vcpu_nested(v)) {
      r->ebx &= ~(1u << 10);          // INVPCID
      r->ecx &= ~(1u << 3 | 1u << 4); // PKU
    } else {
      r->ecx = (r->ecx & ~(1u << 4)) | (vcpu_cr4(v) & CR4_PKE ? 1u << 4 : 0);
    }
    break;
  case 0xa:
  case 0xb:
    *r = (struct cpuid){0};
    break;
  default:
    break;
  }
}

static void extended(const struct vcpu *v, uint32_t leaf, struct cpuid *r)
{
  switch (leaf) {
  case 0x80000000:
    if (r->eax > 0x80000008)
      r->eax = 0x80000008;
    break;
  case 0x80000001:
    // SVM, EXTAPIC, OSVW, IBS, SKINIT, WDT, LWP, NODEID, TOPOEXT, performance counters, MONITORX
    r->ecx &= ~(1u << 2 | 1u << 3 | 1u << 9 | 1u << 10 | 1u << 12 | 1u << 13 | 1u << 15 | 1u << 19 |
                1u << 22 | 1u << 23 | 1u << 24 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 29);
    r->ecx &= v->guest->vcpu_count > 1 ? ~0u : ~(1u << 1); // CMP_LEGACY
    r->edx &= ~(1u << 7 | 1u << 14);
    break;
  case 0x80000007:
    r->eax = r->ebx = r->ecx = 0;
    r->edx &= 1u << 8; // invariant TSC
    break;
  case 0x80000008:
    r->ebx &= 1u << 0 | 1u << 2; // CLZERO, XSAVEERPTR
    r->ecx = v->guest->vcpu_count - 1;
    break;
  default:
    break;
  }
}

void exit_cpuid(struct vcpu *v)
{
  uint32_t leaf = (uint32_t)v->reg[RAX], sub = (uint32_t)v->reg[RCX];
  struct cpuid r = {0};
  if (leaf >= 0x80000000 && leaf <= 0x80000008) {
    r = cpuid(leaf, sub);
    extended(v, leaf, &r);
  } else if (leaf <= 0xd) {
    r = cpuid(leaf, sub);
    standard(v, leaf, &r);
  } else if (leaf == HYPERVISOR) {
    r = (struct cpuid){HYPERVISOR, 0x69636150, 0x61636966, 0x004d4d56}; // "PacificaVMM"
  }
  v->reg[RAX] = r.eax;
  v->reg[RBX] = r.ebx;
  v->reg[RCX] = r.ecx;
  v->reg[RDX] = r.edx;
  vcpu_skip(v);
}

void exit_xsetbv(struct vcpu *v)
{
  uint64_t value = (v->reg[RAX] & UINT32_MAX) | v->reg[RDX] << 32;
  uint64_t bad = value & ~this_cpu()->xcr0_all;
  bool avx = value & 4, sse = value & 2, avx512 = value & 0xe0;
  if ((uint32_t)v->reg[RCX] || bad || !(value & 1) || (avx && !sse) ||
      (avx512 && ((value & 0xe0) != 0xe0 || !avx)) || v->vmcb->save.cpl) {
    vcpu_fault_error(v, V_GP, 0);
    return;
  }
  v->xcr0 = value;
  __asm__ volatile("xsetbv" : : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(0));
  vcpu_skip(v);
}
