// Whole machines in this process: life, reset, repeatability, the monitor's answers.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "debug/monitor.h"
#include "debug/statehash.h"
#include "machine/machine.h"

// A multiboot kernel at 1 MB: its header with load addresses, then code.
static void write_kernel(char *path, const void *code, size_t len)
{
  static const uint32_t header[8] = {0x1badb002, 0x00010000, 0xe4514ffe, 0x100000, 0x100000, 0, 0, 0x100020};
  strcpy(path, "/tmp/pacifica-test-XXXXXX");
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, header, sizeof header), sizeof header);
  assert_int_equal(write(fd, code, len), len);
  close(fd);
}

static void setup(struct config *c, char *path, const void *code, size_t len)
{
  write_kernel(path, code, len);
  config_init(c);
  assert_true(config_set(&c->kernel, path));
  assert_true(text_list_add(&c->devices, "isa-debug-exit,iobase=0xf4,iosize=0x4"));
  c->ram_size = 16 << 20;
}

static void teardown(struct config *c, const char *path)
{
  unlink(path);
  config_free(c);
}

static struct machine *build(const struct config *c)
{
  struct err e = {""};
  struct machine *m = machine_new(c, &e);
  if (!m)
    print_error("%s\n", e.text);
  assert_non_null(m);
  return m;
}

// mov ecx, 1000; l: inc dword [200000h]; loop l; mov al, 11h; out F4h, al; hlt
static const uint8_t counts[] = {0xb9, 0xe8, 0x03, 0,    0,    0xff, 0x05, 0,    0,
                                 0x20, 0,    0xe2, 0xf8, 0xb0, 0x11, 0xe6, 0xf4, 0xf4};
// The same with 22h.
static const uint8_t counts_too[] = {0xb9, 0xe8, 0x03, 0,    0,    0xff, 0x05, 0,    0,
                                     0x20, 0,    0xe2, 0xf8, 0xb0, 0x22, 0xe6, 0xf4, 0xf4};

static void two_machines_live_in_one_process(void **state)
{
  struct config a, b;
  char pa[64], pb[64];
  setup(&a, pa, counts, sizeof counts);
  setup(&b, pb, counts_too, sizeof counts_too);
  b.cpus = 2;
  struct machine *ma = build(&a), *mb = build(&b);
  assert_int_equal(machine_run(mb), END_EXIT);
  assert_int_equal(machine_run(ma), END_EXIT);
  assert_int_equal(ma->status, 0x23);
  assert_int_equal(mb->status, 0x45);
  machine_free(ma);
  machine_free(mb);
  teardown(&a, pa);
  teardown(&b, pb);
}

static uint64_t hash_of_a_run(const struct config *c)
{
  struct machine *m = build(c);
  assert_int_equal(machine_run(m), END_EXIT);
  uint64_t h = statehash(m);
  machine_free(m);
  return h;
}

static void the_same_run_has_the_same_hash(void **state)
{
  struct config c;
  char path[64];
  setup(&c, path, counts, sizeof counts);
  uint64_t h = hash_of_a_run(&c);
  assert_int_equal(hash_of_a_run(&c), h);
  assert_true(config_set(&c.append, "other"));
  assert_int_not_equal(hash_of_a_run(&c), h);
  teardown(&c, path);
}

static void a_page_of_zeros_counts_as_untouched(void **state)
{
  struct config c;
  char path[64];
  setup(&c, path, counts, sizeof counts);
  struct machine *m = build(&c);
  uint64_t h = statehash(m);
  m->ram.mem[0x400000] = 1;
  assert_int_not_equal(statehash(m), h);
  m->ram.mem[0x400000] = 0;
  assert_int_equal(statehash(m), h);
  m->cpu[0]->r[RBX] ^= 1;
  assert_int_not_equal(statehash(m), h);
  machine_free(m);
  teardown(&c, path);
}

static void a_reset_starts_the_kernel_again(void **state)
{
  struct config c;
  struct err e;
  char path[64];
  setup(&c, path, counts, sizeof counts);
  struct machine *m = build(&c);
  assert_int_equal(machine_run(m), END_EXIT);
  assert_true(machine_reset(m, &e));
  assert_int_equal(m->cpu[0]->ip, 0x100020);
  assert_int_equal(machine_run(m), END_EXIT);
  uint32_t count;
  memcpy(&count, m->ram.mem + 0x200000, 4);
  assert_int_equal(count, 2000); // RAM keeps its contents
  machine_free(m);
  teardown(&c, path);
}

static void the_order_of_boot_once_holds_until_the_first_reset(void **state)
{
  struct config c;
  char path[64];
  setup(&c, path, counts, sizeof counts);
  strcpy(c.boot_once, "d");
  strcpy(c.boot_order, "c");
  struct machine *m = build(&c);
  assert_int_equal(m->pc.rtc.cmos[0x3d], 3);
  machine_request(m, WANT_RESET);
  assert_int_equal(machine_run(m), END_EXIT);
  assert_int_equal(m->pc.rtc.cmos[0x3d], 2);
  machine_free(m);
  teardown(&c, path);
}

