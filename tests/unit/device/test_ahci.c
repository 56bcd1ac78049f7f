// AHCI: commands by the rings in memory, both kinds of drives, resets, errors, evil tables.
#include "bed.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/ahci.h"

enum { BAR = 0xe0000000, PORT = BAR + 0x100, LIST = 0x10000, FIS = 0x11000, TABLE = 0x12000, DATA = 0x40000 };
enum {
  IS = 0x10,
  IE = 0x14,
  CMD = 0x18,
  TFD = 0x20,
  SIG = 0x24,
  SSTS = 0x28,
  SCTL = 0x2c,
  SERR = 0x30,
  CI = 0x38
};
enum { DHRS = 1, PSS = 2, PCS = 0x40, OFS = 1 << 24, HBFS = 1 << 29, TFES = 1 << 30 };
#define NOWHERE UINT64_C(0x100000000000)

struct fixture {
  struct bed bed;
  struct device *dev;
  struct ahci *h;
  struct blockdev *disk;
};

static uint32_t get(struct fixture *f, unsigned reg)
{
  return (uint32_t)bed_read(&f->bed, PORT + reg, 4);
}

static void set(struct fixture *f, unsigned reg, uint32_t v)
{
  bed_write(&f->bed, PORT + reg, 4, v);
}

static void run_port(struct fixture *f)
{
  set(f, 0x00, LIST);
  set(f, 0x08, FIS);
  set(f, CMD, 0x10);
  set(f, SERR, ~0u);
  set(f, IS, ~0u);
  set(f, IE, ~0u);
  set(f, CMD, 0x11);
  bed_write(&f->bed, BAR + 4, 4, 2);
}

static void start(struct fixture *f, enum ide_kind kind)
{
  struct err e;
  memset(f, 0, sizeof *f);
  bed_init(&f->bed, 4 << 20);
  f->dev = ahci_device(&f->bed.env, bed_opts("x"), &e);
  assert_non_null(f->dev);
  f->h = f->dev->self;
  bed_config_write(&f->bed, &f->h->pci, 0x24, 4, BAR);
  bed_config_write(&f->bed, &f->h->pci, PCI_COMMAND, 2, 6);
  f->disk = blk_open(
      &(struct blk_config){.path = bed_image(&f->bed, "disk", 4 << 20), .read_only = kind == IDE_CD}, &e);
  assert_non_null(f->disk);
  assert_true(ahci_attach(f->h, 0, kind, f->disk, NULL, &e));
  run_port(f);
}

static void stop(struct fixture *f)
{
  device_free(f->dev);
  blk_close(f->disk);
  bed_free(&f->bed);
}

static void prd(struct fixture *f, unsigned slot, unsigned n, uint64_t addr, uint32_t len)
{
  uint32_t v[4] = {(uint32_t)addr, (uint32_t)(addr >> 32), 0, len - 1};
  memcpy(bed_mem(&f->bed, TABLE + 0x1000 * slot + 0x80 + 16 * n), v, 16);
}

static void header(struct fixture *f, unsigned slot, uint32_t flags, unsigned prds)
{
  uint32_t v[4] = {5 | flags | prds << 16, 0xdead, TABLE + 0x1000 * slot, 0};
  memcpy(bed_mem(&f->bed, LIST + 32 * slot), v, 16);
}

static void fis(struct fixture *f, unsigned slot, uint8_t command, uint64_t lba, unsigned count,
                uint8_t feature)
{
  uint8_t v[20] = {0x27,
                   0x80,
                   command,
                   feature,
                   (uint8_t)lba,
                   (uint8_t)(lba >> 8),
                   (uint8_t)(lba >> 16),
                   0x40,
                   (uint8_t)(lba >> 24),
                   0,
                   0,
                   0,
                   (uint8_t)count,
                   (uint8_t)(count >> 8)};
  memcpy(bed_mem(&f->bed, TABLE + 0x1000 * slot), v, sizeof v);
}

static void go(struct fixture *f, uint32_t slots)
{
  set(f, CI, slots);
  bed_run(&f->bed, 1000000000);
}

