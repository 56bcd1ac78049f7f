// Devices of -device that need the machine itself: the exit port, the firmware's console, the test device.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chipset/testdev.h"
#include "cpu/tlb.h"
#include "machine/devices.h"

struct board_part {
  struct device device;
  struct machine *m;
  struct chardev *chr;
  union {
    struct debugexit exit;
    struct debugcon con;
    struct testdev test;
  };
};

static void on_exit_port(void *arg, int status)
{
  struct machine *m = arg;
  if (m->wanted & WANT_EXIT)
    return;
  m->status = status;
  machine_request(m, WANT_EXIT);
}

static void put(void *arg, uint8_t c)
{
  struct board_part *p = arg;
  chardev_write(p->chr, &c, 1);
}

static void flush(void *arg, uint64_t addr)
{
  struct machine *m = arg;
  for (unsigned i = 0; i < m->cpus; i++)
    tlb_map_changed(m->cpu[i]);
}

static void free_exit(struct device *d)
{
  struct board_part *p = d->self;
  bus_unmap(&p->m->bus, &p->exit.region);
  free(p->device.id);
  free(p);
}

static void free_con(struct device *d)
{
  struct board_part *p = d->self;
  bus_unmap(&p->m->bus, &p->con.region);
  free(p->device.id);
  free(p);
}

static void reset_test(struct device *d)
{
  testdev_reset(&((struct board_part *)d->self)->test);
}

static void free_test(struct device *d)
{
  struct board_part *p = d->self;
  struct region *r[] = {&p->test.lines_region, &p->test.storage_region, &p->test.flush_region,
                        &p->test.memory_region};
  for (unsigned i = 0; i < sizeof r / sizeof r[0]; i++)
    bus_unmap(&p->m->bus, r[i]);
  free(p->device.id);
  free(p);
}

static bool make_exit(struct board_part *p, struct opts *o, struct err *e)
{
  uint64_t base = 0x501, size = 2;
  if (!opts_u64(o, "iobase", &base, e) || !opts_u64(o, "iosize", &size, e))
    return false;
  if (size < 1 || size > 4 || base > 0x10000 - size)
    return err_set(e, "isa-debug-exit: iosize must be 1 to 4, and iobase + iosize at most 0x10000");
  debugexit_init(&p->exit, &p->m->bus, (uint16_t)base, (unsigned)size, on_exit_port, p->m);
  p->device.free = free_exit;
  return true;
}

static bool make_con(struct board_part *p, struct opts *o, struct err *e)
{
  uint64_t base = 0xe9;
  const char *id = opts_get(o, "chardev");
  if (!opts_u64(o, "iobase", &base, e))
    return false;
  if (base > 0xffff)
    return err_set(e, "isa-debugcon: iobase must be at most 0xffff");
  if (!id)
    return err_set(e, "isa-debugcon: chardev= is missing");
  p->chr = chardev_find(&p->m->chardevs, id);
  if (!p->chr)
    return err_set(e, "isa-debugcon: there is no -chardev with id=%s", id);
  debugcon_init(&p->con, &p->m->bus, (uint16_t)base, put, p);
  p->device.free = free_con;
  return true;
}

static bool make_test(struct board_part *p, struct opts *o, struct err *e)
{
  testdev_init(&p->test, &p->m->bus, &p->m->pc.gsi, flush, p->m);
  p->device.reset = reset_test;
  p->device.free = free_test;
  return true;
}

static const struct {
  const char *name;
  bool (*make)(struct board_part *p, struct opts *o, struct err *e);
} rows[] = {{"isa-debug-exit", make_exit}, {"isa-debugcon", make_con}, {"pc-testdev", make_test}};

bool board_device(const char *name)
{
  for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (!strcmp(rows[i].name, name))
      return true;
  return false;
}

struct device *board_device_create(struct machine *m, struct opts *o, struct err *e)
{
  const char *name = opts_get(o, "driver"), *id = opts_get(o, "id");
  unsigned i = 0;
  while (strcmp(rows[i].name, name) != 0)
    i++;
  struct board_part *p = calloc(1, sizeof *p);
  if (!p) {
    err_set(e, "out of memory");
    return NULL;
  }
  p->m = m;
  p->device = (struct device){.type = rows[i].name, .self = p};
  if (!rows[i].make(p, o, e)) {
    free(p);
    return NULL;
  }
  if (!opts_done(o, e)) {
    device_free(&p->device);
    return NULL;
  }
  p->device.id = id ? strdup(id) : NULL;
  return &p->device;
}
