// Northbridge functions as drivers read them.
#include "chiptest.h"

#include "chipset/northbridge.h"

struct board {
  struct bench b;
  struct pci_bus pb;
  struct nb_map map;
  struct northbridge nb[NB_NODES];
};

static void setup_board(struct board *x, enum nb_family family, unsigned nodes)
{
  memset(x, 0, sizeof *x);
  bench_init(&x->b);
  pci_bus_init(&x->pb, &x->b.bus, 0, 0);
  x->map = (struct nb_map){
      .family = family, .nodes = nodes, .cpus = 2 * nodes, .signature = 0x100f23, .hole_base = 0xe0000000};
  for (unsigned n = 0; n < nodes; n++) {
    x->map.node[n].base = (uint64_t)n << 30;
    x->map.node[n].size = 1 << 30;
    x->map.node[n].cpus = 2;
    if (n == 0)
      x->map.node[n].chain = (struct nb_chain){true, 0, 0x1f, 0xe2000000, 0x1cc00000, 0xa000, 0x1ff6000};
  }
  link_nodes(&x->map);
  for (unsigned n = 0; n < nodes; n++)
    nb_init(&x->nb[n], &x->pb, &x->map, (uint8_t)n);
}

static uint32_t rd(struct board *x, unsigned node, unsigned function, unsigned off)
{
  return pci_config_read(&x->pb, 0, (uint8_t)((0x18 + node) << 3 | function), off, 4);
}

static void functions_have_the_ids_of_the_family(void **state)
{
  struct board x;
  setup_board(&x, NB_K8, 1);
  for (unsigned i = 0; i < 4; i++)
    assert_int_equal(rd(&x, 0, i, 0), 0x11001022 + (i << 16));
  assert_int_equal(rd(&x, 0, 4, 0), 0xffffffff);
  assert_int_equal(rd(&x, 1, 0, 0), 0xffffffff);
  bench_free(&x.b);
  setup_board(&x, NB_FAMILY10H, 8);
  for (unsigned n = 0; n < 8; n++)
    for (unsigned i = 0; i < 5; i++)
      assert_int_equal(rd(&x, n, i, 0), 0x12001022 + (i << 16));
  assert_int_equal(rd(&x, 0, 3, 0xfc), 0x100f23);
  assert_int_equal(rd(&x, 0, 0, 0x0c) >> 16 & 0x80, 0x80);
  bench_free(&x.b);
}

static void every_node_knows_itself_and_how_many_there_are(void **state)
{
  struct board x;
  setup_board(&x, NB_FAMILY10H, 4);
  for (unsigned n = 0; n < 4; n++)
    assert_int_equal(rd(&x, n, 0, 0x60) & 0x77, n | 3 << 4);
  assert_int_equal(rd(&x, 0, 0, 0x60) >> 16 & 31, 7);
  bench_free(&x.b);
}

static void all_nodes_show_the_same_memory_map(void **state)
{
  struct board x;
  setup_board(&x, NB_FAMILY10H, 4);
  for (unsigned n = 0; n < 4; n++) {
    for (unsigned m = 0; m < 8; m++) {
      uint32_t base = rd(&x, n, 1, 0x40 + 8 * m), limit = rd(&x, n, 1, 0x44 + 8 * m);
      assert_int_equal(limit & 7, m);
      if (m >= 4) {
        assert_int_equal(base & 3, 0);
        continue;
      }
      assert_int_equal(base & 3, 3);
      assert_true((uint64_t)(base >> 16) << 24 == (uint64_t)m << 30);
      assert_true(((uint64_t)(limit >> 16) << 24 | 0xffffff) == ((uint64_t)(m + 1) << 30) - 1);
    }
    assert_int_equal(rd(&x, n, 1, 0xe0), 0x1f000003);
    assert_int_equal(rd(&x, n, 1, 0x80), 0x00e20003);
    assert_int_equal(rd(&x, n, 1, 0x84), 0x00febf00);
    assert_int_equal(rd(&x, n, 1, 0xc0), 0x0000a003);
    assert_int_equal(rd(&x, n, 1, 0xc4), 0x01fff000);
    assert_int_equal(rd(&x, n, 1, 0xf4), 1);
  }
  bench_free(&x.b);
}

