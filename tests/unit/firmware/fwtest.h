// What the tests of firmware/ share: guest memory as an array, files made on the spot, a board.
#ifndef FWTEST_H
#define FWTEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "firmware/acpi.h"
#include "firmware/boot.h"
#include "firmware/bytes.h"

#define TEST_RAM (32u << 20)

struct fixture {
  uint8_t *ram;
  struct board board;
  struct acpi_image acpi;
  struct boot_request rq;
  struct boot_state st;
  struct err err;
  char kernel[64], initrd[2][64];
};

static inline bool test_write(void *arg, uint64_t pa, const void *data, uint64_t len)
{
  struct fixture *f = arg;
  if (pa > f->board.ram_below_4g || len > f->board.ram_below_4g - pa)
    return false;
  if (data)
    memcpy(f->ram + pa, data, len);
  else
    memset(f->ram + pa, 0, len);
  return true;
}

static inline void write_file(char path[64], const void *data, size_t len)
{
  if (!path[0]) {
    strcpy(path, "/tmp/fwtest-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
  }
  FILE *out = fopen(path, "wb");
  assert_non_null(out);
  assert_int_equal(fwrite(data, 1, len, out), len);
  assert_int_equal(fclose(out), 0);
}

static inline int fixture_setup(void **state)
{
  struct fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  f->ram = malloc(TEST_RAM);
  assert_non_null(f->ram);
  memset(f->ram, 0xcc, TEST_RAM); // what must be zero has to be written
  f->board = (struct board){.ram_below_4g = TEST_RAM, .cpus = 2, .nodes = 1, .cpu = {{0, 0}, {1, 0}}};
  assert_true(acpi_build(&f->acpi, &f->board, &f->err));
  f->rq = (struct boot_request){.kernel = f->kernel,
                                .append = "console=ttyS0 a=b",
                                .board = &f->board,
                                .acpi = &f->acpi,
                                .mem = {test_write, f}};
  *state = f;
  return 0;
}

static inline int fixture_teardown(void **state)
{
  struct fixture *f = *state;
  char *paths[] = {f->kernel, f->initrd[0], f->initrd[1]};
  for (int i = 0; i < 3; i++)
    if (paths[i][0])
      unlink(paths[i]);
  acpi_free(&f->acpi);
  free(f->ram);
  free(f);
  return 0;
}

static inline bool boot(struct fixture *f, const void *image, size_t len)
{
  write_file(f->kernel, image, len);
  f->err.text[0] = 0;
  return boot_load(&f->rq, &f->st, &f->err);
}

// A refusal is one line that names the file.
static inline void assert_refused(struct fixture *f, const void *image, size_t len)
{
  assert_false(boot(f, image, len));
  assert_non_null(strstr(f->err.text, f->kernel));
  assert_null(strchr(f->err.text, '\n'));
}

static inline void assert_refused_with(struct fixture *f, const void *image, size_t len, const char *word)
{
  assert_refused(f, image, len);
  if (!strstr(f->err.text, word))
    fail_msg("\"%s\" does not say \"%s\"", f->err.text, word);
}

// Bytes of guest memory that a pointer given to the guest leads to.
static inline const uint8_t *at(struct fixture *f, uint64_t pa)
{
  assert_true(pa < TEST_RAM);
  return f->ram + pa;
}

#define with_fixture(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
