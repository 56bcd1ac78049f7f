// Models, -cpu, and what CPUID shows of them.
#include "bed.h"

#include <Zydis/Zydis.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/features.h"

static uint32_t reg(const struct bed *b, unsigned cpu, uint32_t leaf, uint32_t sub, unsigned r)
{
  uint32_t out[4];
  cpuid(b->cpu[cpu], leaf, sub, out);
  return out[r];
}

static void refused(const char *text, const char *part)
{
  struct err e = {""};
  struct model *m = model_parse(text, &e);
  if (m)
    fail_msg("-cpu %s was taken", text);
  if (!strstr(e.text, part) || strchr(e.text, '\n'))
    fail_msg("-cpu %s: the message is '%s', without '%s'", text, e.text, part);
}

static struct model *taken(const char *text)
{
  struct err e = {""};
  struct model *m = model_parse(text, &e);
  if (!m)
    fail_msg("-cpu %s: %s", text, e.text);
  return m;
}

static void wrong_options_are_refused_with_the_reason(void **state)
{
  refused("", "family10h");
  refused("pentium", "k8f, family10h");
  refused("family10h,+nonsense", "nonsense");
  refused("family10h,nonsense", "nonsense");
  refused("family10h,nonsense=on", "nonsense");
  refused("family10h,,+x2apic", "comma");
  refused("family10h,", "comma");
  refused("family10h,+", "feature");
  refused("family10h,+3dnow", "3dnow");
  refused("max,+vmx", "vmx");
  refused("max,+la57", "la57");
  refused("max,+osxsave", "osxsave");
  refused("max,asids=1", "asids");
  refused("max,asids=65537", "asids");
  refused("max,asids=", "asids");
  refused("max,asids=99999999999999999999999999", "asids");
  refused("max,phys-bits=31", "phys-bits");
  refused("max,phys-bits=53", "phys-bits");
  refused("max,vendor=short", "vendor");
  refused("max,smep=maybe", "smep");
  refused("family10h,+invpcid,+pku,-xsave", "xsave");
  if (!feature_on_host(FEAT_AVX2))
    refused("family10h,+avx2", "host");
}

static void features_are_known_by_each_of_their_names(void **state)
{
  static const char *const names[] = {"sse4.1", "sse4_1", "sse4-1", "lahf_lm", "lahf-lm",
                                      "sse3",   "pni",    "abm",    "lzcnt"};
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
    assert_non_null(feature_find(names[i], strlen(names[i])));
  assert_null(feature_find("sse4", 4));
  assert_null(feature_find("", 0));
}

static void no_feature_has_two_rows(void **state)
{
  for (unsigned i = 0; i < feature_count; i++)
    for (unsigned k = 0; k < i; k++) {
      assert_string_not_equal(feature_rows[i].name, feature_rows[k].name);
      if (feature_rows[i].feature != FEAT_NONE)
        assert_int_not_equal(feature_rows[i].feature, feature_rows[k].feature);
    }
}

static void each_bit_that_a_model_shows_has_a_row(void **state)
{
  static const char *const models[] = {"k8f", "family10h", "qemu64", "Opteron_G1", "max"};
  for (unsigned i = 0; i < 5; i++) {
    struct model *m = taken(models[i]);
    for (unsigned f = 0; f < FW_COUNT * 32; f++) {
      unsigned k = 0;
      while (k < feature_count && feature_rows[k].feature != f)
        k++;
      if (model_has(m, f) && k == feature_count)
        fail_msg("%s shows bit %u of word %u, which has no name", models[i], f & 31, f >> 5);
    }
    model_free(m);
  }
}

