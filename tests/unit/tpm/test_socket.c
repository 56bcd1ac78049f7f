// -tpmdev socket before a program that does not keep to the protocol: what comes late, short or unasked is
// never taken for an answer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/err.h"
#include "tpm/backend.h"
#include "tpmpeer.h"

// Good answers to: data channel, stop, start; the command that asks for the version.
#define GOOD 0, 0, 0, 0, 0, 0

static size_t ask(const struct tpm_backend *b, uint8_t number, uint8_t resp[TPM_BUFFER])
{
  const uint8_t cmd[14] = {0x80, 1, 0, 0, 0, 14, 0, 0, 0, 0, 0, 0, 0, number};
  return b->ops->command(b->self, 0, cmd, sizeof cmd, resp);
}

static struct tpm_backend *start(const uint8_t *script, size_t n, struct tpmpeer **peer)
{
  char path[108];
  struct err e;
  *peer = tpmpeer_start((struct fuzz_in){script, n}, path);
  struct tpm_backend *b = tpm_socket_new(path, &e);
  assert_non_null(b);
  return b;
}

static void answers_belong_to_their_commands(void **state)
{
  static const uint8_t script[] = {GOOD};
  uint8_t resp[TPM_BUFFER];
  struct tpmpeer *peer;
  struct tpm_backend *b = start(script, sizeof script, &peer);
  for (uint8_t i = 1; i < 5; i++) {
    assert_int_equal(ask(b, i, resp), 14);
    assert_int_equal(resp[13], i);
  }
  tpm_free(b);
  tpmpeer_stop(peer);
}

static void an_answer_that_nobody_asked_for_ends_the_talk(void **state)
{
  static const uint8_t script[] = {GOOD, 0, 0, 4};
  uint8_t resp[TPM_BUFFER];
  struct tpmpeer *peer;
  struct tpm_backend *b = start(script, sizeof script, &peer);
  assert_int_equal(ask(b, 1, resp), 14);
  assert_int_equal(resp[13], 1);
  for (uint8_t i = 2; i < 5; i++)
    assert_int_equal(ask(b, i, resp), 0);
  assert_false(b->ops->hash(b->self, TPM_HASH_START, NULL, 0));
  tpm_free(b);
  tpmpeer_stop(peer);
}

static void an_impossible_length_ends_the_talk(void **state)
{
  static const uint8_t script[] = {GOOD, 0, 0, 3, 9, 0, 0, 0};
  uint8_t resp[TPM_BUFFER];
  struct tpmpeer *peer;
  struct tpm_backend *b = start(script, sizeof script, &peer);
  assert_int_equal(ask(b, 1, resp), 0);
  assert_int_equal(ask(b, 2, resp), 0);
  assert_false(b->ops->established(b->self));
  tpm_free(b);
  tpmpeer_stop(peer);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(answers_belong_to_their_commands),
      cmocka_unit_test(an_answer_that_nobody_asked_for_ends_the_talk),
      cmocka_unit_test(an_impossible_length_ends_the_talk),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
