// Debug console and exit port; see debugport.h.
#include "chipset/debugport.h"

static uint64_t con_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  return 0xe9;
}

static void con_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct debugcon *d = dev;
  d->put(d->arg, (uint8_t)value);
}

static const struct bus_ops con_ops = {.read = con_read, .write = con_write, .max_size = 1};

void debugcon_init(struct debugcon *d, struct bus *bus, uint16_t port, void (*put)(void *arg, uint8_t c),
                   void *arg)
{
  *d = (struct debugcon){.put = put, .arg = arg};
  bus_map_ports(bus, &d->region, "debugcon", port, 1, &con_ops, d);
}

static uint64_t exit_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  return 0;
}

static void exit_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct debugexit *d = dev;
  d->exit(d->arg, (int)((uint32_t)value << 1 | 1));
}

static const struct bus_ops exit_ops = {.read = exit_read, .write = exit_write, .max_size = 4};

void debugexit_init(struct debugexit *d, struct bus *bus, uint16_t iobase, unsigned iosize,
                    void (*exit)(void *arg, int status), void *arg)
{
  *d = (struct debugexit){.exit = exit, .arg = arg};
  bus_map_ports(bus, &d->region, "isa-debug-exit", iobase, iosize, &exit_ops, d);
}
