// The IDE controller with a disk and a CD-ROM drive.
#include "bed.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/ide.h"

enum { DATA = 0x1f0, ERR, COUNT, LBA0, LBA1, LBA2, DEV, CMD, CTL = 0x3f6 };
enum { BM = 0xc000, PRDT = 0x8000, BUF = 0x100000, DISK = 4 << 20 };

struct fixture {
  struct bed bed;
  struct ide *ide;
  struct blockdev *disk, *cd;
};

static void start(struct fixture *f)
{
  struct err e;
  bed_init(&f->bed, 4 << 20);
  struct irq irq[2] = {bed_irq(&f->bed, 14), bed_irq(&f->bed, 15)};
  f->ide = ide_create(&f->bed.pci, 1 << 3 | 1, &f->bed.clock, irq, &f->bed.log, &e);
  assert_non_null(f->ide);
  f->disk = blk_open(&(struct blk_config){.path = bed_image(&f->bed, "disk", DISK)}, &e);
  f->cd = blk_open(&(struct blk_config){.path = bed_image(&f->bed, "cd", 1 << 20), .read_only = true}, &e);
  assert_true(ide_attach(f->ide, 0, 0, IDE_HD, f->disk, NULL, &e));
  assert_true(ide_attach(f->ide, 1, 0, IDE_CD, f->cd, NULL, &e));
  bed_config_write(&f->bed, &f->ide->pci, 0x20, 4, BM);
  bed_config_write(&f->bed, &f->ide->pci, PCI_COMMAND, 2, 5);
}

static void stop(struct fixture *f)
{
  ide_free(f->ide);
  blk_close(f->disk);
  blk_close(f->cd);
  bed_free(&f->bed);
}

static uint8_t status(struct fixture *f)
{
  return (uint8_t)bed_in(&f->bed, CMD, 1);
}

// Issues a 28-bit command on the disk.
static void command(struct fixture *f, uint8_t cmd, uint32_t lba, uint8_t count)
{
  bed_out(&f->bed, DEV, 1, 0xe0 | (lba >> 24 & 15));
  bed_out(&f->bed, COUNT, 1, count);
  bed_out(&f->bed, LBA0, 1, lba & 0xff);
  bed_out(&f->bed, LBA1, 1, lba >> 8 & 0xff);
  bed_out(&f->bed, LBA2, 1, lba >> 16 & 0xff);
  bed_out(&f->bed, CMD, 1, cmd);
}

static void command48(struct fixture *f, uint8_t cmd, uint64_t lba, uint16_t count)
{
  bed_out(&f->bed, DEV, 1, 0xe0);
  bed_out(&f->bed, COUNT, 1, count >> 8);
  bed_out(&f->bed, COUNT, 1, count & 0xff);
  for (int i = 0; i < 3; i++) {
    bed_out(&f->bed, (uint16_t)(LBA0 + i), 1, (uint32_t)(lba >> (24 + 8 * i)) & 0xff);
    bed_out(&f->bed, (uint16_t)(LBA0 + i), 1, (uint32_t)(lba >> 8 * i) & 0xff);
  }
  bed_out(&f->bed, CMD, 1, cmd);
}

static void read_data(struct fixture *f, uint16_t port, void *buf, unsigned len)
{
  for (unsigned i = 0; i < len; i += 2) {
    uint16_t w = (uint16_t)bed_in(&f->bed, port, 2);
    memcpy((uint8_t *)buf + i, &w, 2);
  }
}

static void wait_irq(struct fixture *f, int n)
{
  unsigned before = f->bed.edges[n];
  for (int i = 0; i < 100000 && f->bed.edges[n] == before; i++)
    bed_run(&f->bed, 1000);
  assert_int_equal(f->bed.edges[n], before + 1);
}

static void prd(struct fixture *f, unsigned n, uint32_t addr, uint32_t len, bool last)
{
  uint32_t e[2] = {addr, (len & 0xffff) | (last ? 0x80000000 : 0)};
  memcpy(bed_mem(&f->bed, PRDT + 8 * n), e, 8);
}

