// The memory map, and the search for free places in it.
#include "fwtest.h"

static void the_map_is_sorted_and_without_overlap(void **state)
{
  static const uint64_t below[] = {0x200000, 0x400000, 0x8000000, 0x80000000, 0xe0000000};
  static const uint64_t above[] = {0, 0x100000, 0x1000000000};
  static const uint64_t tables[] = {0, 0x1000, 0x4000, 0x100000};
  for (unsigned i = 0; i < 5; i++)
    for (unsigned j = 0; j < 3; j++)
      for (unsigned k = 0; k < 4; k++) {
        struct e820 m;
        uint64_t ram = 0;
        e820_build(&m, below[i], above[j], tables[k]);
        assert_in_range(m.count, 6, E820_MAX);
        for (unsigned n = 0; n < m.count; n++) {
          assert_true(m.entry[n].size > 0);
          if (n)
            assert_true(m.entry[n].base >= m.entry[n - 1].base + m.entry[n - 1].size);
          if (m.entry[n].type == E820_RAM)
            ram += m.entry[n].size;
        }
        assert_int_equal(ram, 0x9fc00 + below[i] - 0x100000 - tables[k] + above[j]);
        assert_int_equal(e820_low_end(&m), below[i] - tables[k]);
      }
}

static void claims_must_be_ram_and_free(void **state)
{
  struct e820 m;
  e820_build(&m, 0x1000000, 0x1000000, 0);
  struct place p = {.map = &m};
  assert_int_equal(place_claim(&p, 0x100000, 0x1000), PLACE_OK);
  assert_int_equal(place_claim(&p, 0x100fff, 1), PLACE_TAKEN);
  assert_int_equal(place_claim(&p, 0x101000, 1), PLACE_OK);
  assert_int_equal(place_claim(&p, 0xfffff, 2), PLACE_NOT_RAM);
  assert_int_equal(place_claim(&p, 0xffffff, 2), PLACE_NOT_RAM);
  assert_int_equal(place_claim(&p, 0x9fbff, 1), PLACE_OK);
  assert_int_equal(place_claim(&p, 0x9fc00, 1), PLACE_NOT_RAM);
  assert_int_equal(place_claim(&p, 0x100000000, 0x1000000), PLACE_OK);
  assert_int_equal(place_claim(&p, 0x100000000, UINT64_MAX), PLACE_NOT_RAM);
  assert_int_equal(place_claim(&p, UINT64_MAX, 2), PLACE_NOT_RAM);
  assert_int_equal(place_claim(&p, 0x100000, 0), PLACE_OK); // nothing
}

static void search_from_below_and_from_the_top(void **state)
{
  struct e820 m;
  e820_build(&m, 0x1000000, 0, 0);
  struct place p = {.map = &m};
  assert_int_equal(place_find(&p, 0x1800, 0x1000, 0x100000, UINT64_MAX, false), 0x100000);
  assert_int_equal(place_find(&p, 0x10, 0x1000, 0x100000, UINT64_MAX, false), 0x102000);
  assert_int_equal(place_find(&p, 0x10, 0x10, 0x100000, UINT64_MAX, false), 0x101800);
  assert_int_equal(place_find(&p, 0x1001, 0x1000, 0x100000, UINT64_MAX, true), 0xffe000);
  assert_int_equal(place_find(&p, 0x1000, 0x1000, 0x100000, UINT64_MAX, true), 0xffd000);
  assert_int_equal(place_find(&p, 0x1000, 0x1000, 0x100000, 0x800000, true), 0x7ff000);
  assert_int_equal(place_find(&p, 0x800000, 0x1000, 0x100000, UINT64_MAX, true), PLACE_NONE);
  assert_int_equal(place_find(&p, UINT64_MAX, 0x1000, 0, UINT64_MAX, true), PLACE_NONE);
  assert_int_equal(place_find(&p, 0x1000, 0x1000, 0xa0000, 0x100000, true), PLACE_NONE);
}

static void a_full_list_is_told(void **state)
{
  struct e820 m;
  e820_build(&m, 0x1000000, 0, 0);
  struct place p = {.map = &m};
  for (unsigned i = 0; i < PLACE_MAX; i++)
    assert_int_equal(place_claim(&p, 0x100000 + 16 * i, 1), PLACE_OK);
  assert_int_equal(place_claim(&p, 0x800000, 1), PLACE_FULL);
  assert_int_equal(place_find(&p, 1, 1, 0, UINT64_MAX, true), PLACE_NONE);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_map_is_sorted_and_without_overlap),
      cmocka_unit_test(claims_must_be_ram_and_free),
      cmocka_unit_test(search_from_below_and_from_the_top),
      cmocka_unit_test(a_full_list_is_told),
  };
  return cmocka_run_group_tests_name("firmware: memory map", tests, NULL, NULL);
}
