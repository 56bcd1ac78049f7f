// Virtio over PCI: the rings, good and evil, virtio-blk and virtio-rng.
#include "bed.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/virtio_blk.h"
#include "device/virtio_rng.h"

enum { BAR4 = 0xe0000000, MSIX = 0xe1000000, PORTS = 0xd000 };
enum {
  DESC = 0x10000,
  AVAIL = 0x11000,
  USED = 0x12000,
  HDR = 0x20000,
  DATA = 0x30000,
  STATUS = 0x21000,
  TABLE = 0x22000
};
enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

struct fixture {
  struct bed bed;
  struct blockdev *disk;
  struct virtio_blk *blk;
  uint16_t avail; // next index
};

static void open_blk(struct fixture *f, const char *props)
{
  struct err e;
  bed_init(&f->bed, 4 << 20);
  f->disk = blk_open(&(struct blk_config){.path = bed_image(&f->bed, "disk", 1 << 20)}, &e);
  f->blk = virtio_blk_create(&f->bed.env, f->disk, bed_opts(props), &e);
  assert_non_null(f->blk);
  f->avail = 0;
  const struct pci_func *p = &f->blk->pci.pci;
  bed_config_write(&f->bed, p, 0x10, 4, PORTS);
  bed_config_write(&f->bed, p, 0x14, 4, MSIX);
  bed_config_write(&f->bed, p, 0x20, 4, BAR4);
  bed_config_write(&f->bed, p, PCI_COMMAND, 2, 7);
}

static void stop(struct fixture *f)
{
  virtio_blk_free(f->blk);
  blk_close(f->disk);
  bed_free(&f->bed);
}

static uint8_t dev_status(struct fixture *f)
{
  return (uint8_t)bed_read(&f->bed, BAR4 + 0x14, 1);
}

// Brings the device up through the modern interface with the given features.
static void driver(struct fixture *f, uint64_t features, unsigned size)
{
  struct bed *b = &f->bed;
  bed_write(b, BAR4 + 0x14, 1, 0);
  bed_write(b, BAR4 + 0x14, 1, 3);
  for (unsigned i = 0; i < 2; i++) {
    bed_write(b, BAR4 + 8, 4, i);
    bed_write(b, BAR4 + 0xc, 4, features >> 32 * i & 0xffffffff);
  }
  bed_write(b, BAR4 + 0x14, 1, 11);
  assert_int_equal(dev_status(f), 11);
  memset(bed_mem(b, DESC), 0, 0x3000);
  bed_write(b, BAR4 + 0x16, 2, 0);
  bed_write(b, BAR4 + 0x18, 2, size);
  bed_write(b, BAR4 + 0x20, 4, DESC);
  bed_write(b, BAR4 + 0x28, 4, AVAIL);
  bed_write(b, BAR4 + 0x30, 4, USED);
  bed_write(b, BAR4 + 0x1c, 2, 1);
  bed_write(b, BAR4 + 0x14, 1, 15);
  f->avail = 0;
}

static void start(struct fixture *f, const char *props, uint64_t features)
{
  open_blk(f, props);
  driver(f, features | VIRTIO_F_VERSION_1, 16);
}

static void put_desc(struct fixture *f, uint64_t table, unsigned i, uint64_t addr, uint32_t len,
                     uint16_t flags, uint16_t next)
{
  uint8_t *d = bed_mem(&f->bed, table + 16 * i);
  memcpy(d, &addr, 8);
  memcpy(d + 8, &len, 4);
  memcpy(d + 12, &flags, 2);
  memcpy(d + 14, &next, 2);
}

static void header(struct fixture *f, uint32_t type, uint64_t sector)
{
  uint32_t h[4] = {type, 0, (uint32_t)sector, (uint32_t)(sector >> 32)};
  memcpy(bed_mem(&f->bed, HDR), h, 16);
  *bed_mem(&f->bed, STATUS) = 0xee;
}

static void offer(struct fixture *f, uint16_t head)
{
  memcpy(bed_mem(&f->bed, AVAIL + 4 + 2 * (f->avail & 15)), &head, 2);
  f->avail++;
  memcpy(bed_mem(&f->bed, AVAIL + 2), &f->avail, 2);
}

static void kick(struct fixture *f)
{
  bed_write(&f->bed, BAR4 + 0x3000, 2, 0);
  bed_run(&f->bed, 100000000);
}

