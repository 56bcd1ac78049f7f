// The table of CPUID features: QEMU's names, what each needs, and where it comes from. See features.h.
//
// Invariant: a bit that a model can show has a row here. APM3 appendix D.
#include "cpu/features.h"

#include <cpuid.h>
#include <stddef.h>

// needs: 0 stands for "nothing", which is also the code of SSE3; nothing needs just SSE3.
// clang-format off
#define F(n, o, f)     {n, o, FEAT_##f, 0, {0, 0}}
#define H(n, o, f)     {n, o, FEAT_##f, FF_HOST, {0, 0}}
#define FN(n, o, f, x) {n, o, FEAT_##f, 0, {FEAT_##x, 0}}
#define HN(n, o, f, x) {n, o, FEAT_##f, FF_HOST, {FEAT_##x, 0}}
#define LN(n, o, f, x) {n, o, FEAT_##f, FF_LATER, {FEAT_##x, 0}}
#define NEVER(n)       {n, NULL, FEAT_NONE, FF_NEVER, {0, 0}}
// clang-format on

const struct feature_row feature_rows[] = {
    HN("pni", "sse3", SSE3, SSE2),
    HN("pclmulqdq", "pclmuldq", PCLMULQDQ, SSE2),
    F("monitor", NULL, MONITOR),
    HN("ssse3", NULL, SSSE3, SSE2),
    HN("fma", NULL, FMA, AVX),
    F("cx16", NULL, CX16),
    F("pcid", NULL, PCID),
    HN("sse4.1", NULL, SSE41, SSSE3),
    HN("sse4.2", NULL, SSE42, SSE41),
    F("x2apic", NULL, X2APIC),
    F("movbe", NULL, MOVBE),
    F("popcnt", NULL, POPCNT),
    F("tsc-deadline", NULL, TSC_DEADLINE),
    HN("aes", NULL, AES, SSE2),
    FN("xsave", NULL, XSAVE, FXSR),
    {"osxsave", NULL, FEAT_OSXSAVE, FF_DYNAMIC, {0, 0}},
    {"avx", NULL, FEAT_AVX, FF_HOST, {FEAT_SSE42, FEAT_XSAVE}},
    HN("f16c", NULL, F16C, AVX),
    F("rdrand", NULL, RDRAND),
    F("hypervisor", NULL, HYPERVISOR),

    F("fpu", NULL, FPU),
    F("vme", NULL, VME),
    F("de", NULL, DE),
    F("pse", NULL, PSE),
    F("tsc", NULL, TSC),
    F("msr", NULL, MSR),
    F("pae", NULL, PAE),
    F("mce", NULL, MCE),
    F("cx8", "cmpxchg8b", CX8),
    F("apic", NULL, APIC),
    F("sep", NULL, SEP),
    F("mtrr", NULL, MTRR),
    F("pge", NULL, PGE),
    F("mca", NULL, MCA),
    F("cmov", NULL, CMOV),
    F("pat", NULL, PAT),
    F("pse36", NULL, PSE36),
    F("clflush", NULL, CLFLUSH),
    FN("mmx", NULL, MMX, FPU),
    FN("fxsr", NULL, FXSR, FPU),
    FN("sse", NULL, SSE, FXSR),
    FN("sse2", NULL, SSE2, SSE),
    {"ht", NULL, FEAT_HTT, FF_DYNAMIC, {0, 0}},

    FN("fsgsbase", NULL, FSGSBASE, LM),
    FN("tsc-adjust", NULL, TSC_ADJUST, TSC),
    H("bmi1", NULL, BMI1),
    HN("avx2", NULL, AVX2, AVX),
    F("smep", NULL, SMEP),
    H("bmi2", NULL, BMI2),
    F("erms", NULL, ERMS),
    F("invpcid", NULL, INVPCID),
    F("rdseed", NULL, RDSEED),
    H("adx", NULL, ADX),
    F("smap", NULL, SMAP),
    FN("clflushopt", NULL, CLFLUSHOPT, CLFLUSH),
    FN("clwb", NULL, CLWB, CLFLUSH),
    HN("sha-ni", "sha", SHA, SSE2),

    F("umip", NULL, UMIP),
    FN("pku", NULL, PKU, XSAVE),
    {"ospke", NULL, FEAT_OSPKE, FF_DYNAMIC, {0, 0}},
    {"vaes", NULL, FEAT_VAES, FF_HOST | FF_LATER, {FEAT_AVX, FEAT_AES}},
    {"vpclmulqdq", NULL, FEAT_VPCLMULQDQ, FF_HOST | FF_LATER, {FEAT_AVX, FEAT_PCLMULQDQ}},
    F("rdpid", NULL, RDPID),
    F("fsrm", NULL, FSRM),

    FN("xsaveopt", NULL, XSAVEOPT, XSAVE),
    FN("xsavec", NULL, XSAVEC, XSAVE),
    FN("xgetbv1", NULL, XGETBV1, XSAVE),

    F("lahf-lm", NULL, LAHF),
    F("cmp-legacy", NULL, CMP_LEGACY),
    FN("svm", NULL, SVM, LM),
    FN("extapic", NULL, EXTAPIC, APIC),
    F("cr8legacy", NULL, CR8_LEGACY),
    F("abm", "lzcnt", LZCNT),
    FN("sse4a", NULL, SSE4A, SSE2),
    FN("misalignsse", NULL, MISALIGNSSE, SSE),
    F("3dnowprefetch", NULL, PREFETCHW),
    F("osvw", NULL, OSVW),
    FN("skinit", NULL, SKINIT, SVM),
    {"wdt", NULL, FEAT_WDT, FF_LATER, {0, 0}},
    F("topoext", NULL, TOPOEXT),
    FN("monitorx", NULL, MONITORX, MONITOR),

    F("syscall", NULL, SYSCALL),
    FN("nx", NULL, NX, PAE),
    FN("mmxext", NULL, MMXEXT, MMX),
    FN("fxsr-opt", "ffxsr", FFXSR, FXSR),
    FN("pdpe1gb", NULL, PDPE1GB, LM),
    F("rdtscp", NULL, RDTSCP),
    FN("lm", NULL, LM, PAE),

    F("hwpstate", NULL, HWPSTATE),
    F("invtsc", NULL, INVTSC),

    F("clzero", NULL, CLZERO),
    F("xsaveerptr", NULL, XSAVEERPTR),
    F("invlpgb", NULL, INVLPGB),
    F("rdpru", NULL, RDPRU),
    F("mcommit", NULL, MCOMMIT),
    F("wbnoinvd", NULL, WBNOINVD),
    F("ibpb", NULL, IBPB),
    F("ibrs", NULL, IBRS),
    F("stibp", NULL, STIBP),
    F("amd-ssbd", NULL, AMD_SSBD),
    F("lfence-always-serializing", NULL, LFENCE_SERIALIZING),
    F("arat", NULL, ARAT),

    FN("npt", NULL, NPT, SVM),
    FN("lbrv", NULL, LBRV, SVM),
    FN("svm-lock", NULL, SVM_LOCK, SVM),
    FN("nrip-save", NULL, NRIP_SAVE, SVM),
    FN("tsc-scale", NULL, TSC_SCALE, SVM),
    FN("vmcb-clean", NULL, VMCB_CLEAN, SVM),
    FN("flushbyasid", NULL, FLUSHBYASID, SVM),
    FN("decodeassists", NULL, DECODEASSISTS, SVM),
    FN("pause-filter", NULL, PAUSEFILTER, SVM),
    FN("pfthreshold", NULL, PFTHRESHOLD, SVM),
    FN("v-vmsave-vmload", NULL, V_VMSAVE_VMLOAD, SVM),
    FN("vgif", NULL, VGIF, SVM),
    FN("v-spec-ctrl", NULL, V_SPEC_CTRL, SVM),
    FN("host-mce-override", NULL, HOST_MCE_OVERRIDE, SVM),
    {"tlbi-ctl", NULL, FEAT_TLBI_CTL, 0, {FEAT_SVM, FEAT_INVLPGB}},
    FN("vnmi", NULL, VNMI, SVM),
    FN("gmet", NULL, GMET, NPT),
    FN("rogpt", NULL, ROGPT, NPT),

    NEVER("3dnow"), // no host executes it any more
    NEVER("3dnowext"),
    NEVER("vmx"),
    NEVER("avic"),
    NEVER("ibs"),
    NEVER("la57"),
    NEVER("pks"),
    NEVER("xsaves"),
    NEVER("mpx"),
    NEVER("rtm"),
    NEVER("hle"),
    NEVER("xop"),
    NEVER("fma4"),
    NEVER("tbm"),
    NEVER("lwp"),
    NEVER("gfni"),
    NEVER("avx512f"),
    NEVER("avx-vnni"),
    NEVER("perfctr-core"),
    NEVER("perfctr-nb"),
};
const unsigned feature_count = sizeof feature_rows / sizeof *feature_rows;

