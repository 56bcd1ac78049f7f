// CPU models: what the guest's CPUID says, and with it which instructions, registers and MSR bits exist.
//
// Everything else asks model_has and model_allows; nothing else in cpu/ knows a model by name. A feature that
// the host CPU executes for the guest (AVX, BMI, AES ...) can be on only if the host has it. APM3 appendix D
// and E; BKDG for families 0Fh and 10h.
#ifndef CPU_MODEL_H
#define CPU_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct err;

// The words of feature bits in CPUID.
enum feature_word {
  FW_1_ECX,
  FW_1_EDX,
  FW_7_EBX,
  FW_7_ECX,
  FW_7_EDX,
  FW_D1_EAX,
  FW_80000001_ECX,
  FW_80000001_EDX,
  FW_80000007_EDX,
  FW_80000008_EBX,
  FW_8000000A_EDX,
  FW_80000021_EAX,
  FW_6_EAX,
  FW_COUNT
};

#define FEAT(word, bit) ((word) << 5 | (bit))

enum feature {
  FEAT_SSE3 = FEAT(FW_1_ECX, 0),
  FEAT_PCLMULQDQ = FEAT(FW_1_ECX, 1),
  FEAT_MONITOR = FEAT(FW_1_ECX, 3),
  FEAT_SSSE3 = FEAT(FW_1_ECX, 9),
  FEAT_FMA = FEAT(FW_1_ECX, 12),
  FEAT_CX16 = FEAT(FW_1_ECX, 13),
  FEAT_PCID = FEAT(FW_1_ECX, 17),
  FEAT_SSE41 = FEAT(FW_1_ECX, 19),
  FEAT_SSE42 = FEAT(FW_1_ECX, 20),
  FEAT_X2APIC = FEAT(FW_1_ECX, 21),
  FEAT_MOVBE = FEAT(FW_1_ECX, 22),
  FEAT_POPCNT = FEAT(FW_1_ECX, 23),
  FEAT_TSC_DEADLINE = FEAT(FW_1_ECX, 24),
  FEAT_AES = FEAT(FW_1_ECX, 25),
  FEAT_XSAVE = FEAT(FW_1_ECX, 26),
  FEAT_OSXSAVE = FEAT(FW_1_ECX, 27), // dynamic: CR4.OSXSAVE
  FEAT_AVX = FEAT(FW_1_ECX, 28),
  FEAT_F16C = FEAT(FW_1_ECX, 29),
  FEAT_RDRAND = FEAT(FW_1_ECX, 30),
  FEAT_HYPERVISOR = FEAT(FW_1_ECX, 31),

  FEAT_FPU = FEAT(FW_1_EDX, 0),
  FEAT_VME = FEAT(FW_1_EDX, 1),
  FEAT_DE = FEAT(FW_1_EDX, 2),
  FEAT_PSE = FEAT(FW_1_EDX, 3),
  FEAT_TSC = FEAT(FW_1_EDX, 4),
  FEAT_MSR = FEAT(FW_1_EDX, 5),
  FEAT_PAE = FEAT(FW_1_EDX, 6),
  FEAT_MCE = FEAT(FW_1_EDX, 7),
  FEAT_CX8 = FEAT(FW_1_EDX, 8),
  FEAT_APIC = FEAT(FW_1_EDX, 9), // shown only while APIC_BASE enables the APIC
  FEAT_SEP = FEAT(FW_1_EDX, 11),
  FEAT_MTRR = FEAT(FW_1_EDX, 12),
  FEAT_PGE = FEAT(FW_1_EDX, 13),
  FEAT_MCA = FEAT(FW_1_EDX, 14),
  FEAT_CMOV = FEAT(FW_1_EDX, 15),
  FEAT_PAT = FEAT(FW_1_EDX, 16),
  FEAT_PSE36 = FEAT(FW_1_EDX, 17),
  FEAT_CLFLUSH = FEAT(FW_1_EDX, 19),
  FEAT_MMX = FEAT(FW_1_EDX, 23),
  FEAT_FXSR = FEAT(FW_1_EDX, 24),
  FEAT_SSE = FEAT(FW_1_EDX, 25),
  FEAT_SSE2 = FEAT(FW_1_EDX, 26),
  FEAT_HTT = FEAT(FW_1_EDX, 28), // dynamic: more than one CPU in the package

