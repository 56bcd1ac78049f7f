// Accesses: splitting, widening, straddling, abort, watchers.
#include "bustest.h"

static const struct bus_ops byte_ops = {.read = probe_read, .write = probe_write, .max_size = 1};
static const struct bus_ops long_ops = {
    .read = probe_read, .write = probe_write, .min_size = 4, .max_size = 4};
static const struct bus_ops any_ops = {.read = probe_read, .write = probe_write, .max_size = 8};

static void wide_accesses_are_split_for_a_narrow_device(void **state)
{
  struct bench b;
  struct region r = {0};
  struct probe p = {0};
  bench_init(&b);
  bus_map_ports(&b.bus, &r, "p", 0x100, 16, &byte_ops, &p);
  assert_int_equal(get(&b.bus, TXN_IO, 0x102, 4), 0x05040302);
  assert_int_equal(p.calls, 4);
  put(&b.bus, TXN_IO, 0x104, 2, 0xbbaa);
  assert_int_equal(p.calls, 6);
  assert_int_equal(p.value[4], 0xaa);
  assert_int_equal(p.value[5], 0xbb);
  assert_int_equal(p.off[5], 5);
  bench_free(&b);
}

static void narrow_accesses_are_widened_for_a_wide_device(void **state)
{
  struct bench b;
  struct region r = {0};
  struct probe p = {0};
  bench_init(&b);
  bus_map_io(&b.bus, &r, "p", 0x1000, 16, &long_ops, &p);
  assert_int_equal(get(&b.bus, TXN_MEM, 0x1006, 1), 6);
  assert_int_equal(p.off[0], 4);
  assert_int_equal(p.size[0], 4);
  assert_int_equal(get(&b.bus, TXN_MEM, 0x1003, 4), 0x06050403);
  put(&b.bus, TXN_MEM, 0x1009, 2, 0xbbaa);
  unsigned last = (p.calls - 1) & 15;
  assert_true(p.write[last]);
  assert_int_equal(p.off[last], 8);
  assert_int_equal(p.size[last], 4);
  assert_int_equal(p.value[last], 0xbbaa00);
  for (unsigned i = 0; i < p.calls; i++)
    assert_int_equal(p.off[i] % 4, 0);
  bench_free(&b);
}

static void an_access_may_straddle_device_ram_and_nothing(void **state)
{
  struct bench b;
  struct region ram = {0}, r = {0};
  struct probe p = {0};
  bench_init(&b);
  bus_map_ram(&b.bus, &ram, "ram", 0, 0x1000, 0, 0, false);
  bus_map_io(&b.bus, &r, "p", 0x1000, 2, &any_ops, &p);
  b.ram.mem[0xffe] = 0x11;
  b.ram.mem[0xfff] = 0x22;
  assert_true(get(&b.bus, TXN_MEM, 0xffe, 8) == UINT64_C(0xffffffff01002211));
  assert_int_equal(put(&b.bus, TXN_MEM, 0xffe, 4, 0xddccbbaa), TXN_OK);
  assert_int_equal(b.ram.mem[0xffe], 0xaa);
  assert_int_equal(b.ram.mem[0xfff], 0xbb);
  assert_int_equal(p.value[1], 0xddcc);
  assert_int_equal(put(&b.bus, TXN_MEM, 0x1001, 4, 0), TXN_ABORT);
  bench_free(&b);
}

static void rom_drops_writes_and_read_ram_splits_reads_from_writes(void **state)
{
  struct bench b;
  struct region rom = {0}, flash = {.name = "flash",
                                    .base = 0x2000,
                                    .size = 0x1000,
                                    .kind = REGION_IO,
                                    .read_ram = true,
                                    .ram_off = 0x1000,
                                    .ops = &any_ops};
  struct probe p = {0};
  bench_init(&b);
  flash.dev = &p;
  bus_map_ram(&b.bus, &rom, "rom", 0, 0x1000, 0, 0, true);
  bus_map(&b.bus, &flash);
  b.ram.mem[5] = 0x77;
  assert_int_equal(put(&b.bus, TXN_MEM, 5, 1, 0), TXN_OK);
  assert_int_equal(get(&b.bus, TXN_MEM, 5, 1), 0x77);
  b.ram.mem[0x1010] = 0x99;
  assert_int_equal(get(&b.bus, TXN_MEM, 0x2010, 1), 0x99);
  assert_int_equal(p.calls, 0);
  put(&b.bus, TXN_MEM, 0x2010, 1, 0x33);
  assert_int_equal(p.calls, 1);
  assert_int_equal(b.ram.mem[0x1010], 0x99);
  bench_free(&b);
}

static void ports_wrap_and_nobody_answers_with_ones(void **state)
{
  struct bench b;
  struct region r = {0};
  struct probe p = {0};
  bench_init(&b);
  bus_map_ports(&b.bus, &r, "p", 0, 1, &byte_ops, &p);
  assert_int_equal(get(&b.bus, TXN_IO, 0xffff, 2), 0x00ff);
  assert_int_equal(get(&b.bus, TXN_IO, 0x80, 4), 0xffffffff);
  assert_int_equal(put(&b.bus, TXN_SPECIAL, 0, 4, 1), TXN_ABORT);
  bench_free(&b);
}

