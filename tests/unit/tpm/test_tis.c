// The FIFO interface and the command-response buffer, with a real TPM behind them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/log.h"
#include "tpm/crb.h"
#include "tpm/tis.h"

enum {
  ACCESS = 0x00,
  INT_ENABLE = 0x08,
  INT_VECTOR = 0x0c,
  INT_STATUS = 0x10,
  STS = 0x18,
  FIFO = 0x24,
  XFIFO = 0x80
};

struct bench {
  struct ram ram;
  struct log log;
  struct bus bus;
  struct clock clock;
  struct tpm_backend *tpm;
  struct tis tis;
  struct crb crb;
  int level;
};

static struct bench bench;

static void line(void *sink, int pin, int level)
{
  bench.level = level;
}

static int start(enum tpm_version v, bool crb)
{
  struct bench *b = &bench;
  struct err e;
  memset(b, 0, sizeof *b);
  if (!ram_init(&b->ram, 1 << 20, &e) || !bus_init(&b->bus, &b->ram, &b->log))
    return -1;
  clock_init(&b->clock);
  b->tpm = tpm_libtpms_new(v, NULL, &e);
  if (!b->tpm)
    return -1;
  if (crb) {
    crb_init(&b->crb, &b->bus, &b->clock, b->tpm, 0x00011014);
  } else {
    tis_init(&b->tis, &b->bus, &b->clock, b->tpm, 0x00011014);
    b->tis.line[5] = (struct irq){.set = line};
  }
  tpm_startup(b->tpm);
  return 0;
}

static int tpm_2(void **state)
{
  return start(TPM_2_0, false);
}

static int tpm_1(void **state)
{
  return start(TPM_1_2, false);
}

static int tpm_crb(void **state)
{
  return start(TPM_2_0, true);
}

static int stop(void **state)
{
  struct bench *b = &bench;
  if (b->crb.bus)
    crb_free(&b->crb);
  else
    tis_free(&b->tis);
  tpm_free(b->tpm);
  clock_free(&b->clock);
  bus_free(&b->bus);
  ram_free(&b->ram);
  return 0;
}

static uint32_t get(unsigned l, unsigned reg, unsigned size)
{
  struct txn t = {
      .addr = TPM_BASE + l * 0x1000 + reg, .size = size, .requester = TXN_FROM_CPU, .kind = TXN_READ};
  uint64_t v = 0;
  bus_access(&bench.bus, &t, &v);
  return (uint32_t)v;
}

static void put(unsigned l, unsigned reg, unsigned size, uint64_t v)
{
  struct txn t = {
      .addr = TPM_BASE + l * 0x1000 + reg, .size = size, .requester = TXN_FROM_CPU, .kind = TXN_WRITE};
  bus_access(&bench.bus, &t, &v);
}

static void wait_command(void)
{
  clock_advance(&bench.clock, clock_now(&bench.clock) + 1000000);
}

// PCR 17 after a launch that measured "abc", as computed by sha1sum and sha256sum.
static const uint8_t abc_sha1[20] = {0xcc, 0xd5, 0xbd, 0x41, 0x45, 0x8d, 0xe6, 0x44, 0xac, 0x34,
                                     0xa2, 0x47, 0x8b, 0x58, 0xff, 0x81, 0x9b, 0xef, 0x5a, 0xcf};
static const uint8_t abc_sha256[32] = {0x58, 0x9f, 0x9f, 0xfe, 0xd4, 0xc4, 0x77, 0x96, 0x6b, 0xfb, 0x8d,
                                       0x41, 0xf3, 0x78, 0x95, 0xb0, 0x8c, 0x69, 0x04, 0x7d, 0xf8, 0xf9,
                                       0x11, 0xd6, 0xf3, 0xb5, 0x7f, 0xbe, 0x08, 0xfa, 0xee, 0x8d};

static const uint8_t get_random_2[] = {0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8};

static void send(unsigned l, const uint8_t *cmd, unsigned n)
{
  put(l, STS, 1, 0x40);
  assert_int_equal(get(l, STS, 1) & 0x40, 0x40);
  for (unsigned i = 0; i < n; i++) {
    assert_true((get(l, STS, 4) >> 8 & 0xffff) != 0);
    put(l, FIFO, 1, cmd[i]);
    assert_int_equal(get(l, STS, 1) & 0x88, i + 1 < n ? 0x88 : 0x80); // Expect until the last byte
  }
  put(l, STS, 1, 0x20);
  assert_int_equal(get(l, STS, 1) & 0x10, 0);
  wait_command();
}

