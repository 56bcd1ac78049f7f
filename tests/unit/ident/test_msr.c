// RDMSR and WRMSR: what is kept, what is refused, what does something.
#include "bed.h"

#include "cpu/mca.h"
#include "cpu/perfctr.h"

#define NONCANONICAL 0xaaaaaaaaaaaaaaaaull

static uint64_t get(struct cpu *c, uint32_t msr)
{
  uint64_t v;
  if (!msr_read(c, msr, &v))
    fail_msg("RDMSR %08x is refused", msr);
  return v;
}

static bool put(struct cpu *c, uint32_t msr, uint64_t v)
{
  return msr_write(c, msr, v);
}

static void registers_keep_what_is_written(void **state)
{
  static const struct {
    uint32_t msr;
    uint64_t v, back;
  } rows[] = {
      {MSR_SYSENTER_CS, 0x1234, 0x1234},
      {MSR_SYSENTER_ESP, 0x123456789abc, 0x123456789abc},
      {MSR_SYSENTER_EIP, 0x123456789abc, 0x123456789abc},
      {MSR_PAT, 0x07070707, 0x07070707},
      {MSR_STAR, NONCANONICAL, NONCANONICAL},
      {MSR_LSTAR, 0x123456789abc, 0x123456789abc},
      {MSR_CSTAR, 0xffff800000000000, 0xffff800000000000},
      {MSR_SFMASK, 0xffffffffffffffff, 0xffffffff},
      {MSR_FS_BASE, 0x123456789abc, 0x123456789abc},
      {MSR_GS_BASE, 0x123456789abc, 0x123456789abc},
      {MSR_KERNEL_GS_BASE, 0x123456789abc, 0x123456789abc},
      {MSR_TSC_AUX, 0x123456789abc, 0x56789abc},
      {MSR_DEBUGCTL, 0x3f, 0x3f},
      {MSR_SYSCFG, 0xffffffff, 0x7c0000},
      {MSR_TOP_MEM, 0x12345678, 0x12000000},
      {MSR_TOP_MEM2, 0x123456789, 0x123000000},
      {MSR_NB_CFG, 1ull << 46, 1ull << 46},
      {MSR_MC_CTL_MASK0 + 7, 5, 5},
      {MSR_OSVW_STATUS, 2, 2},
      {0xc0011029, 2, 2},
      {0xc001102d, 9, 9},
      {0xc0011020, 7, 7},
      {0xc0011023, 8, 8},
      {0xc0010113, 3, 3},
      {MSR_HWCR, 1ull << 18, 1ull << 18},
  };
  struct bed *b = bed_new("family10h", 1);
  struct cpu *c = b->cpu[0];
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (!put(c, rows[i].msr, rows[i].v))
      fail_msg("WRMSR %08x is refused", rows[i].msr);
    if (get(c, rows[i].msr) != rows[i].back)
      fail_msg("MSR %08x reads %llx", rows[i].msr, (unsigned long long)get(c, rows[i].msr));
  }
  assert_int_equal(c->seg[SEG_FS].base, 0x123456789abc);
  assert_int_equal(get(c, MSR_MC_CTL_MASK0), 0); // the neighbours are untouched
  assert_int_equal(get(c, 0xc0011022), 0);
  bed_free(b);
}

