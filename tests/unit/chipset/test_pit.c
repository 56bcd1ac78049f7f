// The 8254: six modes, latches, BCD, exact times.
#include "chiptest.h"

#include "chipset/pit.h"

struct board {
  struct bench b;
  struct pit pit;
};

static void setup_board(struct board *x)
{
  memset(x, 0, sizeof *x);
  bench_init(&x->b);
  pit_init(&x->pit, &x->b.bus, &x->b.clock, line(&x->b, 0));
}

static void drop(struct board *x)
{
  pit_free(&x->pit);
  bench_free(&x->b);
}

// Moves to the given tick since power-on.
static void to_tick(struct board *x, uint64_t tick)
{
  clock_advance(&x->b.clock, muldiv64(tick, 1000000000, PIT_HZ) + 1);
}

static void program(struct board *x, unsigned n, unsigned mode, unsigned count)
{
  out8(&x->b, 0x43, n << 6 | 0x30 | mode << 1);
  out8(&x->b, 0x40 + n, count & 0xff);
  out8(&x->b, 0x40 + n, count >> 8);
}

static unsigned latched(struct board *x, unsigned n)
{
  out8(&x->b, 0x43, n << 6);
  unsigned low = in8(&x->b, 0x40 + n);
  return low | in8(&x->b, 0x40 + n) << 8;
}

static void mode_0_raises_its_output_once(void **state)
{
  struct board x;
  setup_board(&x);
  program(&x, 0, 0, 1000);
  assert_int_equal(x.b.wire[0].level, 0);
  to_tick(&x, 999);
  assert_int_equal(x.b.wire[0].level, 0);
  assert_int_equal(latched(&x, 0), 1);
  to_tick(&x, 1000);
  assert_int_equal(x.b.wire[0].level, 1);
  to_tick(&x, 1010);
  assert_int_equal(latched(&x, 0), 65526); // goes on counting
  to_tick(&x, 200000);
  assert_int_equal(x.b.wire[0].rises, 1);
  drop(&x);
}

static void mode_2_gives_an_exact_number_of_interrupts(void **state)
{
  struct board x;
  setup_board(&x);
  program(&x, 0, 2, 11932); // 100 Hz
  unsigned before = x.b.wire[0].rises;
  run_ns(&x.b, UINT64_C(10000000000));
  assert_int_equal(x.b.wire[0].rises - before, UINT64_C(11931820) / 11932);
  assert_true(timer_armed(&x.pit.timer));
  drop(&x);
}

static void mode_2_counts_from_n_to_1(void **state)
{
  struct board x;
  setup_board(&x);
  program(&x, 0, 2, 10);
  for (unsigned t = 0; t < 30; t++) {
    to_tick(&x, t);
    assert_int_equal(latched(&x, 0), 10 - t % 10);
    assert_int_equal(pit_out(&x.pit, 0), t % 10 != 9);
  }
  drop(&x);
}

static void a_new_count_of_mode_2_waits_for_the_end_of_the_period(void **state)
{
  struct board x;
  setup_board(&x);
  program(&x, 0, 2, 100);
  to_tick(&x, 350);
  out8(&x.b, 0x40, 20);
  out8(&x.b, 0x40, 0);
  assert_int_equal(latched(&x, 0), 50);
  out8(&x.b, 0x43, 0xe2); // status of counter 0
  assert_int_equal(in8(&x.b, 0x40) & 0x40, 0x40);
  to_tick(&x, 399);
  unsigned rises = x.b.wire[0].rises;
  to_tick(&x, 400);
  assert_int_equal(x.b.wire[0].rises, rises + 1);
  out8(&x.b, 0x43, 0xe2);
  assert_int_equal(in8(&x.b, 0x40) & 0x40, 0);
  to_tick(&x, 420);
  assert_int_equal(x.b.wire[0].rises, rises + 2);
  assert_int_equal(latched(&x, 0), 20);
  drop(&x);
}

static void mode_3_is_a_square_wave(void **state)
{
  struct board x;
  setup_board(&x);
  program(&x, 0, 3, 10);
  for (unsigned t = 0; t < 40; t++) {
    to_tick(&x, t);
    assert_int_equal(pit_out(&x.pit, 0), t % 10 < 5);
    assert_int_equal(latched(&x, 0), 10 - t % 5 * 2);
  }
  drop(&x);
  setup_board(&x);
  program(&x, 0, 3, 7);
  for (unsigned t = 0; t < 28; t++) {
    to_tick(&x, t);
    assert_int_equal(pit_out(&x.pit, 0), t % 7 < 4);
  }
  drop(&x);
}

