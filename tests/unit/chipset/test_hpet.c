// HPET.
#include "chiptest.h"

#include "chipset/hpet.h"

enum { CONFIG = 0x10, STATUS = 0x20, COUNTER = 0xf0, T0 = 0x100, T1 = 0x120, T2 = 0x140, COMPARATOR = 8 };

struct board {
  struct bench b;
  struct hpet h;
};

static void setup_board(struct board *x)
{
  memset(x, 0, sizeof *x);
  bench_init(&x->b);
  hpet_init(&x->h, &x->b.bus, &x->b.clock);
  for (int i = 0; i < 24; i++)
    x->h.line[i] = line(&x->b, i);
  x->h.legacy = line(&x->b, 30);
}

static void drop(struct board *x)
{
  hpet_free(&x->h);
  bench_free(&x->b);
}

static uint64_t rd(struct board *x, unsigned off, unsigned size)
{
  return get(&x->b, TXN_MEM, HPET_BASE + off, size);
}

static void wr(struct board *x, unsigned off, unsigned size, uint64_t v)
{
  put(&x->b, TXN_MEM, HPET_BASE + off, size, v);
}

static void it_says_what_it_is(void **state)
{
  struct board x;
  setup_board(&x);
  assert_true(rd(&x, 0, 8) == UINT64_C(0x009896808086a201));
  assert_int_equal(rd(&x, 4, 4), 10000000);
  assert_int_equal(rd(&x, T0, 4), 0x30);
  drop(&x);
}

static void the_counter_runs_at_100_mhz_while_enabled(void **state)
{
  struct board x;
  setup_board(&x);
  run_ns(&x.b, 1005);
  assert_int_equal(rd(&x, COUNTER, 8), 0);
  wr(&x, COUNTER, 8, UINT64_C(0xfffffffe));
  wr(&x, CONFIG, 4, 1);
  run_ns(&x.b, 29);
  assert_true(rd(&x, COUNTER, 8) == UINT64_C(0x100000000));
  assert_int_equal(rd(&x, COUNTER + 4, 4), 1);
  wr(&x, COUNTER, 8, 5); // not while it runs
  assert_true(rd(&x, COUNTER, 8) == UINT64_C(0x100000000));
  wr(&x, CONFIG, 4, 0);
  run_ns(&x.b, 1000);
  assert_true(rd(&x, COUNTER, 8) == UINT64_C(0x100000000));
  drop(&x);
}

static void a_one_shot_fires_once_at_its_tick(void **state)
{
  struct board x;
  setup_board(&x);
  wr(&x, CONFIG, 4, 1);
  wr(&x, T2, 4, 4 | 20 << 9);
  wr(&x, T2 + COMPARATOR, 8, 1000);
  run_ns(&x.b, 9999);
  assert_int_equal(x.b.wire[20].rises, 0);
  run_ns(&x.b, 1);
  assert_int_equal(x.b.wire[20].rises, 1);
  assert_int_equal(x.b.wire[20].level, 0);
  run_ns(&x.b, 1000000000);
  assert_int_equal(x.b.wire[20].rises, 1);
  wr(&x, T2 + COMPARATOR, 8, 1000); // has passed
  run_ns(&x.b, 1000000000);
  assert_int_equal(x.b.wire[20].rises, 1);
  drop(&x);
}

static void legacy_replacement_takes_lines_0_and_8(void **state)
{
  struct board x;
  setup_board(&x);
  wr(&x, T0, 4, 4 | 8 | 0x40 | 0x100);
  wr(&x, T0 + COMPARATOR, 4, 100);
  wr(&x, T0 + COMPARATOR, 4, 100);
  wr(&x, T1, 4, 4);
  wr(&x, T1 + COMPARATOR, 8, 250);
  wr(&x, CONFIG, 4, 3);
  assert_int_equal(x.b.wire[30].level, 1);
  run_ns(&x.b, 10000);
  assert_int_equal(x.b.wire[0].rises, 10);
  assert_int_equal(x.b.wire[8].rises, 1);
  wr(&x, CONFIG, 4, 1);
  assert_int_equal(x.b.wire[30].level, 0);
  run_ns(&x.b, 10000);
  assert_int_equal(x.b.wire[0].rises, 10); // route 0 is no route
  drop(&x);
}

