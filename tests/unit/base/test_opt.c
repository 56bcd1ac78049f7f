// Options in QEMU's spelling.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/opt.h"

static void keys_values_and_flags_are_found(void **state)
{
  struct opts o;
  struct err e;
  assert_true(opts_parse(&o, "-drive", "file=a,,b.img,if=ide,snapshot", NULL, &e));
  assert_string_equal(opts_get(&o, "file"), "a,b.img");
  assert_string_equal(opts_get(&o, "if"), "ide");
  bool snapshot = false;
  assert_true(opts_bool(&o, "snapshot", &snapshot, &e));
  assert_true(snapshot);
  assert_null(opts_get(&o, "cache"));
  assert_true(opts_done(&o, &e));
  opts_free(&o);
}

static void the_implied_key_takes_a_bare_first_element(void **state)
{
  struct opts o;
  struct err e;
  assert_true(opts_parse(&o, "-device", "virtio-blk-pci,drive=d0", "driver", &e));
  assert_string_equal(opts_get(&o, "driver"), "virtio-blk-pci");
  assert_string_equal(opts_get(&o, "drive"), "d0");
  opts_free(&o);
  assert_true(opts_parse(&o, "-device", "driver=x", "driver", &e));
  assert_string_equal(opts_get(&o, "driver"), "x");
  opts_free(&o);
  assert_true(opts_parse(&o, "-kernel", "a,,b=c", "file", &e));
  assert_string_equal(opts_get(&o, "file"), "a,b=c");
  opts_free(&o);
}

static void an_equals_sign_belongs_to_the_value_after_the_first(void **state)
{
  struct opts o;
  struct err e;
  assert_true(opts_parse(&o, "-x", "a=b=c,d=", NULL, &e));
  assert_string_equal(opts_get(&o, "a"), "b=c");
  assert_string_equal(opts_get(&o, "d"), "");
  opts_free(&o);
}

static void the_last_of_equal_keys_counts(void **state)
{
  struct opts o;
  struct err e;
  assert_true(opts_parse(&o, "-x", "a=1,a=2", NULL, &e));
  assert_string_equal(opts_get(&o, "a"), "2");
  assert_true(opts_done(&o, &e));
  opts_free(&o);
}

static void a_key_left_over_is_named(void **state)
{
  struct opts o;
  struct err e;
  assert_true(opts_parse(&o, "-drive", "file=x,bogus=1", NULL, &e));
  opts_get(&o, "file");
  assert_false(opts_done(&o, &e));
  assert_non_null(strstr(e.text, "bogus"));
  assert_non_null(strstr(e.text, "-drive"));
  opts_free(&o);
}

static void empty_and_too_many_elements_are_errors(void **state)
{
  struct opts o;
  struct err e;
  char many[400] = "a";
  assert_false(opts_parse(&o, "-x", "=1", NULL, &e));
  assert_false(opts_parse(&o, "-x", "a=1,,=2,=3", NULL, &e));
  for (unsigned i = 0; i < OPT_MAX; i++)
    strcat(many, ",a=1");
  assert_false(opts_parse(&o, "-x", many, NULL, &e));
  assert_true(opts_parse(&o, "-x", "", NULL, &e));
  assert_int_equal(o.count, 0);
  opts_free(&o);
}

static void bad_values_are_errors_that_name_them(void **state)
{
  static const char *const names[] = {"ide", "virtio", NULL};
  struct opts o;
  struct err e;
  bool b = true;
  uint64_t v = 7;
  unsigned c = 9;
  assert_true(opts_parse(&o, "-x", "b=maybe,n=12z,s=5Q,c=floppy", NULL, &e));
  assert_false(opts_bool(&o, "b", &b, &e));
  assert_non_null(strstr(e.text, "maybe"));
  assert_false(opts_u64(&o, "n", &v, &e));
  assert_non_null(strstr(e.text, "12z"));
  assert_false(opts_size(&o, "s", 1, &v, &e));
  assert_non_null(strstr(e.text, "5Q"));
  assert_false(opts_choice(&o, "c", names, &c, &e));
  assert_non_null(strstr(e.text, "ide, virtio"));
  assert_true(opts_choice(&o, "absent", names, &c, &e));
  assert_true(b);
  assert_int_equal(v, 7);
  assert_int_equal(c, 9);
  opts_free(&o);
}

static void sizes_and_numbers_are_whole_strings(void **state)
{
  uint64_t v;
  assert_true(parse_size("512M", 1, &v) && v == 512ull << 20);
  assert_true(parse_size("512", 1 << 20, &v) && v == 512ull << 20);
  assert_true(parse_size("1.5G", 1, &v) && v == 3ull << 29);
  assert_true(parse_size("0x10k", 1, &v) && v == 16384);
  assert_true(parse_size("2T", 1, &v) && v == 2ull << 40);
  assert_false(parse_size("", 1, &v));
  assert_false(parse_size("M", 1, &v));
  assert_false(parse_size("1MB", 1, &v));
  assert_false(parse_size("-1", 1, &v));
  assert_false(parse_size("1.", 1, &v));
  assert_false(parse_size("99999999999T", 1, &v));
  assert_true(parse_u64("18446744073709551615", &v) && v == UINT64_MAX);
  assert_false(parse_u64("18446744073709551616", &v));
  assert_true(parse_u64("0xfF", &v) && v == 255);
  assert_true(parse_u64("010", &v) && v == 10);
  assert_false(parse_u64(" 1", &v));
}

static void the_nearest_name_is_within_three_edits(void **state)
{
  static const char *const names[] = {"-kernel", "-initrd", "-append", NULL};
  assert_string_equal(nearest("-kernal", names), "-kernel");
  assert_string_equal(nearest("-apend", names), "-append");
  assert_null(nearest("-completely-different", names));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keys_values_and_flags_are_found),
      cmocka_unit_test(the_implied_key_takes_a_bare_first_element),
      cmocka_unit_test(an_equals_sign_belongs_to_the_value_after_the_first),
      cmocka_unit_test(the_last_of_equal_keys_counts),
      cmocka_unit_test(a_key_left_over_is_named),
      cmocka_unit_test(empty_and_too_many_elements_are_errors),
      cmocka_unit_test(bad_values_are_errors_that_name_them),
      cmocka_unit_test(sizes_and_numbers_are_whole_strings),
      cmocka_unit_test(the_nearest_name_is_within_three_edits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