static void mode_4_strobes_for_one_tick(void **state)
{
  struct board x;
  setup_board(&x);
  program(&x, 0, 4, 50);
  unsigned rises = x.b.wire[0].rises;
  to_tick(&x, 49);
  assert_true(pit_out(&x.pit, 0));
  to_tick(&x, 50);
  assert_false(pit_out(&x.pit, 0));
  to_tick(&x, 51);
  assert_true(pit_out(&x.pit, 0));
  assert_int_equal(x.b.wire[0].rises, rises + 1);
  to_tick(&x, 100000);
  assert_int_equal(x.b.wire[0].rises, rises + 1);
  drop(&x);
}

static void modes_1_and_5_wait_for_the_gate(void **state)
{
  struct board x;
  setup_board(&x);
  program(&x, 2, 1, 20);
  to_tick(&x, 100);
  assert_true(pit_out(&x.pit, 2));
  pit_set_gate(&x.pit, 2, true);
  assert_false(pit_out(&x.pit, 2));
  to_tick(&x, 119);
  assert_false(pit_out(&x.pit, 2));
  to_tick(&x, 120);
  assert_true(pit_out(&x.pit, 2));
  pit_set_gate(&x.pit, 2, false);
  program(&x, 2, 5, 20);
  to_tick(&x, 200);
  pit_set_gate(&x.pit, 2, true);
  to_tick(&x, 219);
  assert_true(pit_out(&x.pit, 2));
  to_tick(&x, 220);
  assert_false(pit_out(&x.pit, 2));
  to_tick(&x, 221);
  assert_true(pit_out(&x.pit, 2));
  drop(&x);
}

static void the_gate_holds_the_count(void **state)
{
  struct board x;
  setup_board(&x);
  program(&x, 2, 0, 100);
  to_tick(&x, 50);
  assert_int_equal(latched(&x, 2), 100); // the gate is low from reset on
  pit_set_gate(&x.pit, 2, true);
  to_tick(&x, 80);
  assert_int_equal(latched(&x, 2), 70);
  pit_set_gate(&x.pit, 2, false);
  to_tick(&x, 180);
  assert_int_equal(latched(&x, 2), 70);
  pit_set_gate(&x.pit, 2, true);
  to_tick(&x, 249);
  assert_false(pit_out(&x.pit, 2));
  to_tick(&x, 250);
  assert_true(pit_out(&x.pit, 2));
  drop(&x);
}

static void zero_is_the_largest_count_and_bcd_counts_by_tens(void **state)
{
  struct board x;
  setup_board(&x);
  program(&x, 0, 2, 0);
  to_tick(&x, 1);
  assert_int_equal(latched(&x, 0), 65535);
  out8(&x.b, 0x43, 0x35); // mode 2, BCD
  out8(&x.b, 0x40, 0x00);
  out8(&x.b, 0x40, 0x10); // 1000
  to_tick(&x, 2);
  assert_int_equal(latched(&x, 0), 0x0999);
  drop(&x);
}

static void latches_hold_until_they_are_read(void **state)
{
  struct board x;
  setup_board(&x);
  program(&x, 0, 2, 0x1234);
  out8(&x.b, 0x43, 0xc2); // count and status of counter 0
  to_tick(&x, 100);
  out8(&x.b, 0x43, 0x00); // ignored: already latched
  assert_int_equal(in8(&x.b, 0x40), 0xb4);
  assert_int_equal(in8(&x.b, 0x40), 0x34);
  assert_int_equal(in8(&x.b, 0x40), 0x12);
  out8(&x.b, 0x43, 0x10); // low byte only
  out8(&x.b, 0x40, 0x80);
  assert_int_equal(in8(&x.b, 0x40), 0x80);
  assert_int_equal(in8(&x.b, 0x40), 0x80);
  drop(&x);
}

static void the_shortest_period_does_not_stop_the_clock(void **state)
{
  struct board x;
  setup_board(&x);
  program(&x, 0, 2, 1);
  unsigned before = x.b.wire[0].rises;
  run_ns(&x.b, 1000000);
  assert_in_range(x.b.wire[0].rises - before, 1, 1000);
  drop(&x);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(mode_0_raises_its_output_once),
      cmocka_unit_test(mode_2_gives_an_exact_number_of_interrupts),
      cmocka_unit_test(mode_2_counts_from_n_to_1),
      cmocka_unit_test(a_new_count_of_mode_2_waits_for_the_end_of_the_period),
      cmocka_unit_test(mode_3_is_a_square_wave),
      cmocka_unit_test(mode_4_strobes_for_one_tick),
      cmocka_unit_test(modes_1_and_5_wait_for_the_gate),
      cmocka_unit_test(the_gate_holds_the_count),
      cmocka_unit_test(zero_is_the_largest_count_and_bcd_counts_by_tens),
      cmocka_unit_test(latches_hold_until_they_are_read),
      cmocka_unit_test(the_shortest_period_does_not_stop_the_clock),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