static void following_the_routes_reaches_every_node(void **state)
{
  struct board x;
  setup_board(&x, NB_FAMILY10H, 8);
  for (unsigned from = 0; from < 8; from++) {
    for (unsigned to = 0; to < 8; to++) {
      unsigned at = from, hops = 0;
      for (; hops < 8; hops++) {
        uint32_t way = rd(&x, at, 0, 0x40 + 4 * to) & 0x1ff;
        assert_int_equal(rd(&x, at, 0, 0x40 + 4 * to) >> 9 & 0x1ff, way); // responses too
        if (way == 1)
          break;
        assert_true(way == 4 || way == 8);
        at = x.map.node[at].peer[way == 4 ? 1 : 2];
      }
      assert_int_equal(at, to);
      assert_in_range(hops, 0, 4);
    }
  }
  bench_free(&x.b);
}

static void links_show_what_they_are_connected_to(void **state)
{
  struct board x;
  for (unsigned family = 0; family < 2; family++) {
    unsigned links = family == NB_K8 ? 3 : 4;
    setup_board(&x, family, 2);
    unsigned cap = rd(&x, 1, 0, 0x34) & 0xff;
    for (unsigned link = 0; link < links; link++) {
      uint32_t head = rd(&x, 1, 0, cap);
      assert_int_equal(cap, 0x80 + 0x20 * link);
      assert_int_equal(head & 0xff, 8);
      assert_int_equal(head >> 29, 1); // host
      assert_int_equal(rd(&x, 1, 0, cap + 0x18), link == 0 ? 7 : link == 1 ? 3 : 0);
      assert_int_equal(rd(&x, 1, 0, cap + 4) >> 5 & 1, link < 2);
      cap = head >> 8 & 0xff;
    }
    assert_int_equal(cap, 0);
    bench_free(&x.b);
  }
}

struct router {
  unsigned way[8][8], calls;
};

static void set_way(void *opaque, unsigned node, unsigned to, unsigned way)
{
  struct router *r = opaque;
  r->way[node][to] = way;
  r->calls++;
}

static void a_written_route_is_told_and_reset_restores_it(void **state)
{
  struct board x;
  for (unsigned family = 0; family < 2; family++) {
    struct router r = {0};
    setup_board(&x, family, 2);
    nb_set_router(&x.nb[0], &(struct nb_router){set_way, &r});
    assert_int_equal(r.way[0][0], 1);
    assert_int_equal(r.way[0][1], 4);
    uint32_t was = rd(&x, 0, 0, 0x44);
    pci_config_write(&x.pb, 0, 0x18 << 3, 0x44, 4, 0xffffffff);
    assert_int_equal(rd(&x, 0, 0, 0x44), family == NB_K8 ? 0x000f0f0f : 0x07ffffff);
    assert_int_equal(r.way[0][1], family == NB_K8 ? 0xf : 0x1ff);
    pci_config_write(&x.pb, 0, 0x18 << 3, 0x44, 1, 0x08);
    assert_int_equal(r.way[0][1] & 0xff, 0x08);
    nb_reset(&x.nb[0]);
    assert_int_equal(rd(&x, 0, 0, 0x44), was);
    assert_int_equal(r.way[0][1], 4);
    bench_free(&x.b);
  }
}