static void a_debugger_does_not_reach_devices(void **state)
{
  struct bench b;
  struct region r = {0}, ram = {0};
  struct probe p = {0};
  uint64_t v = 0;
  bench_init(&b);
  bus_map_io(&b.bus, &r, "p", 0x1000, 16, &any_ops, &p);
  bus_map_ram(&b.bus, &ram, "ram", 0, 0x1000, 0, 0, false);
  struct txn t = {.addr = 0x1000, .size = 4, .kind = TXN_READ, .debug = true};
  assert_int_equal(bus_access(&b.bus, &t, &v), TXN_ABORT);
  assert_int_equal(v, 0xffffffff);
  assert_int_equal(p.calls, 0);
  t.addr = 0;
  assert_int_equal(bus_access(&b.bus, &t, &v), TXN_OK);
  assert_int_equal(v, 0);
  bench_free(&b);
}

struct seen {
  uint64_t off, len;
  unsigned calls;
};

static void written(void *arg, uint64_t off, uint64_t len)
{
  struct seen *s = arg;
  s->off = off;
  s->len = len;
  s->calls++;
}

static void watched_pages_tell_of_writes_and_others_do_not(void **state)
{
  struct bench b;
  struct region ram = {0};
  struct seen s = {0};
  uint8_t buf[0x3000];
  bench_init(&b);
  bus_map_ram(&b.bus, &ram, "ram", 0, 0x10000, 0, 0, false);
  b.ram.written = written;
  b.ram.written_arg = &s;
  put(&b.bus, TXN_MEM, 0x1000, 4, 1);
  assert_int_equal(s.calls, 0);
  assert_int_equal(b.ram.flags[1], RAM_DIRTY);
  b.ram.flags[3] |= RAM_CODE;
  memset(buf, 0xa5, sizeof buf);
  struct txn t = {.addr = 0x2800, .kind = TXN_WRITE};
  assert_int_equal(bus_transfer(&b.bus, &t, buf, sizeof buf), TXN_OK);
  assert_int_equal(s.calls, 1);
  assert_int_equal(s.off, 0x3000);
  assert_int_equal(s.len, 0x1000);
  assert_int_equal(b.ram.mem[0x57ff], 0xa5);
  assert_int_equal(b.ram.mem[0x5800], 0);
  bench_free(&b);
}

static void a_transfer_does_what_it_can_and_says_that_a_part_was_refused(void **state)
{
  struct bench b;
  struct region ram = {0}, r = {0};
  struct probe p = {0};
  uint8_t buf[16];
  bench_init(&b);
  bus_map_ram(&b.bus, &ram, "ram", 0, 0x1000, 0, 0, false);
  bus_map_io(&b.bus, &r, "p", 0x1000, 6, &any_ops, &p);
  memset(b.ram.mem, 0x11, 0x1000);
  struct txn t = {.addr = 0xffe, .kind = TXN_READ};
  assert_int_equal(bus_transfer(&b.bus, &t, buf, sizeof buf), TXN_ABORT);
  static const uint8_t expected[16] = {0x11, 0x11, 0,    1,    2,    3,    4,    5,
                                       0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  assert_memory_equal(buf, expected, sizeof buf);
  assert_int_equal(p.calls, 2);
  t.addr = UINT64_MAX - 3; // over the top of the space: nobody there, then RAM at 0
  assert_int_equal(bus_transfer(&b.bus, &t, buf, 8), TXN_ABORT);
  assert_int_equal(buf[3], 0xff);
  assert_int_equal(buf[4], 0x11);
  bench_free(&b);
}

struct mover {
  struct bus *bus;
  struct region *self;
};

static void unmap_self(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct mover *m = dev;
  bus_unmap(m->bus, m->self);
}

static void a_device_may_unmap_itself_in_the_middle_of_an_access(void **state)
{
  static const struct bus_ops ops = {.write = unmap_self, .max_size = 1};
  struct bench b;
  struct region r = {0};
  struct mover m = {&b.bus, &r};
  bench_init(&b);
  bus_map_ports(&b.bus, &r, "m", 0x100, 8, &ops, &m);
  assert_int_equal(put(&b.bus, TXN_IO, 0x100, 4, 0), TXN_ABORT);
  assert_int_equal(get(&b.bus, TXN_IO, 0x100, 1), 0xff);
  bench_free(&b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wide_accesses_are_split_for_a_narrow_device),
      cmocka_unit_test(narrow_accesses_are_widened_for_a_wide_device),
      cmocka_unit_test(an_access_may_straddle_device_ram_and_nothing),
      cmocka_unit_test(rom_drops_writes_and_read_ram_splits_reads_from_writes),
      cmocka_unit_test(ports_wrap_and_nobody_answers_with_ones),
      cmocka_unit_test(a_debugger_does_not_reach_devices),
      cmocka_unit_test(watched_pages_tell_of_writes_and_others_do_not),
      cmocka_unit_test(a_transfer_does_what_it_can_and_says_that_a_part_was_refused),
      cmocka_unit_test(a_device_may_unmap_itself_in_the_middle_of_an_access),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