static void start_bm(struct fixture *f, unsigned channel, bool to_memory)
{
  uint16_t p = (uint16_t)(BM + 8 * channel);
  bed_out(&f->bed, p + 4, 4, PRDT);
  bed_out(&f->bed, p + 2, 1, 6);
  bed_out(&f->bed, p, 1, to_memory ? 8 : 0);
  bed_out(&f->bed, p, 1, to_memory ? 9 : 1);
}

static void identify_names_the_disk_and_its_size(void **state)
{
  struct fixture f;
  uint16_t id[256];
  start(&f);
  command(&f, 0xec, 0, 0);
  assert_int_equal(status(&f) & 0x80, 0x80);
  assert_int_equal(f.bed.level[14], 0);
  wait_irq(&f, 14);
  assert_int_equal(status(&f), 0x58);
  assert_int_equal(f.bed.level[14], 0); // reading the status acknowledges
  read_data(&f, DATA, id, 512);
  assert_int_equal(status(&f), 0x50);
  assert_int_equal(id[60] | id[61] << 16, DISK / 512);
  assert_int_equal(id[100], DISK / 512);
  assert_memory_equal(&id[27], "APICIFACH RADDSI K", 18);
  uint8_t sum = 0;
  for (unsigned i = 0; i < 512; i++)
    sum += ((uint8_t *)id)[i];
  assert_int_equal(sum, 0);
  stop(&f);
}

static void pio_reads_and_writes_sectors_with_an_interrupt_each(void **state)
{
  struct fixture f;
  uint64_t buf[64];
  start(&f);
  command(&f, 0x20, 7, 3);
  for (uint64_t s = 7; s < 10; s++) {
    wait_irq(&f, 14);
    assert_int_equal(status(&f), 0x58);
    read_data(&f, DATA, buf, 512);
    assert_int_equal(buf[0], s);
  }
  assert_int_equal(status(&f), 0x50);
  command(&f, 0x30, 9, 2);
  for (unsigned s = 0; s < 2; s++) {
    assert_int_equal(status(&f) & 8, 8);
    for (unsigned i = 0; i < 128; i++)
      bed_out(&f.bed, DATA, 4, 0xabcd0000 + s);
    wait_irq(&f, 14);
  }
  assert_int_equal(status(&f), 0x50);
  assert_int_equal(blk_read(f.disk, 10, buf, 1), 0);
  assert_int_equal(buf[0], 0xabcd0001abcd0001);
  assert_int_equal(blk_read(f.disk, 11, buf, 1), 0);
  assert_int_equal(buf[0], 11);
  stop(&f);
}

static void multiple_mode_needs_to_be_set_and_joins_sectors(void **state)
{
  struct fixture f;
  uint64_t buf[64 * 8];
  start(&f);
  command(&f, 0xc4, 0, 4);
  assert_int_equal(status(&f) & 1, 1);
  command(&f, 0xc6, 0, 3);
  assert_int_equal(status(&f) & 1, 1);
  command(&f, 0xc6, 0, 8);
  assert_int_equal(status(&f) & 1, 0);
  command48(&f, 0x29, 0, 0); // 65536 sectors: more than there are
  assert_int_equal(status(&f) & 1, 1);
  assert_int_equal(bed_in(&f.bed, ERR, 1) & 0x10, 0x10);
  command(&f, 0xc4, 100, 10);
  wait_irq(&f, 14);
  status(&f);
  read_data(&f, DATA, buf, 4096);
  assert_int_equal(buf[64 * 7], 107);
  wait_irq(&f, 14);
  status(&f);
  read_data(&f, DATA, buf, 1024);
  assert_int_equal(buf[64], 109);
  assert_int_equal(status(&f), 0x50);
  stop(&f);
}

