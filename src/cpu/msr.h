// Model-specific registers. APM2 appendix A; BKDG for family 10h, section 3.12.
//
// msr_read and msr_write return false where RDMSR and WRMSR give #GP(0), without raising it (but EFER's
// checks, which are cr.c's, have raised it already). They check values, not privilege.
#ifndef CPU_MSR_H
#define CPU_MSR_H

#include <stdbool.h>
#include <stdint.h>

struct cpu;

enum msr {
  MSR_TSC = 0x10,
  MSR_PLATFORM_ID = 0x17,
  MSR_APIC_BASE = 0x1b,
  MSR_EBL_CR_POWERON = 0x2a,
  MSR_TSC_ADJUST = 0x3b,
  MSR_SPEC_CTRL = 0x48,
  MSR_PRED_CMD = 0x49,
  MSR_UCODE_UPDATE = 0x79,
  MSR_UCODE_REV = 0x8b,
  MSR_MPERF = 0xe7,
  MSR_APERF = 0xe8,
  MSR_MTRRCAP = 0xfe,
  MSR_SYSENTER_CS = 0x174,
  MSR_SYSENTER_ESP = 0x175,
  MSR_SYSENTER_EIP = 0x176,
  MSR_MCG_CAP = 0x179,
  MSR_MCG_STATUS = 0x17a,
  MSR_MCG_CTL = 0x17b,
  MSR_DEBUGCTL = 0x1d9,
  MSR_LAST_BRANCH_FROM = 0x1db,
  MSR_LAST_BRANCH_TO = 0x1dc,
  MSR_LAST_INT_FROM = 0x1dd,
  MSR_LAST_INT_TO = 0x1de,
  MSR_MTRR_BASE0 = 0x200,
  MSR_MTRR_FIX64K = 0x250,
  MSR_MTRR_FIX16K = 0x258,
  MSR_MTRR_FIX4K = 0x268,
  MSR_PAT = 0x277,
  MSR_MTRR_DEF_TYPE = 0x2ff,
  MSR_MC0_CTL = 0x400,
  MSR_TSC_DEADLINE = 0x6e0,
  MSR_X2APIC = 0x800,
  MSR_EFER = 0xc0000080,
  MSR_STAR = 0xc0000081,
  MSR_LSTAR = 0xc0000082,
  MSR_CSTAR = 0xc0000083,
  MSR_SFMASK = 0xc0000084,
  MSR_FS_BASE = 0xc0000100,
  MSR_GS_BASE = 0xc0000101,
  MSR_KERNEL_GS_BASE = 0xc0000102,
  MSR_TSC_AUX = 0xc0000103,
  MSR_TSC_RATIO = 0xc0000104,
  MSR_SVM_KEY = 0xc0010118,
  MSR_PERF_CTL0 = 0xc0010000,
  MSR_PERF_CTR0 = 0xc0010004,
  MSR_SYSCFG = 0xc0010010,
  MSR_HWCR = 0xc0010015,
  MSR_IORR_BASE0 = 0xc0010016,
  MSR_TOP_MEM = 0xc001001a,
  MSR_TOP_MEM2 = 0xc001001d,
  MSR_NB_CFG = 0xc001001f,
  MSR_BRAND0 = 0xc0010030,
  MSR_MC_CTL_MASK0 = 0xc0010044,
  MSR_INT_PENDING = 0xc0010055,
  MSR_MMCFG_BASE = 0xc0010058,
  MSR_PSTATE_LIMIT = 0xc0010061,
  MSR_PSTATE_CTL = 0xc0010062,
  MSR_PSTATE_STAT = 0xc0010063,
  MSR_PSTATE0 = 0xc0010064,
  MSR_COFVID_CTL = 0xc0010070,
  MSR_COFVID_STAT = 0xc0010071,
  MSR_VM_CR = 0xc0010114,
  MSR_IGNNE = 0xc0010115,
  MSR_SMM_BASE = 0xc0010111,
  MSR_SMM_ADDR = 0xc0010112,
  MSR_SMM_MASK = 0xc0010113,
  MSR_SMM_CTL = 0xc0010116,
  MSR_SMM_KEY = 0xc0010119,
  MSR_VM_HSAVE_PA = 0xc0010117,
  MSR_OSVW_LENGTH = 0xc0010140,
  MSR_OSVW_STATUS = 0xc0010141,
  MSR_PERF_CORE0 = 0xc0010200,
};

enum { // SYSCFG
  SYSCFG_MTRR_FIX_DRAM_EN = 1u << 18,
  SYSCFG_MTRR_FIX_DRAM_MOD_EN = 1u << 19,
  SYSCFG_MTRR_VAR_DRAM_EN = 1u << 20,
  SYSCFG_TOM2_EN = 1u << 21,
  SYSCFG_TOM2_FORCE_WB = 1u << 22,
};
enum { // HWCR
  HWCR_SMM_LOCK = 1u << 0,
  HWCR_IGNNE_EM = 1u << 8,
  HWCR_MC_STATUS_WR_EN = 1u << 18,
  HWCR_WRAP32_DIS = 1u << 17,
};
enum { // VM_CR
  VM_CR_DPD = 1u << 0,
  VM_CR_R_INIT = 1u << 1,
  VM_CR_DIS_A20M = 1u << 2,
  VM_CR_LOCK = 1u << 3,
  VM_CR_SVMDIS = 1u << 4,
};

bool msr_read(struct cpu *c, uint32_t index, uint64_t *v);
bool msr_write(struct cpu *c, uint32_t index, uint64_t v);

// The MSRs as they are after power-on or RESET# (cold), called by cpu_reset. INIT changes none of them but
// EFER, which cpu_init does itself.
void msr_reset(struct cpu *c);

// ---- the time stamp counter (tsc.c) ----

// Ticks of a counter of `hz` after `ns` nanoseconds; needs no division at run time.
static inline uint64_t tsc_from_ns(uint64_t ns, uint64_t hz)
{
  return ns / 1000000000u * hz + ns % 1000000000u * hz / 1000000000u;
}
// The first nanosecond at which cpu_tsc(c) is at least `tsc`; CLOCK_NEVER if that is out of reach.
uint64_t tsc_when(const struct cpu *c, uint64_t tsc);

// ---- memory types (mtrr.c) ----

enum memtype { MEM_UC = 0, MEM_WC = 1, MEM_WT = 4, MEM_WP = 5, MEM_WB = 6, MEM_UC_MINUS = 7 };

bool mtrr_read(const struct cpu *c, uint32_t index, uint64_t *v);
bool mtrr_write(struct cpu *c, uint32_t index, uint64_t v);
bool pat_valid(uint64_t v);
// The type that the MTRRs give to a physical address (one 4 KB page). APM2 7.7
uint8_t mtrr_type(const struct cpu *c, uint64_t pa);
// Combined with a PAT type. APM2 table 7-11
uint8_t memtype_combine(uint8_t mtrr, uint8_t pat);

#endif
