// Writing behind: which writes are begun before the flush, and that the flush stays.
#include "bed.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/block.h"

enum { MB = 1 << 20, PIECE = 256 << 10, SECTORS = PIECE / 512 };

static struct bed bed;
// Of the host's calls; other threads make them, and are joined before they are looked at.
static unsigned hints, flags, syncs;
static off_t first, end;

// In place of the C library's.
int sync_file_range(int fd, off_t from, off_t len, unsigned how)
{
  first = !hints || from < first ? from : first;
  end = from + len > end ? from + len : end;
  hints++;
  flags |= how;
  return 0;
}

int fdatasync(int fd)
{
  syncs++;
  return 0;
}

static int setup(void **state)
{
  bed_init(&bed, 1 << 20);
  hints = flags = syncs = 0;
  first = end = 0;
  return 0;
}

static int teardown(void **state)
{
  bed_free(&bed);
  return 0;
}

static struct blockdev *open_image(enum blk_cache cache, bool snapshot)
{
  struct err e;
  const char *path = bed_image(&bed, "a", 512);
  assert_int_equal(truncate(path, 64 * MB), 0);
  struct blockdev *b = blk_open(&(struct blk_config){.path = path, .cache = cache, .snapshot = snapshot}, &e);
  assert_non_null(b);
  return b;
}

static void write_from(struct blockdev *b, uint64_t sector, unsigned pieces)
{
  static const uint8_t zero[PIECE];
  for (unsigned i = 0; i < pieces; i++)
    assert_int_equal(blk_write(b, sector + i * SECTORS, zero, SECTORS), 0);
}

static void a_long_sequence_is_on_its_way_before_the_flush_which_stays(void **state)
{
  struct blockdev *b = open_image(BLK_WRITEBACK, false);
  write_from(b, 0, 4);      // another sequence
  write_from(b, 20000, 79); // 20 MB less a piece
  assert_int_equal(syncs, 0);
  assert_int_equal(blk_flush(b), 0);
  assert_int_equal(syncs, 1);
  blk_close(b);
  assert_in_range(hints, 1, 2); // of one or two times 8 MB, as the thread comes to it
  assert_int_equal(flags, SYNC_FILE_RANGE_WRITE);
  assert_int_equal(first, 20000 * 512);
  assert_int_equal(end, 20000 * 512 + 16 * MB);
}

static void a_sequence_that_is_written_without_a_buffer_counts_too(void **state)
{
  struct blockdev *b = open_image(BLK_WRITEBACK, false);
  struct dma_port port = {.direct = fabric_direct, .fabric = &bed.fabric};
  struct dma_range r = {0, PIECE};
  struct dma_list l = {&r, 1, 0, PIECE};
  int err;
  uint32_t done;
  for (unsigned i = 0; i < 32; i++) {
    assert_true(blk_direct(b, i * SECTORS, &port, TXN_READ, &l, &err, &done));
    assert_int_equal(err, 0);
  }
  for (unsigned i = 0; i < 64; i++) // and reading is nothing of the kind
    assert_true(blk_direct(b, i * SECTORS, &port, TXN_WRITE, &l, &err, &done));
  blk_close(b);
  assert_int_equal(hints, 1);
  assert_int_equal(first, 0);
  assert_int_equal(end, 8 * MB);
}

static void short_or_scattered_writes_are_left_to_the_host(void **state)
{
  struct blockdev *b = open_image(BLK_WRITEBACK, false);
  for (unsigned round = 0; round < 4; round++)
    write_from(b, 0, 31); // less than 8 MB, over and over
  for (unsigned i = 0; i < 64; i++)
    write_from(b, (i * 7 % 64) * 2 * SECTORS, 1);
  blk_close(b);
  assert_int_equal(hints, 0);
}

static void nothing_is_begun_where_no_flush_matters(void **state)
{
  struct blockdev *b = open_image(BLK_UNSAFE, false);
  write_from(b, 0, 64);
  blk_close(b);
  b = open_image(BLK_WRITEBACK, true);
  write_from(b, 0, 64);
  blk_close(b);
  assert_int_equal(hints, 0);
  b = open_image(BLK_WRITETHROUGH, false); // each write is flushed
  write_from(b, 0, 64);
  blk_close(b);
  assert_int_equal(hints, 0);
  assert_int_equal(syncs, 64);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_long_sequence_is_on_its_way_before_the_flush_which_stays, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(a_sequence_that_is_written_without_a_buffer_counts_too, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(short_or_scattered_writes_are_left_to_the_host, setup, teardown),
      cmocka_unit_test_setup_teardown(nothing_is_begun_where_no_flush_matters, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
