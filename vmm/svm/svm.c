// See svm.h.
#include "svm/svm.h"

#include "host/cpu.h"
#include "host/memory.h"
#include "host/print.h"
#include "host/x86.h"

enum { IOPM_SIZE = 3 * 4096, MSRPM_SIZE = 2 * 4096 };

struct svm_features svm_features;
static uint64_t iopm, msrpm;

// Two bits for each MSR: read, write. Three ranges of 8192 MSRs. APM2 15.11
static void msr_pass(uint32_t msr)
{
  uint32_t at = msr < 0x2000 ? msr : msr - 0xc0000000u + 0x2000;
  uint8_t *map = ptr(msrpm);
  map[at / 4] &= (uint8_t) ~(3u << at % 4 * 2);
}

// APM2 3.1.3: which bits of CR4 a CPU has, by CPUID.
static uint64_t cr4_bits(void)
{
  struct cpuid seven = cpuid(0, 0).eax >= 7 ? cpuid(7, 0) : (struct cpuid){0};
  uint64_t bits = 0x7ff;
  bits |= (uint64_t)(seven.ecx >> 2 & 1) << 11;        // UMIP
  bits |= (uint64_t)(seven.ebx & 1) << 16;             // FSGSBASE
  bits |= (uint64_t)(cpuid(1, 0).ecx >> 26 & 1) << 18; // OSXSAVE
  bits |= (uint64_t)(seven.ebx >> 7 & 1) << 20;        // SMEP
  bits |= (uint64_t)(seven.ebx >> 20 & 1) << 21;       // SMAP
  return bits;
}

void svm_init(void)
{
  static const uint32_t own[] = {MSR_FS_BASE,      MSR_GS_BASE,     MSR_KERNEL_GS, MSR_STAR,
                                 MSR_LSTAR,        MSR_CSTAR,       MSR_SFMASK,    MSR_SYSENTER_CS,
                                 MSR_SYSENTER_ESP, MSR_SYSENTER_EIP};
  if (cpuid(0x80000000, 0).eax < 0x8000000a || !(cpuid(0x80000001, 0).ecx & 4))
    fatal("this CPU has no SVM (CPUID Fn8000_0001 ECX bit 2)");
  if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS)
    fatal("SVM is switched off by the firmware (VM_CR.SVMDIS)");
  struct cpuid f = cpuid(0x8000000a, 0);
  svm_features = (struct svm_features){
      .npt = f.edx & 1,
      .nrip = f.edx >> 3 & 1,
      .flush_by_asid = f.edx >> 6 & 1,
      .decode_assists = f.edx >> 7 & 1,
      .rdtscp = cpuid(0x80000001, 0).edx >> 27 & 1,
      .asids = f.ebx,
      .reserved = PTE_ADDR & ~((1ull << (cpuid(0x80000008, 0).eax & 0xff)) - 1),
      .cr4 = cr4_bits(),
  };
  iopm = memory_alloc(0, IOPM_SIZE, PAGE_SIZE, 0, false);
  msrpm = memory_alloc(0, MSRPM_SIZE, PAGE_SIZE, 0, false);
  if (!iopm || !msrpm)
    fatal("no memory for the permission maps");
  memset(ptr(iopm), 0xff, IOPM_SIZE);
  memset(ptr(msrpm), 0xff, MSRPM_SIZE);
  for (unsigned i = 0; i < COUNT(own); i++)
    msr_pass(own[i]);
}

void svm_enable(struct cpu *c)
{
  c->hsave = memory_alloc(c->node, PAGE_SIZE, PAGE_SIZE, 0, false);
  c->host_vmcb = memory_alloc(c->node, PAGE_SIZE, PAGE_SIZE, 0, false);
  if (!c->hsave || !c->host_vmcb)
    fatal("no memory for the host save area of cpu %u", c->id);
  c->asids = svm_features.asids;
  c->next_asid = 2; // 1 is shared by all for whom there is none of their own
  wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
  wrmsr(MSR_VM_HSAVE_PA, c->hsave);
  __asm__ volatile("stgi"); // SKINIT leaves GIF 0, on the other CPUs too. APM2 15.27.8
  __asm__ volatile("vmsave %0" : : "a"(c->host_vmcb) : "memory");
}

uint32_t svm_asid_alloc(struct cpu *c)
{
  if (c->free_asid_count)
    return c->free_asids[--c->free_asid_count];
  return c->next_asid < c->asids ? c->next_asid++ : 0;
}

void svm_asid_free(struct cpu *c, uint32_t asid)
{
  if (asid && c->free_asid_count < COUNT(c->free_asids))
    c->free_asids[c->free_asid_count++] = asid;
}

uint64_t svm_iopm(void)
{
  return iopm;
}

uint64_t svm_msrpm(void)
{
  return msrpm;
}
