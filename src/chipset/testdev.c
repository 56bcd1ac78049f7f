// pc-testdev; see testdev.h.
#include "chipset/testdev.h"

#include <string.h>

static void lines_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct testdev *d = dev;
  irq_set(&d->line[off], (value & 0xff) != 0);
}

static uint64_t storage_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  uint64_t v = 0;
  memcpy(&v, ((struct testdev *)dev)->storage + off, size);
  return v;
}

static void storage_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  memcpy(((struct testdev *)dev)->storage + off, &value, size);
}

static void flush_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct testdev *d = dev;
  if (d->flush)
    d->flush(d->flush_arg, value & ~UINT64_C(4095));
}

static uint64_t memory_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  uint64_t v = 0;
  memcpy(&v, ((struct testdev *)dev)->memory + off, size);
  return v;
}

static void memory_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  memcpy(((struct testdev *)dev)->memory + off, &value, size);
}

static const struct bus_ops lines_ops = {.write = lines_write, .max_size = 1};
static const struct bus_ops storage_ops = {.read = storage_read, .write = storage_write, .max_size = 4};
static const struct bus_ops flush_ops = {.write = flush_write, .max_size = 4};
static const struct bus_ops memory_ops = {.read = memory_read, .write = memory_write, .max_size = 8};

void testdev_init(struct testdev *d, struct bus *bus, struct gsi *gsi,
                  void (*flush)(void *arg, uint64_t addr), void *flush_arg)
{
  *d = (struct testdev){.flush = flush, .flush_arg = flush_arg};
  for (unsigned i = 0; i < GSI_LINES; i++)
    d->line[i] = gsi_line(gsi, GSI_TEST, i);
  bus_map_ports(bus, &d->lines_region, "testdev-lines", 0x2000, GSI_LINES, &lines_ops, d);
  bus_map_ports(bus, &d->storage_region, "testdev-storage", 0xe0, 4, &storage_ops, d);
  bus_map_ports(bus, &d->flush_region, "testdev-flush", 0xe4, 4, &flush_ops, d);
  bus_map_io(bus, &d->memory_region, "testdev-memory", 0xff000000, TESTDEV_MEMORY, &memory_ops, d);
}

void testdev_reset(struct testdev *d)
{
  for (unsigned i = 0; i < GSI_LINES; i++)
    irq_set(&d->line[i], 0);
  memset(d->storage, 0, sizeof d->storage);
  memset(d->memory, 0, sizeof d->memory);
}