static void features_are_added_and_removed_in_order(void **state)
{
  struct model *m = taken("family10h,+smep,-monitor,x2apic,rdrand=on,sse4a=off,+umip,-umip");
  assert_true(model_has(m, FEAT_SMEP));
  assert_true(model_has(m, FEAT_X2APIC));
  assert_true(model_has(m, FEAT_RDRAND));
  assert_false(model_has(m, FEAT_MONITOR));
  assert_false(model_has(m, FEAT_SSE4A));
  assert_false(model_has(m, FEAT_UMIP));
  assert_int_equal(m->max_leaf, 0xb); // leaf 7 for SMEP, 0Bh for x2APIC
  model_free(m);
  m = taken("max,-vmx,-3dnow,host-phys-bits,asids=8,phys-bits=40");
  assert_int_equal(m->asids, 8);
  assert_int_equal(m->phys_bits, 40);
  model_free(m);
}

static void what_a_feature_needs_comes_and_goes_with_it(void **state)
{
  struct model *m = taken("max,-xsave");
  assert_false(model_has(m, FEAT_AVX));
  assert_false(model_has(m, FEAT_AVX2));
  assert_false(model_has(m, FEAT_FMA));
  assert_false(model_has(m, FEAT_PKU));
  assert_false(model_has(m, FEAT_XSAVEOPT));
  assert_int_equal(m->xcr0, 0);
  model_free(m);
  m = taken("family10h,+pku");
  assert_true(model_has(m, FEAT_XSAVE));
  assert_int_equal(m->xcr0, XCR0_X87 | XCR0_SSE | XCR0_PKRU);
  assert_int_equal(m->max_leaf, 0xd);
  model_free(m);
}

static void max_has_what_the_host_has(void **state)
{
  struct model *m = taken("max");
  for (unsigned i = 0; i < feature_count; i++) {
    const struct feature_row *r = &feature_rows[i];
    if (r->flags == FF_HOST)
      assert_int_equal(model_has(m, r->feature), feature_on_host(r->feature));
    if (r->flags & (FF_LATER | FF_NEVER | FF_DYNAMIC) && r->feature != FEAT_NONE)
      assert_false(model_has(m, r->feature));
  }
  assert_false(model_has(m, FEAT_HYPERVISOR));
  model_free(m);
}

static void family10h_is_what_that_family_was(void **state)
{
  struct bed *b = bed_new("family10h", 1);
  uint32_t v[4];
  cpuid(b->cpu[0], 0, 0, v);
  assert_int_equal(v[0], 5);
  assert_memory_equal(&v[1], "Auth", 4);
  assert_memory_equal(&v[3], "enti", 4);
  assert_memory_equal(&v[2], "cAMD", 4);
  assert_int_equal(reg(b, 0, 1, 0, 0), 0x00100f42);
  assert_int_equal(reg(b, 0, 1, 0, 2), 0x00802009);
  assert_int_equal(reg(b, 0, 1, 0, 3), 0x078bfbff);
  assert_int_equal(reg(b, 0, 7, 0, 1), 0); // beyond the last leaf
  assert_int_equal(reg(b, 0, 0x80000000, 0, 0), 0x8000001b);
  assert_int_equal(reg(b, 0, 0x80000001, 0, 2), 0x13fd); // without CmpLegacy: one core
  assert_int_equal(reg(b, 0, 0x80000001, 0, 3), 0x2fd3fbff);
  assert_int_equal(reg(b, 0, 0x80000008, 0, 0), 0x3030);
  assert_int_equal(reg(b, 0, 0x80000006, 0, 3), 12 << 18 | 0xb140);
  bed_free(b);
}

static void dynamic_bits_follow_the_state(void **state)
{
  struct bed *b = bed_new("max", 1);
  struct cpu *c = b->cpu[0];
  assert_int_equal(reg(b, 0, 1, 0, 2) >> 27 & 1, 0);
  assert_int_equal(reg(b, 0, 7, 0, 2) >> 4 & 1, 0);
  c->cr4 |= CR4_OSXSAVE | CR4_PKE;
  assert_int_equal(reg(b, 0, 1, 0, 2) >> 27 & 1, 1);
  assert_int_equal(reg(b, 0, 7, 0, 2) >> 4 & 1, 1);
  assert_int_equal(reg(b, 0, 1, 0, 3) >> 9 & 1, 1);
  assert_true(msr_write(c, MSR_APIC_BASE, 0xfee00000));
  assert_int_equal(reg(b, 0, 1, 0, 3) >> 9 & 1, 0);
  assert_int_equal(reg(b, 0, 0x80000001, 0, 3) >> 9 & 1, 0);
  bed_free(b);
}

