// The CPU models and the option -cpu; see model.h.
//
// A model starts from its row, takes the features and properties of the option in their order, and is then
// made consistent: what a feature needs is on with it, and what has lost that goes off. A feature that was
// asked for by name and cannot be is an error. With vendor=GenuineIntel the vendor's name changes, and with
// it only what that vendor's manual says of registers that both have: IA32_MISC_ENABLE exists, IA32_MCi_CTL
// takes all zeros or all ones, and there are no extended local APIC registers.
#include "cpu/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/opt.h"
#include "cpu/features.h"

#define B(f) (1u << (FEAT_##f & 31))

// FPU VME DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFLUSH MMX FXSR SSE SSE2
#define EDX_1     0x078bfbffu
#define EDX_AMD64 (B(SYSCALL) | B(NX) | B(MMXEXT) | B(FFXSR) | B(LM))

struct model_row {
  const char *name, *help;
  bool max; // all that is implemented and that the host can do
  struct model m;
};

static const struct model_row rows[] = {
    {"k8f",
     "K8 revision F: the first with SVM, no nested paging",
     false,
     {.brand = "Pacifica K8 revision F processor",
      .signature = 0x00040f12,
      .max_leaf = 1,
      .max_ext_leaf = 0x80000018,
      .phys_bits = 40,
      .mc_banks = 5,
      .asids = 64,
      .l1d = {64, 2, 64},
      .l1i = {64, 2, 64},
      .l2 = {1024, 16, 64},
      .tlb_l1_2m = 0xff08ff08,
      .tlb_l1_4k = 0xff20ff20,
      .tlb_l2_4k = 0x42004200,
      .word = {[FW_1_ECX] = B(SSE3) | B(CX16),
               [FW_1_EDX] = EDX_1,
               [FW_80000001_ECX] = B(SVM) | B(LAHF) | B(CMP_LEGACY) | B(EXTAPIC) | B(CR8_LEGACY),
               [FW_80000001_EDX] = EDX_AMD64 | B(RDTSCP)}}},
    {"family10h",
     "family 10h (K10), the default: nested paging, DEV, SKINIT belong to it",
     false,
     {.brand = "Pacifica family 10h processor",
      .signature = 0x00100f42,
      .max_leaf = 5,
      .max_ext_leaf = 0x8000001b,
      .phys_bits = 48,
      .mc_banks = 6,
      .asids = 64,
      .l1d = {64, 2, 64},
      .l1i = {64, 2, 64},
      .l2 = {512, 16, 64},
      .l3 = {6144, 48, 64},
      .tlb_l1_2m = 0xff30ff10,
      .tlb_l1_4k = 0xff30ff20,
      .tlb_l2_2m = 0x20800000,
      .tlb_l2_4k = 0x42004200,
      .tlb_1g = {0xf0300000, 0x60100000},
      .word = {[FW_1_ECX] = B(SSE3) | B(MONITOR) | B(CX16) | B(POPCNT),
               [FW_1_EDX] = EDX_1,
               [FW_80000001_ECX] = B(SVM) | B(LAHF) | B(CMP_LEGACY) | B(EXTAPIC) | B(CR8_LEGACY) | B(LZCNT) |
                                   B(SSE4A) | B(MISALIGNSSE) | B(PREFETCHW) | B(OSVW) | B(SKINIT),
               [FW_80000001_EDX] = EDX_AMD64 | B(PDPE1GB) | B(RDTSCP),
               [FW_80000007_EDX] = B(HWPSTATE) | B(INVTSC),
               [FW_8000000A_EDX] = B(NPT) | B(LBRV) | B(SVM_LOCK) | B(NRIP_SAVE)}}},
    {"Opteron_G1",
     "the first AMD64 processors (K8 revision E), without SVM",
     false,
     {.brand = "Pacifica K8 revision E processor",
      .signature = 0x00020f12,
      .max_leaf = 1,
      .max_ext_leaf = 0x80000018,
      .phys_bits = 40,
      .mc_banks = 5,
      .asids = 64,
      .l1d = {64, 2, 64},
      .l1i = {64, 2, 64},
      .l2 = {1024, 16, 64},
      .tlb_l1_2m = 0xff08ff08,
      .tlb_l1_4k = 0xff20ff20,
      .tlb_l2_4k = 0x42004200,
      .word = {[FW_1_ECX] = B(SSE3),
               [FW_1_EDX] = EDX_1,
               [FW_80000001_ECX] = B(CMP_LEGACY) | B(CR8_LEGACY),
               [FW_80000001_EDX] = EDX_AMD64}}},
    {"qemu64",
     "a plain AMD64 processor, for scripts that name it",
     false,
     {.brand = "Pacifica AMD64 processor",
      .signature = 0x00060fb1,
      .max_leaf = 0xd,
      .max_ext_leaf = 0x8000000a,
      .phys_bits = 40,
      .mc_banks = 6,
      .asids = 64,
      .l1d = {64, 2, 64},
      .l1i = {64, 2, 64},
      .l2 = {512, 16, 64},
      .tlb_l1_2m = 0xff30ff10,
      .tlb_l1_4k = 0xff30ff20,
      .tlb_l2_4k = 0x42004200,
      .word = {[FW_1_ECX] = B(SSE3) | B(CX16),
               [FW_1_EDX] = EDX_1,
               [FW_80000001_ECX] = B(LAHF) | B(CMP_LEGACY) | B(CR8_LEGACY),
               [FW_80000001_EDX] = B(SYSCALL) | B(NX) | B(LM)}}},
    {"max",
     "everything that is implemented and that the host can do",
     true,
     {.brand = "Pacifica processor with all features",
      .signature = 0x00100fa0,
      .max_leaf = 0xd,
      .max_ext_leaf = 0x80000021,
      .phys_bits = 48,
      .mc_banks = 6,
      .asids = 64,
      .l1d = {64, 2, 64},
      .l1i = {64, 2, 64},
      .l2 = {512, 16, 64},
      .l3 = {6144, 48, 64},
      .tlb_l1_2m = 0xff30ff10,
      .tlb_l1_4k = 0xff30ff20,
      .tlb_l2_2m = 0x20800000,
      .tlb_l2_4k = 0x42004200,
      .tlb_1g = {0xf0300000, 0x60100000}}},
};
#define ROWS (sizeof rows / sizeof *rows)