static void lba48_chs_and_native_size_agree(void **state)
{
  struct fixture f;
  uint64_t buf[64];
  start(&f);
  command48(&f, 0x24, 2222, 1);
  wait_irq(&f, 14);
  status(&f);
  read_data(&f, DATA, buf, 512);
  assert_int_equal(buf[0], 2222);
  bed_out(&f.bed, DEV, 1, 0xa0 | 3); // C 1, H 3, S 5 of 16 heads and 63 sectors
  bed_out(&f.bed, COUNT, 1, 1);
  bed_out(&f.bed, LBA0, 1, 5);
  bed_out(&f.bed, LBA1, 1, 1);
  bed_out(&f.bed, LBA2, 1, 0);
  bed_out(&f.bed, CMD, 1, 0x20);
  wait_irq(&f, 14);
  status(&f);
  read_data(&f, DATA, buf, 512);
  assert_int_equal(buf[0], (1 * 16 + 3) * 63 + 4);
  command(&f, 0xf8, 0, 0);
  wait_irq(&f, 14);
  status(&f);
  assert_int_equal(bed_in(&f.bed, LBA0, 1) | bed_in(&f.bed, LBA1, 1) << 8, DISK / 512 - 1);
  stop(&f);
}

static void dma_moves_data_along_the_descriptors(void **state)
{
  struct fixture f;
  uint64_t v;
  start(&f);
  prd(&f, 0, BUF, 1024, false);
  prd(&f, 1, BUF + 8192, 0, false); // 64 KB
  prd(&f, 2, BUF + 8192 + 65536, 200 * 512 - 1024 - 65536, true);
  command(&f, 0xc8, 50, 200);
  bed_run(&f.bed, 10000000);
  assert_int_equal(f.bed.edges[14], 0); // nothing moves before the bus master is started
  start_bm(&f, 0, true);
  assert_int_equal(bed_in(&f.bed, BM + 2, 1) & 7, 1);
  wait_irq(&f, 14);
  assert_int_equal(bed_in(&f.bed, BM + 2, 1) & 7, 4);
  assert_int_equal(status(&f), 0x50);
  memcpy(&v, bed_mem(&f.bed, BUF + 512), 8);
  assert_int_equal(v, 51);
  memcpy(&v, bed_mem(&f.bed, BUF + 8192), 8);
  assert_int_equal(v, 52);
  memcpy(&v, bed_mem(&f.bed, BUF + 8192 + 197 * 512), 8);
  assert_int_equal(v, 249);
  memcpy(&v, bed_mem(&f.bed, BUF + 8192 + 198 * 512), 8);
  assert_int_equal(v, 0);
  bed_out(&f.bed, BM + 2, 1, 4);
  assert_int_equal(bed_in(&f.bed, BM + 2, 1) & 7, 0);
  // and back, by a 48-bit write
  bed_out(&f.bed, BM, 1, 0);
  memset(bed_mem(&f.bed, BUF), 0x3c, 512);
  prd(&f, 0, BUF, 512, true);
  command48(&f, 0x35, 8000, 1);
  start_bm(&f, 0, false);
  wait_irq(&f, 14);
  assert_int_equal(blk_read(f.disk, 8000, &v, 0), 0);
  uint8_t sector[512];
  assert_int_equal(blk_read(f.disk, 8000, sector, 1), 0);
  assert_int_equal(sector[511], 0x3c);
  stop(&f);
}

static void dma_to_nowhere_ends_with_the_error_bit(void **state)
{
  struct fixture f;
  start(&f);
  prd(&f, 0, 0x80000000, 512, true); // no memory there
  command(&f, 0xc8, 0, 1);
  start_bm(&f, 0, true);
  wait_irq(&f, 14);
  assert_int_equal(bed_in(&f.bed, BM + 2, 1) & 3, 2);
  assert_int_equal(status(&f) & 1, 1);
  assert_int_equal(bed_config_read(&f.bed, &f.ide->pci, PCI_STATUS, 2) & PCI_STATUS_REC_MASTER_ABORT,
                   PCI_STATUS_REC_MASTER_ABORT);
  // the table itself is out of reach
  bed_out(&f.bed, BM, 1, 0);
  command(&f, 0xca, 0, 1);
  bed_out(&f.bed, BM + 2, 1, 6);
  bed_out(&f.bed, BM + 4, 4, 0x90000000);
  bed_out(&f.bed, BM, 1, 1);
  wait_irq(&f, 14);
  assert_int_equal(bed_in(&f.bed, BM + 2, 1) & 3, 2);
  // bus mastering is off
  bed_out(&f.bed, BM, 1, 0);
  prd(&f, 0, BUF, 512, true);
  bed_config_write(&f.bed, &f.ide->pci, PCI_COMMAND, 2, 1);
  command(&f, 0xc8, 0, 1);
  start_bm(&f, 0, true);
  wait_irq(&f, 14);
  assert_int_equal(bed_in(&f.bed, BM + 2, 1) & 3, 2);
  stop(&f);
}

