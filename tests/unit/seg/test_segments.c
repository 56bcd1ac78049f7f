// Segment register loads: what is checked, in which order, with which error. APM2 4.11.
#include "rig.h"

#define OK 0xff

struct row {
  const char *why;
  uint8_t seg;
  uint16_t sel;
  uint8_t cpl;
  unsigned attr; // of the descriptor at K_FREE
  uint8_t vector;
  uint32_t error;
};

static const struct row rows[] = {
    {"a data segment of the same level loads", SEG_DS, K_FREE, 0, 0xc92, OK, 0},
    {"a read-only data segment loads into DS", SEG_DS, K_FREE, 0, 0xc90, OK, 0},
    {"a null selector loads into ES", SEG_ES, 3, 3, 0, OK, 0},
    {"readable code loads into FS", SEG_FS, K_FREE, 0, 0xc9a, OK, 0},
    {"execute-only code does not load into FS", SEG_FS, K_FREE, 0, 0xc98, VEC_GP, K_FREE},
    {"a system descriptor does not load", SEG_GS, K_FREE, 0, 0x089, VEC_GP, K_FREE},
    {"an absent data segment gives #NP", SEG_DS, K_FREE, 0, 0xc12, VEC_NP, K_FREE},
    {"the type is checked before presence", SEG_DS, K_FREE, 0, 0x009, VEC_GP, K_FREE},
    {"CPL 3 does not load a DPL 0 segment", SEG_DS, K_FREE | 3, 3, 0xc92, VEC_GP, K_FREE},
    {"RPL 3 does not load a DPL 0 segment at CPL 0", SEG_DS, K_FREE | 3, 0, 0xc92, VEC_GP, K_FREE},
    {"conforming readable code of DPL 0 loads at CPL 3", SEG_DS, K_FREE | 3, 3, 0xc9e, OK, 0},
    {"beyond the GDT's limit gives #GP", SEG_DS, 0x100, 0, 0, VEC_GP, 0x100},
    {"an LDT selector without an LDT gives #GP with TI", SEG_DS, 0x0c, 0, 0, VEC_GP, 0x0c},
    {"SS takes a writable segment of its level", SEG_SS, K_FREE, 0, 0xc92, OK, 0},
    {"SS does not take null outside of 64-bit mode", SEG_SS, 0, 0, 0, VEC_GP, 0},
    {"SS does not take read-only data", SEG_SS, K_FREE, 0, 0xc90, VEC_GP, K_FREE},
    {"SS does not take code", SEG_SS, K_FREE, 0, 0xc9a, VEC_GP, K_FREE},
    {"SS wants RPL = CPL", SEG_SS, K_FREE | 3, 0, 0xcf2, VEC_GP, K_FREE},
    {"SS wants DPL = CPL", SEG_SS, K_FREE, 0, 0xcf2, VEC_GP, K_FREE},
    {"an absent stack segment gives #SS", SEG_SS, K_FREE, 0, 0xc12, VEC_SS, K_FREE},
};

static void loads_follow_the_table(void **state)
{
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    const struct row *w = &rows[i];
    rig_teardown(state);
    rig_setup(state);
    struct rig *r = *state;
    struct cpu *c = r->c;
    rig_protected(r, w->cpl);
    set_desc(r, K_FREE, desc(0x1234, 0x10, w->attr));
    struct seg before = c->seg[w->seg];
    bool ok = seg_load(c, w->seg, w->sel);
    if (ok != (w->vector == OK) || (!ok && (c->fault.vector != w->vector || c->fault.error != w->error)))
      fail_msg("%s: vector %u error %x", w->why, ok ? OK : c->fault.vector, c->fault.error);
    if (!ok)
      assert_memory_equal(&before, &c->seg[w->seg], sizeof before);
  }
}

static void a_load_sets_the_accessed_bit_and_expands_the_limit(void **state)
{
  struct rig *r = *state;
  rig_protected(r, 0);
  set_desc(r, K_FREE, desc(0xfedcba98, 0x12345, 0xc92));
  assert_true(seg_load(r->c, SEG_DS, K_FREE));
  assert_int_equal(r->c->seg[SEG_DS].base, 0xfedcba98);
  assert_int_equal(r->c->seg[SEG_DS].limit, 0x12345fff);
  assert_int_equal(r->c->seg[SEG_DS].attr, 0xc93);
  assert_int_equal(get(r, AT_GDT + K_FREE + 5, 1), 0x93);
}