static void a_command_goes_through_the_fifo_byte_by_byte(void **state)
{
  uint8_t resp[20];
  put(0, ACCESS, 1, 2);
  assert_int_equal(get(0, ACCESS, 1), 0xa1);
  send(0, get_random_2, sizeof get_random_2);
  for (unsigned i = 0; i < sizeof resp; i++) {
    assert_int_equal(get(0, STS, 1) & 0x10, 0x10);
    assert_int_equal(get(0, STS, 4) >> 8 & 0xffff, sizeof resp - i);
    resp[i] = (uint8_t)get(0, FIFO, 1);
  }
  assert_int_equal(get(0, STS, 1) & 0x10, 0);
  assert_int_equal(resp[5], 20);
  assert_int_equal(resp[9], 0);
  put(0, STS, 1, 2); // responseRetry: once more from the start
  assert_int_equal(get(0, XFIFO, 4), 0x00000180);
  put(0, STS, 1, 0x40);
  assert_int_equal(get(0, STS, 1) & 0x50, 0x40); // at once ready for the next command
}

static void a_higher_locality_seizes_and_a_lower_one_waits(void **state)
{
  put(0, ACCESS, 1, 2);
  put(2, ACCESS, 1, 2);
  assert_int_equal(get(2, ACCESS, 1), 0x83); // requested, not active
  assert_int_equal(get(0, ACCESS, 1), 0xa5); // pending
  put(0, ACCESS, 1, 0x20);
  assert_int_equal(get(2, ACCESS, 1), 0xa1); // its turn at the very next read
  assert_int_equal(get(0, ACCESS, 1), 0x81);
  put(1, ACCESS, 1, 8);
  assert_int_equal(get(1, ACCESS, 1), 0x81); // 1 cannot seize from 2
  put(3, ACCESS, 1, 8);
  assert_int_equal(get(3, ACCESS, 1), 0xa1);
  assert_int_equal(get(2, ACCESS, 1), 0x91); // beenSeized
  put(2, ACCESS, 1, 0x10);
  assert_int_equal(get(2, ACCESS, 1), 0x81);
}

static void who_is_not_active_reaches_nothing(void **state)
{
  put(0, ACCESS, 1, 2);
  put(0, STS, 1, 0x40);
  put(1, FIFO, 1, 0x80);
  put(1, STS, 1, 0x20);
  assert_int_equal(get(1, STS, 4), 0xffffffff);
  assert_int_equal(bench.tis.state, TIS_READY);
  assert_int_equal(bench.tis.fill, 0);
  assert_int_equal(get(4, ACCESS, 4), 0xffffffff); // locality 4 answers no processor
}

static void an_abort_drops_the_command(void **state)
{
  put(0, ACCESS, 1, 2);
  send(0, get_random_2, sizeof get_random_2 - 0);
  put(0, STS, 1, 0x40);
  put(0, STS, 1, 0x40);
  put(0, FIFO, 4, 0x01020304);
  put(0, STS, 1, 0x40); // in the middle of reception
  assert_int_equal(bench.tis.fill, 0);
  assert_int_equal(get(0, STS, 1) & 0x40, 0x40);
}

static void a_command_longer_than_the_buffer_is_an_error_of_the_tpm(void **state)
{
  put(0, ACCESS, 1, 2);
  put(0, STS, 1, 0x40);
  static const uint8_t head[] = {0x80, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0x7b};
  for (unsigned i = 0; i < 6000; i++)
    put(0, FIFO, 1, i < sizeof head ? head[i] : 0);
  assert_int_equal(get(0, STS, 1) & 8, 0);
  put(0, STS, 1, 0x20);
  wait_command();
  uint8_t resp[10];
  for (unsigned i = 0; i < sizeof resp; i++)
    resp[i] = (uint8_t)get(0, FIFO, 1);
  assert_int_equal(resp[5], 10);
  assert_int_not_equal(resp[8] << 8 | resp[9], 0);
}

static void an_enabled_interrupt_comes_on_its_line_and_goes_when_acknowledged(void **state)
{
  put(0, ACCESS, 1, 2);
  put(0, INT_VECTOR, 1, 5);
  put(0, INT_ENABLE, 4, 0x80000001 | 1 << 3);
  send(0, get_random_2, sizeof get_random_2);
  assert_int_equal(get(0, INT_STATUS, 4), 1);
  assert_int_equal(bench.level, 1);
  put(0, INT_STATUS, 4, 1);
  assert_int_equal(bench.level, 0);
}

static enum txn_resp cycle(uint64_t addr, unsigned size, uint64_t v)
{
  return bench.crb.bus ? crb_special(&bench.crb, addr, size, v) : tis_special(&bench.tis, addr, size, v);
}

static void launch_abc(void)
{
  assert_int_equal(cycle(CYCLE_HASH_START, 1, 0), TXN_OK);
  assert_int_equal(cycle(CYCLE_HASH_DATA, 2, 'a' | 'b' << 8), TXN_OK);
  assert_int_equal(cycle(CYCLE_HASH_DATA, 1, 'c'), TXN_OK);
  assert_int_equal(cycle(CYCLE_HASH_END, 1, 0), TXN_OK);
}

