// Disk images.
#include "bed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/block.h"

static struct bed bed;

static int setup(void **state)
{
  bed_init(&bed, 1 << 20);
  return 0;
}

static int teardown(void **state)
{
  bed_free(&bed);
  return 0;
}

static uint64_t first8(struct blockdev *b, uint64_t sector)
{
  uint8_t buf[512];
  uint64_t v;
  assert_int_equal(blk_read(b, sector, buf, 1), 0);
  memcpy(&v, buf, 8);
  return v;
}

static void writes_are_read_back_from_the_file(void **state)
{
  struct err e;
  uint8_t data[1024];
  struct blk_config cfg = {.path = bed_image(&bed, "a", 64 << 10)};
  struct blockdev *b = blk_open(&cfg, &e);
  assert_non_null(b);
  assert_int_equal(b->sectors, 128);
  assert_int_equal(first8(b, 127), 127);
  memset(data, 0x77, sizeof data);
  assert_int_equal(blk_write(b, 5, data, 2), 0);
  assert_int_equal(blk_flush(b), 0);
  assert_int_equal(blk_write_zeroes(b, 100, 3, false), 0);
  blk_close(b);
  b = blk_open(&cfg, &e);
  assert_int_equal(first8(b, 4), 4);
  assert_int_equal(first8(b, 6), 0x7777777777777777);
  assert_int_equal(first8(b, 7), 7);
  assert_int_equal(first8(b, 102), 0);
  assert_int_equal(first8(b, 103), 103);
  blk_close(b);
}

static void requests_beyond_the_end_fail(void **state)
{
  struct err e;
  uint8_t data[1024];
  struct blk_config cfg = {.path = bed_image(&bed, "a", 64 << 10)};
  struct blockdev *b = blk_open(&cfg, &e);
  assert_int_equal(blk_read(b, 127, data, 2), -EINVAL);
  assert_int_equal(blk_read(b, UINT64_MAX, data, 1), -EINVAL);
  assert_int_equal(blk_write(b, 128, data, 1), -EINVAL);
  assert_int_equal(blk_discard(b, UINT64_MAX, 2), -EINVAL);
  assert_int_equal(blk_write_zeroes(b, 1, UINT64_MAX, false), -EINVAL);
  blk_close(b);
}

static void image_in_use_is_refused_until_closed(void **state)
{
  struct err e;
  struct blk_config cfg = {.path = bed_image(&bed, "a", 4096)};
  struct blk_config ro = cfg;
  ro.read_only = true;
  struct blockdev *b = blk_open(&cfg, &e);
  assert_null(blk_open(&cfg, &e));
  assert_non_null(strstr(e.text, "in use by another process"));
  assert_null(blk_open(&ro, &e));
  blk_close(b);
  b = blk_open(&ro, &e);
  struct blockdev *c = blk_open(&ro, &e); // readers may share
  assert_non_null(c);
  assert_null(blk_open(&cfg, &e));
  blk_close(b);
  blk_close(c);
}

static void snapshot_keeps_the_file_as_it_was(void **state)
{
  struct err e;
  uint8_t data[512 * 9];
  struct blk_config cfg = {.path = bed_image(&bed, "a", 64 << 10), .snapshot = true};
  struct blockdev *b = blk_open(&cfg, &e);
  memset(data, 0x55, sizeof data);
  assert_int_equal(blk_write(b, 6, data, 9), 0); // spans three clusters
  assert_int_equal(first8(b, 5), 5);
  assert_int_equal(first8(b, 6), 0x5555555555555555);
  assert_int_equal(first8(b, 14), 0x5555555555555555);
  assert_int_equal(first8(b, 15), 15);
  assert_int_equal(blk_write_zeroes(b, 7, 1, true), 0);
  assert_int_equal(first8(b, 7), 0);
  assert_int_equal(first8(b, 8), 0x5555555555555555);
  assert_int_equal(blk_flush(b), 0);
  blk_close(b);
  cfg.snapshot = false;
  b = blk_open(&cfg, &e);
  assert_int_equal(first8(b, 6), 6);
  blk_close(b);
}

static void read_only_images_are_not_written(void **state)
{
  struct err e;
  uint8_t data[512] = {1};
  struct blk_config cfg = {.path = bed_image(&bed, "a", 4096), .read_only = true};
  struct blockdev *b = blk_open(&cfg, &e);
  assert_int_equal(blk_write(b, 0, data, 1), -EROFS);
  assert_int_equal(blk_write_zeroes(b, 1, 1, false), -EROFS);
  assert_int_equal(blk_discard(b, 1, 1), -EROFS);
  assert_int_equal(first8(b, 1), 1);
  blk_close(b);
}

static void odd_sizes_are_padded_and_cut_files_give_errors(void **state)
{
  struct err e;
  uint8_t data[512];
  struct blk_config cfg = {.path = bed_image(&bed, "a", 1500)};
  struct blockdev *b = blk_open(&cfg, &e);
  assert_int_equal(b->sectors, 3);
  assert_int_equal(blk_read(b, 2, data, 1), 0);
  assert_int_equal(data[0], 2);
  assert_int_equal(data[511], 0);
  assert_int_equal(truncate(cfg.path, 100), 0);
  assert_int_equal(blk_read(b, 1, data, 1), -EIO);
  assert_int_equal(b->errors, 1);
  blk_close(b);
}