  FEAT_FSGSBASE = FEAT(FW_7_EBX, 0),
  FEAT_TSC_ADJUST = FEAT(FW_7_EBX, 1),
  FEAT_BMI1 = FEAT(FW_7_EBX, 3),
  FEAT_AVX2 = FEAT(FW_7_EBX, 5),
  FEAT_SMEP = FEAT(FW_7_EBX, 7),
  FEAT_BMI2 = FEAT(FW_7_EBX, 8),
  FEAT_ERMS = FEAT(FW_7_EBX, 9),
  FEAT_INVPCID = FEAT(FW_7_EBX, 10),
  FEAT_RDSEED = FEAT(FW_7_EBX, 18),
  FEAT_ADX = FEAT(FW_7_EBX, 19),
  FEAT_SMAP = FEAT(FW_7_EBX, 20),
  FEAT_CLFLUSHOPT = FEAT(FW_7_EBX, 23),
  FEAT_CLWB = FEAT(FW_7_EBX, 24),
  FEAT_SHA = FEAT(FW_7_EBX, 29),

  FEAT_UMIP = FEAT(FW_7_ECX, 2),
  FEAT_PKU = FEAT(FW_7_ECX, 3),
  FEAT_OSPKE = FEAT(FW_7_ECX, 4), // dynamic: CR4.PKE
  FEAT_VAES = FEAT(FW_7_ECX, 9),
  FEAT_VPCLMULQDQ = FEAT(FW_7_ECX, 10),
  FEAT_RDPID = FEAT(FW_7_ECX, 22),

  FEAT_FSRM = FEAT(FW_7_EDX, 4),

  FEAT_XSAVEOPT = FEAT(FW_D1_EAX, 0),
  FEAT_XSAVEC = FEAT(FW_D1_EAX, 1),
  FEAT_XGETBV1 = FEAT(FW_D1_EAX, 2),

  FEAT_LAHF = FEAT(FW_80000001_ECX, 0), // in 64-bit mode
  FEAT_CMP_LEGACY = FEAT(FW_80000001_ECX, 1),
  FEAT_SVM = FEAT(FW_80000001_ECX, 2),
  FEAT_EXTAPIC = FEAT(FW_80000001_ECX, 3),
  FEAT_CR8_LEGACY = FEAT(FW_80000001_ECX, 4),
  FEAT_LZCNT = FEAT(FW_80000001_ECX, 5),
  FEAT_SSE4A = FEAT(FW_80000001_ECX, 6),
  FEAT_MISALIGNSSE = FEAT(FW_80000001_ECX, 7),
  FEAT_PREFETCHW = FEAT(FW_80000001_ECX, 8),
  FEAT_OSVW = FEAT(FW_80000001_ECX, 9),
  FEAT_IBS = FEAT(FW_80000001_ECX, 10),
  FEAT_SKINIT = FEAT(FW_80000001_ECX, 12),
  FEAT_WDT = FEAT(FW_80000001_ECX, 13),
  FEAT_TOPOEXT = FEAT(FW_80000001_ECX, 22),
  FEAT_PERFCTR_CORE = FEAT(FW_80000001_ECX, 23),
  FEAT_MONITORX = FEAT(FW_80000001_ECX, 29),

  FEAT_SYSCALL = FEAT(FW_80000001_EDX, 11),
  FEAT_NX = FEAT(FW_80000001_EDX, 20),
  FEAT_MMXEXT = FEAT(FW_80000001_EDX, 22),
  FEAT_FFXSR = FEAT(FW_80000001_EDX, 25),
  FEAT_PDPE1GB = FEAT(FW_80000001_EDX, 26),
  FEAT_RDTSCP = FEAT(FW_80000001_EDX, 27),
  FEAT_LM = FEAT(FW_80000001_EDX, 29),

  FEAT_HWPSTATE = FEAT(FW_80000007_EDX, 7),
  FEAT_INVTSC = FEAT(FW_80000007_EDX, 8),

  FEAT_CLZERO = FEAT(FW_80000008_EBX, 0),
  FEAT_XSAVEERPTR = FEAT(FW_80000008_EBX, 2),
  FEAT_INVLPGB = FEAT(FW_80000008_EBX, 3),
  FEAT_RDPRU = FEAT(FW_80000008_EBX, 4),
  FEAT_MCOMMIT = FEAT(FW_80000008_EBX, 8),
  FEAT_WBNOINVD = FEAT(FW_80000008_EBX, 9),
  FEAT_IBPB = FEAT(FW_80000008_EBX, 12),
  FEAT_IBRS = FEAT(FW_80000008_EBX, 14),
  FEAT_STIBP = FEAT(FW_80000008_EBX, 15),
  FEAT_AMD_SSBD = FEAT(FW_80000008_EBX, 24),

