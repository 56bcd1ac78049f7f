// Memory types by MTRRs and PAT.
#include "bed.h"

static void types_come_from_the_default_and_the_ranges(void **state)
{
  struct bed *b = bed_new("family10h", 1);
  struct cpu *c = b->cpu[0];
  assert_int_equal(mtrr_type(c, 0x1000), MEM_UC); // MTRRs off
  assert_true(msr_write(c, MSR_MTRR_DEF_TYPE, 0x800 | MEM_WB));
  assert_int_equal(mtrr_type(c, 0x1000), MEM_WB);
  assert_true(msr_write(c, MSR_MTRR_BASE0, 0xc0000000 | MEM_UC));
  assert_true(msr_write(c, MSR_MTRR_BASE0 + 1, 0xffffc0000000 | 0x800));
  assert_true(msr_write(c, MSR_MTRR_BASE0 + 2, 0xd0000000 | MEM_WC));
  assert_true(msr_write(c, MSR_MTRR_BASE0 + 3, 0xfffff0000000 | 0x800));
  assert_int_equal(mtrr_type(c, 0xbffff000), MEM_WB);
  assert_int_equal(mtrr_type(c, 0xc0000000), MEM_UC);
  assert_int_equal(mtrr_type(c, 0xd0000000), MEM_UC); // UC wins
  assert_int_equal(mtrr_type(c, 0x100000000), MEM_WB);
  assert_true(msr_write(c, MSR_MTRR_BASE0, 0xc0000000 | MEM_WB));
  assert_true(msr_write(c, MSR_MTRR_BASE0 + 2, 0xd0000000 | MEM_WT));
  assert_int_equal(mtrr_type(c, 0xd0000000), MEM_WT);
  bed_free(b);
}

static void fixed_ranges_cover_the_first_megabyte(void **state)
{
  struct bed *b = bed_new("family10h", 1);
  struct cpu *c = b->cpu[0];
  assert_true(msr_write(c, MSR_MTRR_DEF_TYPE, 0xc00 | MEM_UC));
  assert_true(msr_write(c, MSR_MTRR_FIX64K, 0x0600000000000000));
  assert_true(msr_write(c, MSR_MTRR_FIX16K + 1, 0x0000000000000001));
  assert_true(msr_write(c, MSR_MTRR_FIX4K, 0x0000000000000500));
  assert_true(msr_write(c, MSR_MTRR_FIX4K + 7, 0x0400000000000000));
  assert_int_equal(mtrr_type(c, 0x6f000), MEM_UC);
  assert_int_equal(mtrr_type(c, 0x70000), MEM_WB);
  assert_int_equal(mtrr_type(c, 0xa0000), MEM_WC);
  assert_int_equal(mtrr_type(c, 0xa4000), MEM_UC);
  assert_int_equal(mtrr_type(c, 0xc1000), MEM_WP);
  assert_int_equal(mtrr_type(c, 0xff000), MEM_WT);
  assert_int_equal(mtrr_type(c, 0x100000), MEM_UC);
  bed_free(b);
}

static void routing_bits_show_only_in_modify_mode(void **state)
{
  struct bed *b = bed_new("family10h", 1);
  struct cpu *c = b->cpu[0];
  uint64_t v;
  assert_false(msr_write(c, MSR_MTRR_FIX4K, 0x1e));
  assert_true(msr_write(c, MSR_SYSCFG, SYSCFG_MTRR_FIX_DRAM_MOD_EN));
  assert_true(msr_write(c, MSR_MTRR_FIX4K, 0x1e));
  assert_true(msr_read(c, MSR_MTRR_FIX4K, &v));
  assert_int_equal(v, 0x1e);
  assert_true(msr_write(c, MSR_SYSCFG, 0));
  assert_true(msr_read(c, MSR_MTRR_FIX4K, &v));
  assert_int_equal(v, 6);
  assert_true(msr_write(c, MSR_MTRR_FIX4K, 5));
  assert_true(msr_write(c, MSR_SYSCFG, SYSCFG_MTRR_FIX_DRAM_MOD_EN));
  assert_true(msr_read(c, MSR_MTRR_FIX4K, &v));
  assert_int_equal(v, 0x1d);
  bed_free(b);
}

static void pat_and_mtrr_combine(void **state)
{
  static const uint8_t mtrr[5] = {MEM_UC, MEM_WC, MEM_WT, MEM_WP, MEM_WB};
  static const struct {
    uint8_t pat, type[5];
  } rows[] = {
      {MEM_UC, {MEM_UC, MEM_UC, MEM_UC, MEM_UC, MEM_UC}},
      {MEM_UC_MINUS, {MEM_UC, MEM_WC, MEM_UC, MEM_UC, MEM_UC}},
      {MEM_WC, {MEM_WC, MEM_WC, MEM_WC, MEM_WC, MEM_WC}},
      {MEM_WT, {MEM_UC, MEM_UC, MEM_WT, MEM_UC, MEM_WT}},
      {MEM_WP, {MEM_UC, MEM_UC, MEM_UC, MEM_WP, MEM_WP}},
      {MEM_WB, {MEM_UC, MEM_WC, MEM_WT, MEM_WP, MEM_WB}},
  };
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
    for (unsigned k = 0; k < 5; k++)
      assert_int_equal(memtype_combine(mtrr[k], rows[i].pat), rows[i].type[k]);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(types_come_from_the_default_and_the_ranges),
      cmocka_unit_test(fixed_ranges_cover_the_first_megabyte),
      cmocka_unit_test(routing_bits_show_only_in_modify_mode),
      cmocka_unit_test(pat_and_mtrr_combine),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
