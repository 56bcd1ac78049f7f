// The Device Exclusion Vector: registers, tables, the cache, what is denied and how that is reported.
#include "bustest.h"

#include "base/clock.h"
#include "bus/dma.h"
#include "fabric/fabric.h"

enum { TABLE = 0x40000, BYTES = 0x20000, TARGET = 0x5000, UNIT = 7, BUS = 3 };

struct board {
  struct bench b;
  struct clock clock;
  struct fabric fabric;
  struct region ram;
  struct dma_port port; // of the device at 03:07.0 on node 0
  unsigned machine_checks;
};

static void machine_check(void *arg, uint8_t node, bool write, bool io, uint64_t addr)
{
  struct board *x = arg;
  x->machine_checks++;
}

static int setup(void **state)
{
  static struct board board;
  struct board *x = &board;
  memset(x, 0, sizeof *x);
  bench_init(&x->b);
  clock_init(&x->clock);
  fabric_init(&x->fabric, &x->b.bus, 2);
  assert_true(fabric_add_dev(&x->fabric, &dev_model_family10h, &x->clock));
  bus_map_ram(&x->b.bus, &x->ram, "ram", 0, 0x100000, 0, 0, false);
  x->port = (struct dma_port){
      .transfer = fabric_transfer, .fabric = &x->fabric, .requester = BUS << 8 | UNIT << 3, .unit = UNIT};
  for (unsigned n = 0; n < 2; n++) {
    x->fabric.node[n].dev->machine_check = machine_check;
    x->fabric.node[n].dev->machine_check_arg = x;
  }
  *state = x;
  return 0;
}

static int teardown(void **state)
{
  struct board *x = *state;
  fabric_free(&x->fabric);
  bench_free(&x->b);
  clock_free(&x->clock);
  return 0;
}

static struct dev *dev(struct board *x)
{
  return x->fabric.node[0].dev;
}

static void set(struct board *x, unsigned fn, unsigned index, uint32_t v)
{
  dev_write(dev(x), 0xf4, fn << 8 | index);
  dev_write(dev(x), 0xf8, v);
}

static uint32_t get_reg(struct board *x, unsigned fn, unsigned index)
{
  dev_write(dev(x), 0xf4, fn << 8 | index);
  return dev_read(dev(x), 0xf8);
}

static void exclude(struct board *x, uint64_t addr, bool yes)
{
  uint8_t *p = &x->b.ram.mem[TABLE + (addr >> 15)], bit = (uint8_t)(1u << (addr >> 12 & 7));
  *p = (uint8_t)(yes ? *p | bit : *p & ~bit);
}

static bool writes(struct board *x, uint64_t addr)
{
  static uint8_t next = 1;
  uint8_t v = ++next ? next : ++next;
  enum txn_resp resp = dma_write(&x->port, addr, &v, 1);
  assert_int_equal(x->b.ram.mem[addr] == v, resp == TXN_OK);
  return resp == TXN_OK;
}

static bool reads(struct board *x, uint64_t addr)
{
  uint8_t v = 0;
  x->b.ram.mem[addr] = 0x42;
  enum txn_resp resp = dma_read(&x->port, addr, &v, 1);
  assert_int_equal(v, resp == TXN_OK ? 0x42 : 0xff);
  return resp == TXN_OK;
}

static void on(struct board *x)
{
  set(x, 0, 0, TABLE | DEV_BASE_VALID);
  set(x, 4, 0, DEV_CR_ENABLE);
}

static void the_capability_names_itself_and_its_size(void **state)
{
  struct board *x = *state;
  assert_int_equal(dev_read(dev(x), 0xf0), 0x0010000f);
  assert_int_equal(get_reg(x, 3, 0), 4 << 16 | 8 << 8);
  assert_int_equal(get_reg(x, 4, 0), 2);
  struct dev k8;
  dev_init(&k8, &dev_model_k8, &x->b.bus, &x->clock, 0);
  dev_write(&k8, 0xf4, 0x300);
  assert_int_equal(dev_read(&k8, 0xf8), 3 << 16 | 4 << 8);
  dev_free(&k8);
}