static void real_mode_loads_keep_the_limit_of_protected_mode(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  c->seg[SEG_DS].limit = 0xffffffff;
  assert_true(seg_load(c, SEG_DS, 0x1234));
  assert_int_equal(c->seg[SEG_DS].base, 0x12340);
  assert_int_equal(c->seg[SEG_DS].limit, 0xffffffff);
}

static void v86_loads_set_limit_and_dpl(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  rig_protected(r, 3);
  c->sysflags |= FL_VM;
  assert_true(seg_load(c, SEG_SS, 0xffff));
  assert_int_equal(c->seg[SEG_SS].base, 0xffff0);
  assert_int_equal(c->seg[SEG_SS].limit, 0xffff);
  assert_int_equal(c->seg[SEG_SS].attr, 0xf3);
}

static void ss_takes_null_in_64_bit_mode_below_cpl_3(void **state)
{
  struct rig *r = *state;
  rig_long(r, 0);
  assert_true(seg_load(r->c, SEG_SS, 0));
  r->c->cpl = 3;
  expect_fault(r->c, seg_load(r->c, SEG_SS, 3), VEC_GP, 0);
}

static void ltr_marks_the_tss_busy_and_refuses_a_busy_one(void **state)
{
  struct rig *r = *state;
  rig_protected(r, 0);
  assert_true(seg_load_tr(r->c, K_TSS2));
  assert_int_equal(get(r, AT_GDT + K_TSS2 + 5, 1), 0x8b);
  assert_int_equal(r->c->tr.attr, 0x8b);
  expect_fault(r->c, seg_load_tr(r->c, K_TSS2), VEC_GP, K_TSS2);
}

static void ltr_in_long_mode_reads_16_bytes_and_wants_a_canonical_base(void **state)
{
  struct rig *r = *state;
  rig_long(r, 0);
  set_desc(r, K_TSS64, desc(0x3000, 0x67, 0x089));
  put(r, AT_GDT + K_TSS64 + 8, 0xffff8000, 8);
  assert_true(seg_load_tr(r->c, K_TSS64));
  assert_int_equal(r->c->tr.base, 0xffff800000003000);
  set_desc(r, K_TSS64, desc(0x3000, 0x67, 0x089));
  put(r, AT_GDT + K_TSS64 + 8, 0x8000, 8);
  expect_fault(r->c, seg_load_tr(r->c, K_TSS64), VEC_GP, K_TSS64);
}

static void an_ldt_selector_goes_through_the_ldt(void **state)
{
  struct rig *r = *state;
  rig_protected(r, 0);
  assert_true(seg_load_ldt(r->c, K_LDT, VEC_GP));
  put(r, AT_LDT + 8, desc(0x777, 0x55, 0x092), 8);
  assert_true(seg_load(r->c, SEG_ES, 0x0c));
  assert_int_equal(r->c->seg[SEG_ES].base, 0x777);
  expect_fault(r->c, seg_load(r->c, SEG_ES, 0x104), VEC_GP, 0x104);
}

static void expand_down_allows_only_above_the_limit(void **state)
{
  struct seg s = {.limit = 0xfff, .attr = 0x96};
  assert_false(seg_within(&s, 0xfff, 1));
  assert_true(seg_within(&s, 0x1000, 4));
  assert_false(seg_within(&s, 0xfffd, 4));
  s.attr |= SEGA_DB;
  assert_true(seg_within(&s, 0xfffd, 4));
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      T(loads_follow_the_table),
      T(a_load_sets_the_accessed_bit_and_expands_the_limit),
      T(real_mode_loads_keep_the_limit_of_protected_mode),
      T(v86_loads_set_limit_and_dpl),
      T(ss_takes_null_in_64_bit_mode_below_cpl_3),
      T(ltr_marks_the_tss_busy_and_refuses_a_busy_one),
      T(ltr_in_long_mode_reads_16_bytes_and_wants_a_canonical_base),
      T(an_ldt_selector_goes_through_the_ldt),
      T(expand_down_allows_only_above_the_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
