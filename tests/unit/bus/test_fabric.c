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

struct seen {
  struct iovec piece[DMA_PIECES];
  int pieces, calls, answer;
};

static int see(void *arg, const struct iovec *piece, int pieces)
{
  struct seen *s = arg;
  memcpy(s->piece, piece, (size_t)pieces * sizeof *piece);
  s->pieces = pieces;
  s->calls++;
  for (int i = 0; i < pieces; i++)
    memset(piece[i].iov_base, 0xa0 + i, piece[i].iov_len);
  return s->answer;
}

static bool direct(struct board *x, enum txn_kind kind, const struct dma_range *r, unsigned n, uint64_t off,
                   uint64_t len, struct seen *s)
{
  struct dma_port port = {
      .transfer = fabric_transfer, .direct = fabric_direct, .fabric = &x->fabric, .node = 1};
  struct dma_list l = {r, n, off, len};
  struct dma_mover m = {see, s, 99};
  memset(s, 0, sizeof *s);
  s->answer = -5;
  bool done = dma_direct(&port, kind, &l, &m);
  assert_int_equal(s->calls, done);
  assert_int_equal(m.result, done ? -5 : 99);
  return done;
}

static bool lies_at(const struct board *x, const struct seen *s, int i, uint64_t cell, uint64_t len)
{
  return s->piece[i].iov_base == x->b.ram.mem + cell && s->piece[i].iov_len == len;
}

static void a_list_is_moved_in_one_go_and_counted_like_its_requests(void **state)
{
  // Two that touch, one by itself, one without bytes, two over each other.
  static const struct dma_range r[] = {{0x5000, 0x1000}, {0x6000, 0x800}, {0x8001, 1},
                                       {0x9999, 0},      {0x7000, 4},     {0x7002, 4}};
  static struct seen s;
  struct board x;
  setup_board(&x);
  assert_true(direct(&x, TXN_WRITE, r, 6, 0x10, 0x17f0 + 1 + 4 + 3, &s));
  assert_int_equal(s.pieces, 4);
  assert_true(lies_at(&x, &s, 0, 0x5010, 0x17f0));
  assert_true(lies_at(&x, &s, 1, 0x8001, 1));
  assert_true(lies_at(&x, &s, 2, 0x7000, 4));
  assert_true(lies_at(&x, &s, 3, 0x7002, 3));
  assert_int_equal(x.b.ram.mem[0x500f], 0);
  assert_int_equal(x.b.ram.mem[0x5010], 0xa0);
  assert_int_equal(x.fabric.node[1].writes, 5);
  assert_int_equal(x.fabric.node[1].written_bytes, 0x17f0 + 1 + 4 + 3);
  assert_int_equal(x.fabric.node[1].link[0].requests + x.fabric.node[1].link[1].requests +
                       x.fabric.node[1].link[2].requests,
                   5); // to node 0, which owns all
  assert_int_equal(x.fabric.node[0].writes, 0);
  assert_true(direct(&x, TXN_READ, r, 1, 0, 0x1000, &s));
  assert_int_equal(x.fabric.node[1].reads, 1);
  assert_int_equal(x.fabric.node[1].read_bytes, 0x1000);
  assert_false(direct(&x, TXN_READ, r, 1, 0, 0x1001, &s)); // there is not so much
  assert_false(direct(&x, TXN_READ, r, 1, 0x1000, 1, &s));
  bench_free(&x.b);
}

static void watched(void *arg, uint64_t off, uint64_t len)
{
  uint64_t *sum = arg;
  sum[0] = off;
  sum[1] += len;
}

static void watchers_learn_of_direct_writes_and_not_of_reads(void **state)
{
  static const struct dma_range r[] = {{0x5800, 0x1000}, {0x1000, 0x10}};
  static struct seen s;
  struct board x;
  uint64_t sum[2] = {0, 0};
  setup_board(&x);
  x.b.ram.written = watched;
  x.b.ram.written_arg = sum;
  x.b.ram.flags[6] = RAM_CODE;
  assert_true(direct(&x, TXN_READ, r, 2, 0, 0x1010, &s));
  assert_int_equal(sum[1], 0);
  assert_int_equal(x.b.ram.flags[5], 0);
  assert_true(direct(&x, TXN_WRITE, r, 2, 0, 0x1010, &s)); // which the mover says went wrong
  assert_int_equal(sum[0], 0x6000);
  assert_int_equal(sum[1], 0x800);
  assert_int_equal(x.b.ram.flags[5], RAM_DIRTY);
  assert_int_equal(x.b.ram.flags[6], RAM_DIRTY | RAM_CODE);
  assert_int_equal(x.b.ram.flags[1], RAM_DIRTY);
  bench_free(&x.b);
}