static void registers_keep_the_bits_that_exist(void **state)
{
  struct board *x = *state;
  set(x, 0, 7, 0xffffffff);
  set(x, 1, 7, 0xffffffff);
  set(x, 2, 3, 0xffffffff);
  set(x, 4, 0, 0xffffffff);
  assert_int_equal(get_reg(x, 0, 7), 0xfffff07f);
  assert_int_equal(get_reg(x, 1, 7), 0xffff);
  assert_int_equal(get_reg(x, 2, 3), 0xfffff | 7 << 20 | 7 << 26);
  assert_int_equal(get_reg(x, 4, 0), 0x4f); // DEVINV reads 0, SL_DEV only SKINIT sets
  set(x, 0, 8, 0xffffffff);
  set(x, 2, 4, 0xffffffff);
  set(x, 9, 0, 0xffffffff);
  assert_int_equal(get_reg(x, 0, 8), 0);
  assert_int_equal(get_reg(x, 2, 4), 0);
  assert_int_equal(get_reg(x, 9, 0), 0);
}

static void nothing_is_denied_until_it_is_enabled(void **state)
{
  struct board *x = *state;
  exclude(x, TARGET, true);
  set(x, 0, 0, TABLE | DEV_BASE_VALID);
  assert_true(writes(x, TARGET));
  set(x, 4, 0, DEV_CR_ENABLE);
  assert_false(writes(x, TARGET));
  set(x, 0, 0, TABLE);
  assert_true(writes(x, TARGET)); // a domain without a table is not restricted
}

static void a_bit_denies_reads_and_writes_of_one_page(void **state)
{
  struct board *x = *state;
  exclude(x, TARGET, true);
  on(x);
  assert_false(writes(x, TARGET));
  assert_false(writes(x, TARGET + 0xfff));
  assert_false(reads(x, TARGET));
  assert_true(writes(x, TARGET - 1));
  assert_true(writes(x, TARGET + 0x1000));
  assert_true(reads(x, TARGET + 0x1000));
}

static void the_allowed_part_of_a_request_is_done(void **state)
{
  struct board *x = *state;
  uint8_t buf[0x4000];
  exclude(x, TARGET, true);
  on(x);
  memset(buf, 0x11, sizeof buf);
  assert_int_equal(dma_write(&x->port, TARGET - 0x1800, buf, sizeof buf), TXN_ABORT);
  assert_int_equal(x->b.ram.mem[TARGET - 1], 0x11);
  assert_int_equal(x->b.ram.mem[TARGET], 0);
  assert_int_equal(x->b.ram.mem[TARGET + 0xfff], 0);
  assert_int_equal(x->b.ram.mem[TARGET + 0x1000], 0x11);
  assert_int_equal(dma_read(&x->port, TARGET - 0x1800, buf, sizeof buf), TXN_ABORT);
  assert_int_equal(buf[0x17ff], 0x11);
  assert_int_equal(buf[0x1800], 0xff);
  assert_int_equal(buf[0x27ff], 0xff);
  assert_int_equal(buf[0x2800], 0x11);
}

static void a_table_in_memory_is_believed_until_devinv(void **state)
{
  struct board *x = *state;
  on(x);
  assert_true(writes(x, TARGET));
  exclude(x, TARGET, true);
  assert_true(writes(x, TARGET));
  on(x); // writes the registers, but does not invalidate
  assert_true(writes(x, TARGET));
  set(x, 4, 0, DEV_CR_ENABLE | DEV_CR_INV);
  assert_false(writes(x, TARGET));
  exclude(x, TARGET, false);
  assert_false(writes(x, TARGET));
  set(x, 4, 0, DEV_CR_ENABLE | DEV_CR_INV);
  assert_true(writes(x, TARGET));
}

