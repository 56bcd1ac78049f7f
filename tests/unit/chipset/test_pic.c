// The two 8259A.
#include "chiptest.h"

#include "chipset/pic.h"

struct board {
  struct bench b;
  struct pic pic;
};

static void program(struct board *x, unsigned icw4)
{
  out8(&x->b, 0x20, 0x11);
  out8(&x->b, 0x21, 0x30);
  out8(&x->b, 0x21, 0x04);
  out8(&x->b, 0x21, icw4);
  out8(&x->b, 0xa0, 0x11);
  out8(&x->b, 0xa1, 0x38);
  out8(&x->b, 0xa1, 0x02);
  out8(&x->b, 0xa1, icw4 & ~0x10u);
  out8(&x->b, 0x21, 0);
  out8(&x->b, 0xa1, 0);
}

static void setup_board(struct board *x)
{
  memset(x, 0, sizeof *x);
  bench_init(&x->b);
  pic_init(&x->pic, &x->b.bus, line(&x->b, 0));
  program(x, 1);
}

static void edge(struct board *x, int n)
{
  pic_set(&x->pic, n, 1);
  pic_set(&x->pic, n, 0);
}

static void after_reset_everything_is_masked(void **state)
{
  struct board x;
  memset(&x, 0, sizeof x);
  bench_init(&x.b);
  pic_init(&x.pic, &x.b.bus, line(&x.b, 0));
  edge(&x, 1);
  assert_int_equal(x.b.wire[0].level, 0);
  bench_free(&x.b);
}

static void an_edge_is_kept_until_it_is_acknowledged(void **state)
{
  struct board x;
  setup_board(&x);
  edge(&x, 1);
  assert_int_equal(x.b.wire[0].level, 1);
  assert_int_equal(in8(&x.b, 0x20), 2);
  assert_int_equal(pic_intack(&x.pic), 0x31);
  assert_int_equal(x.b.wire[0].level, 0);
  out8(&x.b, 0x20, 0x0b);
  assert_int_equal(in8(&x.b, 0x20), 2);
  edge(&x, 1); // again, while in service
  assert_int_equal(x.b.wire[0].level, 0);
  out8(&x.b, 0x20, 0x20);
  assert_int_equal(x.b.wire[0].level, 1);
  assert_int_equal(pic_intack(&x.pic), 0x31);
  bench_free(&x.b);
}

static void the_lower_number_goes_first_and_interrupts_the_higher(void **state)
{
  struct board x;
  setup_board(&x);
  edge(&x, 5);
  assert_int_equal(pic_intack(&x.pic), 0x35);
  edge(&x, 6);
  assert_int_equal(x.b.wire[0].level, 0);
  edge(&x, 3);
  assert_int_equal(x.b.wire[0].level, 1);
  assert_int_equal(pic_intack(&x.pic), 0x33);
  out8(&x.b, 0x20, 0x20);
  assert_int_equal(x.b.wire[0].level, 0); // 5 still holds back 6
  out8(&x.b, 0x20, 0x65);
  assert_int_equal(pic_intack(&x.pic), 0x36);
  bench_free(&x.b);
}

static void the_slave_comes_through_input_two(void **state)
{
  struct board x;
  setup_board(&x);
  edge(&x, 12);
  edge(&x, 8);
  edge(&x, 3);
  assert_int_equal(pic_intack(&x.pic), 0x38);
  out8(&x.b, 0xa0, 0x20);
  out8(&x.b, 0x20, 0x20);
  assert_int_equal(pic_intack(&x.pic), 0x3c);
  out8(&x.b, 0xa0, 0x20);
  assert_int_equal(x.b.wire[0].level, 0); // the master's input 2 is in service
  out8(&x.b, 0x20, 0x20);
  assert_int_equal(pic_intack(&x.pic), 0x33);
  bench_free(&x.b);
}

static void the_special_fully_nested_master_lets_the_slave_nest(void **state)
{
  struct board x;
  setup_board(&x);
  edge(&x, 12);
  assert_int_equal(pic_intack(&x.pic), 0x3c);
  edge(&x, 9);
  assert_int_equal(x.b.wire[0].level, 0);
  program(&x, 0x11);
  edge(&x, 12);
  assert_int_equal(pic_intack(&x.pic), 0x3c);
  edge(&x, 9);
  assert_int_equal(x.b.wire[0].level, 1);
  assert_int_equal(pic_intack(&x.pic), 0x39);
  bench_free(&x.b);
}