static void descriptors_that_are_too_short_leave_the_drive_waiting(void **state)
{
  struct fixture f;
  uint64_t v;
  start(&f);
  prd(&f, 0, BUF, 512, true);
  command(&f, 0xc8, 10, 2);
  start_bm(&f, 0, true);
  bed_run(&f.bed, 100000000);
  assert_int_equal(f.bed.edges[14], 0);
  assert_int_equal(bed_in(&f.bed, BM + 2, 1) & 7, 0);
  assert_int_equal(bed_in(&f.bed, CTL, 1) & 0x80, 0x80);
  bed_out(&f.bed, BM, 1, 0); // the rest goes to a second table
  prd(&f, 0, BUF + 4096, 512, true);
  start_bm(&f, 0, true);
  wait_irq(&f, 14);
  memcpy(&v, bed_mem(&f.bed, BUF + 4096), 8);
  assert_int_equal(v, 11);
  stop(&f);
}

static void endless_tiny_descriptors_do_not_hang(void **state)
{
  struct fixture f;
  start(&f);
  for (unsigned i = 0; i < 4096; i++) // the table wraps within its 64 KB and never ends
    prd(&f, i, BUF, 2, false);
  command(&f, 0xc8, 0, 0);
  start_bm(&f, 0, true);
  bed_run(&f.bed, UINT64_C(100000000));
  assert_int_equal(bed_in(&f.bed, CTL, 1) & 0x80, 0); // 128 KB moved, two bytes at a time, or an error
  stop(&f);
}

static void reset_shows_the_signatures(void **state)
{
  struct fixture f;
  start(&f);
  command(&f, 0xc8, 0, 1);
  bed_out(&f.bed, CTL, 1, 4);
  assert_int_equal(bed_in(&f.bed, CTL, 1), 0x80);
  bed_out(&f.bed, CTL, 1, 0);
  bed_run(&f.bed, 1000000);
  assert_int_equal(status(&f), 0x50);
  assert_int_equal(bed_in(&f.bed, ERR, 1), 1);
  assert_int_equal(bed_in(&f.bed, LBA1, 1) | bed_in(&f.bed, LBA2, 1) << 8, 0);
  bed_out(&f.bed, 0x376, 1, 4);
  bed_out(&f.bed, 0x376, 1, 0);
  bed_run(&f.bed, 1000000);
  assert_int_equal(bed_in(&f.bed, 0x174, 1) | bed_in(&f.bed, 0x175, 1) << 8, 0xeb14);
  bed_out(&f.bed, DEV, 1, 0xb0); // there is no slave
  assert_int_equal(status(&f), 0);
  stop(&f);
}

static void unknown_commands_abort(void **state)
{
  struct fixture f;
  start(&f);
  for (unsigned cmd = 0; cmd < 256; cmd++) { // whatever comes, the drive is usable afterwards
    command(&f, (uint8_t)cmd, 0, 1);
    bed_run(&f.bed, 1000000);
    bed_out(&f.bed, CTL, 1, 4);
    bed_out(&f.bed, CTL, 1, 0);
    bed_run(&f.bed, 1000000);
    assert_int_equal(status(&f), 0x50);
  }
  command(&f, 0xb0, 0, 0); // SMART
  assert_int_equal(status(&f), 0x51);
  assert_int_equal(bed_in(&f.bed, ERR, 1), 4);
  stop(&f);
}

static void a_write_error_of_the_host_becomes_a_device_fault(void **state)
{
  struct fixture f;
  start(&f);
  f.disk->read_only = true; // as good as an error
  command(&f, 0x30, 0, 1);
  for (unsigned i = 0; i < 128; i++)
    bed_out(&f.bed, DATA, 4, 0);
  wait_irq(&f, 14);
  assert_int_equal(status(&f) & 0x21, 0x21);
  f.disk->read_only = false;
  stop(&f);
}

// ---- CD ---------------------------------------------------------------------------------------------