static uint16_t used_idx(struct fixture *f)
{
  uint16_t v;
  memcpy(&v, bed_mem(&f->bed, USED + 2), 2);
  return v;
}

static uint32_t used_len(struct fixture *f, unsigned n)
{
  uint32_t v;
  memcpy(&v, bed_mem(&f->bed, USED + 8 + 8 * n), 4);
  return v;
}

// header, data, status in descriptors 0 to 2
static uint8_t request(struct fixture *f, uint32_t type, uint64_t sector, uint32_t len, bool in)
{
  header(f, type, sector);
  put_desc(f, DESC, 0, HDR, 16, NEXT, len ? 1 : 2);
  put_desc(f, DESC, 1, DATA, len, in ? NEXT | WRITE : NEXT, 2);
  put_desc(f, DESC, 2, STATUS, 1, WRITE, 0);
  offer(f, 0);
  kick(f);
  return *bed_mem(&f->bed, STATUS);
}

static void reads_writes_and_flushes(void **state)
{
  struct fixture f;
  uint64_t v;
  uint8_t sector[512];
  start(&f, "x", 1 << 9);
  assert_int_equal(bed_read(&f.bed, BAR4 + 0x2000, 4), 2048);
  assert_int_equal(request(&f, 0, 100, 4096, true), 0);
  assert_int_equal(used_idx(&f), 1);
  assert_int_equal(used_len(&f, 0), 4097);
  memcpy(&v, bed_mem(&f.bed, DATA + 7 * 512), 8);
  assert_int_equal(v, 107);
  assert_int_equal(f.bed.edges[8 + 3], 1); // INTA of device 3
  assert_int_equal(bed_read(&f.bed, BAR4 + 0x1000, 1), 1);
  assert_int_equal(f.bed.level[8 + 3], 0);
  memset(bed_mem(&f.bed, DATA), 0x99, 1024);
  assert_int_equal(request(&f, 1, 5, 1024, false), 0);
  assert_int_equal(request(&f, 4, 0, 0, false), 0);
  assert_int_equal(f.disk->flushes, 1);
  assert_int_equal(blk_read(f.disk, 6, sector, 1), 0);
  assert_int_equal(sector[511], 0x99);
  stop(&f);
}

static void bad_requests_get_an_error_and_the_device_lives(void **state)
{
  struct fixture f;
  start(&f, "x", 0);
  assert_int_equal(request(&f, 0, 2048, 512, true), 1);
  assert_int_equal(request(&f, 0, UINT64_MAX, 512, true), 1);
  assert_int_equal(request(&f, 0, 0, 100, true), 1);
  assert_int_equal(request(&f, 77, 0, 512, true), 2);
  assert_int_equal(request(&f, 11, 0, 16, false), 2); // discard was not negotiated
  header(&f, 0, 0);                                   // data to where no memory is
  put_desc(&f, DESC, 0, HDR, 16, NEXT, 1);
  put_desc(&f, DESC, 1, 0x80000000, 512, NEXT | WRITE, 2);
  put_desc(&f, DESC, 2, STATUS, 1, WRITE, 0);
  offer(&f, 0);
  kick(&f);
  assert_int_equal(*bed_mem(&f.bed, STATUS), 1);
  assert_int_equal(dev_status(&f), 15);
  assert_int_equal(request(&f, 0, 2047, 512, true), 0);
  stop(&f);
}

static void identity_discard_and_write_zeroes(void **state)
{
  struct fixture f;
  uint64_t range[2] = {8, 16};
  uint8_t sector[512];
  start(&f, "x,serial=abc123", 1 << 13 | 1 << 14 | 1 << 9);
  assert_int_equal(request(&f, 8, 0, 20, true), 0);
  assert_memory_equal(bed_mem(&f.bed, DATA), "abc123\0", 8);
  memcpy(bed_mem(&f.bed, DATA), range, 16);
  assert_int_equal(request(&f, 13, 0, 16, false), 0);
  assert_int_equal(blk_read(f.disk, 23, sector, 1), 0);
  assert_int_equal(sector[0], 0);
  assert_int_equal(blk_read(f.disk, 24, sector, 1), 0);
  assert_int_equal(sector[0], 24);
  assert_int_equal(request(&f, 11, 0, 16, false), 0);
  range[1] = 16 | UINT64_C(2) << 32; // a reserved flag
  memcpy(bed_mem(&f.bed, DATA), range, 16);
  assert_int_equal(request(&f, 13, 0, 16, false), 2);
  range[0] = 2047;
  range[1] = 2;
  memcpy(bed_mem(&f.bed, DATA), range, 16);
  assert_int_equal(request(&f, 13, 0, 16, false), 1);
  stop(&f);
}