static void what_is_no_raw_image_is_named(void **state)
{
  struct err e;
  struct blk_config cfg = {.path = bed_image(&bed, "q", 4096)};
  int fd = open(cfg.path, O_WRONLY);
  assert_int_equal(write(fd, "QFI\xfb", 4), 4);
  close(fd);
  assert_null(blk_open(&cfg, &e));
  assert_non_null(strstr(e.text, "qcow2"));
  assert_non_null(strstr(e.text, "raw"));
  cfg.format = "qcow2";
  assert_null(blk_open(&cfg, &e));
  assert_non_null(strstr(e.text, "raw"));
  cfg.format = "raw";
  struct blockdev *b = blk_open(&cfg, &e);
  assert_non_null(b);
  blk_close(b);
  cfg = (struct blk_config){.path = bed.dir, .read_only = true};
  assert_null(blk_open(&cfg, &e));
  assert_non_null(strstr(e.text, "directory"));
  cfg = (struct blk_config){.path = bed_image(&bed, "empty", 0)};
  assert_null(blk_open(&cfg, &e));
  assert_non_null(strstr(e.text, "empty"));
  cfg = (struct blk_config){.path = "/nonexistent"};
  assert_null(blk_open(&cfg, &e));
  assert_non_null(strstr(e.text, "/nonexistent"));
}

// Sectors to or from two buffers in memory, of which the first ends within a sector.
static bool direct(struct blockdev *b, enum txn_kind kind, uint64_t sector, uint32_t len, int *err,
                   uint32_t *done)
{
  struct dma_port port = {.direct = fabric_direct, .fabric = &bed.fabric};
  struct dma_range r[2] = {{0x1000, 100}, {0x4000, len - 100}};
  struct dma_list l = {r, 2, 0, len};
  *err = 99;
  *done = 99;
  return blk_direct(b, sector, &port, kind, &l, err, done);
}

static void images_move_to_memory_and_back_without_a_buffer(void **state)
{
  struct err e;
  int err;
  uint32_t done;
  struct blk_config cfg = {.path = bed_image(&bed, "a", 10 * 512 + 40)};
  assert_int_equal(truncate(cfg.path, 10 * 512 + 40), 0);
  struct blockdev *b = blk_open(&cfg, &e);
  memset(bed_mem(&bed, 0x1000), 0x33, 0x4000);
  assert_true(direct(b, TXN_WRITE, 8, 1536, &err, &done)); // the last sector is padding but for 40 bytes
  assert_int_equal(err, 0);
  assert_int_equal(done, 3);
  assert_int_equal(*bed_mem(&bed, 0x1000), 8);
  assert_int_equal(*bed_mem(&bed, 0x1000 + 100), 0x33);
  assert_int_equal(*bed_mem(&bed, 0x4000 + 412), 9);
  assert_int_equal(*bed_mem(&bed, 0x4000 + 1436 - 1), 0);
  assert_int_equal(*bed_mem(&bed, 0x4000 + 1436), 0x33);
  memset(bed_mem(&bed, 0x1000), 0x44, 0x4000);
  assert_true(direct(b, TXN_READ, 9, 1024, &err, &done));
  assert_int_equal(err, 0);
  assert_int_equal(first8(b, 8), 8);
  assert_int_equal(first8(b, 10), 0x4444444444444444);
  assert_int_equal(b->bytes, 11 * 512);
  assert_int_equal(b->writes, 1);
  assert_false(direct(b, TXN_WRITE, 10, 1024, &err, &done)); // beyond the end
  assert_false(direct(b, TXN_WRITE, 1, 1000, &err, &done));  // no whole sectors
  assert_int_equal(err, 99);
  assert_int_equal(truncate(cfg.path, 5 * 512 + 100), 0);
  assert_true(direct(b, TXN_WRITE, 3, 2048, &err, &done));
  assert_int_equal(err, -EIO);
  assert_int_equal(done, 2);
  assert_int_equal(b->errors, 1);
  blk_close(b);
}

static void images_with_an_overlay_or_read_only_take_the_buffer(void **state)
{
  struct err e;
  int err;
  uint32_t done;
  struct blk_config cfg = {.path = bed_image(&bed, "a", 64 << 10), .snapshot = true};
  struct blockdev *b = blk_open(&cfg, &e);
  assert_false(direct(b, TXN_WRITE, 1, 512, &err, &done));
  assert_false(direct(b, TXN_READ, 1, 512, &err, &done));
  blk_close(b);
  cfg.snapshot = false;
  cfg.read_only = true;
  b = blk_open(&cfg, &e);
  assert_false(direct(b, TXN_READ, 1, 512, &err, &done));
  assert_int_equal(*bed_mem(&bed, 0x1000), 0);
  assert_true(direct(b, TXN_WRITE, 1, 512, &err, &done));
  assert_int_equal(*bed_mem(&bed, 0x1000), 1);
  blk_close(b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(writes_are_read_back_from_the_file, setup, teardown),
      cmocka_unit_test_setup_teardown(requests_beyond_the_end_fail, setup, teardown),
      cmocka_unit_test_setup_teardown(image_in_use_is_refused_until_closed, setup, teardown),
      cmocka_unit_test_setup_teardown(snapshot_keeps_the_file_as_it_was, setup, teardown),
      cmocka_unit_test_setup_teardown(read_only_images_are_not_written, setup, teardown),
      cmocka_unit_test_setup_teardown(odd_sizes_are_padded_and_cut_files_give_errors, setup, teardown),
      cmocka_unit_test_setup_teardown(what_is_no_raw_image_is_named, setup, teardown),
      cmocka_unit_test_setup_teardown(images_move_to_memory_and_back_without_a_buffer, setup, teardown),
      cmocka_unit_test_setup_teardown(images_with_an_overlay_or_read_only_take_the_buffer, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