static void bad_values_give_gp(void **state)
{
  static const struct {
    uint32_t msr;
    uint64_t v;
  } rows[] = {
      {MSR_LSTAR, NONCANONICAL},
      {MSR_CSTAR, 0x800000000000},
      {MSR_FS_BASE, NONCANONICAL},
      {MSR_GS_BASE, NONCANONICAL},
      {MSR_KERNEL_GS_BASE, 0xffff000000000000},
      {MSR_PAT, 2},
      {MSR_PAT, 0x0300000000000000},
      {MSR_PAT, 8},
      {MSR_DEBUGCTL, 0x40},
      {MSR_TOP_MEM, 1ull << 48},
      {MSR_APIC_BASE, 0xfee00800 | 1ull << 48},
      {MSR_APIC_BASE, 0xfee00801},
      {MSR_MTRRCAP, 0},
      {MSR_MTRR_DEF_TYPE, 2},
      {MSR_MTRR_DEF_TYPE, 0x1006},
      {MSR_MTRR_BASE0, 3},
      {MSR_MTRR_BASE0, 0x106},
      {MSR_MTRR_BASE0, 1ull << 48 | 6},
      {MSR_MTRR_BASE0 + 1, 0x400},
      {MSR_MTRR_FIX64K, 2},
      {MSR_MTRR_FIX64K, 0x1e},
      {MSR_MCG_CAP, 0},
      {MSR_MCG_STATUS, 8},
      {MSR_EFER, 1 << 1},
      {MSR_LAST_BRANCH_FROM, 0},
      {MSR_PSTATE_LIMIT, 0},
      {MSR_COFVID_STAT, 0},
      {0x2a, 0},
  };
  struct bed *b = bed_new("family10h", 1);
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (put(b->cpu[0], rows[i].msr, rows[i].v))
      fail_msg("WRMSR %08x took %llx", rows[i].msr, (unsigned long long)rows[i].v);
    b->cpu[0]->faulted = false;
  }
  bed_free(b);
}

static void what_the_model_lacks_gives_gp(void **state)
{
  // On family 10h, and still if the next column is there.
  static const struct {
    uint32_t msr;
    const char *has;
  } rows[] = {
      {MSR_TSC_DEADLINE, "family10h,+tsc-deadline"},
      {MSR_TSC_ADJUST, "family10h,+tsc-adjust"},
      {MSR_SPEC_CTRL, "family10h,+ibrs"},
      {MSR_MPERF, "family10h,+rdpru"},
      {0x1a0, "family10h,vendor=GenuineIntel"},
      {0xc0010041, "k8f"},
      {MSR_TSC_RATIO, "max"},
      {MSR_X2APIC + 2, NULL},
      {0xcd, NULL},
      {0, NULL},
      {0x12, NULL},
      {0x40000000, NULL},
      {0x4b564d00, NULL},
      {0xc0010200, NULL},
      {0xc0011030, NULL},
      {0xffffffff, NULL},
      {MSR_MTRR_BASE0 + 16, NULL},
      {MSR_MTRR_FIX64K + 1, NULL},
      {MSR_MC0_CTL + 24, NULL},
      {0x47f, NULL},
      {0xda0, NULL},
  };
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    uint64_t v;
    struct bed *b = bed_new("family10h", 1);
    if (msr_read(b->cpu[0], rows[i].msr, &v) || msr_write(b->cpu[0], rows[i].msr, 0))
      fail_msg("MSR %08x is there", rows[i].msr);
    bed_free(b);
    if (!rows[i].has)
      continue;
    b = bed_new(rows[i].has, 1);
    get(b->cpu[0], rows[i].msr);
    assert_true(put(b->cpu[0], rows[i].msr, 0));
    bed_free(b);
  }
}

static void writing_the_tsc_moves_it_and_tsc_adjust(void **state)
{
  struct bed *b = bed_new("max", 2);
  struct cpu *c = b->cpu[0];
  clock_advance(&b->clock, 1000);
  assert_int_equal(get(c, MSR_TSC), 2000);
  assert_true(put(c, MSR_TSC, 100000000000));
  assert_int_equal(get(c, MSR_TSC), 100000000000);
  assert_int_equal(get(c, MSR_TSC_ADJUST), 100000000000 - 2000);
  assert_true(put(c, MSR_TSC_ADJUST, 7));
  assert_int_equal(get(c, MSR_TSC), 2007);
  assert_int_equal(cpu_tsc(b->cpu[1]), 2000);
  clock_advance(&b->clock, 1001);
  assert_int_equal(get(c, MSR_TSC), 2009);
  bed_free(b);
}