static void indirect_tables_work_only_when_negotiated(void **state)
{
  struct fixture f;
  start(&f, "x", VIRTIO_F_INDIRECT);
  header(&f, 0, 3);
  put_desc(&f, TABLE, 0, HDR, 16, NEXT, 1);
  put_desc(&f, TABLE, 1, DATA, 256, NEXT | WRITE, 2);
  put_desc(&f, TABLE, 2, DATA + 256, 256, NEXT | WRITE, 3);
  put_desc(&f, TABLE, 3, STATUS, 1, WRITE, 0);
  put_desc(&f, DESC, 5, TABLE, 64, INDIRECT, 0);
  offer(&f, 5);
  kick(&f);
  assert_int_equal(*bed_mem(&f.bed, STATUS), 0);
  assert_int_equal(*bed_mem(&f.bed, DATA), 3);
  driver(&f, VIRTIO_F_VERSION_1, 16);
  put_desc(&f, DESC, 5, TABLE, 64, INDIRECT, 0);
  offer(&f, 5);
  kick(&f);
  assert_int_equal(dev_status(&f) & 64, 64);
  stop(&f);
}

// Each of these must end with NEEDS_RESET, and a reset must bring the device back.
static void evil(struct fixture *f, const char *what)
{
  kick(f);
  if ((dev_status(f) & 64) == 0)
    fail_msg("not noticed: %s", what);
  driver(f, VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT, 16);
  assert_int_equal(request(f, 0, 1, 512, true), 0);
  driver(f, VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT, 16);
}

static void evil_rings_break_the_device_until_reset(void **state)
{
  struct fixture f;
  start(&f, "x", VIRTIO_F_INDIRECT);
  header(&f, 0, 0);
  put_desc(&f, DESC, 0, HDR, 16, NEXT, 1);
  put_desc(&f, DESC, 1, HDR, 16, NEXT, 0);
  offer(&f, 0);
  evil(&f, "a loop");
  put_desc(&f, DESC, 0, HDR, 16, NEXT, 16);
  offer(&f, 0);
  evil(&f, "a link out of the table");
  offer(&f, 16);
  evil(&f, "a head out of the table");
  f.avail = 100;
  offer(&f, 0);
  evil(&f, "an available index that ran away");
  put_desc(&f, DESC, 0, STATUS, 1, WRITE | NEXT, 1);
  put_desc(&f, DESC, 1, HDR, 16, 0, 0);
  offer(&f, 0);
  evil(&f, "a readable buffer after a writable one");
  put_desc(&f, DESC, 0, HDR, 16, 0, 0);
  offer(&f, 0);
  evil(&f, "no room for the status");
  put_desc(&f, DESC, 0, HDR, 8, NEXT, 1);
  put_desc(&f, DESC, 1, STATUS, 1, WRITE, 0);
  offer(&f, 0);
  evil(&f, "a short header");
  put_desc(&f, DESC, 0, UINT64_MAX - 4, 16, NEXT, 1);
  offer(&f, 0);
  evil(&f, "a buffer beyond the end of the address space");
  put_desc(&f, DESC, 0, TABLE, 24, INDIRECT, 0);
  offer(&f, 0);
  evil(&f, "an indirect table of a length that is no multiple of 16");
  put_desc(&f, DESC, 0, TABLE, 0, INDIRECT, 0);
  offer(&f, 0);
  evil(&f, "an empty indirect table");
  put_desc(&f, DESC, 0, TABLE, 32, INDIRECT, 0);
  put_desc(&f, TABLE, 0, TABLE, 32, INDIRECT, 0);
  offer(&f, 0);
  evil(&f, "an indirect table in an indirect table");
  put_desc(&f, DESC, 0, TABLE, 32, INDIRECT, 0);
  put_desc(&f, TABLE, 0, HDR, 16, NEXT, 1);
  put_desc(&f, TABLE, 1, HDR, 16, NEXT, 0);
  offer(&f, 0);
  evil(&f, "a loop in an indirect table");
  put_desc(&f, DESC, 0, 0x80000000, 0xfffffff0, INDIRECT, 0);
  offer(&f, 0);
  evil(&f, "a huge indirect table in no memory");
  stop(&f);
}