static uint32_t word(struct fixture *f, uint64_t at)
{
  uint32_t v;
  memcpy(&v, bed_mem(&f->bed, at), 4);
  return v;
}

static void says_what_is_there(void **state)
{
  struct fixture f;
  start(&f, IDE_HD);
  uint32_t cap = (uint32_t)bed_read(&f.bed, BAR, 4);
  assert_int_equal(cap & 31, AHCI_PORTS - 1);
  assert_int_equal(cap >> 8 & 31, 31);
  assert_int_equal(cap >> 30 & 1, 0); // no NCQ
  assert_int_equal(cap >> 31, 1);
  assert_int_equal(bed_read(&f.bed, BAR + 12, 4), 0x3f);
  assert_int_equal(bed_read(&f.bed, BAR + 4, 4), 0x80000002);
  assert_int_equal(get(&f, SSTS), 0x123);
  assert_int_equal(get(&f, SIG), 0x101);
  assert_int_equal(get(&f, TFD) & 0x89, 0);
  assert_int_equal(bed_read(&f.bed, PORT + 0x80 + SSTS, 4), 0);
  assert_int_equal(bed_read(&f.bed, PORT + 0x80 + SIG, 4), 0xffffffff);
  stop(&f);
  start(&f, IDE_CD);
  assert_int_equal(get(&f, SIG), 0xeb140101);
  stop(&f);
}

static void reads_along_several_descriptors(void **state)
{
  struct fixture f;
  start(&f, IDE_HD);
  fis(&f, 0, 0x25, 100, 300, 0); // READ DMA EXT
  header(&f, 0, 0, 3);
  prd(&f, 0, 0, DATA, 1000);
  prd(&f, 0, 1, DATA + 0x1000, 50000);
  prd(&f, 0, 2, DATA + 0x20000, 300 * 512 - 51000);
  go(&f, 1);
  assert_int_equal(get(&f, CI), 0);
  assert_int_equal(get(&f, IS), DHRS);
  assert_int_equal(get(&f, TFD) & 0xff, 0x50);
  assert_int_equal(word(&f, DATA), 100);
  assert_int_equal(word(&f, DATA + 512), 101);
  assert_int_equal(word(&f, DATA + 0x1000 + 24), 102);
  assert_int_equal(word(&f, DATA + 0x20000 + 200 * 512 - 51000), 300);
  assert_int_equal(word(&f, LIST + 4), 300 * 512);
  assert_int_equal(*bed_mem(&f.bed, FIS + 0x40), 0x34);
  assert_int_equal(*bed_mem(&f.bed, FIS + 0x42), 0x50);
  assert_int_equal(f.bed.level[8 + 3], 1);
  set(&f, IS, DHRS);
  bed_write(&f.bed, BAR + 8, 4, 1);
  assert_int_equal(f.bed.level[8 + 3], 0);
  stop(&f);
}

static void writes_and_flushes(void **state)
{
  struct fixture f;
  uint8_t sector[512];
  start(&f, IDE_HD);
  memset(bed_mem(&f.bed, DATA), 0x77, 4096);
  fis(&f, 2, 0x35, 5000, 8, 0);
  header(&f, 2, 0x40, 1);
  prd(&f, 2, 0, DATA, 4096);
  fis(&f, 3, 0xea, 0, 0, 0);
  header(&f, 3, 0, 0);
  go(&f, 0xc);
  assert_int_equal(get(&f, CI), 0);
  assert_int_equal(blk_read(f.disk, 5007, sector, 1), 0);
  assert_int_equal(sector[511], 0x77);
  assert_int_equal(blk_read(f.disk, 5008, sector, 1), 0);
  assert_int_equal(sector[511], 0);
  assert_int_equal(f.disk->flushes, 1);
  stop(&f);
}

