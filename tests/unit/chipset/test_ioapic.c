// I/O APIC.
#include "chiptest.h"

#include "chipset/ioapic.h"

struct board {
  struct bench b;
  struct ioapic a;
};

static void setup_board(struct board *x)
{
  memset(x, 0, sizeof *x);
  bench_init(&x->b);
  ioapic_init(&x->a, &x->b.bus, 5);
}

static uint32_t rd(struct board *x, unsigned n)
{
  put(&x->b, TXN_MEM, IOAPIC_BASE, 4, n);
  return (uint32_t)get(&x->b, TXN_MEM, IOAPIC_BASE + 0x10, 4);
}

static void wr(struct board *x, unsigned n, uint32_t v)
{
  put(&x->b, TXN_MEM, IOAPIC_BASE, 4, n);
  put(&x->b, TXN_MEM, IOAPIC_BASE + 0x10, 4, v);
}

static void entry(struct board *x, unsigned pin, uint32_t low, uint32_t high)
{
  wr(x, 0x11 + 2 * pin, high);
  wr(x, 0x10 + 2 * pin, low);
}

static void identity_and_version_are_as_documented(void **state)
{
  struct board x;
  setup_board(&x);
  assert_int_equal(rd(&x, 0), 5u << 24);
  wr(&x, 0, 0xffffffff);
  assert_int_equal(rd(&x, 0), 0x0f000000);
  assert_int_equal(rd(&x, 2), 0x0f000000);
  assert_int_equal(rd(&x, 1), 0x00170020);
  wr(&x, 1, 0);
  assert_int_equal(rd(&x, 1), 0x00170020);
  assert_int_equal(rd(&x, 0x10), 0x10000);
  wr(&x, 0x10, 0xffffffff);
  assert_int_equal(rd(&x, 0x10), 0x1afff);
  assert_int_equal(rd(&x, 0x40), 0);
  bench_free(&x.b);
}

static void an_edge_sends_one_message_and_a_masked_one_is_lost(void **state)
{
  struct board x;
  setup_board(&x);
  ioapic_set(&x.a, 4, 1);
  ioapic_set(&x.a, 4, 0);
  entry(&x, 4, 0x0041, 0x03000000);
  assert_int_equal(x.b.messages, 0);
  ioapic_set(&x.a, 4, 1);
  ioapic_set(&x.a, 4, 1);
  assert_int_equal(x.b.messages, 1);
  assert_int_equal(x.b.msg.vector, 0x41);
  assert_int_equal(x.b.msg.dest, 3);
  assert_false(x.b.msg.level);
  assert_false(x.b.msg.logical);
  ioapic_set(&x.a, 4, 0);
  ioapic_set(&x.a, 4, 1);
  assert_int_equal(x.b.messages, 2);
  bench_free(&x.b);
}

static void a_level_waits_for_its_end_and_asks_again(void **state)
{
  struct board x;
  setup_board(&x);
  entry(&x, 10, 0x8851, 0x0f000000);
  ioapic_set(&x.a, 10, 1);
  assert_int_equal(x.b.messages, 1);
  assert_true(x.b.msg.level);
  assert_true(x.b.msg.logical);
  assert_int_equal(rd(&x, 0x10 + 20), 0x8851 | 0x4000);
  ioapic_set(&x.a, 10, 0);
  ioapic_set(&x.a, 10, 1);
  assert_int_equal(x.b.messages, 1);
  ioapic_eoi(&x.a, 0x50);
  assert_int_equal(x.b.messages, 1);
  ioapic_eoi(&x.a, 0x51);
  assert_int_equal(x.b.messages, 2);
  ioapic_set(&x.a, 10, 0);
  put(&x.b, TXN_MEM, IOAPIC_BASE + 0x40, 4, 0x51); // the EOI register
  assert_int_equal(x.b.messages, 2);
  assert_int_equal(rd(&x, 0x10 + 20), 0x8851);
  bench_free(&x.b);
}

static void a_level_that_is_unmasked_while_high_is_sent(void **state)
{
  struct board x;
  setup_board(&x);
  entry(&x, 11, 0x18052, 0);
  ioapic_set(&x.a, 11, 1);
  assert_int_equal(x.b.messages, 0);
  entry(&x, 11, 0x8052, 0);
  assert_int_equal(x.b.messages, 1);
  bench_free(&x.b);
}

static void switching_to_edge_clears_remote_irr(void **state)
{
  struct board x;
  setup_board(&x);
  entry(&x, 11, 0x8052, 0);
  ioapic_set(&x.a, 11, 1);
  entry(&x, 11, 0x10052, 0);
  assert_int_equal(rd(&x, 0x10 + 22), 0x10052);
  entry(&x, 11, 0x8052, 0);
  assert_int_equal(x.b.messages, 2);
  bench_free(&x.b);
}

static void other_delivery_modes_are_edges(void **state)
{
  struct board x;
  setup_board(&x);
  entry(&x, 0, 0x8700, 0); // ExtINT, "level"
  ioapic_set(&x.a, 0, 1);
  assert_int_equal(x.b.messages, 1);
  assert_int_equal(x.b.msg.delivery, 7);
  assert_false(x.b.msg.level);
  assert_int_equal(rd(&x, 0x10) & 0x4000, 0);
  entry(&x, 1, 0x0300, 0); // reserved
  ioapic_set(&x.a, 1, 1);
  assert_int_equal(x.b.messages, 1);
  entry(&x, 2, 0x0400, 0);
  ioapic_set(&x.a, 2, 1);
  assert_int_equal(x.b.msg.delivery, 4);
  bench_free(&x.b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(identity_and_version_are_as_documented),
      cmocka_unit_test(an_edge_sends_one_message_and_a_masked_one_is_lost),
      cmocka_unit_test(a_level_waits_for_its_end_and_asks_again),
      cmocka_unit_test(a_level_that_is_unmasked_while_high_is_sent),
      cmocka_unit_test(switching_to_edge_clears_remote_irr),
      cmocka_unit_test(other_delivery_modes_are_edges),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