static void the_first_tick_and_the_period_are_set_apart(void **state)
{
  struct board x;
  setup_board(&x);
  wr(&x, CONFIG, 4, 1);
  wr(&x, T0, 4, 4 | 8 | 0x40 | 16 << 9);
  wr(&x, T0 + COMPARATOR, 8, 500);
  wr(&x, T0 + COMPARATOR, 8, 200);
  assert_int_equal(rd(&x, T0, 4) & 0x40, 0);
  run_ns(&x.b, 4999);
  assert_int_equal(x.b.wire[16].rises, 0);
  run_ns(&x.b, 1);
  assert_int_equal(x.b.wire[16].rises, 1);
  assert_int_equal(rd(&x, T0 + COMPARATOR, 8), 700);
  run_ns(&x.b, 4000);
  assert_int_equal(x.b.wire[16].rises, 3);
  drop(&x);
}

static void the_halves_of_a_64_bit_comparator_can_be_set_one_after_the_other(void **state)
{
  struct board x;
  setup_board(&x);
  wr(&x, T0, 4, 8 | 0x40);
  wr(&x, T0 + COMPARATOR, 4, 0x11);
  wr(&x, T0 + COMPARATOR + 4, 4, 0x22);
  assert_true(rd(&x, T0 + COMPARATOR, 8) == UINT64_C(0x2200000011));
  wr(&x, T0 + COMPARATOR, 4, 0x33);
  assert_true(rd(&x, T0 + COMPARATOR, 8) == UINT64_C(0x2200000011));
  drop(&x);
}

static void a_level_interrupt_stays_until_its_status_is_cleared(void **state)
{
  struct board x;
  setup_board(&x);
  wr(&x, T1, 4, 4 | 2 | 21 << 9);
  wr(&x, T1 + COMPARATOR, 8, 10);
  wr(&x, CONFIG, 4, 1);
  run_ns(&x.b, 100);
  assert_int_equal(x.b.wire[21].level, 1);
  assert_int_equal(rd(&x, STATUS, 4), 2);
  wr(&x, STATUS, 4, 2);
  assert_int_equal(x.b.wire[21].level, 0);
  assert_int_equal(rd(&x, STATUS, 4), 0);
  drop(&x);
}

static void short_periods_do_not_stop_the_clock(void **state)
{
  struct board x;
  setup_board(&x);
  wr(&x, CONFIG, 4, 1);
  wr(&x, T0, 4, 4 | 8 | 0x40 | 16 << 9);
  wr(&x, T0 + COMPARATOR, 8, 1);
  wr(&x, T0 + COMPARATOR, 8, 0);
  run_ns(&x.b, 1000000);
  assert_in_range(x.b.wire[16].rises, 900, 1001);
  drop(&x);
}

static void routes_that_are_not_there_read_back_as_none(void **state)
{
  struct board x;
  setup_board(&x);
  wr(&x, T2, 4, 3 << 9);
  assert_int_equal(rd(&x, T2, 4) & 0x3e00, 0);
  wr(&x, T2, 4, 23 << 9);
  assert_int_equal(rd(&x, T2, 4) & 0x3e00, 23 << 9);
  drop(&x);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_says_what_it_is),
      cmocka_unit_test(the_counter_runs_at_100_mhz_while_enabled),
      cmocka_unit_test(a_one_shot_fires_once_at_its_tick),
      cmocka_unit_test(legacy_replacement_takes_lines_0_and_8),
      cmocka_unit_test(the_first_tick_and_the_period_are_set_apart),
      cmocka_unit_test(the_halves_of_a_64_bit_comparator_can_be_set_one_after_the_other),
      cmocka_unit_test(a_level_interrupt_stays_until_its_status_is_cleared),
      cmocka_unit_test(short_periods_do_not_stop_the_clock),
      cmocka_unit_test(routes_that_are_not_there_read_back_as_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
