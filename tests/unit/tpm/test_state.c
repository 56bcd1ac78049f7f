// The state file of a TPM: kept whole, refused when it is not.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "tpm/state.h"

static char folder[] = "/tmp/pacifica-tpm-XXXXXX", path[64];
static struct err e;

static int make_folder(void **state)
{
  if (!mkdtemp(folder))
    return -1;
  snprintf(path, sizeof path, "%s/state", folder);
  return 0;
}

static int remove_folder(void **state)
{
  unlink(path);
  return rmdir(folder);
}

static int fresh(void **state)
{
  unlink(path);
  return 0;
}

static void make(enum tpm_version v, const char *text)
{
  struct tpm_state s;
  assert_true(tpm_state_open(&s, path, v, &e));
  assert_true(tpm_state_put(&s, "permall", (const uint8_t *)text, (uint32_t)strlen(text), &e));
  tpm_state_close(&s);
}

static size_t slurp(uint8_t *buf, size_t room)
{
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  size_t n = fread(buf, 1, room, f);
  fclose(f);
  return n;
}

static void spill(const uint8_t *buf, size_t n)
{
  FILE *f = fopen(path, "wb");
  assert_int_equal(fwrite(buf, 1, n, f), n);
  fclose(f);
}

static void what_was_put_is_found_in_the_next_run(void **state)
{
  struct tpm_state s;
  make(TPM_2_0, "first");
  assert_true(tpm_state_open(&s, path, TPM_2_0, &e));
  const struct tpm_state_entry *x = tpm_state_find(&s, "permall");
  assert_non_null(x);
  assert_int_equal(x->size, 5);
  assert_memory_equal(x->data, "first", 5);
  assert_true(tpm_state_put(&s, "savestate", (const uint8_t *)"second", 6, &e));
  assert_true(tpm_state_put(&s, "permall", NULL, 0, &e));
  tpm_state_close(&s);
  assert_true(tpm_state_open(&s, path, TPM_2_0, &e));
  assert_null(tpm_state_find(&s, "permall"));
  assert_memory_equal(tpm_state_find(&s, "savestate")->data, "second", 6);
  tpm_state_close(&s);
}

static void a_second_user_is_refused(void **state)
{
  struct tpm_state a, b;
  assert_true(tpm_state_open(&a, path, TPM_2_0, &e));
  assert_false(tpm_state_open(&b, path, TPM_2_0, &e));
  assert_non_null(strstr(e.text, "in use"));
  assert_true(tpm_state_put(&a, "permall", (const uint8_t *)"x", 1, &e)); // a new file takes the name
  assert_false(tpm_state_open(&b, path, TPM_2_0, &e));
  tpm_state_close(&a);
  assert_true(tpm_state_open(&b, path, TPM_2_0, &e));
  tpm_state_close(&b);
}

static void the_other_version_is_refused_and_the_file_left(void **state)
{
  struct tpm_state s;
  uint8_t before[256], after[256];
  make(TPM_1_2, "old");
  size_t n = slurp(before, sizeof before);
  assert_false(tpm_state_open(&s, path, TPM_2_0, &e));
  assert_non_null(strstr(e.text, "TPM 1.2"));
  assert_int_equal(slurp(after, sizeof after), n);
  assert_memory_equal(before, after, n);
}

static void a_file_cut_at_any_byte_or_changed_at_any_is_refused_and_left(void **state)
{
  struct tpm_state s;
  uint8_t whole[256], after[256];
  make(TPM_2_0, "a state");
  size_t n = slurp(whole, sizeof whole);
  for (size_t cut = 0; cut < n; cut++) {
    spill(whole, cut);
    assert_false(tpm_state_open(&s, path, TPM_2_0, &e));
    assert_int_equal(slurp(after, sizeof after), cut);
    assert_memory_equal(whole, after, cut);
  }
  for (size_t i = 0; i < n; i++) {
    whole[i] ^= 1;
    spill(whole, n);
    assert_false(tpm_state_open(&s, path, TPM_2_0, &e));
    whole[i] ^= 1;
  }
  spill(whole, n);
  assert_true(tpm_state_open(&s, path, TPM_2_0, &e));
  tpm_state_close(&s);
}

static void what_is_no_file_is_refused(void **state)
{
  struct tpm_state s;
  assert_false(tpm_state_open(&s, folder, TPM_2_0, &e));
  assert_false(tpm_state_open(&s, "/dev/zero", TPM_2_0, &e));
  assert_false(tpm_state_open(&s, "/nonexistent/state", TPM_2_0, &e));
}

// The writer is killed at a random moment, many times: the file is always a whole one.
static void a_kill_leaves_the_old_state_or_the_new(void **state)
{
  make(TPM_2_0, "0");
  for (unsigned round = 0; round < 20; round++) {
    pid_t child = fork();
    if (child == 0) {
      struct tpm_state s;
      uint8_t data[5000];
      if (!tpm_state_open(&s, path, TPM_2_0, &e))
        _exit(1);
      for (unsigned i = 0;; i++) {
        memset(data, (int)i, sizeof data);
        tpm_state_put(&s, "permall", data, sizeof data, &e);
      }
    }
    usleep(1000 + 1700 * round % 9000);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    struct tpm_state s;
    assert_true(tpm_state_open(&s, path, TPM_2_0, &e));
    const struct tpm_state_entry *x = tpm_state_find(&s, "permall");
    assert_non_null(x);
    for (uint32_t i = 1; i < x->size; i++)
      assert_int_equal(x->data[i], x->data[0]);
    tpm_state_close(&s);
  }
  char command[128]; // what a kill leaves beside the file
  snprintf(command, sizeof command, "rm -f %s.??????", path);
  assert_int_equal(system(command), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(what_was_put_is_found_in_the_next_run, fresh),
      cmocka_unit_test_setup(a_second_user_is_refused, fresh),
      cmocka_unit_test_setup(the_other_version_is_refused_and_the_file_left, fresh),
      cmocka_unit_test_setup(a_file_cut_at_any_byte_or_changed_at_any_is_refused_and_left, fresh),
      cmocka_unit_test_setup(what_is_no_file_is_refused, fresh),
      cmocka_unit_test_setup(a_kill_leaves_the_old_state_or_the_new, fresh),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