static void xsave_leaf_agrees_with_the_layout(void **state)
{
  struct bed *b = bed_new("family10h,+pku,+xsavec", 1);
  struct cpu *c = b->cpu[0];
  c->xcr0 = 3;
  assert_int_equal(reg(b, 0, 0xd, 0, 0), 3 | XCR0_PKRU);
  assert_int_equal(reg(b, 0, 0xd, 0, 1), 576);
  assert_int_equal(reg(b, 0, 0xd, 0, 2), 840);
  c->xcr0 = 3 | XCR0_PKRU;
  assert_int_equal(reg(b, 0, 0xd, 0, 1), 840);
  assert_int_equal(reg(b, 0, 0xd, 1, 1), 584);
  assert_int_equal(reg(b, 0, 0xd, 9, 0), 8);
  assert_int_equal(reg(b, 0, 0xd, 9, 1), 832);
  assert_int_equal(reg(b, 0, 0xd, 2, 0), 0); // no AVX here
  assert_int_equal(reg(b, 0, 0xd, 200, 0), 0);
  bed_free(b);
}

static void topology_counts_the_cpus_of_the_node(void **state)
{
  struct bed *b = bed_new("max", 4);
  for (unsigned i = 0; i < 4; i++) {
    assert_int_equal(reg(b, i, 1, 0, 1) >> 24, i);
    assert_int_equal(reg(b, i, 1, 0, 1) >> 16 & 0xff, 4);
    assert_int_equal(reg(b, i, 1, 0, 3) >> 28 & 1, 1);
    assert_int_equal(reg(b, i, 0x80000001, 0, 2) >> 1 & 1, 1);
    assert_int_equal(reg(b, i, 0x80000008, 0, 2), 2 << 12 | 3);
    assert_int_equal(reg(b, i, 0xb, 0, 3), i);
    assert_int_equal(reg(b, i, 0xb, 1, 0), 2);
    assert_int_equal(reg(b, i, 0xb, 1, 1), 4);
    assert_int_equal(reg(b, i, 0xb, 1, 2), 0x201);
    assert_int_equal(reg(b, i, 0xb, 2, 1), 0);
    assert_int_equal(reg(b, i, 0x8000001e, 0, 0), i);
    assert_int_equal(reg(b, i, 0x8000001e, 0, 1), i);
  }
  b->cpu[2]->node = b->cpu[3]->node = 1;
  assert_int_equal(reg(b, 3, 1, 0, 1) >> 16 & 0xff, 2);
  assert_int_equal(reg(b, 3, 0x80000008, 0, 2), 1 << 12 | 1);
  assert_int_equal(reg(b, 3, 0x8000001e, 0, 1), 1);
  assert_int_equal(reg(b, 3, 0x8000001e, 0, 2), 1);
  bed_free(b);
}

static void cache_leaf_describes_the_caches(void **state)
{
  struct bed *b = bed_new("max", 2);
  for (unsigned i = 0; i < 4; i++) {
    uint32_t v[4];
    cpuid(b->cpu[0], 0x8000001d, i, v);
    uint32_t size = ((v[1] >> 22) + 1) * ((v[1] & 0xfff) + 1) * (v[2] + 1);
    static const uint32_t kb[4] = {64, 64, 512, 6144};
    assert_int_equal(size, kb[i] * 1024);
  }
  assert_int_equal(reg(b, 0, 0x8000001d, 4, 0) & 31, 0);
  assert_int_equal(reg(b, 0, 0x8000001d, 3, 0) >> 14, 1); // two CPUs share the third level
  bed_free(b);
}