static void a_level_input_asks_as_long_as_it_is_high(void **state)
{
  struct board x;
  setup_board(&x);
  out8(&x.b, 0x4d1, 0xff);
  assert_int_equal(in8(&x.b, 0x4d1), 0xde);
  out8(&x.b, 0x4d0, 0xff);
  assert_int_equal(in8(&x.b, 0x4d0), 0xf8);
  pic_set(&x.pic, 10, 1);
  assert_int_equal(pic_intack(&x.pic), 0x3a);
  out8(&x.b, 0xa0, 0x20);
  out8(&x.b, 0x20, 0x20);
  assert_int_equal(x.b.wire[0].level, 1);
  pic_set(&x.pic, 10, 0);
  assert_int_equal(x.b.wire[0].level, 0);
  bench_free(&x.b);
}

static void a_request_that_has_gone_is_spurious(void **state)
{
  struct board x;
  setup_board(&x);
  assert_int_equal(pic_intack(&x.pic), 0x37);
  out8(&x.b, 0x20, 0x0b);
  assert_int_equal(in8(&x.b, 0x20), 0);
  bench_free(&x.b);
}

static void rotation_gives_the_served_input_the_lowest_priority(void **state)
{
  struct board x;
  setup_board(&x);
  edge(&x, 0);
  edge(&x, 4);
  assert_int_equal(pic_intack(&x.pic), 0x30);
  out8(&x.b, 0x20, 0xa0); // rotate on non-specific EOI
  edge(&x, 0);
  assert_int_equal(pic_intack(&x.pic), 0x34);
  out8(&x.b, 0x20, 0x20);
  assert_int_equal(pic_intack(&x.pic), 0x30);
  out8(&x.b, 0x20, 0x20);
  out8(&x.b, 0x20, 0xc4); // set priority: 5 is first now
  edge(&x, 3);
  edge(&x, 6);
  assert_int_equal(pic_intack(&x.pic), 0x36);
  bench_free(&x.b);
}

static void automatic_eoi_leaves_nothing_in_service(void **state)
{
  struct board x;
  setup_board(&x);
  program(&x, 3);
  edge(&x, 3);
  assert_int_equal(pic_intack(&x.pic), 0x33);
  out8(&x.b, 0x20, 0x0b);
  assert_int_equal(in8(&x.b, 0x20), 0);
  edge(&x, 5);
  assert_int_equal(pic_intack(&x.pic), 0x35);
  bench_free(&x.b);
}

static void special_mask_lets_lower_priorities_through(void **state)
{
  struct board x;
  setup_board(&x);
  edge(&x, 1);
  assert_int_equal(pic_intack(&x.pic), 0x31);
  edge(&x, 4);
  assert_int_equal(x.b.wire[0].level, 0);
  out8(&x.b, 0x21, 0x02);
  out8(&x.b, 0x20, 0x68);
  assert_int_equal(x.b.wire[0].level, 1);
  assert_int_equal(pic_intack(&x.pic), 0x34);
  out8(&x.b, 0x20, 0x48);
  bench_free(&x.b);
}

static void a_poll_is_an_acknowledge(void **state)
{
  struct board x;
  setup_board(&x);
  out8(&x.b, 0x20, 0x0c);
  assert_int_equal(in8(&x.b, 0x20), 0);
  edge(&x, 6);
  out8(&x.b, 0x20, 0x0c);
  assert_int_equal(in8(&x.b, 0x20), 0x86);
  assert_int_equal(x.b.wire[0].level, 0);
  out8(&x.b, 0x20, 0x0b);
  assert_int_equal(in8(&x.b, 0x20), 0x40);
  bench_free(&x.b);
}

static void masks_hold_requests_back_and_read_back(void **state)
{
  struct board x;
  setup_board(&x);
  out8(&x.b, 0x21, 0x02);
  edge(&x, 1);
  assert_int_equal(x.b.wire[0].level, 0);
  assert_int_equal(in8(&x.b, 0x21), 0x02);
  out8(&x.b, 0x21, 0);
  assert_int_equal(x.b.wire[0].level, 1);
  bench_free(&x.b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(after_reset_everything_is_masked),
      cmocka_unit_test(an_edge_is_kept_until_it_is_acknowledged),
      cmocka_unit_test(the_lower_number_goes_first_and_interrupts_the_higher),
      cmocka_unit_test(the_slave_comes_through_input_two),
      cmocka_unit_test(the_special_fully_nested_master_lets_the_slave_nest),
      cmocka_unit_test(a_level_input_asks_as_long_as_it_is_high),
      cmocka_unit_test(a_request_that_has_gone_is_spurious),
      cmocka_unit_test(rotation_gives_the_served_input_the_lowest_priority),
      cmocka_unit_test(automatic_eoi_leaves_nothing_in_service),
      cmocka_unit_test(special_mask_lets_lower_priorities_through),
      cmocka_unit_test(a_poll_is_an_acknowledge),
      cmocka_unit_test(masks_hold_requests_back_and_read_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