static void the_hash_cycles_reset_the_dynamic_pcrs_and_extend_17(void **state)
{
  uint8_t pcr[64], zero[64] = {0}, ones[64];
  memset(ones, 0xff, sizeof ones);
  bool v2 = bench.tpm->version == TPM_2_0;
  for (unsigned i = 17; i <= 22; i++) {
    assert_int_equal(tpm_pcr(bench.tpm, i, 160, pcr), 20);
    assert_memory_equal(pcr, ones, 20);
  }
  launch_abc();
  assert_int_equal(tpm_pcr(bench.tpm, 17, 160, pcr), 20);
  assert_memory_equal(pcr, abc_sha1, 20);
  if (v2) {
    assert_int_equal(tpm_pcr(bench.tpm, 17, 256, pcr), 32);
    assert_memory_equal(pcr, abc_sha256, 32);
  }
  for (unsigned i = 18; i <= 22; i++) {
    assert_int_equal(tpm_pcr(bench.tpm, i, 160, pcr), 20);
    assert_memory_equal(pcr, zero, 20);
  }
}

static void a_launch_takes_the_tpm_and_leaves_it_to_nobody(void **state)
{
  put(0, ACCESS, 1, 2);
  launch_abc();
  assert_int_equal(get(0, ACCESS, 1), 0x90); // seized from; established
  put(2, ACCESS, 1, 2);
  assert_int_equal(get(2, ACCESS, 1), 0xa0);
}

static void the_buffer_takes_a_command_and_gives_the_answer(void **state)
{
  assert_int_equal(get(0, 0x30, 1) & 0xf, 1); // the interface is CRB
  put(0, 0x08, 4, 1);
  assert_int_equal(get(0, 0x0c, 4), 1);
  assert_int_equal(get(0, 0x44, 4), 2); // idle
  put(0, 0x40, 4, 1);
  assert_int_equal(get(0, 0x44, 4), 0);
  for (unsigned i = 0; i < sizeof get_random_2; i++)
    put(0, 0x80 + i, 1, get_random_2[i]);
  put(0, 0x4c, 4, 1);
  assert_int_equal(get(0, 0x4c, 4), 1);
  wait_command();
  assert_int_equal(get(0, 0x4c, 4), 0);
  assert_int_equal(get(0, 0x80, 4), 0x00000180);
  assert_int_equal(get(0, 0x80 + 8, 2), 0);
  assert_int_equal(get(1, 0x80, 4), 0xffffffff); // another locality sees nothing
}

static void a_write_to_the_buffer_leaves_idle(void **state)
{
  assert_int_equal(get(0, 0x30, 4) >> 9 & 1, 1); // it says that it can
  put(0, 0x08, 4, 1);
  for (unsigned i = 0; i < sizeof get_random_2; i++)
    put(0, 0x80 + i, 1, get_random_2[i]);
  assert_int_equal(get(0, 0x44, 4), 0);
  put(0, 0x4c, 4, 1);
  wait_command();
  assert_int_equal(get(0, 0x80, 4), 0x00000180);
}

static void a_wrong_size_and_a_cancel_are_answered(void **state)
{
  put(0, 0x08, 4, 1);
  put(0, 0x40, 4, 1);
  put(0, 0x80, 4, 0xff000180);
  put(0, 0x84, 4, 0xffffffff);
  put(0, 0x4c, 4, 1);
  wait_command();
  assert_int_equal(get(0, 0x4c, 4), 0);
  assert_int_equal(get(0, 0x88, 2), 0x4201);
  put(0, 0x4c, 4, 1);
  put(0, 0x48, 4, 1);
  assert_int_equal(get(0, 0x4c, 4), 0);
  assert_int_equal(get(0, 0x88, 2), 0x0909);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_command_goes_through_the_fifo_byte_by_byte, tpm_2, stop),
      cmocka_unit_test_setup_teardown(a_higher_locality_seizes_and_a_lower_one_waits, tpm_2, stop),
      cmocka_unit_test_setup_teardown(who_is_not_active_reaches_nothing, tpm_2, stop),
      cmocka_unit_test_setup_teardown(an_abort_drops_the_command, tpm_2, stop),
      cmocka_unit_test_setup_teardown(a_command_longer_than_the_buffer_is_an_error_of_the_tpm, tpm_2, stop),
      cmocka_unit_test_setup_teardown(an_enabled_interrupt_comes_on_its_line_and_goes_when_acknowledged,
                                      tpm_2, stop),
      cmocka_unit_test_setup_teardown(the_hash_cycles_reset_the_dynamic_pcrs_and_extend_17, tpm_2, stop),
      cmocka_unit_test_setup_teardown(the_hash_cycles_reset_the_dynamic_pcrs_and_extend_17, tpm_1, stop),
      cmocka_unit_test_setup_teardown(the_hash_cycles_reset_the_dynamic_pcrs_and_extend_17, tpm_crb, stop),
      cmocka_unit_test_setup_teardown(a_launch_takes_the_tpm_and_leaves_it_to_nobody, tpm_2, stop),
      cmocka_unit_test_setup_teardown(the_buffer_takes_a_command_and_gives_the_answer, tpm_crb, stop),
      cmocka_unit_test_setup_teardown(a_write_to_the_buffer_leaves_idle, tpm_crb, stop),
      cmocka_unit_test_setup_teardown(a_wrong_size_and_a_cancel_are_answered, tpm_crb, stop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