// Names that other programs use for the same processors.
static const struct {
  const char *name, *model;
} aliases[] = {{"Opteron_G2", "k8f"}, {"Opteron_G3", "family10h"}, {"phenom", "family10h"}};

enum asked { ASKED_NOT, ASKED_ON, ASKED_OFF };

struct parse {
  struct model *m;
  const char *text;
  struct err *e;
  uint8_t asked[256]; // by row of feature_rows
};

static void feature_put(struct model *m, enum feature f, bool on)
{
  uint32_t bit = 1u << (f & 31);
  if (on)
    m->word[f >> 5] |= bit;
  else
    m->word[f >> 5] &= ~bit;
}

static const struct model_row *model_find(const char *name, size_t len)
{
  for (unsigned i = 0; i < sizeof aliases / sizeof *aliases; i++) {
    if (strlen(aliases[i].name) == len && !memcmp(aliases[i].name, name, len))
      return model_find(aliases[i].model, strlen(aliases[i].model));
  }
  for (unsigned i = 0; i < ROWS; i++) {
    if (strlen(rows[i].name) == len && !memcmp(rows[i].name, name, len))
      return &rows[i];
  }
  return NULL;
}

static bool ask(struct parse *p, const char *name, size_t len, bool on)
{
  const struct feature_row *r = feature_find(name, len);
  if (!r)
    return err_set(p->e, "-cpu %s: there is no feature '%.*s'; see -cpu help", p->text, (int)len, name);
  if (on && (r->flags & FF_NEVER))
    return err_set(p->e, "-cpu %s: this processor cannot have '%s'; leave it out", p->text, r->name);
  if (on && (r->flags & FF_LATER))
    return err_set(p->e, "-cpu %s: '%s' is not implemented yet; leave it out", p->text, r->name);
  if (r->flags & FF_DYNAMIC)
    return err_set(p->e, "-cpu %s: '%s' follows the guest's state and cannot be set; leave it out", p->text,
                   r->name);
  if (on && (r->flags & FF_HOST) && !feature_on_host(r->feature))
    return err_set(p->e, "-cpu %s: the host CPU has no '%s'; leave it out", p->text, r->name);
  p->asked[r - feature_rows] = on ? ASKED_ON : ASKED_OFF;
  if (r->feature != FEAT_NONE)
    feature_put(p->m, r->feature, on);
  return true;
}

// Copies a value out of the option's text; false if it is too long for the buffer.
static bool take(char *buf, size_t size, const char *s, size_t len)
{
  if (len >= size)
    return false;
  memcpy(buf, s, len);
  buf[len] = 0;
  return true;
}