static void rings_in_no_memory_break_the_device(void **state)
{
  struct fixture f;
  start(&f, "x", 0);
  bed_write(&f.bed, BAR4 + 0x14, 1, 0);
  bed_write(&f.bed, BAR4 + 0x14, 1, 3);
  bed_write(&f.bed, BAR4 + 8, 4, 1);
  bed_write(&f.bed, BAR4 + 0xc, 4, 1);
  bed_write(&f.bed, BAR4 + 0x14, 1, 11);
  bed_write(&f.bed, BAR4 + 0x24, 4, 0xffffffff);
  bed_write(&f.bed, BAR4 + 0x2c, 4, 0xffffffff);
  bed_write(&f.bed, BAR4 + 0x34, 4, 0xffffffff);
  bed_write(&f.bed, BAR4 + 0x1c, 2, 1);
  bed_write(&f.bed, BAR4 + 0x14, 1, 15);
  kick(&f);
  assert_int_equal(dev_status(&f) & 64, 64);
  stop(&f);
}

static void transfers_to_its_own_registers_change_nothing(void **state)
{
  struct fixture f;
  start(&f, "x", 0);
  header(&f, 0, 0);
  put_desc(&f, DESC, 0, HDR, 16, NEXT, 1);
  put_desc(&f, DESC, 1, BAR4, 512, NEXT | WRITE, 2); // reset by its own data: sector 0 is all zeroes
  put_desc(&f, DESC, 2, STATUS, 1, WRITE, 0);
  offer(&f, 0);
  kick(&f);
  assert_int_equal(dev_status(&f), 15);
  assert_int_equal(used_idx(&f), 1);
  stop(&f);
}

static void a_long_request_is_done_in_pieces_and_can_be_reset(void **state)
{
  struct fixture f;
  struct err e;
  bed_init(&f.bed, 4 << 20);
  const char *path = bed_image(&f.bed, "big", 512);
  assert_int_equal(truncate(path, (off_t)8 << 30), 0);
  f.disk = blk_open(&(struct blk_config){.path = path}, &e);
  f.blk = virtio_blk_create(&f.bed.env, f.disk, bed_opts("x"), &e);
  bed_config_write(&f.bed, &f.blk->pci.pci, 0x20, 4, BAR4);
  bed_config_write(&f.bed, &f.blk->pci.pci, PCI_COMMAND, 2, 7);
  driver(&f, VIRTIO_F_VERSION_1, 16);
  header(&f, 0, 0);
  put_desc(&f, DESC, 0, HDR, 16, NEXT, 1);
  for (uint16_t i = 1; i < 9; i++)
    put_desc(&f, DESC, i, DATA, 2 << 20, NEXT | WRITE, (uint16_t)(i + 1));
  put_desc(&f, DESC, 9, STATUS, 1, WRITE, 0);
  offer(&f, 0);
  bed_write(&f.bed, BAR4 + 0x3000, 2, 0);
  bed_run(&f.bed, 6000); // one event
  assert_int_equal(used_idx(&f), 0);
  assert_true(f.blk->pos > 0 && f.blk->pos <= 2 << 20);
  bed_write(&f.bed, BAR4 + 0x14, 1, 0); // reset in the middle
  assert_int_equal(dev_status(&f), 0);
  driver(&f, VIRTIO_F_VERSION_1, 16);
  assert_int_equal(request(&f, 0, 0, 512, true), 0);
  stop(&f);
}

static void event_index_suppresses_interrupts(void **state)
{
  struct fixture f;
  uint16_t event = 1;
  start(&f, "x", VIRTIO_F_EVENT_IDX);
  memcpy(bed_mem(&f.bed, AVAIL + 4 + 2 * 16), &event, 2); // used_event: after the second
  request(&f, 0, 0, 512, true);
  assert_int_equal(f.bed.edges[11], 0);
  request(&f, 0, 0, 512, true);
  assert_int_equal(f.bed.edges[11], 1);
  memcpy(&event, bed_mem(&f.bed, USED + 4 + 8 * 16), 2); // avail_event asks for the next
  assert_int_equal(event, 2);
  stop(&f);
}