static bool same(const char *row, const char *name, unsigned len)
{
  unsigned i = 0;
  for (; i < len && row[i]; i++) {
    char a = row[i] == '_' || row[i] == '.' ? '-' : row[i];
    char b = name[i] == '_' || name[i] == '.' ? '-' : name[i];
    if (a != b)
      return false;
  }
  return i == len && !row[i];
}

const struct feature_row *feature_find(const char *name, unsigned len)
{
  for (unsigned i = 0; i < feature_count; i++) {
    const struct feature_row *r = &feature_rows[i];
    if (same(r->name, name, len) || (r->other && same(r->other, name, len)))
      return r;
  }
  return NULL;
}

bool feature_on_host(enum feature f)
{
  static const struct {
    uint32_t leaf, sub;
    uint8_t reg;
  } where[FW_COUNT] = {
      [FW_1_ECX] = {1, 0, 2},
      [FW_1_EDX] = {1, 0, 3},
      [FW_7_EBX] = {7, 0, 1},
      [FW_7_ECX] = {7, 0, 2},
      [FW_7_EDX] = {7, 0, 3},
      [FW_80000001_ECX] = {0x80000001, 0, 2},
      [FW_80000001_EDX] = {0x80000001, 0, 3},
  };
  unsigned w = f >> 5;
  uint32_t r[4], one[4];
  if (w >= FW_COUNT || !where[w].leaf || !__get_cpuid_count(1, 0, &one[0], &one[1], &one[2], &one[3]) ||
      !__get_cpuid_count(where[w].leaf, where[w].sub, &r[0], &r[1], &r[2], &r[3]))
    return false;
  if (!(r[where[w].reg] >> (f & 31) & 1))
    return false;
  // Registers that the operating system does not save cannot be used.
  bool ymm = f == FEAT_AVX || f == FEAT_AVX2 || f == FEAT_FMA || f == FEAT_F16C || f == FEAT_VAES ||
             f == FEAT_VPCLMULQDQ;
  if (ymm) {
    uint32_t lo, hi;
    if (!(one[2] >> 27 & 1))
      return false;
    __asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (lo & 6) == 6;
  }
  return true;
}