static void more_chains_than_the_maps_take_are_in_extended_space(void **state)
{
  struct board x;
  setup_board(&x, NB_FAMILY10H, 8);
  for (unsigned n = 1; n < 8; n++)
    x.map.node[n].chain = (struct nb_chain){
        true,  (uint8_t)(n << 5), (uint8_t)(n << 5 | 31), 0xe0000000 + (n << 25), 1 << 25, 0x2000 + (n << 12),
        0x1000};
  nb_set_map(&x.nb[5], &x.map);
  uint8_t f1 = 0x1d << 3 | 1;
  for (unsigned n = 1; n < 8; n++) {
    uint32_t bus = ((n << 5 | 31) << 24) | n << 21 | n << 4 | 3;
    assert_int_equal(rd(&x, 5, 1, (n < 4 ? 0xe0 : 0x1d0) + 4 * n), bus);
    assert_int_equal(rd(&x, 5, 1, (n < 4 ? 0xc0 : 0x1a0) + 8 * n), 0x2003 + (n << 12));
    assert_int_equal(rd(&x, 5, 1, (n < 4 ? 0xc4 : 0x1a4) + 8 * n), (0x2000 + (n << 12)) | n);
    assert_int_equal(rd(&x, 5, 1, 0x84 + 8 * n), ((0xe0000000 + ((n + 1) << 25) - 1) >> 8 & 0xffffff00) | n);
  }
  assert_int_equal(pci_config_read(&x.pb, 0, f1, 0x100, 4), 0);
  assert_int_equal(pci_config_read(&x.pb, 0, f1, 0xffe, 2), 0);
  assert_int_equal(pci_config_read(&x.pb, 0, f1, 0x1000, 4), 0xffffffff);
  pci_config_write(&x.pb, 0, f1, 0x1e0, 4, 0); // read-only
  assert_int_not_equal(pci_config_read(&x.pb, 0, f1, 0x1e0, 4), 0);
  bench_free(&x.b);
  setup_board(&x, NB_K8, 1); // no such space
  assert_int_equal(pci_config_read(&x.pb, 0, 0x18 << 3 | 1, 0x100, 4), 0xffffffff);
  bench_free(&x.b);
}

static void memory_over_the_hole_is_hoisted(void **state)
{
  struct board x;
  setup_board(&x, NB_K8, 1);
  assert_int_equal(rd(&x, 0, 1, 0xf0), 0);
  bench_free(&x.b);
  setup_board(&x, NB_K8, 1);
  x.map.node[0].size = UINT64_C(6) << 30;
  pci_bus_init(&x.pb, &x.b.bus, 0, 0);
  nb_init(&x.nb[0], &x.pb, &x.map, 0);
  assert_int_equal(rd(&x, 0, 1, 0xf0), 0xe0002001);
  bench_free(&x.b);
  // Of four nodes the last reaches over it: its offset counts from its base.
  setup_board(&x, NB_FAMILY10H, 4);
  x.map.node[3].size = UINT64_C(2) << 30;
  for (unsigned n = 2; n < 4; n++) {
    nb_set_map(&x.nb[n], &x.map);
    assert_int_equal(rd(&x, n, 1, 0xf0), n == 3 ? 0xe000e001 : 0);
  }
  assert_int_equal(rd(&x, 3, 2, 0x60) >> 19, 0x0f); // 1.5 GB in units of 128 MB, up to a power of two
  bench_free(&x.b);
}

static void maps_are_read_only_and_scratch_bits_are_reset(void **state)
{
  struct board x;
  setup_board(&x, NB_FAMILY10H, 2);
  uint8_t f1 = 0x18 << 3 | 1, f3 = 0x18 << 3 | 3;
  uint32_t before = rd(&x, 0, 1, 0x44);
  pci_config_write(&x.pb, 0, f1, 0x44, 4, 0xffffffff);
  assert_int_equal(rd(&x, 0, 1, 0x44), before);
  pci_config_write(&x.pb, 0, f3, 0x44, 4, 0xffffffff);
  assert_int_equal(rd(&x, 0, 3, 0x44), 0xffbfffff);
  nb_reset(&x.nb[0]);
  assert_int_equal(rd(&x, 0, 3, 0x44), 0);
  assert_int_equal(rd(&x, 0, 3, 0xa4) >> 21, 320); // 40 degrees
  bench_free(&x.b);
}

struct vector {
  uint32_t reg[3];
  unsigned last;
};

static uint32_t vector_read(void *opaque, unsigned reg)
{
  return ((struct vector *)opaque)->reg[(reg - 0xf0) / 4];
}

static void vector_write(void *opaque, unsigned reg, uint32_t v)
{
  struct vector *d = opaque;
  d->reg[(reg - 0xf0) / 4] = v;
  d->last = reg;
}