static void pio_commands_move_their_data_too(void **state)
{
  struct fixture f;
  start(&f, IDE_HD);
  fis(&f, 0, 0xec, 0, 0, 0); // IDENTIFY DEVICE
  header(&f, 0, 0, 1);
  prd(&f, 0, 0, DATA, 512);
  go(&f, 1);
  assert_int_equal(get(&f, CI), 0);
  assert_int_equal(get(&f, IS), PSS);
  assert_int_equal(word(&f, FIS + 0x20) & 0xffff, 0x605f); // PIO setup, to the host, with interrupt
  assert_int_equal(word(&f, DATA + 2 * 60), 8192);
  assert_int_equal(word(&f, DATA + 2 * 76) & 0xffff, 6); // serial, no queuing
  fis(&f, 0, 0x20, 7, 3, 0);                             // READ SECTORS
  header(&f, 0, 0, 1);
  prd(&f, 0, 0, DATA, 3 * 512);
  go(&f, 1);
  assert_int_equal(word(&f, DATA + 1024), 9);
  memset(bed_mem(&f.bed, DATA), 0x11, 1024);
  fis(&f, 0, 0x30, 20, 2, 0); // WRITE SECTORS
  header(&f, 0, 0x40, 1);
  prd(&f, 0, 0, DATA, 1024);
  go(&f, 1);
  assert_int_equal(get(&f, CI), 0);
  uint8_t sector[512];
  assert_int_equal(blk_read(f.disk, 21, sector, 1), 0);
  assert_int_equal(sector[0], 0x11);
  stop(&f);
}

static void packets_reach_a_cd(void **state)
{
  struct fixture f;
  start(&f, IDE_CD);
  static const uint8_t read10[12] = {0x28, 0, 0, 0, 0, 3, 0, 0, 2};
  for (unsigned dma = 0; dma < 2; dma++) {
    for (unsigned attempt = 0; attempt < 2; attempt++) { // the first ends with unit attention
      fis(&f, 0, 0xa0, 0xf00000 & 0, 0, (uint8_t)dma);
      bed_mem(&f.bed, TABLE)[5] = 0x00, bed_mem(&f.bed, TABLE)[6] = 0x08; // byte count limit 800h
      memcpy(bed_mem(&f.bed, TABLE + 0x40), read10, 12);
      header(&f, 0, 0x20, 1);
      prd(&f, 0, 0, DATA, 4096);
      memset(bed_mem(&f.bed, DATA), 0xee, 4096);
      go(&f, 1);
      if (dma || attempt)
        break;
      assert_int_equal(get(&f, CI), 1);
      assert_int_equal(get(&f, TFD) & 1, 1);
      assert_int_equal(get(&f, TFD) >> 12, 6);
      assert_true(get(&f, IS) & TFES);
      set(&f, CMD, 0x10);
      set(&f, IS, ~0u);
      set(&f, CMD, 0x11);
    }
    assert_int_equal(get(&f, CI), 0);
    if (dma)
      assert_int_equal(word(&f, FIS + 0x20) & 0xffff, 0x005f);
    if (dma) // the packet itself is not announced: a driver would take it for the end
      assert_int_equal(get(&f, IS), DHRS);
    set(&f, IS, ~0u);
    assert_int_equal(word(&f, DATA), 12);
    assert_int_equal(word(&f, DATA + 2048), 16);
    assert_int_equal(word(&f, LIST + 4), 4096);
  }
  stop(&f);
}

static void an_error_stops_the_port_until_st_is_cleared(void **state)
{
  struct fixture f;
  start(&f, IDE_HD);
  fis(&f, 0, 0x25, 8192, 1, 0); // behind the end
  header(&f, 0, 0, 1);
  prd(&f, 0, 0, DATA, 512);
  fis(&f, 1, 0x25, 1, 1, 0);
  header(&f, 1, 0, 1);
  prd(&f, 1, 0, DATA, 512);
  go(&f, 3);
  assert_int_equal(get(&f, CI), 3);
  assert_true(get(&f, IS) & TFES);
  go(&f, 2);
  assert_int_equal(word(&f, DATA), 0);
  assert_int_equal(get(&f, TFD) & 1, 1);
  set(&f, CMD, 0x10);
  assert_int_equal(get(&f, CI), 0);
  set(&f, CMD, 0x11);
  go(&f, 2);
  assert_int_equal(get(&f, CI), 0);
  assert_int_equal(word(&f, DATA), 1);
  stop(&f);
}

