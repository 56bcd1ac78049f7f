// Requests on their way: owners of addresses, links that are crossed, tables that lead nowhere.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/log.h"
#include "fabric/fabric.h"

#define MB UINT64_C(0x100000)

struct bed {
  struct ram ram;
  struct log log;
  struct bus bus;
  struct region region;
  struct topology top;
  struct fabric f;
};

// Four nodes in a ring with 1 MB each.
static void setup(struct bed *x)
{
  struct err e;
  memset(x, 0, sizeof *x);
  assert_true(ram_init(&x->ram, 4 * MB, &e));
  ram_alloc(&x->ram, 4 * MB);
  assert_true(bus_init(&x->bus, &x->ram, &x->log));
  bus_map_ram(&x->bus, &x->region, "ram", 0, 4 * MB, 0, 0, false);
  topology_init(&x->top, 4, 3);
  topology_default(&x->top);
  assert_true(topology_route(&x->top));
  fabric_init(&x->f, &x->bus, 4);
  fabric_connect(&x->f, &x->top);
  for (unsigned n = 0; n < 4; n++) {
    struct fabric_range r = {.first = n * MB, .last = (n + 1) * MB - 1, .node = (uint8_t)n, .dram = true};
    assert_true(fabric_add_range(&x->f, &r));
  }
}

static void teardown(struct bed *x)
{
  fabric_free(&x->f);
  bus_free(&x->bus);
  ram_free(&x->ram);
}

static enum txn_resp go(struct bed *x, uint8_t node, enum txn_kind kind, uint64_t addr, void *buf,
                        uint64_t len)
{
  struct txn t = {.addr = addr, .kind = kind, .space = TXN_MEM, .node = node, .requester = 0x2018};
  return fabric_transfer(&x->f, &t, buf, len);
}

static uint64_t crossed(const struct bed *x, unsigned from, unsigned to)
{
  for (unsigned p = 1; p < 4; p++)
    if (x->f.node[from].link[p].peer == to)
      return x->f.node[from].link[p].requests;
  return UINT64_MAX;
}

static void a_request_crosses_the_links_of_its_route(void **state)
{
  struct bed x;
  uint32_t v = 0x12345678;
  setup(&x);
  assert_int_equal(go(&x, 1, TXN_WRITE, 1 * MB, &v, 4), TXN_OK); // its own memory
  for (unsigned n = 0; n < 4; n++)
    assert_int_equal(crossed(&x, n, (n + 1) % 4) + crossed(&x, n, (n + 3) % 4), 0);
  assert_int_equal(go(&x, 1, TXN_WRITE, 2 * MB, &v, 4), TXN_OK);
  assert_int_equal(crossed(&x, 1, 2), 1);
  assert_int_equal(crossed(&x, 2, 1), 0);
  assert_int_equal(go(&x, 1, TXN_READ, 3 * MB, &v, 4), TXN_OK); // two hops, by port 1: over node 0
  assert_int_equal(crossed(&x, 1, 0), 1);
  assert_int_equal(crossed(&x, 0, 3), 1);
  assert_int_equal(x.f.node[1].link[1].bytes, 4);
  teardown(&x);
}

static void a_long_request_goes_to_each_owner(void **state)
{
  static uint8_t out[3 * MB], in[3 * MB];
  struct bed x;
  setup(&x);
  for (size_t i = 0; i < sizeof out; i++)
    out[i] = (uint8_t)(i * 7 + i / 4096);
  assert_int_equal(go(&x, 0, TXN_WRITE, MB / 2, out, sizeof out), TXN_OK);
  assert_memory_equal(x.ram.mem + MB / 2, out, sizeof out);
  assert_int_equal(go(&x, 2, TXN_READ, MB / 2, in, sizeof in), TXN_OK);
  assert_memory_equal(in, out, sizeof out);
  assert_int_equal(crossed(&x, 0, 1), 2); // to node 1, and through it to 2
  assert_int_equal(crossed(&x, 1, 2), 1);
  assert_int_equal(crossed(&x, 0, 3), 1);
  teardown(&x);
}

static void a_rewritten_table_sends_requests_another_way(void **state)
{
  struct bed x;
  uint32_t v = 1;
  setup(&x);
  assert_int_equal(x.f.node[0].link[2].peer, 3);
  fabric_set_route(&x.f, 0, 1, 2u << 2); // to node 1 the long way: by 3 and 2
  fabric_set_route(&x.f, 3, 1, (uint16_t)(2u << (x.f.node[3].link[1].peer == 2 ? 1 : 2)));
  fabric_set_route(&x.f, 2, 1, (uint16_t)(2u << (x.f.node[2].link[1].peer == 1 ? 1 : 2)));
  assert_int_equal(go(&x, 0, TXN_WRITE, 1 * MB, &v, 4), TXN_OK);
  assert_int_equal(crossed(&x, 0, 1), 0);
  assert_int_equal(crossed(&x, 0, 3), 1);
  assert_int_equal(crossed(&x, 3, 2), 1);
  assert_int_equal(crossed(&x, 2, 1), 1);
  teardown(&x);
}