static void the_exclusion_vector_is_the_only_capability_of_function_3(void **state)
{
  struct board x;
  struct vector d = {.reg = {0x0010000f, 0, 0x11223344}};
  struct nb_dev ops = {vector_read, vector_write, &d};
  setup_board(&x, NB_FAMILY10H, 1);
  uint8_t f3 = 0x18 << 3 | 3;
  assert_int_equal(rd(&x, 0, 3, 0x34) & 0xff, 0);
  assert_int_equal(rd(&x, 0, 3, 4) >> 16 & 0x10, 0);
  pci_config_write(&x.pb, 0, f3, 0xf4, 4, 0xffffffff);
  assert_int_equal(rd(&x, 0, 3, 0xf4), 0);
  nb_set_dev(&x.nb[0], &ops);
  assert_int_equal(rd(&x, 0, 3, 0x34) & 0xff, 0xf0);
  assert_int_equal(rd(&x, 0, 3, 4) >> 16 & 0x10, 0x10);
  assert_int_equal(rd(&x, 0, 3, 0xf0), 0x0010000f);
  pci_config_write(&x.pb, 0, f3, 0xf4, 4, 0x0102);
  assert_int_equal(d.last, 0xf4);
  assert_int_equal(d.reg[1], 0x0102);
  pci_config_write(&x.pb, 0, f3, 0xf5, 1, 0x05); // FUNCTION alone: INDEX stays
  assert_int_equal(d.reg[1], 0x0502);
  d.reg[2] = 0x55667788; // what DATA shows depends on FUNCTION and INDEX
  assert_int_equal(pci_config_read(&x.pb, 0, f3, 0xfa, 2), 0x5566);
  pci_config_write(&x.pb, 0, f3, 0xf8, 2, 0xaaaa);
  assert_int_equal(d.reg[2], 0x5566aaaa);
  assert_int_equal(rd(&x, 0, 3, 0xfc), 0x100f23); // behind it
  bench_free(&x.b);
}

struct bank {
  uint64_t reg[3];
  unsigned node;
};

static uint64_t bank_read(void *opaque, unsigned node, unsigned reg)
{
  struct bank *b = opaque;
  b->node = node;
  return b->reg[reg];
}

static void bank_write(void *opaque, unsigned node, unsigned reg, uint64_t v)
{
  struct bank *b = opaque;
  b->node = node;
  b->reg[reg] = v;
}

static void the_machine_check_bank_is_seen_in_function_3(void **state)
{
  struct board x;
  struct bank bank = {.reg = {0x2000, 0xb400000000090c23, 0x123456789000}};
  setup_board(&x, NB_FAMILY10H, 2);
  nb_set_mca(&x.nb[1], &(struct nb_mca){bank_read, bank_write, &bank});
  uint8_t f3 = 0x19 << 3 | 3;
  assert_int_equal(rd(&x, 1, 3, 0x40), 0x2000);
  assert_int_equal(bank.node, 1);
  assert_int_equal(rd(&x, 1, 3, 0x48), 0x00090c23);
  assert_int_equal(rd(&x, 1, 3, 0x4c), 0xb4000000);
  assert_int_equal(rd(&x, 1, 3, 0x50), 0x56789000);
  assert_int_equal(rd(&x, 1, 3, 0x54), 0x1234);
  pci_config_write(&x.pb, 0, f3, 0x4c, 4, 0);
  assert_true(bank.reg[1] == 0x00090c23); // the other half stays
  pci_config_write(&x.pb, 0, f3, 0x49, 1, 0);
  assert_true(bank.reg[1] == 0x00090023);
  pci_config_write(&x.pb, 0, f3, 0x40, 4, 0xffffffff);
  assert_true(bank.reg[0] == 0xffffffff);
  pci_config_write(&x.pb, 0, f3, 0x44, 4, 0); // a register of the northbridge's own
  assert_true(bank.reg[0] == 0xffffffff);
  assert_int_equal(rd(&x, 0, 3, 0x48), 0); // the other node's is another
  bench_free(&x.b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(functions_have_the_ids_of_the_family),
      cmocka_unit_test(every_node_knows_itself_and_how_many_there_are),
      cmocka_unit_test(all_nodes_show_the_same_memory_map),
      cmocka_unit_test(following_the_routes_reaches_every_node),
      cmocka_unit_test(links_show_what_they_are_connected_to),
      cmocka_unit_test(a_written_route_is_told_and_reset_restores_it),
      cmocka_unit_test(more_chains_than_the_maps_take_are_in_extended_space),
      cmocka_unit_test(memory_over_the_hole_is_hoisted),
      cmocka_unit_test(maps_are_read_only_and_scratch_bits_are_reset),
      cmocka_unit_test(the_exclusion_vector_is_the_only_capability_of_function_3),
      cmocka_unit_test(the_machine_check_bank_is_seen_in_function_3),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