// Sends a packet; data comes by PIO in pieces of at most `limit`. Returns its length.
static unsigned packet(struct fixture *f, const uint8_t *cdb, void *buf, unsigned limit)
{
  unsigned len = 0;
  bed_out(&f->bed, 0x176, 1, 0xa0);
  bed_out(&f->bed, 0x171, 1, 0);
  bed_out(&f->bed, 0x174, 1, limit & 0xff);
  bed_out(&f->bed, 0x175, 1, limit >> 8);
  bed_out(&f->bed, 0x177, 1, 0xa0);
  assert_int_equal(bed_in(&f->bed, 0x376, 1) & 0x88, 8);
  assert_int_equal(bed_in(&f->bed, 0x172, 1), 1);
  for (unsigned i = 0; i < 12; i += 2)
    bed_out(&f->bed, 0x170, 2, cdb[i] | cdb[i + 1] << 8);
  for (;;) {
    wait_irq(f, 15);
    if (!(bed_in(&f->bed, 0x177, 1) & 8))
      break;
    assert_int_equal(bed_in(&f->bed, 0x172, 1), 2);
    unsigned n = bed_in(&f->bed, 0x174, 1) | bed_in(&f->bed, 0x175, 1) << 8;
    assert_true(n && n <= limit);
    read_data(f, 0x170, (uint8_t *)buf + len, n);
    len += n;
  }
  assert_int_equal(bed_in(&f->bed, 0x172, 1), 3);
  return len;
}

static bool failed(struct fixture *f)
{
  return bed_in(&f->bed, 0x376, 1) & 1;
}

static void clear_attention(struct fixture *f)
{
  uint8_t buf[64];
  packet(f, (uint8_t[12]){0}, buf, 64);
  assert_true(failed(f));
  assert_int_equal(packet(f, (uint8_t[12]){3, 0, 0, 0, 18}, buf, 64), 18);
  assert_int_equal(buf[2], 6);
  assert_int_equal(buf[12], 0x29);
}

static void cd_reads_capacity_toc_and_blocks(void **state)
{
  struct fixture f;
  static uint8_t buf[65536];
  uint64_t v;
  start(&f);
  clear_attention(&f);
  assert_int_equal(packet(&f, (uint8_t[12]){0}, buf, 64), 0);
  assert_false(failed(&f));
  assert_int_equal(packet(&f, (uint8_t[12]){0x25}, buf, 64), 8);
  assert_memory_equal(buf, ((uint8_t[]){0, 0, 1, 255, 0, 0, 8, 0}), 8);
  assert_int_equal(packet(&f, (uint8_t[12]){0x43, 0, 0, 0, 0, 0, 0, 0, 20}, buf, 64), 20);
  assert_int_equal(buf[1], 18);
  assert_int_equal(packet(&f, (uint8_t[12]){0x28, 0, 0, 0, 0, 9, 0, 0, 3}, buf, 1000), 3 * 2048);
  memcpy(&v, buf + 2 * 2048, 8);
  assert_int_equal(v, 11 * 4);
  assert_int_equal(packet(&f, (uint8_t[12]){0xbe, 0, 0, 0, 0, 9, 0, 0, 1, 0xf8}, buf, 0xfffe), 2352);
  assert_memory_equal(buf + 12, "\0\x02\x09\x01", 4); // 00:02:09, mode 1
  memcpy(&v, buf + 16, 8);
  assert_int_equal(v, 36);
  packet(&f, (uint8_t[12]){0x28, 0, 0, 0, 2, 0, 0, 0, 1}, buf, 2048);
  assert_true(failed(&f));
  packet(&f, (uint8_t[12]){3, 0, 0, 0, 18}, buf, 64);
  assert_int_equal(buf[12], 0x21);
  stop(&f);
}