static bool number(struct parse *p, const char *key, const char *s, size_t len, uint64_t lo, uint64_t hi,
                   uint64_t *out)
{
  char buf[24];
  if (!take(buf, sizeof buf, s, len) || !parse_u64(buf, out) || *out < lo || *out > hi)
    return err_set(p->e, "-cpu %s: %s takes a number from %llu to %llu", p->text, key, (unsigned long long)lo,
                   (unsigned long long)hi);
  return true;
}

// "key=value", or a key alone.
static bool property(struct parse *p, const char *s, size_t len)
{
  const char *eq = memchr(s, '=', len);
  size_t klen = eq ? (size_t)(eq - s) : len;
  const char *v = eq ? eq + 1 : "on";
  size_t vlen = eq ? len - klen - 1 : 2;
  uint64_t n = 0;
#define KEY(name) (klen == strlen(name) && !memcmp(s, name, klen))
  if (KEY("asids")) {
    if (!number(p, "asids", v, vlen, 2, 65536, &n))
      return false;
    p->m->asids = n;
    return true;
  }
  if (KEY("tlb-contexts")) {
    if (!number(p, "tlb-contexts", v, vlen, 1, 4096, &n))
      return false;
    p->m->tlb_contexts = n;
    return true;
  }
  if (KEY("phys-bits")) {
    if (!number(p, "phys-bits", v, vlen, 32, 52, &n))
      return false;
    p->m->phys_bits = n;
    return true;
  }
  if (KEY("vendor")) {
    if (vlen != 12)
      return err_set(p->e, "-cpu %s: vendor takes 12 characters, as AuthenticAMD", p->text);
    memcpy(p->m->vendor, v, 12);
    return true;
  }
  bool on = (vlen == 2 && !memcmp(v, "on", 2)) || (vlen == 3 && !memcmp(v, "yes", 3)) ||
            (vlen == 4 && !memcmp(v, "true", 4));
  bool off = (vlen == 3 && !memcmp(v, "off", 3)) || (vlen == 2 && !memcmp(v, "no", 2)) ||
             (vlen == 5 && !memcmp(v, "false", 5));
  if (!on && !off)
    return err_set(p->e, "-cpu %s: '%.*s' takes on or off", p->text, (int)klen, s);
  // These steer how QEMU adapts a model to its host; here a model never depends on the host but by `max`, and
  // a feature that cannot be is always an error.
  if (KEY("host-phys-bits") || KEY("migratable") || KEY("check") || KEY("enforce"))
    return true;
#undef KEY
  return ask(p, s, klen, on);
}

// Turns on what the asked features need, and off what has lost something that it needs.
static bool settle(struct parse *p)
{
  struct model *m = p->m;
  for (bool again = true; again;) {
    again = false;
    for (unsigned i = 0; i < feature_count; i++) {
      const struct feature_row *r = &feature_rows[i];
      if (r->feature == FEAT_NONE || !model_has(m, r->feature))
        continue;
      for (unsigned k = 0; k < 2; k++) {
        if (!r->needs[k] || model_has(m, r->needs[k]))
          continue;
        const struct feature_row *n = feature_rows;
        while (n->feature != r->needs[k])
          n++;
        if (p->asked[i] != ASKED_ON) {
          feature_put(m, r->feature, false);
        } else if (p->asked[n - feature_rows] == ASKED_OFF) {
          return err_set(p->e, "-cpu %s: '%s' needs '%s', which is turned off; leave out one of them",
                         p->text, r->name, n->name);
        } else {
          feature_put(m, n->feature, true);
          p->asked[n - feature_rows] = ASKED_ON; // so that it keeps what it needs in turn
        }
        again = true;
        break;
      }
    }
  }
  return true;
}

static void raise_leaf(uint32_t *max, uint32_t leaf)
{
  if (*max < leaf)
    *max = leaf;
}