static void msix_sends_messages(void **state)
{
  struct fixture f;
  open_blk(&f, "x");
  const struct pci_func *p = &f.blk->pci.pci;
  bed_config_write(&f.bed, p, p->msix_cap + 2u, 2, 0x8000);
  bed_write(&f.bed, MSIX + 16, 4, 0xfee00000);
  bed_write(&f.bed, MSIX + 24, 4, 0x41);
  bed_write(&f.bed, MSIX + 28, 4, 0);
  driver(&f, VIRTIO_F_VERSION_1, 16);
  bed_write(&f.bed, BAR4 + 0x1a, 2, 1);
  assert_int_equal(bed_read(&f.bed, BAR4 + 0x1a, 2), 1);
  request(&f, 0, 0, 512, true);
  assert_int_equal(f.bed.messages, 1);
  assert_int_equal(f.bed.last_message, 0x41);
  bed_write(&f.bed, BAR4 + 0x1a, 2, 7); // there is no such vector
  assert_int_equal(bed_read(&f.bed, BAR4 + 0x1a, 2), 0xffff);
  stop(&f);
}

static void the_legacy_interface_serves_requests(void **state)
{
  struct fixture f;
  struct bed *b = &f.bed;
  open_blk(&f, "x");
  const struct pci_func *p = &f.blk->pci.pci;
  assert_int_equal(bed_config_read(b, p, 0, 4), 0x10011af4);
  assert_int_equal(bed_config_read(b, p, 0x2c, 4), 0x00021af4);
  bed_out(b, PORTS + 0x12, 1, 0);
  bed_out(b, PORTS + 0x12, 1, 3);
  assert_int_equal(bed_in(b, PORTS, 4) & 1 << 9, 1 << 9);
  bed_out(b, PORTS + 4, 4, 1 << 9);
  assert_int_equal(bed_in(b, PORTS + 0xc, 2), 256);
  assert_int_equal(bed_in(b, PORTS + 0x14, 4), 2048); // capacity
  bed_out(b, PORTS + 8, 4, 0x40000 >> 12);
  bed_out(b, PORTS + 0x12, 1, 7);
  header(&f, 0, 9);
  put_desc(&f, 0x40000, 0, HDR, 16, NEXT, 1);
  put_desc(&f, 0x40000, 1, DATA, 512, NEXT | WRITE, 2);
  put_desc(&f, 0x40000, 2, STATUS, 1, WRITE, 0);
  *bed_mem(b, 0x41002) = 1; // available index
  bed_out(b, PORTS + 0x10, 2, 0);
  bed_run(b, 10000000);
  assert_int_equal(*bed_mem(b, STATUS), 0);
  assert_int_equal(*bed_mem(b, DATA), 9);
  assert_int_equal(*bed_mem(b, 0x42002), 1); // used index, on the next page
  assert_int_equal(bed_in(b, PORTS + 0x13, 1), 1);
  assert_int_equal(bed_in(b, PORTS + 0x13, 1), 0);
  stop(&f);
}

static void properties_choose_the_interfaces(void **state)
{
  struct fixture f;
  struct err e;
  open_blk(&f, "x,disable-legacy=on");
  assert_int_equal(bed_config_read(&f.bed, &f.blk->pci.pci, 0, 4), 0x10421af4);
  assert_int_equal(bed_config_read(&f.bed, &f.blk->pci.pci, 8, 1), 1);
  stop(&f);
  open_blk(&f, "x,disable-modern=on,addr=7.0");
  assert_int_equal(f.blk->pci.pci.devfn, 7 << 3);
  assert_int_equal(f.blk->virtio.offered >> 32, 0);
  virtio_blk_free(f.blk);
  assert_null(virtio_blk_create(&f.bed.env, f.disk, bed_opts("x,disable-modern=on,disable-legacy=on"), &e));
  assert_null(virtio_blk_create(&f.bed.env, f.disk, bed_opts("x,addr=zz"), &e));
  assert_non_null(strstr(e.text, "zz"));
  assert_null(virtio_blk_create(&f.bed.env, f.disk, bed_opts("x,logical_block_size=1000"), &e));
  blk_close(f.disk);
  bed_free(&f.bed);
}

static void features_without_version_1_are_not_accepted(void **state)
{
  struct fixture f;
  open_blk(&f, "x");
  bed_write(&f.bed, BAR4 + 0x14, 1, 3);
  bed_write(&f.bed, BAR4 + 0x14, 1, 11);
  assert_int_equal(dev_status(&f), 3);
  stop(&f);
}