static void an_image_that_has_gone_ends_the_machine_at_a_reset(void **state)
{
  struct config c;
  char path[64];
  setup(&c, path, counts, sizeof counts);
  struct machine *m = build(&c);
  unlink(path);
  machine_request(m, WANT_RESET);
  assert_int_equal(machine_run(m), END_BROKEN);
  assert_non_null(strstr(m->trouble.text, path));
  machine_free(m);
  teardown(&c, path);
}

static void a_triple_fault_resets_unless_told_otherwise(void **state)
{
  // push 0; push 0; lidt [esp]; ud2
  static const uint8_t code[] = {0x6a, 0, 0x6a, 0, 0x0f, 0x01, 0x1c, 0x24, 0x0f, 0x0b};
  struct config c;
  char path[64];
  setup(&c, path, code, sizeof code);
  c.no_reboot = true;
  struct machine *m = build(&c);
  assert_int_equal(machine_run(m), END_TRIPLE_FAULT);
  machine_free(m);
  c.no_reboot = false;
  c.limit = 1000; // it faults for ever
  m = build(&c);
  assert_int_equal(machine_run(m), END_LIMIT);
  machine_free(m);
  teardown(&c, path);
}

static void a_machine_that_cannot_be_built_says_why_and_leaves_nothing(void **state)
{
  static const char *const devices[] = {"nosuch", "isa-debug-exit,iosize=9", "virtio-blk-pci,drive=none",
                                        "isa-serial,foo=1", "isa-debugcon"};
  for (unsigned i = 0; i < sizeof devices / sizeof devices[0]; i++) {
    struct config c;
    struct err e = {""};
    char path[64];
    setup(&c, path, counts, sizeof counts);
    text_list_add(&c.devices, devices[i]);
    assert_null(machine_new(&c, &e));
    assert_true(strlen(e.text) > 10);
    teardown(&c, path);
  }
}

// What the monitor answers to a command, to be freed.
static char *ask(struct monitor *mon, const char *command)
{
  char *text = NULL;
  size_t len;
  FILE *out = open_memstream(&text, &len);
  assert_non_null(out);
  monitor_run(mon, command, out);
  fclose(out);
  return text;
}

static void expect(struct monitor *mon, const char *command, const char *answer)
{
  char *text = ask(mon, command);
  if (!strstr(text, answer))
    print_error("%s: %s\n", command, text);
  assert_non_null(strstr(text, answer));
  free(text);
}

static void the_monitor_computes_and_steps(void **state)
{
  struct config c;
  char path[64];
  setup(&c, path, counts, sizeof counts);
  c.cpus = 2;
  struct machine *m = build(&c);
  struct monitor mon = {.machine = m};
  expect(&mon, "print 2+3*(4-1)", "0xb");
  expect(&mon, "p/d 0-5", "-5");
  expect(&mon, "print $eip", "0x100020");
  expect(&mon, "print 1/0", "not a number");
  expect(&mon, "print ((((", "not a number");
  expect(&mon, "x/2i $eip", "mov ecx, 0x");
  expect(&mon, "xp/1xw 0x100000", "0x1badb002");
  expect(&mon, "xp/1xb 0xfffffffff0", "cannot be read");
  expect(&mon, "step", "inc ");
  expect(&mon, "info registers", "ECX=000003e8");
  expect(&mon, "step 2", "inc ");
  expect(&mon, "info registers", "ECX=000003e7");
  expect(&mon, "info registers -a", "CPU#1");
  expect(&mon, "cpu 1", "");
  expect(&mon, "info cpus", "* CPU #1");
  expect(&mon, "cpu 9", "0 to 1");
  expect(&mon, "info mem", "PG disabled");
  expect(&mon, "info mtree", "ram-640k");
  expect(&mon, "info pci", "8086:1237");
  expect(&mon, "nosuch", "unknown command");
  expect(&mon, "info nosuch", "unknown command");
  expect(&mon, "x/9q 0", "a count");
  expect(&mon, "sendkey nosuch", "joined by");
  free(ask(&mon, ""));
  free(ask(&mon, "  "));
  free(ask(&mon, "x"));
  free(ask(&mon, "info"));
  assert_true(m->paused);
  machine_free(m);
  teardown(&c, path);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(two_machines_live_in_one_process),
      cmocka_unit_test(the_same_run_has_the_same_hash),
      cmocka_unit_test(a_page_of_zeros_counts_as_untouched),
      cmocka_unit_test(a_reset_starts_the_kernel_again),
      cmocka_unit_test(the_order_of_boot_once_holds_until_the_first_reset),
      cmocka_unit_test(an_image_that_has_gone_ends_the_machine_at_a_reset),
      cmocka_unit_test(a_triple_fault_resets_unless_told_otherwise),
      cmocka_unit_test(a_machine_that_cannot_be_built_says_why_and_leaves_nothing),
      cmocka_unit_test(the_monitor_computes_and_steps),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