static void a_broken_table_is_a_master_abort(void **state)
{
  // Nowhere, itself, the I/O chain, a port that is not connected, two at once.
  static const uint16_t ways[] = {0, 1, 2, 0x10, 4 | 8, 0xffff};
  struct bed x;
  setup(&x);
  for (unsigned i = 0; i < sizeof ways / sizeof ways[0]; i++) {
    uint32_t v = 0x55555555;
    fabric_set_route(&x.f, 0, 1, ways[i]);
    assert_int_equal(go(&x, 0, TXN_WRITE, 1 * MB, &v, 4), TXN_ABORT);
    assert_int_equal(x.ram.mem[1 * MB], 0);
    assert_int_equal(go(&x, 0, TXN_READ, 1 * MB, &v, 4), TXN_ABORT);
    assert_int_equal(v, 0xffffffff);
    assert_int_equal(x.f.node[0].unrouted, 2 * (i + 1));
    assert_int_equal(go(&x, 0, TXN_READ, 0, &v, 4), TXN_OK); // others go on
    assert_int_equal(v, 0);
  }
  assert_int_equal(x.f.node[0].aborts, 2 * sizeof ways / sizeof ways[0]);
  teardown(&x);
}

static void tables_that_go_in_a_circle_end(void **state)
{
  struct bed x;
  uint32_t v = 0x55555555;
  setup(&x);
  fabric_set_route(&x.f, 0, 2, 2u << 1); // 0 and 1 send it to each other
  fabric_set_route(&x.f, 1, 2, 2u << 1);
  assert_int_equal(x.f.node[0].link[1].peer, 1);
  assert_int_equal(x.f.node[1].link[1].peer, 0);
  assert_int_equal(go(&x, 0, TXN_WRITE, 2 * MB, &v, 4), TXN_ABORT);
  assert_int_equal(x.ram.mem[2 * MB], 0);
  assert_int_equal(x.f.node[0].unrouted, 1);
  teardown(&x);
}

static void half_a_request_may_arrive(void **state)
{
  struct bed x;
  uint8_t buf[8192];
  memset(buf, 0x11, sizeof buf);
  setup(&x);
  fabric_set_route(&x.f, 0, 1, 0);
  assert_int_equal(go(&x, 0, TXN_WRITE, 1 * MB - 4096, buf, sizeof buf), TXN_ABORT);
  assert_int_equal(x.ram.mem[1 * MB - 1], 0x11);
  assert_int_equal(x.ram.mem[1 * MB], 0);
  assert_int_equal(go(&x, 0, TXN_READ, 1 * MB - 4096, buf, sizeof buf), TXN_ABORT);
  assert_int_equal(buf[4095], 0x11);
  assert_int_equal(buf[4096], 0xff);
  teardown(&x);
}

static void what_nobody_owns_is_node_0s(void **state)
{
  struct bed x;
  uint64_t last;
  setup(&x);
  assert_int_equal(fabric_owner(&x.f, TXN_MEM, 2 * MB + 5, &last), 2);
  assert_int_equal(last, 3 * MB - 1);
  assert_int_equal(fabric_owner(&x.f, TXN_MEM, 4 * MB, &last), 0);
  assert_true(last == UINT64_MAX);
  assert_int_equal(fabric_owner(&x.f, TXN_IO, 2 * MB, &last), 0);
  struct fabric_range r = {.first = 8 * MB, .last = 9 * MB - 1, .node = 3};
  assert_true(fabric_add_range(&x.f, &r));
  assert_int_equal(fabric_owner(&x.f, TXN_MEM, 5 * MB, &last), 0);
  assert_int_equal(last, 8 * MB - 1);
  assert_int_equal(fabric_owner(&x.f, TXN_MEM, 8 * MB, &last), 3);
  teardown(&x);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_request_crosses_the_links_of_its_route),
      cmocka_unit_test(a_long_request_goes_to_each_owner),
      cmocka_unit_test(a_rewritten_table_sends_requests_another_way),
      cmocka_unit_test(a_broken_table_is_a_master_abort),
      cmocka_unit_test(tables_that_go_in_a_circle_end),
      cmocka_unit_test(half_a_request_may_arrive),
      cmocka_unit_test(what_nobody_owns_is_node_0s),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