static void the_configuration_window_reaches_the_registers(void **state)
{
  struct fixture f;
  open_blk(&f, "x");
  const struct pci_func *p = &f.blk->pci.pci;
  uint8_t cap = f.blk->pci.cfg_cap;
  bed_config_write(&f.bed, p, cap + 4u, 1, 4);
  bed_config_write(&f.bed, p, cap + 8u, 4, 0x2000);
  bed_config_write(&f.bed, p, cap + 12u, 4, 4);
  assert_int_equal(bed_config_read(&f.bed, p, cap + 16u, 4), 2048);
  bed_config_write(&f.bed, p, cap + 8u, 4, 0x14);
  bed_config_write(&f.bed, p, cap + 12u, 4, 1);
  bed_config_write(&f.bed, p, cap + 16u, 4, 3);
  assert_int_equal(dev_status(&f), 3);
  bed_config_write(&f.bed, p, cap + 8u, 4, 0xffffffff);
  bed_config_read(&f.bed, p, cap + 16u, 4);
  stop(&f);
}

static void rng_bytes(uint64_t seed, uint8_t out[64])
{
  struct fixture f;
  struct err e;
  bed_init(&f.bed, 4 << 20);
  f.bed.env.seed = seed;
  struct virtio_rng *r = virtio_rng_create(&f.bed.env, bed_opts("x"), &e);
  assert_non_null(r);
  assert_int_equal(bed_config_read(&f.bed, &r->pci.pci, 0, 4), 0x10051af4);
  bed_config_write(&f.bed, &r->pci.pci, 0x20, 4, BAR4);
  bed_config_write(&f.bed, &r->pci.pci, PCI_COMMAND, 2, 7);
  driver(&f, VIRTIO_F_VERSION_1, 8);
  put_desc(&f, DESC, 0, DATA, 64, WRITE, 0);
  offer(&f, 0);
  kick(&f);
  assert_int_equal(used_idx(&f), 1);
  assert_int_equal(used_len(&f, 0), 64);
  memcpy(out, bed_mem(&f.bed, DATA), 64);
  virtio_rng_free(r);
  bed_free(&f.bed);
}

static void the_same_seed_gives_the_same_bytes(void **state)
{
  uint8_t a[64], b[64], c[64];
  rng_bytes(1, a);
  rng_bytes(1, b);
  rng_bytes(2, c);
  assert_memory_equal(a, b, 64);
  assert_memory_not_equal(a, c, 64);
}

static void random_registers_and_rings_do_no_harm(void **state)
{
  struct fixture f;
  unsigned seed = 12345;
  start(&f, "x", VIRTIO_F_INDIRECT);
  for (unsigned round = 0; round < 3000; round++) {
    for (unsigned i = 0; i < 16; i++) {
      uint64_t addr = rand_r(&seed) % 4 ? HDR + rand_r(&seed) % 0x3000 : (uint64_t)rand_r(&seed) << 20;
      put_desc(&f, DESC, i, addr, rand_r(&seed) % 3 ? rand_r(&seed) % 2048 : (uint32_t)rand_r(&seed),
               (uint16_t)(rand_r(&seed) & 7), (uint16_t)(rand_r(&seed) % 18));
      header(&f, rand_r(&seed) % 16, rand_r(&seed) % 2100);
    }
    offer(&f, (uint16_t)(rand_r(&seed) % 17));
    bed_write(&f.bed, BAR4 + 0x3000, 2, 0);
    bed_run(&f.bed, 1000000);
    bed_write(&f.bed, BAR4 + rand_r(&seed) % 0x40, 1u << rand_r(&seed) % 3, (uint64_t)rand_r(&seed));
    if (rand_r(&seed) % 4 == 0)
      driver(&f, VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT, 16);
  }
  driver(&f, VIRTIO_F_VERSION_1, 16);
  assert_int_equal(request(&f, 0, 0, 512, true), 0);
  stop(&f);
}

