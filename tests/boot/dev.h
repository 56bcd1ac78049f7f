// The Device Exclusion Vector of node 0 from a program of Linux: its registers through the northbridge's
// configuration space, its table in memory that the kernel was told to leave alone (memmap=256K$ADDRESS),
// written through /dev/mem. APM volume 2, section 15.24.
#ifndef TESTS_BOOT_DEV_H
#define TESTS_BOOT_DEV_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { DEV_BASE_LO, DEV_BASE_HI, DEV_MAP, DEV_CAP, DEV_CR, DEV_STATUS, DEV_ADDR_LO, DEV_ADDR_HI };
enum { DEV_ENABLE = 1, DEV_MCE = 8, DEV_INVALIDATE = 16 };
enum { DEV_TABLE = 128 << 10 }; // bytes: 4 GB

struct dev {
  int config;
  uint64_t base;
  uint8_t *table;
};

static inline void dev_fail(const char *what)
{
  fprintf(stderr, "dev: %s: %s\n", what, strerror(errno));
  exit(2);
}

static inline void dev_open(struct dev *d, uint64_t base)
{
  int mem = open("/dev/mem", O_RDWR | O_SYNC);
  d->base = base;
  d->config = open("/sys/bus/pci/devices/0000:00:18.3/config", O_RDWR);
  if (mem < 0 || d->config < 0)
    dev_fail("/dev/mem or the northbridge");
  d->table = mmap(NULL, DEV_TABLE, PROT_READ | PROT_WRITE, MAP_SHARED, mem, (off_t)base);
  if (d->table == MAP_FAILED)
    dev_fail("the table");
  close(mem);
}

static inline void dev_select(const struct dev *d, unsigned function, unsigned index)
{
  uint32_t v = function << 8 | index;
  if (pwrite(d->config, &v, sizeof v, 0xf4) != sizeof v)
    dev_fail("the northbridge");
}

static inline void dev_set(const struct dev *d, unsigned function, unsigned index, uint32_t v)
{
  dev_select(d, function, index);
  if (pwrite(d->config, &v, sizeof v, 0xf8) != sizeof v)
    dev_fail("the northbridge");
}

static inline uint32_t dev_get(const struct dev *d, unsigned function, unsigned index)
{
  uint32_t v = 0;
  dev_select(d, function, index);
  if (pread(d->config, &v, sizeof v, 0xf8) != sizeof v)
    dev_fail("the northbridge");
  return v;
}

// The page of memory in which an address of this program lies.
static inline uint64_t dev_physical(const void *p)
{
  uint64_t entry = 0;
  int map = open("/proc/self/pagemap", O_RDONLY);
  off_t at = (off_t)((uintptr_t)p / 4096 * sizeof entry);
  if (map < 0 || pread(map, &entry, sizeof entry, at) != sizeof entry || !(entry >> 63))
    dev_fail("/proc/self/pagemap");
  close(map);
  return (entry & ((1ull << 55) - 1)) * 4096;
}

// Says of the pages of [p, p + size) whether devices are kept out of them.
static inline void dev_mark(const struct dev *d, const void *p, uint64_t size, bool out)
{
  for (uint64_t i = 0; i < size; i += 4096) {
    uint64_t page = dev_physical((const uint8_t *)p + i) / 4096;
    if (page / 8 < DEV_TABLE)
      d->table[page / 8] = (uint8_t)((d->table[page / 8] & ~(1u << page % 8)) | (unsigned)out << page % 8);
  }
}

// The table holds for a domain, and nothing beyond it is open. unit >= 0: one device of bus 0 gets the
// domain.
static inline void dev_on(const struct dev *d, unsigned domain, int unit, uint32_t more)
{
  dev_set(d, DEV_BASE_HI, domain, (uint32_t)(d->base >> 32));
  dev_set(d, DEV_BASE_LO, domain, (uint32_t)d->base | 3);
  if (unit >= 0)
    dev_set(d, DEV_MAP, 0, (unsigned)unit | 1 << 5 | domain << 20);
  dev_set(d, DEV_CR, 0, DEV_ENABLE | DEV_INVALIDATE | more);
}

static inline void dev_off(const struct dev *d)
{
  dev_set(d, DEV_CR, 0, DEV_INVALIDATE);
  for (unsigned i = 0; i < 2; i++)
    dev_set(d, DEV_BASE_LO, i, 0);
  dev_set(d, DEV_MAP, 0, 0);
}

#endif