// What follows from the feature words.
static void derive(struct model *m)
{
  const uint32_t *w = m->word;
  m->intel = !strcmp(m->vendor, "GenuineIntel");
  if (model_has(m, FEAT_MONITOR))
    raise_leaf(&m->max_leaf, 5);
  if (w[FW_6_EAX] || model_has(m, FEAT_RDPRU))
    raise_leaf(&m->max_leaf, 6);
  if (w[FW_7_EBX] || w[FW_7_ECX] || w[FW_7_EDX])
    raise_leaf(&m->max_leaf, 7);
  if (model_has(m, FEAT_X2APIC))
    raise_leaf(&m->max_leaf, 0xb);
  if (model_has(m, FEAT_XSAVE))
    raise_leaf(&m->max_leaf, 0xd);
  if (w[FW_8000000A_EDX] || model_has(m, FEAT_SVM))
    raise_leaf(&m->max_ext_leaf, 0x8000000a);
  if (model_has(m, FEAT_TOPOEXT))
    raise_leaf(&m->max_ext_leaf, 0x8000001e);
  if (w[FW_80000021_EAX])
    raise_leaf(&m->max_ext_leaf, 0x80000021);
  if (model_has(m, FEAT_XSAVE)) {
    m->xcr0 = XCR0_X87 | XCR0_SSE;
    if (model_has(m, FEAT_AVX))
      m->xcr0 |= XCR0_AVX;
    if (model_has(m, FEAT_PKU))
      m->xcr0 |= XCR0_PKRU;
    m->xsave_size = xsave_area_size(m->xcr0, false);
  }
}

static bool build(struct parse *p)
{
  const char *s = p->text;
  size_t len = strcspn(s, ",");
  const struct model_row *row = model_find(s, len);
  if (!row) {
    char names[128] = "";
    for (unsigned i = 0; i < ROWS; i++) {
      strcat(names, i ? ", " : "");
      strcat(names, rows[i].name);
    }
    return err_set(p->e, "-cpu: there is no model '%.*s'; the models are %s", (int)len, s, names);
  }
  struct model *m = p->m;
  *m = row->m;
  m->name = row->name;
  memcpy(m->vendor, "AuthenticAMD", 13);
  m->linear_bits = 48;
  m->mtrrs = 8;
  m->svm_rev = 1;
  for (unsigned i = 0; i < feature_count && row->max; i++) {
    const struct feature_row *r = &feature_rows[i];
    bool have = !(r->flags & (FF_LATER | FF_NEVER | FF_DYNAMIC)) && r->feature != FEAT_HYPERVISOR &&
                (!(r->flags & FF_HOST) || feature_on_host(r->feature));
    if (have)
      feature_put(m, r->feature, true);
  }
  for (s += len; *s == ','; s += len) {
    s++;
    len = strcspn(s, ",");
    if (!len)
      return err_set(p->e, "-cpu %s: there is nothing after a comma", p->text);
    if (*s == '+' || *s == '-' ? !ask(p, s + 1, len - 1, *s == '+') : !property(p, s, len))
      return false;
  }
  const struct feature_row *x = feature_find("extapic", 7);
  if (!strcmp(m->vendor, "GenuineIntel") && p->asked[x - feature_rows] != ASKED_ON)
    feature_put(m, FEAT_EXTAPIC, false);
  if (!settle(p))
    return false;
  for (unsigned i = 0; i < feature_count; i++) {
    const struct feature_row *r = &feature_rows[i];
    if (r->feature != FEAT_NONE && (r->flags & FF_HOST) && model_has(m, r->feature) &&
        !feature_on_host(r->feature))
      return err_set(p->e, "-cpu %s: the host CPU has no '%s'; add -%s", p->text, r->name, r->name);
  }
  derive(m);
  return true;
}

struct model *model_parse(const char *text, struct err *e)
{
  struct parse p = {.text = text, .e = e, .m = calloc(1, sizeof *p.m)};
  if (!p.m) {
    err_set(e, "-cpu %s: out of memory", text);
    return NULL;
  }
  if (feature_count <= sizeof p.asked && build(&p))
    return p.m;
  free(p.m);
  return NULL;
}

void model_free(struct model *m)
{
  free(m);
}

void model_list(FILE *out)
{
  fprintf(out, "Models:\n");
  for (unsigned i = 0; i < ROWS; i++)
    fprintf(out, "  %-12s %s\n", rows[i].name, rows[i].help);
  for (unsigned i = 0; i < sizeof aliases / sizeof *aliases; i++)
    fprintf(out, "  %-12s the same as %s\n", aliases[i].name, aliases[i].model);
  fprintf(out, "\nProperties: asids=N phys-bits=N tlb-contexts=N vendor=NAME\n\n"
               "Features (+name, -name, name=on|off):\n ");
  unsigned column = 1;
  for (unsigned i = 0; i < feature_count; i++) {
    const struct feature_row *r = &feature_rows[i];
    if (r->flags & (FF_LATER | FF_NEVER | FF_DYNAMIC))
      continue;
    if (column + 1 + strlen(r->name) > 78) {
      fprintf(out, "\n ");
      column = 1;
    }
    column += fprintf(out, " %s", r->name);
  }
  fprintf(out, "\n");
}
