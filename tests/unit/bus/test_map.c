// Flattening of regions with priorities.
#include "bustest.h"

static struct region *at(struct bench *b, uint64_t addr)
{
  uint64_t first, last;
  struct region *r = bus_find(&b->bus, TXN_MEM, addr, &first, &last);
  assert_true(first <= addr && addr <= last);
  return r;
}

static void an_empty_map_answers_for_nothing(void **state)
{
  struct bench b;
  bench_init(&b);
  uint64_t first, last;
  assert_null(bus_find(&b.bus, TXN_MEM, 12345, &first, &last));
  assert_true(first == 0 && last == UINT64_MAX);
  assert_int_equal(get(&b.bus, TXN_MEM, 0, 4), 0xffffffff);
  bench_free(&b);
}

static void the_higher_priority_hides_a_part_of_the_lower(void **state)
{
  struct bench b;
  struct region low = {0}, high = {0};
  uint64_t first, last;
  bench_init(&b);
  bus_map_ram(&b.bus, &low, "low", 0x1000, 0x8000, 0, 0, false);
  bus_map_ram(&b.bus, &high, "high", 0x3000, 0x1000, 0x10000, 2, true);
  assert_null(at(&b, 0xfff));
  assert_ptr_equal(at(&b, 0x1000), &low);
  assert_ptr_equal(at(&b, 0x2fff), &low);
  assert_ptr_equal(at(&b, 0x3000), &high);
  assert_ptr_equal(at(&b, 0x3fff), &high);
  assert_ptr_equal(bus_find(&b.bus, TXN_MEM, 0x5000, &first, &last), &low);
  assert_int_equal(first, 0x4000);
  assert_int_equal(last, 0x8fff);
  assert_null(at(&b, 0x9000));
  bus_unmap(&b.bus, &high);
  assert_ptr_equal(bus_find(&b.bus, TXN_MEM, 0x5000, &first, &last), &low);
  assert_int_equal(first, 0x1000);
  bench_free(&b);
}

static void the_region_mapped_last_wins_among_equals(void **state)
{
  struct bench b;
  struct region one = {0}, two = {0};
  bench_init(&b);
  bus_map_ram(&b.bus, &one, "one", 0, 0x2000, 0, 0, false);
  bus_map_ram(&b.bus, &two, "two", 0x1000, 0x2000, 0, 0, false);
  assert_ptr_equal(at(&b, 0x1000), &two);
  assert_ptr_equal(at(&b, 0xfff), &one);
  bench_free(&b);
}

static void a_region_at_the_top_of_the_space_is_cut_off(void **state)
{
  struct bench b;
  struct region r = {0};
  bench_init(&b);
  bus_map_ram(&b.bus, &r, "top", UINT64_MAX - 0xfff, 0x10000, 0, 0, false);
  assert_ptr_equal(at(&b, UINT64_MAX), &r);
  assert_null(at(&b, 0));
  bench_free(&b);
}

// Against a slow model: random regions, every boundary looked up.
static void random_maps_agree_with_a_scan_of_all_regions(void **state)
{
  enum { N = 24 };
  struct bench b;
  static struct region r[N];
  uint32_t seed = 7;
  bench_init(&b);
  memset(r, 0, sizeof r);
  for (unsigned round = 0; round < 300; round++) {
    struct region *x = &r[(seed = seed * 1103515245 + 12345) >> 16 & 15];
    bus_unmap(&b.bus, x);
    seed = seed * 1103515245 + 12345;
    if (seed >> 30)
      bus_map_ram(&b.bus, x, "r", seed >> 10 & 0xff, 1 + (seed >> 18 & 0x3f), 0, (int)(seed >> 24 & 31),
                  false);
    for (uint64_t a = 0; a < 0x180; a++) {
      int best = -1;
      for (unsigned i = 0; i < N; i++)
        if (r[i].mapped && a >= r[i].base && a - r[i].base < r[i].size && r[i].prio > best)
          best = r[i].prio;
      struct region *found = at(&b, a);
      assert_int_equal(found ? found->prio : -1, best);
    }
  }
  bench_free(&b);
}

static void count(void *arg)
{
  ++*(unsigned *)arg;
}

static void a_batch_is_one_change(void **state)
{
  struct bench b;
  struct region one = {0}, two = {0}, port = {0};
  static const struct bus_ops ops = {0};
  unsigned changes = 0;
  bench_init(&b);
  b.bus.map_changed = count;
  b.bus.map_changed_arg = &changes;
  bus_begin(&b.bus);
  bus_map_ram(&b.bus, &one, "one", 0, 0x1000, 0, 0, false);
  bus_begin(&b.bus);
  bus_map_ram(&b.bus, &two, "two", 0x1000, 0x1000, 0, 0, false);
  bus_commit(&b.bus);
  assert_int_equal(changes, 0);
  bus_commit(&b.bus);
  assert_int_equal(changes, 1);
  assert_ptr_equal(at(&b, 0x1800), &two);
  bus_map(&b.bus, &one);
  bus_map_ports(&b.bus, &port, "port", 0x60, 1, &ops, NULL);
  assert_int_equal(changes, 1);
  bus_unmap(&b.bus, &two);
  assert_int_equal(changes, 2);
  bench_free(&b);
}

static void ram_pages_are_found_for_the_tlb(void **state)
{
  struct bench b;
  struct region ram = {0}, rom = {0}, odd = {0}, hole = {0};
  bool is_rom = true;
  bench_init(&b);
  bus_map_ram(&b.bus, &ram, "ram", 0, 0x10000, 0x4000, 0, false);
  bus_map_ram(&b.bus, &rom, "rom", 0x20000, 0x2000, 0x8000, 0, true);
  bus_map_ram(&b.bus, &odd, "odd", 0x30000, 0x2000, 0x8010, 0, false);
  bus_map_ram(&b.bus, &hole, "hole", 0x5800, 0x10, 0, 1, false);
  assert_int_equal(bus_ram_page(&b.bus, 0x1234, &is_rom), 0x5000);
  assert_false(is_rom);
  assert_int_equal(bus_ram_page(&b.bus, 0x21fff, &is_rom), 0x9000);
  assert_true(is_rom);
  assert_true(bus_ram_page(&b.bus, 0x30000, &is_rom) == RAM_NONE);
  assert_true(bus_ram_page(&b.bus, 0x5000, &is_rom) == RAM_NONE);
  assert_true(bus_ram_page(&b.bus, 0x40000, &is_rom) == RAM_NONE);
  bench_free(&b);
}

static void more_ram_than_the_host_has_is_an_error(void **state)
{
  struct ram r;
  struct err e;
  assert_false(ram_init(&r, UINT64_C(1) << 46, &e));
  assert_non_null(strstr(e.text, "-m"));
  assert_true(ram_init(&r, 10000, &e));
  assert_int_equal(r.size, 12288);
  assert_int_equal(ram_alloc(&r, 1), 0);
  assert_int_equal(ram_alloc(&r, 8192), 4096);
  assert_true(ram_alloc(&r, 1) == RAM_NONE);
  ram_free(&r);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_empty_map_answers_for_nothing),
      cmocka_unit_test(the_higher_priority_hides_a_part_of_the_lower),
      cmocka_unit_test(the_region_mapped_last_wins_among_equals),
      cmocka_unit_test(a_region_at_the_top_of_the_space_is_cut_off),
      cmocka_unit_test(random_maps_agree_with_a_scan_of_all_regions),
      cmocka_unit_test(a_batch_is_one_change),
      cmocka_unit_test(ram_pages_are_found_for_the_tlb),
      cmocka_unit_test(more_ram_than_the_host_has_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