static void refused_memory_is_a_bus_error_never_success(void **state)
{
  struct fixture f;
  uint8_t before[512], after[512];
  start(&f, IDE_HD);
  fis(&f, 0, 0x25, 1, 1, 0);
  header(&f, 0, 0, 1);
  prd(&f, 0, 0, NOWHERE, 512);
  go(&f, 1);
  assert_int_equal(get(&f, CI), 1);
  assert_true(get(&f, IS) & HBFS);
  assert_int_equal(get(&f, TFD) & 1, 1);
  // A write whose data cannot be had does not reach the disk.
  set(&f, CMD, 0x10);
  set(&f, IS, ~0u);
  set(&f, CMD, 0x11);
  assert_int_equal(blk_read(f.disk, 3, before, 1), 0);
  fis(&f, 0, 0x35, 3, 1, 0);
  header(&f, 0, 0x40, 1);
  go(&f, 1);
  assert_true(get(&f, IS) & HBFS);
  assert_int_equal(get(&f, CI), 1);
  assert_int_equal(blk_read(f.disk, 3, after, 1), 0);
  assert_memory_equal(before, after, 512);
  // A command list, and a FIS area, that are not there.
  set(&f, CMD, 0x10);
  set(&f, IS, ~0u);
  set(&f, 0x04, 0x1000);
  set(&f, CMD, 0x11);
  go(&f, 1);
  assert_true(get(&f, IS) & HBFS);
  set(&f, CMD, 0);
  set(&f, IS, ~0u);
  set(&f, 0x04, 0);
  set(&f, 0x0c, 0x1000);
  set(&f, CMD, 0x11);
  fis(&f, 0, 0xe7, 0, 0, 0);
  header(&f, 0, 0, 0);
  go(&f, 1);
  assert_true(get(&f, IS) & HBFS);
  assert_int_equal(get(&f, CI), 1);
  stop(&f);
}

static void descriptors_that_are_too_short_end_the_command(void **state)
{
  struct fixture f;
  start(&f, IDE_HD);
  fis(&f, 0, 0x25, 1, 4, 0);
  header(&f, 0, 0, 1);
  prd(&f, 0, 0, DATA, 512);
  go(&f, 1);
  assert_int_equal(get(&f, CI), 1);
  assert_true(get(&f, IS) & OFS);
  assert_true(get(&f, IS) & TFES);
  assert_int_equal(word(&f, DATA), 1);
  assert_int_equal(word(&f, DATA + 512), 0);
  set(&f, CMD, 0x10);
  set(&f, IS, ~0u);
  set(&f, CMD, 0x11);
  fis(&f, 0, 0xec, 0, 0, 0); // by PIO
  prd(&f, 0, 0, DATA, 256);
  go(&f, 1);
  assert_int_equal(get(&f, CI), 1);
  assert_true(get(&f, IS) & OFS);
  assert_true(get(&f, IS) & TFES);
  stop(&f);
}

static void a_long_table_of_short_descriptors_takes_its_time(void **state)
{
  struct fixture f;
  start(&f, IDE_HD);
  fis(&f, 0, 0x25, 1, 64, 0);
  header(&f, 0, 0, 64 * 256);
  for (unsigned i = 0; i < 64 * 256; i++)
    prd(&f, 0, i, DATA + 0x80000 + 2 * i, 2);
  set(&f, CI, 1);
  bed_run(&f.bed, 50000);
  assert_int_equal(get(&f, CI), 1);
  bed_run(&f.bed, 1000000000);
  assert_int_equal(get(&f, CI), 0);
  assert_int_equal(word(&f, DATA + 0x80000 + 63 * 512), 64);
  stop(&f);
}