static void cd_reads_by_dma_more_than_the_buffer_holds(void **state)
{
  struct fixture f;
  uint64_t v;
  start(&f);
  clear_attention(&f);
  for (unsigned i = 0; i < 3; i++)
    prd(&f, i, BUF + 65536 * i, 0, i == 2);
  bed_out(&f.bed, 0x171, 1, 1);
  bed_out(&f.bed, 0x177, 1, 0xa0);
  uint8_t cdb[12] = {0xa8, 0, 0, 0, 1, 0, 0, 0, 0, 96};
  for (unsigned i = 0; i < 12; i += 2)
    bed_out(&f.bed, 0x170, 2, cdb[i] | cdb[i + 1] << 8);
  start_bm(&f, 1, true);
  wait_irq(&f, 15);
  assert_int_equal(bed_in(&f.bed, BM + 10, 1) & 7, 4);
  assert_false(failed(&f));
  memcpy(&v, bed_mem(&f.bed, BUF + 95 * 2048), 8);
  assert_int_equal(v, (256 + 95) * 4);
  stop(&f);
}

static void changing_the_disc_is_noticed_and_a_locked_tray_stays(void **state)
{
  struct fixture f;
  struct err e;
  uint8_t buf[64];
  start(&f);
  struct ide_drive *d = &f.ide->ch[1].drive[0];
  clear_attention(&f);
  packet(&f, (uint8_t[12]){0x1e, 0, 0, 0, 1}, buf, 64);
  assert_false(ide_change_medium(d, NULL, false, &e));
  packet(&f, (uint8_t[12]){0x1b, 0, 0, 0, 2}, buf, 64);
  assert_true(failed(&f));
  packet(&f, (uint8_t[12]){0x1e, 0, 0, 0, 0}, buf, 64);
  packet(&f, (uint8_t[12]){0x1b, 0, 0, 0, 2}, buf, 64);
  assert_false(failed(&f));
  packet(&f, (uint8_t[12]){0}, buf, 64);
  assert_true(failed(&f));
  packet(&f, (uint8_t[12]){3, 0, 0, 0, 18}, buf, 64);
  assert_int_equal(buf[2] << 8 | buf[12], 0x23a);
  assert_true(ide_change_medium(d, f.cd, false, &e));
  packet(&f, (uint8_t[12]){0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}, buf, 64);
  assert_int_equal(buf[4] << 8 | buf[5], 0x202);
  packet(&f, (uint8_t[12]){0x25}, buf, 64);
  assert_true(failed(&f));
  packet(&f, (uint8_t[12]){3, 0, 0, 0, 18}, buf, 64);
  assert_int_equal(buf[2] << 8 | buf[12], 0x628);
  assert_int_equal(packet(&f, (uint8_t[12]){0x25}, buf, 64), 8);
  stop(&f);
}

static void any_packet_leaves_the_drive_usable(void **state)
{
  struct fixture f;
  static uint8_t buf[65536];
  start(&f);
  clear_attention(&f);
  for (unsigned op = 0; op < 256; op++) {
    for (unsigned fill = 0; fill < 2; fill++) {
      uint8_t cdb[12];
      memset(cdb, fill ? 0xff : 0, sizeof cdb);
      cdb[0] = (uint8_t)op;
      packet(&f, cdb, buf, 2048);
    }
  }
  assert_int_equal(packet(&f, (uint8_t[12]){0x12, 0, 0, 0, 36}, buf, 64), 36);
  assert_memory_equal(buf + 8, "PACIFICA", 8);
  stop(&f);
}

// A command that often makes sense, on either channel.
static void random_command(struct fixture *f, uint16_t base, unsigned *seed)
{
  static const uint8_t ata[] = {0x20, 0x24, 0xc4, 0x30, 0x34, 0xc5, 0xc8, 0x25, 0xca, 0x35,
                                0xec, 0xef, 0xc6, 0x91, 0x90, 0xe7, 0xf8, 0x40, 0xa0, 0x08};
  static const uint8_t packets[] = {0x28, 0xa8, 0xbe, 0x12, 0x03, 0x43, 0x25,
                                    0x5a, 0x46, 0x4a, 0x1b, 0x1e, 0x51};
  bool cd = base == 0x170;
  bed_out(&f->bed, base + 6, 1, rand_r(seed) % 16 ? 0xe0 : (uint32_t)rand_r(seed) & 0xff);
  bed_out(&f->bed, base + 1, 1, (uint32_t)rand_r(seed) & 3);
  for (uint16_t r = 2; r < 6; r++)
    bed_out(&f->bed, base + r, 1,
            (uint32_t)rand_r(seed) & (r == 5 && rand_r(seed) % 8 ? 0
                                      : r == 4                   ? 0x1f
                                                                 : 0xff));
  bed_out(&f->bed, base + 7, 1, cd && rand_r(seed) % 8 ? 0xa0 : ata[(unsigned)rand_r(seed) % sizeof ata]);
  if (!cd)
    return;
  uint8_t cdb[12] = {packets[(unsigned)rand_r(seed) % sizeof packets]};
  for (unsigned i = 1; i < 12; i++)
    cdb[i] = rand_r(seed) % 3 ? 0 : (uint8_t)rand_r(seed);
  for (unsigned i = 0; i < 12; i += 2)
    bed_out(&f->bed, base, 2, cdb[i] | (uint32_t)cdb[i + 1] << 8);
}

