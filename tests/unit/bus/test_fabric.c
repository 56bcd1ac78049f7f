// The way of a device's request.
#include "bustest.h"

#include "bus/dma.h"
#include "fabric/fabric.h"

struct board {
  struct bench b;
  struct fabric fabric;
  struct region ram;
  struct intr_msg msg;
  unsigned messages;
};

static void intr(void *arg, const struct intr_msg *m)
{
  struct board *x = arg;
  x->msg = *m;
  x->messages++;
}

static void setup_board(struct board *x)
{
  memset(x, 0, sizeof *x);
  bench_init(&x->b);
  fabric_init(&x->fabric, &x->b.bus, 2);
  bus_map_ram(&x->b.bus, &x->ram, "ram", 0, 0x100000, 0, 0, false);
  x->b.bus.intr = intr;
  x->b.bus.intr_arg = x;
}

static void requests_are_counted_at_the_node_where_they_enter(void **state)
{
  struct board x;
  uint8_t buf[100] = {1};
  setup_board(&x);
  struct dma_port port = {.transfer = fabric_transfer, .fabric = &x.fabric, .node = 1};
  assert_int_equal(dma_write(&port, 0x5000, buf, sizeof buf), TXN_OK);
  assert_int_equal(x.b.ram.mem[0x5000], 1);
  assert_int_equal(dma_read(&port, 0x5000, buf, 4), TXN_OK);
  assert_int_equal(dma_read(&port, UINT64_C(1) << 40, buf, 4), TXN_ABORT);
  assert_int_equal(buf[0], 0xff);
  assert_int_equal(x.fabric.node[1].writes, 1);
  assert_int_equal(x.fabric.node[1].written_bytes, 100);
  assert_int_equal(x.fabric.node[1].reads, 2);
  assert_int_equal(x.fabric.node[1].aborts, 1);
  assert_int_equal(x.fabric.node[0].reads, 0);
  bench_free(&x.b);
}

static void a_write_of_four_bytes_to_the_apic_range_is_a_message(void **state)
{
  struct board x;
  uint32_t data = 0xc931;
  setup_board(&x);
  struct dma_port port = {.transfer = fabric_transfer, .fabric = &x.fabric};
  assert_int_equal(dma_write(&port, 0xfee0300c, &data, 4), TXN_OK);
  assert_int_equal(x.messages, 1);
  assert_int_equal(x.msg.dest, 3);
  assert_int_equal(x.msg.vector, 0x31);
  assert_int_equal(x.msg.delivery, 1);
  assert_true(x.msg.logical);
  assert_true(x.msg.level);
  assert_true(x.msg.assert_);
  assert_int_equal(dma_write(&port, 0xfee03000, &data, 2), TXN_ABORT);
  assert_int_equal(dma_read(&port, 0xfee00020, &data, 4), TXN_ABORT);
  assert_int_equal(data, 0xffffffff);
  assert_int_equal(x.messages, 1);
  bench_free(&x.b);
}

struct echo {
  struct dma_port port;
  unsigned calls;
};

static void echo_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct echo *e = dev;
  uint32_t v = (uint32_t)value;
  e->calls++;
  dma_write(&e->port, 0x200000, &v, 4); // to itself
}

static void devices_cannot_make_each_other_run_for_ever(void **state)
{
  static const struct bus_ops ops = {.write = echo_write};
  struct board x;
  struct region r = {0};
  uint32_t v = 0;
  setup_board(&x);
  struct echo e = {.port = {.transfer = fabric_transfer, .fabric = &x.fabric}};
  bus_map_io(&x.b.bus, &r, "echo", 0x200000, 4, &ops, &e);
  dma_write(&e.port, 0x200000, &v, 4);
  assert_int_equal(e.calls, 1);
  assert_int_equal(x.fabric.depth, 0);
  bench_free(&x.b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(requests_are_counted_at_the_node_where_they_enter),
      cmocka_unit_test(a_write_of_four_bytes_to_the_apic_range_is_a_message),
      cmocka_unit_test(devices_cannot_make_each_other_run_for_ever),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