  FEAT_NPT = FEAT(FW_8000000A_EDX, 0),
  FEAT_LBRV = FEAT(FW_8000000A_EDX, 1),
  FEAT_SVM_LOCK = FEAT(FW_8000000A_EDX, 2),
  FEAT_NRIP_SAVE = FEAT(FW_8000000A_EDX, 3),
  FEAT_TSC_SCALE = FEAT(FW_8000000A_EDX, 4),
  FEAT_VMCB_CLEAN = FEAT(FW_8000000A_EDX, 5),
  FEAT_FLUSHBYASID = FEAT(FW_8000000A_EDX, 6),
  FEAT_DECODEASSISTS = FEAT(FW_8000000A_EDX, 7),
  FEAT_PAUSEFILTER = FEAT(FW_8000000A_EDX, 10),
  FEAT_PFTHRESHOLD = FEAT(FW_8000000A_EDX, 12),
  FEAT_AVIC = FEAT(FW_8000000A_EDX, 13),
  FEAT_V_VMSAVE_VMLOAD = FEAT(FW_8000000A_EDX, 15),
  FEAT_VGIF = FEAT(FW_8000000A_EDX, 16),
  FEAT_GMET = FEAT(FW_8000000A_EDX, 17),
  FEAT_V_SPEC_CTRL = FEAT(FW_8000000A_EDX, 20),
  FEAT_ROGPT = FEAT(FW_8000000A_EDX, 21),
  FEAT_HOST_MCE_OVERRIDE = FEAT(FW_8000000A_EDX, 23),
  FEAT_TLBI_CTL = FEAT(FW_8000000A_EDX, 24),
  FEAT_VNMI = FEAT(FW_8000000A_EDX, 25),

  FEAT_LFENCE_SERIALIZING = FEAT(FW_80000021_EAX, 2),

  FEAT_ARAT = FEAT(FW_6_EAX, 2),

  FEAT_NONE = 0xffff,
};

#define INVLPGB_COUNT_MAX 7 // pages after the first that one INVLPGB takes: CPUID 8000_0008h EDX[15:0]

// XCR0 bits.
enum { XCR0_X87 = 1u << 0, XCR0_SSE = 1u << 1, XCR0_AVX = 1u << 2, XCR0_PKRU = 1u << 9 };

// A cache as CPUID leaves 8000_0005h, 8000_0006h and 8000_001Dh describe it.
struct model_cache {
  uint32_t kb;
  uint16_t ways; // 0xffff: fully associative
  uint8_t line;
};

struct model {
  const char *name;        // as in -cpu
  char vendor[13];         // CPUID 0
  bool intel;              // vendor=GenuineIntel: see model.c
  char brand[49];          // 8000_0002h..4
  uint32_t signature;      // CPUID 1 EAX: family, model, stepping
  uint32_t max_leaf;       // CPUID 0 EAX
  uint32_t max_ext_leaf;   // CPUID 8000_0000h EAX
  uint32_t word[FW_COUNT]; // feature bits as configured; dynamic ones are added by cpuid()
  uint8_t phys_bits;       // of physical addresses
  uint8_t linear_bits;     // of linear addresses
  uint8_t mc_banks;        // machine check banks, at most 8
  uint8_t mtrrs;           // variable-range MTRRs, at most 8
  uint8_t svm_rev;
  uint32_t asids;                      // address space identifiers, ASID 0 included
  uint32_t tlb_contexts;               // address spaces whose views are kept; 0: as many as is good
  struct model_cache l1d, l1i, l2, l3; // l3.kb = 0: none
  uint32_t tlb_l1_2m, tlb_l1_4k, tlb_l2_2m, tlb_l2_4k; // EAX, EBX of 8000_0005h and 8000_0006h
  uint32_t tlb_1g[2];                                  // EAX, EBX of 8000_0019h
  uint64_t xcr0;                                       // bits that XCR0 may have; 0 without XSAVE
  uint32_t xsave_size; // bytes of the standard-format XSAVE area with all of them
};

// Parses what follows -cpu: "family10h", "max,-smap,+svm,asids=64". Returns a new model or NULL with the
// error.
struct model *model_parse(const char *text, struct err *e);
void model_free(struct model *m);
// -cpu help: models, then features.
void model_list(FILE *out);

static inline bool model_has(const struct model *m, enum feature f)
{
  return m->word[f >> 5] >> (f & 31) & 1;
}

static inline unsigned model_family(const struct model *m)
{
  unsigned f = m->signature >> 8 & 15;
  return f == 15 ? f + (m->signature >> 20 & 0xff) : f;
}

// True if instructions of this set (a ZydisISASet) exist in the model. What Zydis decodes in a way that
// depends on the model (LZCNT, TZCNT, WBNOINVD as their elder forms) is for the decoder to configure by
// model_has.
bool model_allows(const struct model *m, unsigned zydis_isa_set);

struct cpu;

// The CPUID instruction: EAX, EBX, ECX, EDX for a leaf and subleaf as this CPU is now.
void cpuid(const struct cpu *c, uint32_t leaf, uint32_t sub, uint32_t out[4]);

// XSAVE layout: offset and size of state component `bit` in the standard format (0 if there is none), and the
// size of an area that holds the components in `mask` (standard or compacted).
uint32_t xsave_offset(unsigned bit);
uint32_t xsave_component_size(unsigned bit);
uint32_t xsave_area_size(uint64_t mask, bool compacted);

#endif
