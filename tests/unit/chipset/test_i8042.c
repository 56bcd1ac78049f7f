// Keyboard controller, keyboard and mouse.
#include "chiptest.h"

#include "chipset/i8042.h"

enum { KEYBOARD = 1, MOUSE = 12, A20 = 20, RESET = 21 };

struct board {
  struct bench b;
  struct i8042 k;
};

static void setup_board(struct board *x)
{
  memset(x, 0, sizeof *x);
  bench_init(&x->b);
  i8042_init(&x->k, &x->b.bus, line(&x->b, KEYBOARD), line(&x->b, MOUSE), line(&x->b, A20),
             line(&x->b, RESET));
}

static void command(struct board *x, unsigned v)
{
  out8(&x->b, 0x64, v);
}

static void data(struct board *x, unsigned v)
{
  out8(&x->b, 0x60, v);
}

// The next byte, which must be there.
static unsigned next(struct board *x)
{
  assert_int_equal(in8(&x->b, 0x64) & 1, 1);
  return in8(&x->b, 0x60);
}

static void empty(struct board *x)
{
  assert_int_equal(in8(&x->b, 0x64) & 1, 0);
}

static void mouse(struct board *x, unsigned v)
{
  command(x, 0xd4);
  data(x, v);
}

static void self_test_and_interface_tests_pass(void **state)
{
  struct board x;
  setup_board(&x);
  empty(&x);
  command(&x, 0xaa);
  assert_int_equal(next(&x), 0x55);
  assert_int_equal(in8(&x.b, 0x64) & 4, 4);
  command(&x, 0xab);
  assert_int_equal(next(&x), 0);
  command(&x, 0xa9);
  assert_int_equal(next(&x), 0);
  empty(&x);
  bench_free(&x.b);
}

static void the_command_byte_reads_back_and_switches_interrupts(void **state)
{
  struct board x;
  setup_board(&x);
  command(&x, 0x60);
  data(&x, 0x00);
  command(&x, 0x20);
  assert_int_equal(next(&x), 0);
  i8042_key(&x.k, "a", true);
  assert_int_equal(x.b.wire[KEYBOARD].level, 0);
  command(&x, 0x60);
  data(&x, 0x01);
  assert_int_equal(x.b.wire[KEYBOARD].level, 1);
  assert_int_equal(next(&x), 0x1c);
  assert_int_equal(x.b.wire[KEYBOARD].level, 0);
  bench_free(&x.b);
}

static void each_byte_is_an_edge(void **state)
{
  struct board x;
  setup_board(&x);
  i8042_key(&x.k, "up", true);
  i8042_key(&x.k, "up", false);
  static const unsigned expected[] = {0xe0, 0x75, 0xe0, 0xf0, 0x75};
  for (unsigned i = 0; i < 5; i++) {
    assert_int_equal(x.b.wire[KEYBOARD].rises, i + 1);
    assert_int_equal(next(&x), expected[i]);
  }
  empty(&x);
  bench_free(&x.b);
}

