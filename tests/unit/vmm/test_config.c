// The hypervisor's configuration: what is read, and that each mistake is reported with its line and spoils
// its guest alone.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "guest/config.h"

static struct config config;
static char reports[4096];

static void report(unsigned line, const char *what, const char *word)
{
  size_t at = strlen(reports);
  snprintf(reports + at, sizeof reports - at, "%u: %s: %s\n", line, word, what);
}

static void read_text(const char *text)
{
  reports[0] = 0;
  config_read(&config, text, strlen(text), report);
}

static void all_keys_are_read(void **state)
{
  read_text(
      "; comment\n[host]\nend = off\ndev = off\n\n[guest linux]\ncpus = 0-2, 5\r\nmemory = 255M   ; rounded\n"
      "kernel = bzImage\ninitrd = initrd.gz\nappend = console=ttyS0 a;b\npaging = shadow\nasid = off\ntimes "
      "= 7\n"
      "devices = 01:00.0,20:1f.7\nconsole = com2\n[guest real]\ncpus=3\nmemory=1G\nboot=disk.img\ndev = on");
  assert_string_equal(reports, "");
  assert_int_equal(config.count, 2);
  assert_true(config.power_off);
  const struct config_guest *g = &config.guest[0];
  assert_string_equal(g->name, "linux");
  assert_int_equal(g->line, 6);
  assert_int_equal(g->cpu_count, 4);
  assert_int_equal(g->cpus[2], 2);
  assert_int_equal(g->cpus[3], 5);
  assert_int_equal(g->memory, 256 << 20);
  assert_string_equal(g->kernel, "bzImage");
  assert_string_equal(g->initrd, "initrd.gz");
  assert_string_equal(g->append, "console=ttyS0 a;b");
  assert_true(g->shadow && g->com2 && !g->asid && !g->dev && !g->bad);
  assert_int_equal(g->times, 7);
  assert_int_equal(g->device_count, 2);
  assert_int_equal(g->devices[0], 0x100);
  assert_int_equal(g->devices[1], 0x20ff);
  g = &config.guest[1];
  assert_true(!g->shadow && !g->com2 && g->asid && g->dev && !g->bad);
  assert_int_equal(g->memory, 1 << 30);
  assert_int_equal(g->times, 1);
}

static void each_mistake_is_one_line_with_its_number(void **state)
{
  static const struct {
    const char *line, *report;
  } rows[] = {
      {"cpus = x", "4: cpus = x: CPU numbers are expected, like 0 or 0,1 or 0-3\n"},
      {"cpus = 3-1", "4: cpus = 3-1: the range of CPUs is empty or too long\n"},
      {"cpus = 0-15,1", "4: cpus = 0-15,1: more than 16 CPUs\n"},
      {"cpus = 99999999999999999999",
       "4: cpus = 99999999999999999999: CPU numbers are expected, like 0 or 0,1 or 0-3\n"},
      {"memory = 1K", "4: memory = 1K: a size of 2M or more is expected, like 256M or 1G\n"},
      {"memory = 5X", "4: memory = 5X: a size of 2M or more is expected, like 256M or 1G\n"},
      {"devices = 1:0", "4: devices = 1:0: PCI devices are expected, like 01:00.0,00:04.0\n"},
      {"devices = 00:20.0", "4: devices = 00:20.0: PCI devices are expected, like 01:00.0,00:04.0\n"},
      {"asid = perhaps", "4: asid = perhaps: on or off is expected\n"},
      {"paging = none", "4: paging = none: nested or shadow is expected\n"},
      {"console = com3", "4: console = com3: com1 or com2 is expected\n"},
      {"times = 0", "4: times = 0: a number from 1 to 1000000 is expected\n"},
      {"colour = red", "4: colour = red: no such key in a guest's section\n"},
      {"nothing", "4: nothing: KEY = VALUE is expected\n"},
      {"kernel = k", "1: a: it must have either kernel or boot\n"},
      {"initrd = i", "1: a: an initrd needs a kernel\n"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[512];
    snprintf(text, sizeof text,
             "[guest a]\ncpus=0\nmemory=2M\n%s\nboot=x\n[guest b]\ncpus=0\nmemory=2M\nboot=x\n",
             rows[i].line);
    read_text(text);
    assert_string_equal(reports, rows[i].report);
    assert_true(config.guest[0].bad);
    assert_false(config.guest[1].bad);
  }
}

static void a_guest_needs_cpus_memory_and_something_to_start(void **state)
{
  read_text("[guest a]\nmemory=2M\nboot=x\n[guest b]\ncpus=0\nboot=x\n[guest c]\ncpus=0\nmemory=2M\n");
  assert_string_equal(
      reports, "1: a: it has no cpus\n4: b: it has no memory\n7: c: it must have either kernel or boot\n");
}

static void sections_that_cannot_be_are_reported(void **state)
{
  read_text("cpus=0\n[guest a\n[guest]\n[guest ]\n[host]\nend = soon\nx=1\n[guest "
            "a]\ncpus=0\nmemory=2M\nboot=x\n[guest a]\n");
  assert_string_equal(
      reports,
      "1: cpus=0: this line is in no section\n2: [guest a: a section ends with ]\n"
      "3: [guest]: [host] or [guest NAME] is expected\n4: [guest ]: [host] or [guest NAME] is expected\n"
      "6: end = soon: off or wait is expected\n7: x=1: no such key in the host's section\n"
      "12: [guest a]: there is a guest of that name already\n");
  assert_false(config.guest[0].bad);
  assert_true(config.guest[1].bad);
}

static void values_that_are_too_long_and_guests_that_are_too_many_are_refused(void **state)
{
  char text[4096] = "[guest a]\nkernel = ";
  memset(text + strlen(text), 'k', 64);
  read_text(text);
  assert_non_null(strstr(reports, "2: kernel = kkk"));
  assert_non_null(strstr(reports, "the value is too long"));
  text[0] = 0;
  for (unsigned i = 0; i < CONFIG_GUESTS + 1; i++)
    sprintf(text + strlen(text), "[guest g%u]\ncpus=0\nmemory=2M\nboot=x\n", i);
  read_text(text);
  assert_int_equal(config.count, CONFIG_GUESTS);
  assert_string_equal(reports, "65: [guest g16]: more than 16 guests\n");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_keys_are_read),
      cmocka_unit_test(each_mistake_is_one_line_with_its_number),
      cmocka_unit_test(a_guest_needs_cpus_memory_and_something_to_start),
      cmocka_unit_test(sections_that_cannot_be_are_reported),
      cmocka_unit_test(values_that_are_too_long_and_guests_that_are_too_many_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