static void the_hypervisor_bit_is_off_unless_asked_for(void **state)
{
  struct bed *b = bed_new("family10h,+hypervisor", 1);
  assert_int_equal(reg(b, 0, 1, 0, 2) >> 31, 1);
  assert_int_equal(reg(b, 0, 0x40000000, 0, 0), 0x40000000);
  bed_free(b);
  b = bed_new("family10h", 1);
  assert_int_equal(reg(b, 0, 1, 0, 2) >> 31, 0);
  assert_int_equal(reg(b, 0, 0x40000000, 0, 0), 0);
  bed_free(b);
}

static void instruction_sets_follow_the_features(void **state)
{
  struct model *m = taken("family10h");
  static const unsigned yes[] = {ZYDIS_ISA_SET_I86,     ZYDIS_ISA_SET_X87,        ZYDIS_ISA_SET_SSE3,
                                 ZYDIS_ISA_SET_SSE3X87, ZYDIS_ISA_SET_LZCNT,      ZYDIS_ISA_SET_POPCNT,
                                 ZYDIS_ISA_SET_SSE4A,   ZYDIS_ISA_SET_FAT_NOP,    ZYDIS_ISA_SET_LONGMODE,
                                 ZYDIS_ISA_SET_AMD,     ZYDIS_ISA_SET_CMPXCHG16B, ZYDIS_ISA_SET_MONITOR,
                                 ZYDIS_ISA_SET_RDTSCP,  ZYDIS_ISA_SET_SVM};
  static const unsigned no[] = {
      ZYDIS_ISA_SET_INVALID,  ZYDIS_ISA_SET_AVX,         ZYDIS_ISA_SET_AVX2,          ZYDIS_ISA_SET_BMI1,
      ZYDIS_ISA_SET_SSSE3,    ZYDIS_ISA_SET_SSE4,        ZYDIS_ISA_SET_SSE42,         ZYDIS_ISA_SET_AES,
      ZYDIS_ISA_SET_AMD3DNOW, ZYDIS_ISA_SET_XSAVE,       ZYDIS_ISA_SET_INVPCID,       ZYDIS_ISA_SET_CLZERO,
      ZYDIS_ISA_SET_VTX,      ZYDIS_ISA_SET_AVX512F_128, ZYDIS_ISA_SET_RTM,           ZYDIS_ISA_SET_XOP,
      ZYDIS_ISA_SET_RDPID,    ZYDIS_ISA_SET_AVXAES,      ZYDIS_ISA_SET_MAX_VALUE + 1, 0xffffffff};
  for (unsigned i = 0; i < sizeof yes / sizeof *yes; i++)
    assert_true(model_allows(m, yes[i]));
  for (unsigned i = 0; i < sizeof no / sizeof *no; i++)
    assert_false(model_allows(m, no[i]));
  model_free(m);
  m = taken("Opteron_G1,-pni");
  assert_false(model_allows(m, ZYDIS_ISA_SET_SSE3));
  assert_false(model_allows(m, ZYDIS_ISA_SET_POPCNT));
  model_free(m);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wrong_options_are_refused_with_the_reason),
      cmocka_unit_test(features_are_known_by_each_of_their_names),
      cmocka_unit_test(no_feature_has_two_rows),
      cmocka_unit_test(each_bit_that_a_model_shows_has_a_row),
      cmocka_unit_test(features_are_added_and_removed_in_order),
      cmocka_unit_test(what_a_feature_needs_comes_and_goes_with_it),
      cmocka_unit_test(max_has_what_the_host_has),
      cmocka_unit_test(family10h_is_what_that_family_was),
      cmocka_unit_test(dynamic_bits_follow_the_state),
      cmocka_unit_test(xsave_leaf_agrees_with_the_layout),
      cmocka_unit_test(topology_counts_the_cpus_of_the_node),
      cmocka_unit_test(cache_leaf_describes_the_caches),
      cmocka_unit_test(the_hypervisor_bit_is_off_unless_asked_for),
      cmocka_unit_test(instruction_sets_follow_the_features),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