static void resets_bring_the_signature_back(void **state)
{
  struct fixture f;
  start(&f, IDE_HD);
  // COMRESET
  set(&f, CMD, 0x10);
  set(&f, SCTL, 0x301);
  assert_int_equal(get(&f, SSTS), 1);
  set(&f, SCTL, 0x300);
  assert_int_equal(get(&f, TFD) & 0x80, 0x80);
  assert_int_equal(get(&f, SSTS), 0x123);
  assert_true(get(&f, IS) & PCS);
  set(&f, SERR, ~0u);
  assert_false(get(&f, IS) & PCS);
  bed_run(&f.bed, 10000000);
  assert_int_equal(get(&f, TFD) & 0x80, 0);
  assert_int_equal(get(&f, SIG), 0x101);
  // A software reset, by two FIS
  set(&f, CMD, 0x11);
  fis(&f, 0, 0, 0, 0, 0);
  bed_mem(&f.bed, TABLE)[1] = 0;
  bed_mem(&f.bed, TABLE)[15] = 4;
  header(&f, 0, 0x500, 0);
  go(&f, 1);
  assert_int_equal(get(&f, CI), 0);
  bed_mem(&f.bed, TABLE)[15] = 0;
  header(&f, 0, 0, 0);
  go(&f, 1);
  assert_int_equal(get(&f, CI), 0);
  assert_int_equal(get(&f, TFD), 0x150);
  // The whole controller
  bed_write(&f.bed, BAR + 4, 4, 1);
  assert_int_equal(bed_read(&f.bed, BAR + 4, 4), 0x80000000);
  assert_int_equal(get(&f, IE), 0);
  run_port(&f);
  fis(&f, 0, 0x25, 9, 1, 0);
  header(&f, 0, 0, 1);
  prd(&f, 0, 0, DATA, 512);
  go(&f, 1);
  assert_int_equal(word(&f, DATA), 9);
  stop(&f);
}

static void clearing_st_forgets_the_command(void **state)
{
  struct fixture f;
  start(&f, IDE_HD);
  fis(&f, 0, 0x25, 1, 128, 0);
  header(&f, 0, 0, 1);
  prd(&f, 0, 0, DATA, 65536);
  set(&f, CI, 1);
  bed_run(&f.bed, 10000);
  set(&f, CMD, 0x10);
  bed_run(&f.bed, 1000000000);
  assert_int_equal(word(&f, DATA), 0);
  assert_int_equal(get(&f, CI), 0);
  set(&f, CMD, 0x11);
  go(&f, 1);
  assert_int_equal(word(&f, DATA), 1);
  stop(&f);
}

static void messages_come_for_each_event(void **state)
{
  struct fixture f;
  start(&f, IDE_HD);
  uint8_t cap = f.h->pci.msi_cap;
  bed_config_write(&f.bed, &f.h->pci, cap + 4u, 4, 0xfee00000);
  bed_config_write(&f.bed, &f.h->pci, cap + 12u, 2, 0x55);
  bed_config_write(&f.bed, &f.h->pci, cap + 2u, 2, 1);
  fis(&f, 0, 0xe7, 0, 0, 0);
  header(&f, 0, 0, 0);
  go(&f, 1);
  assert_int_equal(f.bed.messages, 1);
  assert_int_equal(f.bed.last_message, 0x55);
  bed_write(&f.bed, BAR + 8, 4, 1); // acknowledged too early: the port still asks
  assert_int_equal(f.bed.messages, 2);
  set(&f, IS, ~0u);
  bed_write(&f.bed, BAR + 8, 4, 1);
  assert_int_equal(bed_read(&f.bed, BAR + 8, 4), 0);
  go(&f, 1);
  assert_int_equal(f.bed.messages, 3);
  stop(&f);
}

static void a_table_in_its_own_registers_does_no_harm(void **state)
{
  struct fixture f;
  start(&f, IDE_HD);
  fis(&f, 0, 0x25, 1, 8, 0);
  header(&f, 0, 0, 1);
  prd(&f, 0, 0, BAR, 4096);
  go(&f, 1);
  assert_int_equal(bed_read(&f.bed, BAR + 12, 4), 0x3f);
  set(&f, CMD, 0x10);
  set(&f, 0x00, BAR);
  set(&f, CMD, 0x11);
  go(&f, 1);
  assert_true(get(&f, IS) & HBFS); // ones are no FIS
  stop(&f);
}

