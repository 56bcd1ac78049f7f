// Real-time clock: time, formats, flags, interrupts.
#include "chiptest.h"

#include "chipset/rtc.h"

#define SECOND UINT64_C(1000000000)

struct board {
  struct bench b;
  struct rtc rtc;
};

static void setup_at(struct board *x, const char *when)
{
  int64_t start = 0;
  struct err e;
  memset(x, 0, sizeof *x);
  bench_init(&x->b);
  assert_true(rtc_parse_base(when, 0, &start, &e));
  rtc_init(&x->rtc, &x->b.bus, &x->b.clock, line(&x->b, 8), line(&x->b, 1), start);
}

static void drop(struct board *x)
{
  rtc_free(&x->rtc);
  bench_free(&x->b);
}

static unsigned rd(struct board *x, unsigned n)
{
  out8(&x->b, 0x70, n);
  return in8(&x->b, 0x71);
}

static void wr(struct board *x, unsigned n, unsigned v)
{
  out8(&x->b, 0x70, n);
  out8(&x->b, 0x71, v);
}

static void is_time(struct board *x, unsigned h, unsigned m, unsigned s)
{
  assert_int_equal(rd(x, 4), h);
  assert_int_equal(rd(x, 2), m);
  assert_int_equal(rd(x, 0), s);
}

static void the_start_value_is_shown_in_bcd_and_advances(void **state)
{
  struct board x;
  setup_at(&x, "2006-06-17T16:01:21");
  is_time(&x, 0x16, 0x01, 0x21);
  assert_int_equal(rd(&x, 7), 0x17);
  assert_int_equal(rd(&x, 8), 0x06);
  assert_int_equal(rd(&x, 9), 0x06);
  assert_int_equal(rd(&x, 0x32), 0x20);
  assert_int_equal(rd(&x, 6), 7); // a Saturday
  run_ns(&x.b, 39 * SECOND - 1);
  is_time(&x, 0x16, 0x01, 0x59);
  run_ns(&x.b, 1);
  is_time(&x, 0x16, 0x02, 0x00);
  drop(&x);
}

static void years_roll_over_with_leap_days(void **state)
{
  struct board x;
  setup_at(&x, "1999-12-31T23:59:59");
  run_ns(&x.b, SECOND);
  assert_int_equal(rd(&x, 9), 0x00);
  assert_int_equal(rd(&x, 0x32), 0x20);
  assert_int_equal(rd(&x, 7), 1);
  run_ns(&x.b, 59 * 86400 * SECOND);
  assert_int_equal(rd(&x, 8), 2);
  assert_int_equal(rd(&x, 7), 0x29);
  drop(&x);
}

static void hours_have_a_binary_and_a_twelve_hour_form(void **state)
{
  struct board x;
  setup_at(&x, "2020-01-01T00:30:00");
  wr(&x, 11, 0x86);
  wr(&x, 4, 15);
  wr(&x, 2, 59);
  wr(&x, 0, 58);
  wr(&x, 11, 0x06);
  is_time(&x, 15, 59, 58);
  run_ns(&x.b, 2 * SECOND);
  is_time(&x, 16, 0, 0);
  wr(&x, 11, 0x80);
  wr(&x, 4, 0x92); // 12 PM
  wr(&x, 11, 0x00);
  run_ns(&x.b, 3600 * SECOND);
  assert_int_equal(rd(&x, 4), 0x81);
  drop(&x);
}

static void setting_the_time_stops_the_registers(void **state)
{
  struct board x;
  setup_at(&x, "2020-01-01T10:00:00");
  wr(&x, 11, 0x82);
  run_ns(&x.b, 5 * SECOND);
  is_time(&x, 0x10, 0, 0);
  wr(&x, 0, 0x30);
  wr(&x, 11, 0x02);
  is_time(&x, 0x10, 0, 0x30);
  run_ns(&x.b, SECOND);
  is_time(&x, 0x10, 0, 0x31);
  drop(&x);
}

