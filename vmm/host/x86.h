// Instructions that C has no words for, and the names of registers and their bits. APM2 chapters 3, 5, 15.
#ifndef HOST_X86_H
#define HOST_X86_H

#include "host/types.h"

// CR0, CR4, EFER, RFLAGS. APM2 3.1
#define CR0_PE      (1ull << 0)
#define CR0_MP      (1ull << 1)
#define CR0_TS      (1ull << 3)
#define CR0_ET      (1ull << 4)
#define CR0_NE      (1ull << 5)
#define CR0_WP      (1ull << 16)
#define CR0_NW      (1ull << 29)
#define CR0_CD      (1ull << 30)
#define CR0_PG      (1ull << 31)
#define CR4_PSE     (1ull << 4)
#define CR4_PAE     (1ull << 5)
#define CR4_PGE     (1ull << 7)
#define CR4_OSFXSR  (1ull << 9)
#define CR4_LA57    (1ull << 12)
#define CR4_PCIDE   (1ull << 17)
#define CR4_OSXSAVE (1ull << 18)
#define CR4_SMEP    (1ull << 20)
#define CR4_SMAP    (1ull << 21)
#define CR4_PKE     (1ull << 22)
#define EFER_SCE    (1ull << 0)
#define EFER_LME    (1ull << 8)
#define EFER_LMA    (1ull << 10)
#define EFER_NXE    (1ull << 11)
#define EFER_SVME   (1ull << 12)
#define DR6_BS      (1ull << 14)
#define RFLAGS_CF   (1ull << 0)
#define RFLAGS_ZF   (1ull << 6)
#define RFLAGS_TF   (1ull << 8)
#define RFLAGS_IF   (1ull << 9)
#define RFLAGS_RF   (1ull << 16)
#define RFLAGS_VM   (1ull << 17)
#define RFLAGS_AC   (1ull << 18)

// Page-table entries. APM2 5.3, 5.4
#define PTE_P    (1ull << 0)
#define PTE_W    (1ull << 1)
#define PTE_U    (1ull << 2)
#define PTE_PWT  (1ull << 3)
#define PTE_PCD  (1ull << 4)
#define PTE_A    (1ull << 5)
#define PTE_D    (1ull << 6)
#define PTE_PS   (1ull << 7)
#define PTE_G    (1ull << 8)
#define PTE_NX   (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

// Error code of a page fault. APM2 8.2.15
#define PF_P    (1u << 0)
#define PF_W    (1u << 1)
#define PF_U    (1u << 2)
#define PF_RSVD (1u << 3)
#define PF_ID   (1u << 4)

enum vector {
  V_DE,
  V_DB,
  V_NMI,
  V_BP,
  V_OF,
  V_BR,
  V_UD,
  V_NM,
  V_DF,
  V_TS = 10,
  V_NP,
  V_SS,
  V_GP,
  V_PF,
  V_MF = 16,
  V_AC,
  V_MC
};

// MSRs. APM2 appendix A
#define MSR_TSC          0x10u
#define MSR_APIC_BASE    0x1bu
#define MSR_TSC_ADJUST   0x3bu
#define MSR_PAT          0x277u
#define MSR_EFER         0xc0000080u
#define MSR_STAR         0xc0000081u
#define MSR_LSTAR        0xc0000082u
#define MSR_CSTAR        0xc0000083u
#define MSR_SFMASK       0xc0000084u
#define MSR_FS_BASE      0xc0000100u
#define MSR_GS_BASE      0xc0000101u
#define MSR_KERNEL_GS    0xc0000102u
#define MSR_TSC_AUX      0xc0000103u
#define MSR_SYSENTER_CS  0x174u
#define MSR_SYSENTER_ESP 0x175u
#define MSR_SYSENTER_EIP 0x176u
#define MSR_VM_CR        0xc0010114u
#define MSR_VM_HSAVE_PA  0xc0010117u
#define VM_CR_SVMDIS     (1ull << 4)

static inline uint64_t rdmsr(uint32_t msr)
{
  uint32_t lo, hi;
  __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
  return lo | (uint64_t)hi << 32;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
  __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static inline uint64_t rdtsc(void)
{
  uint32_t lo, hi;
  __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
  return lo | (uint64_t)hi << 32;
}

struct cpuid {
  uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
  struct cpuid r;
  __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(sub));
  return r;
}

static inline void out8(uint16_t port, uint8_t v)
{
  __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}
static inline void out16(uint16_t port, uint16_t v)
{
  __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}
static inline void out32(uint16_t port, uint32_t v)
{
  __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}
static inline uint8_t in8(uint16_t port)
{
  uint8_t v;
  __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
  return v;
}
static inline uint16_t in16(uint16_t port)
{
  uint16_t v;
  __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
  return v;
}
static inline uint32_t in32(uint16_t port)
{
  uint32_t v;
  __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
  return v;
}

#define CONTROL_REGISTER(n)                                                                                  \
  static inline uint64_t read_cr##n(void)                                                                    \
  {                                                                                                          \
    uint64_t v;                                                                                              \
    __asm__ volatile("mov %%cr" #n ", %0" : "=r"(v));                                                        \
    return v;                                                                                                \
  }                                                                                                          \
  static inline void write_cr##n(uint64_t v)                                                                 \
  {                                                                                                          \
    __asm__ volatile("mov %0, %%cr" #n : : "r"(v) : "memory");                                               \
  }
CONTROL_REGISTER(0)
CONTROL_REGISTER(2)
CONTROL_REGISTER(3)
CONTROL_REGISTER(4)

// a * b / c without losing the upper half of the product; the quotient must fit.
static inline uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
  uint64_t q, rest;
  __asm__("mulq %3\n\tdivq %4" : "=&a"(q), "=&d"(rest) : "0"(a), "r"(b), "r"(c) : "cc");
  return q;
}

static inline void cpu_pause(void)
{
  __asm__ volatile("pause" : : : "memory");
}

// A lock that is taken in the order of asking.
struct lock {
  uint16_t next, serving;
};

static inline void lock(struct lock *l)
{
  uint16_t mine = __atomic_fetch_add(&l->next, 1, __ATOMIC_ACQUIRE);
  while (__atomic_load_n(&l->serving, __ATOMIC_ACQUIRE) != mine)
    cpu_pause();
}

static inline void unlock(struct lock *l)
{
  __atomic_fetch_add(&l->serving, 1, __ATOMIC_RELEASE);
}

#endif