// A request of sector 5 or to it, its data in single bytes, each on a page of its own but for two neighbours,
// and one descriptor without any.
static void buffers_may_be_as_small_as_a_byte(void **state)
{
  enum { BYTES = 512, LAST = BYTES + 2 };
  struct fixture f;
  uint8_t sector[512];
  start(&f, "x", VIRTIO_F_INDIRECT);
  for (unsigned in = 0; in < 2; in++) {
    header(&f, in ? 0 : 1, 5);
    put_desc(&f, TABLE, 0, HDR, 16, NEXT, 1);
    for (unsigned i = 0; i <= BYTES; i++) {
      uint64_t at = DATA + (i < 2 ? i : i * 4096 - 4095);
      put_desc(&f, TABLE, i + 1, at, i != 7, in ? NEXT | WRITE : NEXT, (uint16_t)(i + 2));
      *bed_mem(&f.bed, at) = in ? 0 : (uint8_t)(i * 3);
    }
    put_desc(&f, TABLE, LAST, STATUS, 1, WRITE, 0);
    put_desc(&f, DESC, 0, TABLE, 16 * (LAST + 1), INDIRECT, 0);
    offer(&f, 0);
    kick(&f);
    assert_int_equal(*bed_mem(&f.bed, STATUS), 0);
    assert_int_equal(f.bed.fabric.node[0].writes, in && !bed_without_direct ? BYTES : 0); // each is a request
    assert_int_equal(blk_read(f.disk, 5, sector, 1), 0);
    for (unsigned i = 0, n = 0; i <= BYTES; i++) {
      if (i == 7)
        continue;
      assert_int_equal(*bed_mem(&f.bed, DATA + (i < 2 ? i : i * 4096 - 4095)), (uint8_t)(i * 3));
      assert_int_equal(sector[n++], (uint8_t)(i * 3));
    }
  }
  stop(&f);
}

// Of a read into three buffers the middle one is in no memory: the first is filled, the others are not
// touched.
static void data_for_no_memory_is_an_error_and_nothing_follows_it(void **state)
{
  struct fixture f;
  start(&f, "x", 0);
  memset(bed_mem(&f.bed, DATA), 0x66, 4096);
  header(&f, 0, 9);
  put_desc(&f, DESC, 0, HDR, 16, NEXT, 1);
  put_desc(&f, DESC, 1, DATA, 512, NEXT | WRITE, 2);
  put_desc(&f, DESC, 2, 0x80000000, 512, NEXT | WRITE, 3);
  put_desc(&f, DESC, 3, DATA + 1024, 512, NEXT | WRITE, 4);
  put_desc(&f, DESC, 4, STATUS, 1, WRITE, 0);
  offer(&f, 0);
  kick(&f);
  assert_int_equal(*bed_mem(&f.bed, STATUS), 1);
  assert_int_equal(used_len(&f, 0), 1);
  assert_int_equal(*bed_mem(&f.bed, DATA), 9);
  assert_int_equal(*bed_mem(&f.bed, DATA + 512), 0x66);
  assert_int_equal(*bed_mem(&f.bed, DATA + 1024), 0x66);
  assert_int_equal(pci_get_word(&f.blk->pci.pci, PCI_STATUS) & PCI_STATUS_REC_MASTER_ABORT,
                   PCI_STATUS_REC_MASTER_ABORT);
  header(&f, 1, 9); // and a write: the image stays as it was
  for (unsigned i = 1; i < 4; i++)
    bed_mem(&f.bed, DESC + 16 * i)[12] = NEXT;
  offer(&f, 0);
  kick(&f);
  assert_int_equal(*bed_mem(&f.bed, STATUS), 1);
  uint8_t sector[512];
  assert_int_equal(blk_read(f.disk, 9, sector, 1), 0);
  assert_int_equal(sector[0], 9);
  assert_int_equal(sector[8], 0);
  stop(&f);
}

// Buffers over each other, over the ring that they stand in, over the used ring, and over the header.
static void data_may_land_on_the_rings(void **state)
{
  struct fixture f;
  start(&f, "x", 0);
  header(&f, 0, 3);
  put_desc(&f, DESC, 0, HDR, 16, NEXT, 1);
  put_desc(&f, DESC, 1, DESC, 512, NEXT | WRITE, 2);
  put_desc(&f, DESC, 2, USED, 512, NEXT | WRITE, 3);
  put_desc(&f, DESC, 3, HDR, 512, NEXT | WRITE, 4);
  put_desc(&f, DESC, 4, DATA, 512, NEXT | WRITE, 5);
  put_desc(&f, DESC, 5, DATA, 512, NEXT | WRITE, 6);
  put_desc(&f, DESC, 6, STATUS, 1, WRITE, 0);
  offer(&f, 0);
  kick(&f);
  assert_int_equal(*bed_mem(&f.bed, STATUS), 0);
  assert_int_equal(*bed_mem(&f.bed, DESC), 3);
  assert_int_equal(*bed_mem(&f.bed, HDR), 5);
  assert_int_equal(*bed_mem(&f.bed, DATA), 7); // the last one
  assert_int_equal(used_idx(&f), 1);
  assert_int_equal(used_len(&f, 0), 5 * 512 + 1);
  stop(&f);
}