static void the_first_update_comes_half_a_second_after_divider_reset(void **state)
{
  struct board x;
  setup_at(&x, "2020-01-01T10:00:00");
  wr(&x, 10, 0x76);
  run_ns(&x.b, 7 * SECOND / 10);
  wr(&x, 10, 0x26);
  run_ns(&x.b, SECOND / 2 - 1);
  is_time(&x, 0x10, 0, 0);
  run_ns(&x.b, 1);
  is_time(&x, 0x10, 0, 1);
  drop(&x);
}

static void update_in_progress_precedes_a_change(void **state)
{
  struct board x;
  setup_at(&x, "2020-01-01T10:00:00");
  assert_int_equal(rd(&x, 10) & 0x80, 0);
  run_ns(&x.b, SECOND - 100000);
  assert_int_equal(rd(&x, 10) & 0x80, 0x80);
  run_ns(&x.b, 100000);
  assert_int_equal(rd(&x, 10) & 0x80, 0);
  drop(&x);
}

static void flags_come_up_without_interrupts_and_reading_clears_them(void **state)
{
  struct board x;
  setup_at(&x, "2020-01-01T10:00:00");
  rd(&x, 12);
  run_ns(&x.b, SECOND);
  assert_int_equal(rd(&x, 12), 0x50);
  assert_int_equal(rd(&x, 12), 0);
  assert_int_equal(x.b.wire[8].rises, 0);
  assert_false(timer_armed(&x.rtc.timer));
  drop(&x);
}

static void the_periodic_interrupt_has_its_rate(void **state)
{
  struct board x;
  setup_at(&x, "2020-01-01T10:00:00");
  wr(&x, 10, 0x26); // 1024 Hz
  wr(&x, 11, 0x42);
  for (unsigned i = 0; i < 1024; i++) {
    uint64_t next = clock_next(&x.b.clock);
    assert_true(next != CLOCK_NEVER);
    clock_advance(&x.b.clock, next);
    assert_int_equal(x.b.wire[8].level, 1);
    assert_int_equal(rd(&x, 12) & 0xc0, 0xc0);
    assert_int_equal(x.b.wire[8].level, 0);
  }
  assert_int_equal(x.b.clock.base / 1000, 1000000);
  wr(&x, 10, 0x21); // the two fastest codes are the slow ones again
  clock_advance(&x.b.clock, clock_next(&x.b.clock));
  rd(&x, 12);
  uint64_t then = x.b.clock.base;
  clock_advance(&x.b.clock, clock_next(&x.b.clock));
  assert_int_equal((x.b.clock.base - then + 500) / 1000, 3906);
  drop(&x);
}

static void the_alarm_matches_exactly_or_with_wildcards(void **state)
{
  struct board x;
  setup_at(&x, "2020-01-01T10:00:00");
  wr(&x, 5, 0x10);
  wr(&x, 3, 0x01);
  wr(&x, 1, 0x30);
  wr(&x, 11, 0x22);
  run_ns(&x.b, 89 * SECOND);
  assert_int_equal(x.b.wire[8].level, 0);
  run_ns(&x.b, SECOND);
  assert_int_equal(x.b.wire[8].level, 1);
  assert_int_equal(rd(&x, 12) & 0xa0, 0xa0);
  wr(&x, 5, 0xff);
  wr(&x, 3, 0xff);
  run_ns(&x.b, 60 * SECOND);
  assert_int_equal(x.b.wire[8].rises, 2);
  drop(&x);
}

static void the_update_interrupt_comes_each_second(void **state)
{
  struct board x;
  setup_at(&x, "2020-01-01T10:00:00");
  wr(&x, 11, 0x12);
  run_ns(&x.b, SECOND);
  assert_int_equal(x.b.wire[8].level, 1);
  assert_int_equal(rd(&x, 12) & 0x90, 0x90);
  run_ns(&x.b, SECOND - 1);
  assert_int_equal(x.b.wire[8].level, 0);
  run_ns(&x.b, 1);
  assert_int_equal(x.b.wire[8].level, 1);
  drop(&x);
}