static void translation_gives_set_1(void **state)
{
  struct board x;
  setup_board(&x);
  command(&x, 0x60);
  data(&x, 0x45);
  assert_true(i8042_sendkey(&x.k, "ctrl-alt-delete"));
  static const unsigned expected[] = {0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d};
  for (unsigned i = 0; i < 8; i++)
    assert_int_equal(next(&x), expected[i]);
  empty(&x);
  assert_true(i8042_key(&x.k, "f7", true));
  assert_int_equal(next(&x), 0x41);
  assert_true(i8042_key(&x.k, "pause", true));
  static const unsigned pause[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
  for (unsigned i = 0; i < 6; i++)
    assert_int_equal(next(&x), pause[i]);
  empty(&x);
  bench_free(&x.b);
}

static void unknown_key_names_send_nothing(void **state)
{
  struct board x;
  setup_board(&x);
  assert_false(i8042_key(&x.k, "anykey", true));
  assert_false(i8042_sendkey(&x.k, "ctrl-anykey"));
  assert_false(i8042_sendkey(&x.k, ""));
  assert_false(i8042_sendkey(&x.k, "ctrl-"));
  assert_false(i8042_sendkey(&x.k, "a-a-a-a-a-a-a-a-a"));
  empty(&x);
  bench_free(&x.b);
}

static void the_keyboard_answers_its_commands(void **state)
{
  struct board x;
  setup_board(&x);
  data(&x, 0xff);
  assert_int_equal(next(&x), 0xfa);
  assert_int_equal(next(&x), 0xaa);
  data(&x, 0xf2);
  assert_int_equal(next(&x), 0xfa);
  assert_int_equal(next(&x), 0xab);
  assert_int_equal(next(&x), 0x83);
  data(&x, 0xed);
  assert_int_equal(next(&x), 0xfa);
  data(&x, 0x02);
  assert_int_equal(next(&x), 0xfa);
  assert_int_equal(x.k.keyboard.leds, 2);
  data(&x, 0xf0);
  assert_int_equal(next(&x), 0xfa);
  data(&x, 0x01);
  assert_int_equal(next(&x), 0xfa);
  i8042_key(&x.k, "a", false);
  assert_int_equal(next(&x), 0x9e);
  data(&x, 0xee);
  assert_int_equal(next(&x), 0xee);
  data(&x, 0x77);
  assert_int_equal(next(&x), 0xfe);
  data(&x, 0xf5);
  assert_int_equal(next(&x), 0xfa);
  i8042_key(&x.k, "a", true);
  empty(&x);
  bench_free(&x.b);
}

static void a_disabled_keyboard_keeps_its_bytes(void **state)
{
  struct board x;
  setup_board(&x);
  command(&x, 0xad);
  i8042_key(&x.k, "b", true);
  empty(&x);
  command(&x, 0xae);
  assert_int_equal(next(&x), 0x32);
  bench_free(&x.b);
}

static void the_output_port_switches_a20_and_reset(void **state)
{
  struct board x;
  setup_board(&x);
  assert_int_equal(x.b.wire[A20].level, 1);
  command(&x, 0xd1);
  data(&x, 0xdd);
  assert_int_equal(x.b.wire[A20].level, 0);
  command(&x, 0xd0);
  assert_int_equal(next(&x) & 3, 1);
  command(&x, 0xdf);
  assert_int_equal(x.b.wire[A20].level, 1);
  assert_int_equal(x.b.wire[RESET].rises, 0);
  command(&x, 0xfe);
  assert_int_equal(x.b.wire[RESET].rises, 1);
  command(&x, 0xd1);
  data(&x, 0xde);
  assert_int_equal(x.b.wire[RESET].rises, 2);
  bench_free(&x.b);
}

static void the_mouse_reports_movement_and_becomes_a_wheel_mouse(void **state)
{
  static const unsigned rates[] = {200, 100, 80};
  struct board x;
  setup_board(&x);
  mouse(&x, 0xff);
  assert_int_equal(in8(&x.b, 0x64) & 0x21, 0x21);
  assert_int_equal(x.b.wire[MOUSE].level, 1);
  assert_int_equal(next(&x), 0xfa);
  assert_int_equal(next(&x), 0xaa);
  assert_int_equal(next(&x), 0x00);
  for (unsigned i = 0; i < 3; i++) {
    mouse(&x, 0xf3);
    assert_int_equal(next(&x), 0xfa);
    mouse(&x, rates[i]);
    assert_int_equal(next(&x), 0xfa);
  }
  mouse(&x, 0xf2);
  assert_int_equal(next(&x), 0xfa);
  assert_int_equal(next(&x), 3);
  i8042_mouse(&x.k, 5, 5, 0, 0);
  empty(&x); // not reporting yet
  mouse(&x, 0xf4);
  assert_int_equal(next(&x), 0xfa);
  i8042_mouse(&x.k, 300, -2, 1, 1);
  assert_int_equal(next(&x), 0x29);
  assert_int_equal(next(&x), 255);
  assert_int_equal(next(&x), 0xfe);
  assert_int_equal(next(&x), 1);
  assert_int_equal(next(&x), 0x09);
  assert_int_equal(next(&x), 45);
  assert_int_equal(next(&x), 0);
  assert_int_equal(next(&x), 0);
  empty(&x);
  bench_free(&x.b);
}

static void no_flood_overruns_the_queues(void **state)
{
  struct board x;
  setup_board(&x);
  mouse(&x, 0xf4);
  for (unsigned i = 0; i < 5000; i++) {
    i8042_key(&x.k, "up", true);
    i8042_mouse(&x.k, 1000, 1000, 0, i & 1);
    data(&x, 0xf2);
    mouse(&x, 0xe9);
  }
  unsigned n = 0;
  while (in8(&x.b, 0x64) & 1) {
    in8(&x.b, 0x60);
    n++;
  }
  assert_in_range(n, 1, 2 * PS2_QUEUE + 2);
  bench_free(&x.b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(self_test_and_interface_tests_pass),
      cmocka_unit_test(the_command_byte_reads_back_and_switches_interrupts),
      cmocka_unit_test(each_byte_is_an_edge),
      cmocka_unit_test(translation_gives_set_1),
      cmocka_unit_test(unknown_key_names_send_nothing),
      cmocka_unit_test(the_keyboard_answers_its_commands),
      cmocka_unit_test(a_disabled_keyboard_keeps_its_bytes),
      cmocka_unit_test(the_output_port_switches_a20_and_reset),
      cmocka_unit_test(the_mouse_reports_movement_and_becomes_a_wheel_mouse),
      cmocka_unit_test(no_flood_overruns_the_queues),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