static void the_tsc_counts_right_for_centuries(void **state)
{
  assert_int_equal(tsc_from_ns(1, 2000000000), 2);
  assert_int_equal(tsc_from_ns(1000000000ull * 3600 * 24 * 365 * 100, 2500000000),
                   2500000000ull * 3600 * 24 * 365 * 100);
  assert_int_equal(tsc_from_ns(999999999, 3333333333), 3333333329);
  struct bed *b = bed_new("max", 1);
  for (uint64_t t = 1; t < 1ull << 60; t = t * 3 + 1) {
    uint64_t ns = tsc_when(b->cpu[0], t);
    assert_true(tsc_from_ns(ns, BED_HZ) >= t);
    assert_true(ns == 0 || tsc_from_ns(ns - 1, BED_HZ) < t);
  }
  bed_free(b);
}

static void machine_check_banks_follow_their_rules(void **state)
{
  struct bed *b = bed_new("family10h", 1);
  struct cpu *c = b->cpu[0];
  assert_int_equal(get(c, MSR_MCG_CAP), 0x106);
  for (unsigned i = 0; i < 6; i++) {
    uint32_t base = MSR_MC0_CTL + 4 * i;
    assert_true(put(c, base, UINT64_MAX));
    assert_int_equal(get(c, base), UINT64_MAX);
    assert_true(put(c, base + 1, 0));
    assert_false(put(c, base + 1, 1));
    assert_true(put(c, base + 2, NONCANONICAL));
    assert_int_equal(get(c, base + 2), NONCANONICAL);
    assert_true(put(c, base + 3, NONCANONICAL));
  }
  assert_true(put(c, MSR_HWCR, HWCR_MC_STATUS_WR_EN));
  assert_true(put(c, MSR_MC0_CTL + 1, 5));
  assert_int_equal(get(c, MSR_MC0_CTL + 1), 5);
  bed_free(b);
  b = bed_new("max,vendor=GenuineIntel", 1);
  assert_false(put(b->cpu[0], MSR_MC0_CTL, NONCANONICAL));
  assert_true(put(b->cpu[0], MSR_MC0_CTL, UINT64_MAX));
  bed_free(b);
}

static void an_uncorrected_error_asks_for_a_machine_check(void **state)
{
  struct bed *b = bed_new("family10h", 1);
  struct cpu *c = b->cpu[0];
  mca_log(c, 4, MCI_VAL | MCI_ADDRV | 1, 0x1000, 0);
  assert_int_equal(get(c, MSR_MC0_CTL + 18), 0x1000);
  mca_log(c, 4, MCI_VAL | 2, 0, 0); // corrected ones do not overwrite
  assert_int_equal(get(c, MSR_MC0_CTL + 17), MCI_VAL | MCI_ADDRV | MCI_OVER | 1);
  assert_false(c->pending & PEND_MC);
  assert_true(put(c, MSR_MCG_CTL, 0x3f));
  c->cr4 |= CR4_MCE;
  mca_log(c, 4, MCI_VAL | MCI_UC | MCI_EN | 3, 0, 0);
  assert_int_equal(get(c, MSR_MC0_CTL + 17), MCI_VAL | MCI_UC | MCI_EN | MCI_OVER | 3);
  assert_true(c->pending & PEND_MC);
  assert_int_equal(get(c, MSR_MCG_STATUS), MCG_MCIP | MCG_RIPV);
  mca_log(c, 77, MCI_VAL | MCI_UC | MCI_EN, 0, 0); // no such bank
  assert_int_equal(c->run, RUN_ON);
  mca_log(c, 0, MCI_VAL | MCI_UC | MCI_EN, 0, 0);
  assert_int_equal(c->run, RUN_SHUTDOWN); // while one is in progress
  bed_free(b);
}

