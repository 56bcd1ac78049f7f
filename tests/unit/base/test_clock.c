// The virtual clock and its queue.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

struct probe {
  struct clock *clock;
  struct timer timer;
  unsigned *order, *count;
  unsigned id, again;
  uint64_t fired_at;
};

static void fire(void *arg)
{
  struct probe *p = arg;
  p->fired_at = clock_now(p->clock);
  p->order[(*p->count)++] = p->id;
  if (p->again) {
    p->again--;
    timer_set(&p->timer, p->fired_at + 10);
  }
}

static void events_fire_in_order_of_time_and_then_of_arming(void **state)
{
  static const uint64_t when[] = {50, 20, 50, 10, 20};
  static const unsigned expected[] = {3, 1, 4, 0, 2};
  struct clock c;
  struct probe p[5];
  unsigned order[5], count = 0;
  clock_init(&c);
  for (unsigned i = 0; i < 5; i++) {
    p[i] = (struct probe){.clock = &c, .order = order, .count = &count, .id = i};
    timer_init(&p[i].timer, &c, fire, &p[i]);
    timer_set(&p[i].timer, when[i]);
  }
  assert_int_equal(clock_next(&c), 10);
  clock_advance(&c, 49);
  assert_int_equal(count, 3);
  clock_advance(&c, 50);
  assert_int_equal(count, 5);
  for (unsigned i = 0; i < 5; i++)
    assert_int_equal(order[i], expected[i]);
  assert_true(clock_next(&c) == CLOCK_NEVER);
  clock_free(&c);
}

static void an_event_sees_its_own_time_and_may_arm_again(void **state)
{
  struct clock c;
  unsigned order[8], count = 0;
  clock_init(&c);
  struct probe p = {.clock = &c, .order = order, .count = &count, .again = 3};
  timer_init(&p.timer, &c, fire, &p);
  timer_set(&p.timer, 5);
  clock_advance(&c, 100);
  assert_int_equal(count, 4);
  assert_int_equal(p.fired_at, 35);
  assert_int_equal(clock_now(&c), 100);
  clock_free(&c);
}

static void cancelled_and_moved_events_keep_the_queue_in_order(void **state)
{
  enum { N = 200 };
  struct clock c;
  static struct probe p[N];
  static unsigned order[N];
  unsigned count = 0, live = 0;
  uint32_t seed = 1;
  clock_init(&c);
  for (unsigned i = 0; i < N; i++) {
    p[i] = (struct probe){.clock = &c, .order = order, .count = &count, .id = i};
    timer_init(&p[i].timer, &c, fire, &p[i]);
    timer_set(&p[i].timer, (seed = seed * 1103515245 + 12345) >> 8);
  }
  for (unsigned i = 0; i < N; i++) {
    seed = seed * 1103515245 + 12345;
    if (i % 3 == 0)
      timer_cancel(&p[i].timer);
    else if (i % 3 == 1)
      timer_set(&p[i].timer, seed >> 8);
    live += i % 3 != 0;
  }
  clock_advance(&c, UINT32_MAX);
  assert_int_equal(count, live);
  for (unsigned i = 1; i < count; i++)
    assert_true(p[order[i]].fired_at >= p[order[i - 1]].fired_at);
  clock_free(&c);
}

static void called(void *arg)
{
  ++*(unsigned *)arg;
}

static void an_earlier_event_is_announced(void **state)
{
  struct clock c;
  unsigned announced = 0, order[4], count = 0;
  clock_init(&c);
  c.sooner = called;
  c.sooner_arg = &announced;
  struct probe a = {.clock = &c, .order = order, .count = &count}, b = a;
  timer_init(&a.timer, &c, fire, &a);
  timer_init(&b.timer, &c, fire, &b);
  timer_set(&a.timer, 100);
  assert_int_equal(announced, 1);
  timer_set(&b.timer, 200);
  assert_int_equal(announced, 1);
  timer_set(&b.timer, 50);
  assert_int_equal(announced, 2);
  clock_free(&c);
}

static void time_never_runs_backwards(void **state)
{
  struct clock c;
  clock_init(&c);
  clock_advance(&c, 1000);
  clock_advance(&c, 10);
  assert_int_equal(clock_now(&c), 1000);
  assert_true(muldiv64(UINT64_MAX, 1000, 1000) == UINT64_MAX);
  clock_free(&c);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(events_fire_in_order_of_time_and_then_of_arming),
      cmocka_unit_test(an_event_sees_its_own_time_and_may_arm_again),
      cmocka_unit_test(cancelled_and_moved_events_keep_the_queue_in_order),
      cmocka_unit_test(an_earlier_event_is_announced),
      cmocka_unit_test(time_never_runs_backwards),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