static void beyond_the_table_protect_decides(void **state)
{
  struct board *x = *state;
  static struct region high;
  memset(&high, 0, sizeof high);
  bus_map_ram(&x->b.bus, &high, "high", UINT64_C(1) << 32, 0x1000, 0x3000, 0, false);
  uint8_t v = 0;
  on(x);
  assert_int_equal(dma_write(&x->port, UINT64_C(1) << 32, &v, 1), TXN_OK);
  set(x, 0, 0, TABLE | DEV_BASE_VALID | DEV_BASE_PROTECT);
  assert_int_equal(dma_write(&x->port, UINT64_C(1) << 32, &v, 1), TXN_ABORT);
  set(x, 0, 0, TABLE | DEV_BASE_VALID | DEV_BASE_PROTECT | 1 << 2); // covers 8 GB
  assert_int_equal(dma_write(&x->port, UINT64_C(1) << 32, &v, 1), TXN_OK);
}

static void a_map_gives_a_unit_its_domain(void **state)
{
  struct board *x = *state;
  on(x);
  exclude(x, TARGET, true);
  assert_false(writes(x, TARGET)); // domain 0
  set(x, 2, 1, UNIT | 1 << 5 | BUS << 12 | 5 << 20);
  assert_true(writes(x, TARGET)); // domain 5, which has no table
  set(x, 2, 1, UNIT | 1 << 5 | (BUS + 1) << 12 | 5 << 20);
  assert_false(writes(x, TARGET)); // another bus
  set(x, 2, 1, (UNIT + 1) | 1 << 5 | BUS << 12 | 5 << 20);
  assert_false(writes(x, TARGET)); // another unit
  set(x, 2, 1, UNIT | BUS << 12 | 5 << 20);
  assert_false(writes(x, TARGET)); // not valid
  set(x, 2, 3, UNIT << 6 | 1 << 11 | BUS << 12 | 6 << 26);
  assert_true(writes(x, TARGET)); // the second unit of a map: domain 6
  set(x, 0, 6, TABLE | DEV_BASE_VALID);
  assert_false(writes(x, TARGET));
}

static void a_table_elsewhere_than_in_memory_denies_all(void **state)
{
  struct board *x = *state;
  set(x, 0, 0, 0x80000000 | DEV_BASE_VALID);
  set(x, 4, 0, DEV_CR_ENABLE);
  assert_false(writes(x, TARGET));
}

static void each_node_has_its_own(void **state)
{
  struct board *x = *state;
  exclude(x, TARGET, true);
  on(x);
  x->port.node = 1;
  assert_true(writes(x, TARGET));
  x->port.node = 0;
  assert_false(writes(x, TARGET));
}

static void iospen_denies_ports_and_configuration_space_always_is(void **state)
{
  static const struct bus_ops ops = {.read = probe_read, .write = probe_write};
  struct board *x = *state;
  struct probe p = {0};
  struct region r = {0};
  uint8_t v = 0;
  bus_map_ports(&x->b.bus, &r, "probe", 0x100, 16, &ops, &p);
  assert_int_equal(dma_read(&x->port, UINT64_C(0xfdfc000105), &v, 1), TXN_OK);
  assert_int_equal(v, 5);
  set(x, 4, 0, DEV_CR_IOSPEN);
  assert_int_equal(dma_read(&x->port, UINT64_C(0xfdfc000105), &v, 1), TXN_ABORT);
  assert_int_equal(v, 0xff);
  assert_int_equal(p.calls, 1);
  assert_int_equal(get_reg(x, 5, 0) & 0xff, DEV_DEST_IO << 5 | 2 << 2 | 1);
  set(x, 5, 0, 0);
  set(x, 4, 0, 0);
  assert_int_equal(dma_write(&x->port, UINT64_C(0xfdfe000010), &v, 1), TXN_ABORT);
  assert_int_equal(get_reg(x, 5, 0) & 0xff, DEV_DEST_CONFIG << 5 | 2 << 2 | 2);
  bus_unmap(&x->b.bus, &r);
}

