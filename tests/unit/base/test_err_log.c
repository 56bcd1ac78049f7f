// Errors as values, and the items of -d.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/log.h"

static void a_long_error_is_cut_and_false_is_returned(void **state)
{
  struct err e;
  char text[1000];
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = 0;
  assert_false(err_set(&e, "%s", text));
  assert_int_equal(strlen(e.text), sizeof e.text - 1);
  assert_false(err_set(NULL, "nobody asks"));
}

static void log_items_are_parsed_and_unknown_ones_named(void **state)
{
  uint32_t items = 0;
  struct err e;
  assert_true(log_parse("int,mmu,io", &items, &e));
  assert_int_equal(items, LOG_INT | LOG_MMU | LOG_IO);
  assert_false(log_parse("int,bogus", &items, &e));
  assert_non_null(strstr(e.text, "bogus"));
  assert_non_null(strstr(e.text, "guest_errors"));
  assert_int_equal(items, LOG_INT | LOG_MMU | LOG_IO);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_long_error_is_cut_and_false_is_returned),
      cmocka_unit_test(log_items_are_parsed_and_unknown_ones_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