static void what_is_not_all_ram_is_left_alone(void **state)
{
  static const struct dma_range bad[] = {{0xff800, 0x1000},           // its second half is nowhere
                                         {0x200000, 4},               // a device
                                         {0xfee00000, 4},             // interrupt messages
                                         {UINT64_C(0xfdfc000000), 4}, // I/O space
                                         {UINT64_MAX - 1, 4},         // around the end
                                         {UINT64_MAX - 1, 2},         // up to it
                                         {0x80000, 0x1000}};          // half of it ROM
  static const struct bus_ops ops = {.write = echo_write};
  static struct seen s;
  struct board x;
  struct region device = {0}, rom = {0}, high = {0};
  setup_board(&x);
  bus_map_ram(&x.b.bus, &high, "behind the APICs", 0xfed00000, 0x200000, 0, 0, false);
  bus_map_io(&x.b.bus, &device, "device", 0x200000, 4, &ops, NULL);
  bus_map_ram(&x.b.bus, &rom, "rom", 0x80800, 0x800, 0x2000, 1, true);
  for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct dma_range r[2] = {{0x5000, 0x1000}, bad[i]};
    assert_false(direct(&x, TXN_WRITE, r, 2, 0, 0x1000 + bad[i].len, &s));
    if (i < 6)
      assert_false(direct(&x, TXN_READ, r, 2, 0, 0x1000 + bad[i].len, &s));
  }
  assert_int_equal(x.b.ram.mem[0x5000], 0);
  assert_int_equal(x.b.ram.flags[5], 0);
  const struct fabric_node *n = &x.fabric.node[1];
  assert_int_equal(n->reads + n->writes + n->aborts + n->messages + n->unrouted, 0);
  assert_int_equal(n->link[0].requests + n->link[1].requests + n->link[2].requests, 0);
  fabric_set_route(&x.fabric, 1, 0, 0);
  struct dma_range r = {0x5000, 4};
  assert_false(direct(&x, TXN_READ, &r, 1, 0, 4, &s));
  assert_int_equal(n->reads + n->unrouted, 0);
  bench_free(&x.b);
}

static void a_list_of_too_many_pieces_is_left_alone(void **state)
{
  static struct dma_range r[DMA_PIECES + 1];
  static struct seen s;
  struct board x;
  setup_board(&x);
  for (unsigned i = 0; i <= DMA_PIECES; i++)
    r[i] = (struct dma_range){2 * i, 1};
  assert_true(direct(&x, TXN_WRITE, r, DMA_PIECES, 0, DMA_PIECES, &s));
  assert_int_equal(s.pieces, DMA_PIECES);
  assert_false(direct(&x, TXN_WRITE, r, DMA_PIECES + 1, 0, DMA_PIECES + 1, &s));
  for (unsigned i = 0; i <= DMA_PIECES; i++)
    r[i] = (struct dma_range){i, 1};
  assert_true(direct(&x, TXN_WRITE, r, DMA_PIECES + 1, 0, DMA_PIECES + 1, &s));
  assert_int_equal(s.pieces, 1);
  assert_int_equal(x.fabric.node[1].writes, 2 * DMA_PIECES + 1);
  bench_free(&x.b);
}

static void a_port_without_the_direct_way_says_no(void **state)
{
  struct board x;
  uint8_t v[4] = {9, 9, 9, 9};
  setup_board(&x);
  struct dma_port port = {.transfer = fabric_transfer, .fabric = &x.fabric};
  assert_false(dma_read_ahead(&port, 0x5000, v, 4));
  assert_int_equal(v[0], 9);
  port.direct = fabric_direct;
  assert_true(dma_read_ahead(&port, 0x5000, v, 4));
  assert_int_equal(v[0], 0);
  assert_false(dma_read_ahead(&port, 0xffffe, v, 4));
  bench_free(&x.b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(requests_are_counted_at_the_node_where_they_enter),
      cmocka_unit_test(a_write_of_four_bytes_to_the_apic_range_is_a_message),
      cmocka_unit_test(devices_cannot_make_each_other_run_for_ever),
      cmocka_unit_test(a_list_is_moved_in_one_go_and_counted_like_its_requests),
      cmocka_unit_test(watchers_learn_of_direct_writes_and_not_of_reads),
      cmocka_unit_test(what_is_not_all_ram_is_left_alone),
      cmocka_unit_test(a_list_of_too_many_pieces_is_left_alone),
      cmocka_unit_test(a_port_without_the_direct_way_says_no),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