static void random_registers_do_no_harm(void **state)
{
  struct fixture f;
  unsigned seed = 4711;
  start(&f);
  for (unsigned i = 0; i < 1024; i++)
    prd(&f, i, (uint32_t)rand_r(&seed) & 0x3fffff, (uint32_t)rand_r(&seed) & 0xffff, rand_r(&seed) % 8 == 0);
  for (unsigned round = 0; round < 60000; round++) {
    unsigned channel = (unsigned)rand_r(&seed) & 1, what = (unsigned)rand_r(&seed) % 16;
    uint16_t base = channel ? 0x170 : 0x1f0;
    uint32_t v = (uint32_t)rand_r(&seed);
    if (what < 4)
      random_command(&f, base, &seed);
    else if (what == 4)
      bed_out(&f.bed, base + (v >> 8) % 8, 1u << (v >> 12) % 3, v);
    else if (what == 5)
      bed_in(&f.bed, base + (v >> 8) % 8, 1u << (v >> 12) % 3);
    else if (what == 6 && v % 8 == 0)
      bed_out(&f.bed, channel ? 0x376 : 0x3f6, 1, (uint32_t)rand_r(&seed) & 0x86);
    else if (what == 6)
      bed_out(&f.bed, channel ? 0x376 : 0x3f6, 1, 0);
    else if (what == 7)
      bed_out(&f.bed, (uint16_t)(BM + v % 16), 1, v >> 8);
    else if (what < 10)
      start_bm(&f, channel, v & 1);
    else if (what < 13)
      for (unsigned i = v % 2048; i; i--)
        v & 0x10000 ? bed_out(&f.bed, base, 2, v) : (void)bed_in(&f.bed, base, 2);
    else
      bed_run(&f.bed, v % 200000);
  }
  assert_true(f.disk->reads > 200 && f.disk->writes > 200 && f.cd->reads > 100); // it was not all refused
  bed_out(&f.bed, CTL, 1, 4);
  bed_out(&f.bed, CTL, 1, 0);
  bed_run(&f.bed, 1000000);
  command(&f, 0xec, 0, 0);
  wait_irq(&f, 14);
  assert_int_equal(status(&f), 0x58);
  stop(&f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(identify_names_the_disk_and_its_size),
      cmocka_unit_test(pio_reads_and_writes_sectors_with_an_interrupt_each),
      cmocka_unit_test(multiple_mode_needs_to_be_set_and_joins_sectors),
      cmocka_unit_test(lba48_chs_and_native_size_agree),
      cmocka_unit_test(dma_moves_data_along_the_descriptors),
      cmocka_unit_test(dma_to_nowhere_ends_with_the_error_bit),
      cmocka_unit_test(descriptors_that_are_too_short_leave_the_drive_waiting),
      cmocka_unit_test(endless_tiny_descriptors_do_not_hang),
      cmocka_unit_test(reset_shows_the_signatures),
      cmocka_unit_test(unknown_commands_abort),
      cmocka_unit_test(a_write_error_of_the_host_becomes_a_device_fault),
      cmocka_unit_test(cd_reads_capacity_toc_and_blocks),
      cmocka_unit_test(cd_reads_by_dma_more_than_the_buffer_holds),
      cmocka_unit_test(changing_the_disc_is_noticed_and_a_locked_tray_stays),
      cmocka_unit_test(random_registers_do_no_harm),
      cmocka_unit_test(any_packet_leaves_the_drive_usable),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
