// Keeps devices out of memory by DEV, and shows what becomes of their requests; a program of the boot tests.
//
//   exclude TABLE off                    nothing is excluded
//   exclude TABLE full UNIT              a device of bus 0 gets a table over everything that excludes nothing
//   exclude TABLE all UNIT               a device of bus 0 is kept out of all memory
//   exclude TABLE status                 the error register, which is then empty again
//   exclude TABLE [-m] read|write DISK   past the page cache, first with the buffer excluded for all devices,
//                                        then without; -m: errors are machine checks
//   exclude TABLE order BDF ADDRESS HEX  has pacifica-dma write 8 bytes
//
// TABLE is the address of 128 KB that the kernel does not use.
#define _GNU_SOURCE
#include "dev.h"

enum { SIZE = 64 << 10 };

static void status(const struct dev *d)
{
  uint32_t s = dev_get(d, DEV_STATUS, 0);
  printf("exclude: error %08x at %x\n", s, dev_get(d, DEV_ADDR_LO, 0));
  dev_set(d, DEV_STATUS, 0, 0);
}

static bool all(const uint8_t *p, uint8_t value)
{
  for (unsigned i = 0; i < SIZE; i++)
    if (p[i] != value)
      return false;
  return true;
}

static const char *transfer(int fd, uint8_t *buf, bool write)
{
  ssize_t n = write ? pwrite(fd, buf, SIZE, 0) : pread(fd, buf, SIZE, 0);
  if (n == SIZE && write && fsync(fd))
    n = -1;
  return n == SIZE ? "done" : n < 0 ? strerror(errno) : "in part";
}

static int disk(const struct dev *d, const char *file, bool write, uint32_t more)
{
  int fd = open(file, O_RDWR | O_DIRECT);
  uint8_t *buf = aligned_alloc(4096, SIZE);
  if (fd < 0 || !buf)
    dev_fail(file);
  memset(buf, 0x11, SIZE);
  if (mlock(buf, SIZE))
    dev_fail("mlock");
  printf("exclude: %s before: %s\n", file, transfer(fd, buf, true));
  memset(d->table, 0, DEV_TABLE);
  dev_mark(d, buf, SIZE, true);
  dev_on(d, 0, -1, more);
  memset(buf, 0x22, SIZE);
  const char *how = transfer(fd, buf, write);
  dev_off(d);
  printf("exclude: %s %s: %s, buffer %s\n", file, write ? "write" : "read", how,
         all(buf, 0x22) ? "as it was" : "overwritten");
  how = transfer(fd, buf, false);
  printf("exclude: %s afterwards: %s, disk %s\n", file, how, all(buf, 0x11) ? "as it was" : "overwritten");
  memset(buf, 0x44, SIZE);
  how = transfer(fd, buf, true);
  memset(buf, 0, SIZE);
  const char *then = transfer(fd, buf, false);
  printf("exclude: %s again: %s and %s, %s\n", file, how, then,
         all(buf, 0x44) ? "as written" : "something else");
  return 0;
}

// docs/pacifica-dma.md
static int order_write(const char *bdf, uint64_t address, uint64_t value)
{
  char path[80];
  enum { COMMAND = 1, STATUS = 2, DEST = 6, LENGTH = 8, DATA = 10, WRITE = 6 };
  snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/resource0", bdf);
  int fd = open(path, O_RDWR | O_SYNC);
  volatile uint32_t *reg = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (reg == MAP_FAILED)
    dev_fail(path);
  reg[DEST] = (uint32_t)address;
  reg[DEST + 1] = (uint32_t)(address >> 32);
  reg[LENGTH] = 8;
  reg[DATA] = (uint32_t)value;
  reg[DATA + 1] = (uint32_t)(value >> 32);
  reg[COMMAND] = WRITE;
  while (reg[STATUS] & 1)
    ;
  printf("exclude: %s wrote with status %x\n", bdf, reg[STATUS]);
  return 0;
}

int main(int argc, char **argv)
{
  struct dev d;
  uint32_t more = 0;
  if (argc < 3)
    return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  dev_open(&d, strtoull(argv[1], NULL, 0));
  if (!strcmp(argv[2], "-m")) {
    more = DEV_MCE;
    argc--;
    argv++;
  }
  if (!strcmp(argv[2], "off")) {
    dev_off(&d);
  } else if (!strcmp(argv[2], "status")) {
    status(&d);
  } else if ((!strcmp(argv[2], "all") || !strcmp(argv[2], "full")) && argc == 4) {
    memset(d.table, argv[2][0] == 'a' ? 0xff : 0, DEV_TABLE);
    dev_on(&d, 1, (int)strtol(argv[3], NULL, 0), more);
  } else if ((!strcmp(argv[2], "read") || !strcmp(argv[2], "write")) && argc == 4) {
    return disk(&d, argv[3], argv[2][0] == 'w', more);
  } else if (!strcmp(argv[2], "order") && argc == 6) {
    return order_write(argv[3], strtoull(argv[4], NULL, 0), strtoull(argv[5], NULL, 16));
  } else {
    return 2;
  }
  return 0;
}