static void the_first_error_is_kept_and_the_second_shows(void **state)
{
  struct board *x = *state;
  exclude(x, TARGET, true);
  exclude(x, TARGET + 0x8000, true);
  on(x);
  assert_int_equal(get_reg(x, 5, 0), 0);
  writes(x, TARGET + 0x123);
  assert_int_equal(get_reg(x, 5, 0), DEV_ERR_VALID | DEV_ERR_ADDR_VALID | DEV_DEST_DRAM << 5 | 2 << 2 | 2);
  assert_int_equal(get_reg(x, 6, 0), TARGET + 0x120);
  reads(x, TARGET + 0x8000);
  assert_int_equal(get_reg(x, 5, 0),
                   DEV_ERR_VALID | DEV_ERR_OVERFLOW | DEV_ERR_ADDR_VALID | DEV_DEST_DRAM << 5 | 2 << 2 | 2);
  assert_int_equal(get_reg(x, 6, 0), TARGET + 0x120);
  dev_reset(dev(x), false);
  assert_int_equal(get_reg(x, 6, 0), TARGET + 0x120); // kept by a warm reset
  dev_reset(dev(x), true);
  assert_int_equal(get_reg(x, 5, 0), 0);
}

static void a_machine_check_is_asked_for_only_when_enabled(void **state)
{
  struct board *x = *state;
  exclude(x, TARGET, true);
  on(x);
  writes(x, TARGET);
  assert_int_equal(x->machine_checks, 0);
  set(x, 4, 0, DEV_CR_ENABLE | DEV_CR_MCE);
  writes(x, TARGET);
  assert_int_equal(x->machine_checks, 1);
}

static void the_secure_loader_block_is_shut_until_software_opens_it(void **state)
{
  struct board *x = *state;
  dev_protect_loader(dev(x), 0x10000);
  assert_int_equal(get_reg(x, 4, 0) & (DEV_CR_SL_DEV | DEV_CR_IOSPEN), DEV_CR_SL_DEV | DEV_CR_IOSPEN);
  assert_false(writes(x, 0x10000));
  assert_false(reads(x, 0x1ffff));
  assert_true(writes(x, 0xffff));
  assert_true(writes(x, 0x20000));
  set(x, 4, 0, DEV_CR_SL_DEV | DEV_CR_ENABLE);
  assert_false(writes(x, 0x10000));
  set(x, 4, 0, 0);
  assert_true(writes(x, 0x10000));
  set(x, 4, 0, DEV_CR_SL_DEV);
  assert_true(writes(x, 0x10000));
}

static void walks_pass_where_devices_may_not(void **state)
{
  struct board *x = *state;
  exclude(x, TABLE, true); // the table excludes itself
  on(x);
  assert_false(reads(x, TABLE));
  assert_true(writes(x, TARGET));
}

static void one_line_serves_512_pages(void **state)
{
  struct board *x = *state;
  on(x);
  for (unsigned i = 0; i < 0x100; i++)
    assert_true(x->b.ram.size > (i << 12) &&
                dev_allows(dev(x), &(struct txn){.requester = BUS << 8, .unit = UNIT}, i << 12,
                           &(uint64_t){0}, &(enum dev_reason){0}));
  assert_int_equal(dev(x)->walks, 1);
}

static void no_line_is_lost_while_there_is_room(void **state)
{
  struct board *x = *state;
  struct txn t = {.requester = BUS << 8, .unit = UNIT, .space = TXN_MEM};
  uint64_t last;
  enum dev_reason why;
  on(x);
  for (uint64_t line = 0; line < 2048; line++) // 4 GB
    assert_true(dev_allows(dev(x), &t, line << 21, &last, &why));
  memset(&x->b.ram.mem[TABLE], 0xff, BYTES);
  for (uint64_t line = 0; line < 2048; line++)
    assert_true(dev_allows(dev(x), &t, line << 21, &last, &why));
  assert_int_equal(dev(x)->walks, 2048);
}