static void any_command_leaves_the_port_usable(void **state)
{
  struct fixture f;
  for (enum ide_kind kind = IDE_HD; kind <= IDE_CD; kind++) {
    start(&f, kind);
    for (unsigned c = 0; c < 256; c++) {
      fis(&f, 0, (uint8_t)c, 1, 1, 0);
      header(&f, 0, 0x20, 1);
      prd(&f, 0, 0, DATA, 65536);
      go(&f, 1);
      if (get(&f, CI) && !(get(&f, IS) & (TFES | HBFS)))
        fail_msg("command %02x never ends", c);
      set(&f, CMD, 0x10);
      set(&f, IS, ~0u);
      set(&f, CMD, 0x11);
    }
    fis(&f, 0, kind == IDE_HD ? 0xec : 0xa1, 0, 0, 0);
    header(&f, 0, 0, 1);
    prd(&f, 0, 0, DATA, 512);
    go(&f, 1);
    assert_int_equal(get(&f, CI), 0);
    stop(&f);
  }
}

static void tables_may_be_longer_than_what_is_read_of_them_at_once(void **state)
{
  enum { PRDS = 2 * AHCI_PRDS + 88, BIG = 0x100000 }; // all but one of 500 bytes, far from each other
  struct fixture f;
  start(&f, IDE_HD);
  fis(&f, 0, 0x25, 10, PRDS, 0);
  header(&f, 0, 0, PRDS);
  for (unsigned i = 0; i < PRDS; i++)
    prd(&f, 0, i, BIG + 4096 * i, i == 5 ? 512 + 12 * (PRDS - 1) : 500);
  go(&f, 1);
  assert_int_equal(get(&f, CI), 0);
  assert_int_equal(get(&f, TFD) & 0x89, 0);
  assert_int_equal(word(&f, LIST + 4), PRDS * 512);
  assert_int_equal(word(&f, BIG), 10);
  assert_int_equal(word(&f, BIG + 4096 * 5 + 12 * 5), 15);
  // The last sector lies in the last two buffers: 12 bytes, then 500.
  assert_int_equal(word(&f, BIG + 4096 * (PRDS - 1) - 4096 + 488), 10 + PRDS - 1);
  stop(&f);
}

static void an_image_that_is_cut_short_gives_an_error_and_its_place(void **state)
{
  struct fixture f;
  start(&f, IDE_HD);
  assert_int_equal(truncate(f.disk->path, 230 * 512), 0);
  fis(&f, 0, 0x25, 100, 300, 0);
  header(&f, 0, 0, 1);
  prd(&f, 0, 0, DATA, 300 * 512);
  go(&f, 1);
  assert_int_equal(get(&f, CI), 1);
  assert_int_equal(get(&f, IS) & TFES, TFES);
  assert_int_equal(get(&f, TFD) & 0xff01, 0x4001); // uncorrectable
  uint32_t place = word(&f, FIS + 0x44) & 0xffffff, moved = word(&f, LIST + 4);
  assert_true(place <= 230 && place >= (bed_without_direct ? 228 : 230));
  assert_int_equal(moved, (place - 100) * 512);
  assert_int_equal(word(&f, DATA + moved - 512), place - 1);
  stop(&f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(says_what_is_there),
      cmocka_unit_test(reads_along_several_descriptors),
      cmocka_unit_test(writes_and_flushes),
      cmocka_unit_test(pio_commands_move_their_data_too),
      cmocka_unit_test(packets_reach_a_cd),
      cmocka_unit_test(an_error_stops_the_port_until_st_is_cleared),
      cmocka_unit_test(refused_memory_is_a_bus_error_never_success),
      cmocka_unit_test(descriptors_that_are_too_short_end_the_command),
      cmocka_unit_test(a_long_table_of_short_descriptors_takes_its_time),
      cmocka_unit_test(resets_bring_the_signature_back),
      cmocka_unit_test(clearing_st_forgets_the_command),
      cmocka_unit_test(messages_come_for_each_event),
      cmocka_unit_test(a_table_in_its_own_registers_does_no_harm),
      cmocka_unit_test(any_command_leaves_the_port_usable),
      cmocka_unit_test(tables_may_be_longer_than_what_is_read_of_them_at_once),
      cmocka_unit_test(an_image_that_is_cut_short_gives_an_error_and_its_place),
  };
  return bed_run_both_ways(tests);
}