static void counters_count_only_while_enabled(void **state)
{
  struct bed *b = bed_new("family10h", 1);
  struct cpu *c = b->cpu[0];
  assert_true(put(c, MSR_PERF_CTR0, 0xabcd));
  clock_advance(&b->clock, 500);
  assert_int_equal(get(c, MSR_PERF_CTR0), 0xabcd);
  assert_true(put(c, MSR_PERF_CTL0, 1 << 22 | 3 << 16 | 0x76));
  clock_advance(&b->clock, 1000);
  assert_int_equal(get(c, MSR_PERF_CTR0), 0xabcd + 1000);
  assert_int_equal(perfctr_value(c, 0), 0xabcd + 1000);
  assert_true(put(c, MSR_PERF_CTR0, UINT64_MAX)); // 48 bits
  assert_int_equal(get(c, MSR_PERF_CTR0), 0xffffffffffff);
  clock_advance(&b->clock, 1001);
  assert_int_equal(get(c, MSR_PERF_CTR0), 1);
  assert_true(put(c, MSR_PERF_CTL0, 0));
  clock_advance(&b->clock, 2000);
  assert_int_equal(get(c, MSR_PERF_CTR0), 1);
  bed_free(b);
}

static void the_intel_vendor_brings_misc_enable(void **state)
{
  struct bed *b = bed_new("max,vendor=GenuineIntel", 1);
  struct cpu *c = b->cpu[0];
  uint64_t was = get(c, 0x1a0), want = (0x400c50809 & ~0x1880ull) | (was & 0x1880);
  assert_true(put(c, 0x1a0, want));
  assert_int_equal(get(c, 0x1a0), want);
  bed_free(b);
}

static void reset_restores_what_power_on_gives(void **state)
{
  struct bed *b = bed_new("family10h", 1);
  struct cpu *c = b->cpu[0];
  assert_true(put(c, MSR_LSTAR, 5));
  assert_true(put(c, MSR_PAT, 0));
  assert_true(put(c, MSR_MTRR_DEF_TYPE, 0xc06));
  clock_advance(&b->clock, 12345);
  cpu_reset(c);
  assert_int_equal(get(c, MSR_LSTAR), 0);
  assert_int_equal(get(c, MSR_PAT), 0x0007040600070406);
  assert_int_equal(get(c, MSR_MTRR_DEF_TYPE), 0);
  assert_int_equal(get(c, MSR_TSC), 0);
  assert_int_equal(get(c, MSR_APIC_BASE), 0xfee00900);
  assert_int_equal(get(c, MSR_OSVW_LENGTH), 4);
  bed_free(b);
}

static void no_index_and_value_does_harm(void **state)
{
  struct bed *b = bed_new("max", 2);
  struct cpu *c = b->cpu[0];
  static const uint64_t values[] = {0, 1, 0xff, 0xfee00900, 0xfee00d00, 0xffffffff, NONCANONICAL, UINT64_MAX};
  static const uint32_t ranges[][2] = {{0, 0x1000}, {0xc0000000, 0xc0001000}, {0xc0010000, 0xc0012000}};
  for (unsigned k = 0; k < 3; k++)
    for (uint32_t i = ranges[k][0]; i < ranges[k][1]; i++)
      for (unsigned n = 0; n < 8; n++) {
        uint64_t v;
        msr_write(c, i, values[n]);
        c->faulted = false;
        msr_read(c, i, &v);
      }
  for (unsigned i = 0; i < 100; i++)
    clock_advance(&b->clock, clock_now(&b->clock) + 1000000);
  bed_free(b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(registers_keep_what_is_written),
      cmocka_unit_test(bad_values_give_gp),
      cmocka_unit_test(what_the_model_lacks_gives_gp),
      cmocka_unit_test(writing_the_tsc_moves_it_and_tsc_adjust),
      cmocka_unit_test(the_tsc_counts_right_for_centuries),
      cmocka_unit_test(machine_check_banks_follow_their_rules),
      cmocka_unit_test(an_uncorrected_error_asks_for_a_machine_check),
      cmocka_unit_test(counters_count_only_while_enabled),
      cmocka_unit_test(the_intel_vendor_brings_misc_enable),
      cmocka_unit_test(reset_restores_what_power_on_gives),
      cmocka_unit_test(no_index_and_value_does_harm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