static void denials_are_counted_by_domain(void **state)
{
  struct board *x = *state;
  exclude(x, TARGET, true);
  on(x);
  set(x, 0, 5, TABLE | DEV_BASE_VALID);
  writes(x, TARGET);
  set(x, 2, 0, UNIT | 1 << 5 | BUS << 12 | 5 << 20);
  writes(x, TARGET);
  writes(x, TARGET);
  assert_int_equal(dev(x)->denials[0], 1);
  assert_int_equal(dev(x)->denials[5], 2);
  assert_int_equal(dev(x)->checks, 3);
}

static int fill(void *arg, const struct iovec *piece, int pieces)
{
  for (int i = 0; i < pieces; i++)
    memset(piece[i].iov_base, 0x5a, piece[i].iov_len);
  return 0;
}

static bool moves(struct board *x, const struct dma_range *r, unsigned n)
{
  struct dma_list l = {r, n, 0, 0};
  struct dma_mover m = {fill, NULL, 0};
  x->port.direct = fabric_direct;
  for (unsigned i = 0; i < n; i++)
    l.len += r[i].len;
  return dma_direct(&x->port, TXN_WRITE, &l, &m);
}

static void a_list_with_a_denied_page_is_left_alone_and_one_without_is_checked(void **state)
{
  struct board *x = *state;
  const struct dma_range r[] = {{TARGET - 0x3000, 0x1000}, {TARGET - 0x800, 0x2000}};
  exclude(x, TARGET, true);
  assert_true(moves(x, r, 2)); // DEV is off
  assert_int_equal(dev(x)->checks, 0);
  on(x);
  memset(x->b.ram.mem, 0, TARGET + 0x2000);
  assert_false(moves(x, r, 2)); // the page in the middle of the second
  assert_int_equal(x->b.ram.mem[TARGET - 0x3000] | x->b.ram.mem[TARGET - 1] | x->b.ram.mem[TARGET], 0);
  assert_int_equal(dev(x)->checks + dev(x)->denials[0] + x->machine_checks, 0);
  assert_int_equal(get_reg(x, 5, 0), 0);
  assert_int_equal(x->fabric.node[0].aborts, 0);
  exclude(x, TARGET, false);
  assert_false(moves(x, r, 2)); // the line is believed
  dev_write(dev(x), 0xf4, 0x400);
  dev_write(dev(x), 0xf8, DEV_CR_ENABLE | DEV_CR_INV);
  assert_true(moves(x, r, 2));
  assert_int_equal(dev(x)->checks, 2);
  assert_int_equal(x->b.ram.mem[TARGET], 0x5a);
  x->port.node = 1; // whose DEV is off
  exclude(x, TARGET, true);
  assert_true(moves(x, r, 2));
  x->port.node = 0;
  dev_protect_loader(dev(x), 0x10000);
  const struct dma_range loader = {0x1fffc, 8};
  assert_false(moves(x, &loader, 1));
  const struct dma_range behind = {0x20000, 8};
  assert_true(moves(x, &behind, 1));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
      T(the_capability_names_itself_and_its_size),
      T(registers_keep_the_bits_that_exist),
      T(nothing_is_denied_until_it_is_enabled),
      T(a_bit_denies_reads_and_writes_of_one_page),
      T(the_allowed_part_of_a_request_is_done),
      T(a_table_in_memory_is_believed_until_devinv),
      T(beyond_the_table_protect_decides),
      T(a_map_gives_a_unit_its_domain),
      T(a_table_elsewhere_than_in_memory_denies_all),
      T(each_node_has_its_own),
      T(iospen_denies_ports_and_configuration_space_always_is),
      T(the_first_error_is_kept_and_the_second_shows),
      T(a_machine_check_is_asked_for_only_when_enabled),
      T(the_secure_loader_block_is_shut_until_software_opens_it),
      T(walks_pass_where_devices_may_not),
      T(one_line_serves_512_pages),
      T(no_line_is_lost_while_there_is_room),
      T(denials_are_counted_by_domain),
      cmocka_unit_test_setup_teardown(a_list_with_a_denied_page_is_left_alone_and_one_without_is_checked,
                                      setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