static void an_image_that_is_cut_short_gives_an_error(void **state)
{
  struct fixture f;
  start(&f, "x", 0);
  memset(bed_mem(&f.bed, DATA), 0x66, 8192);
  assert_int_equal(truncate(f.disk->path, 100 * 512 + 4096), 0);
  assert_int_equal(request(&f, 0, 100, 8192, true), 1);
  assert_int_equal(used_len(&f, 0), 1);
  assert_int_equal(bed_mem(&f.bed, DATA)[8191], 0x66);
  assert_int_equal(f.disk->errors, 1);
  assert_int_equal(request(&f, 0, 100, 4096, true), 0);
  assert_int_equal(*bed_mem(&f.bed, DATA), 100);
  stop(&f);
}

struct told {
  uint64_t from, to;
};

static void written(void *arg, uint64_t off, uint64_t len)
{
  struct told *t = arg;
  t->from = off < t->from ? off : t->from;
  t->to = off + len > t->to ? off + len : t->to;
}

static void watchers_of_memory_are_told_of_what_is_read_into_it(void **state)
{
  struct fixture f;
  struct told told = {UINT64_MAX, 0};
  uint64_t cell;
  start(&f, "x", 0);
  cell = (uint64_t)(bed_mem(&f.bed, DATA) - f.bed.ram.mem);
  f.bed.ram.written = written;
  f.bed.ram.written_arg = &told;
  memset(f.bed.ram.flags, 0, f.bed.ram.size >> 12);
  f.bed.ram.flags[(cell >> 12) + 1] = RAM_CODE;
  f.bed.ram.flags[(cell >> 12) + 2] = RAM_MONITOR;
  assert_int_equal(request(&f, 1, 0, 16384, false), 0);
  assert_int_equal(told.to, 0);
  assert_int_equal(f.bed.ram.flags[cell >> 12], 0);
  assert_int_equal(request(&f, 0, 0, 16384, true), 0);
  assert_int_equal(told.from, cell + 4096);
  assert_int_equal(told.to, cell + 3 * 4096);
  for (unsigned i = 0; i < 4; i++)
    assert_int_equal(f.bed.ram.flags[(cell >> 12) + i] & RAM_DIRTY, RAM_DIRTY);
  assert_int_equal(f.bed.ram.flags[(cell >> 12) + 4], 0);
  stop(&f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_writes_and_flushes),
      cmocka_unit_test(bad_requests_get_an_error_and_the_device_lives),
      cmocka_unit_test(identity_discard_and_write_zeroes),
      cmocka_unit_test(indirect_tables_work_only_when_negotiated),
      cmocka_unit_test(evil_rings_break_the_device_until_reset),
      cmocka_unit_test(rings_in_no_memory_break_the_device),
      cmocka_unit_test(transfers_to_its_own_registers_change_nothing),
      cmocka_unit_test(a_long_request_is_done_in_pieces_and_can_be_reset),
      cmocka_unit_test(event_index_suppresses_interrupts),
      cmocka_unit_test(msix_sends_messages),
      cmocka_unit_test(the_legacy_interface_serves_requests),
      cmocka_unit_test(properties_choose_the_interfaces),
      cmocka_unit_test(features_without_version_1_are_not_accepted),
      cmocka_unit_test(the_configuration_window_reaches_the_registers),
      cmocka_unit_test(the_same_seed_gives_the_same_bytes),
      cmocka_unit_test(random_registers_and_rings_do_no_harm),
      cmocka_unit_test(buffers_may_be_as_small_as_a_byte),
      cmocka_unit_test(data_for_no_memory_is_an_error_and_nothing_follows_it),
      cmocka_unit_test(data_may_land_on_the_rings),
      cmocka_unit_test(an_image_that_is_cut_short_gives_an_error),
      cmocka_unit_test(watchers_of_memory_are_told_of_what_is_read_into_it),
  };
  return bed_run_both_ways(tests);
}