static void port_70_masks_the_nmi_and_reset_keeps_the_memory(void **state)
{
  struct board x;
  setup_at(&x, "2020-01-01T10:00:00");
  out8(&x.b, 0x70, 0x8f);
  assert_int_equal(x.b.wire[1].level, 1);
  out8(&x.b, 0x71, 0x05);
  wr(&x, 11, 0x42);
  rtc_reset(&x.rtc);
  assert_int_equal(x.b.wire[1].level, 0);
  assert_int_equal(rd(&x, 15), 0x05);
  assert_int_equal(rd(&x, 11), 0x02);
  assert_int_equal(rd(&x, 13), 0x80);
  drop(&x);
}

static void memory_sizes_are_where_firmware_looks(void **state)
{
  struct board x;
  struct cmos_config c = {.ram_below_4g = UINT64_C(3) << 30,
                          .ram_above_4g = UINT64_C(5) << 30,
                          .cpus = 4,
                          .boot = {2, 3, 0},
                          .hard_disks = 1};
  setup_at(&x, "2020-01-01T10:00:00");
  rtc_configure(&x.rtc, &c);
  assert_int_equal(rd(&x, 0x15) | rd(&x, 0x16) << 8, 640);
  assert_int_equal(rd(&x, 0x30) | rd(&x, 0x31) << 8, 0xffff);
  assert_int_equal(rd(&x, 0x34) | rd(&x, 0x35) << 8, (3072 - 16) * 16);
  assert_int_equal(rd(&x, 0x5b) | rd(&x, 0x5c) << 8 | rd(&x, 0x5d) << 16, 5 * 16384);
  assert_int_equal(rd(&x, 0x5f), 3);
  assert_int_equal(rd(&x, 0x3d), 0x32);
  assert_int_equal(rd(&x, 0x12), 0xf0);
  drop(&x);
}

static void start_values_that_are_no_dates_are_errors(void **state)
{
  static const char *const bad[] = {
      "", "now", "2020-13-01", "2020-01-01T25:00:00", "2020-01-01x", "2020-01-01T1:2"};
  int64_t v = 0;
  struct err e;
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_false(rtc_parse_base(bad[i], 0, &v, &e));
    assert_non_null(strstr(e.text, "-rtc base="));
  }
  assert_true(rtc_parse_base("utc", 77, &v, &e));
  assert_int_equal(v, 77);
  assert_true(rtc_parse_base("1970-01-02", 0, &v, &e));
  assert_int_equal(v, 86400);
}

static void any_register_contents_are_survived(void **state)
{
  struct board x;
  uint32_t seed = 3;
  setup_at(&x, "2020-01-01T10:00:00");
  for (unsigned i = 0; i < 20000; i++) {
    seed = seed * 1103515245 + 12345;
    wr(&x, seed >> 16 & 15, seed >> 24);
    if (i % 7 == 0)
      wr(&x, 0x32, seed >> 8 & 0xff);
    run_ns(&x.b, seed >> 6 & 0xfffff);
    rd(&x, seed >> 20 & 15);
  }
  wr(&x, 10, 0x26);
  wr(&x, 11, 0x02);
  unsigned s = rd(&x, 0);
  run_ns(&x.b, SECOND);
  assert_int_not_equal(rd(&x, 0), s);
  drop(&x);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_start_value_is_shown_in_bcd_and_advances),
      cmocka_unit_test(years_roll_over_with_leap_days),
      cmocka_unit_test(hours_have_a_binary_and_a_twelve_hour_form),
      cmocka_unit_test(setting_the_time_stops_the_registers),
      cmocka_unit_test(the_first_update_comes_half_a_second_after_divider_reset),
      cmocka_unit_test(update_in_progress_precedes_a_change),
      cmocka_unit_test(flags_come_up_without_interrupts_and_reading_clears_them),
      cmocka_unit_test(the_periodic_interrupt_has_its_rate),
      cmocka_unit_test(the_alarm_matches_exactly_or_with_wildcards),
      cmocka_unit_test(the_update_interrupt_comes_each_second),
      cmocka_unit_test(port_70_masks_the_nmi_and_reset_keeps_the_memory),
      cmocka_unit_test(memory_sizes_are_where_firmware_looks),
      cmocka_unit_test(start_values_that_are_no_dates_are_errors),
      cmocka_unit_test(any_register_contents_are_survived),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
