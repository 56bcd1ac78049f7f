// pci-testdev, 1b36:0005, as QEMU documents it for guests (specs/pci-testdev): BAR 0 memory, BAR 1 ports.
// Each begins with a header; a test, chosen by a write to its first byte, says where to write what, and
// counts such writes.
//
// There is one test in each BAR, number 0: a byte written at HEADER.
#include "device/pci_testdev.h"

#include <stdlib.h>
#include <string.h>

#include "bus/pci.h"
#include "device/place.h"

enum { BAR_SIZE = 4096, PORTS = 256, HEADER = 0x80 };

// The header's layout.
enum { H_TEST = 0, H_WIDTH = 1, H_OFFSET = 4, H_DATA = 8, H_COUNT = 12, H_NAME = 16 };

struct side {
  const char *name;
  uint8_t test;
  uint32_t count;
};

struct pci_testdev {
  struct device device;
  struct pci_func pci;
  struct side side[2];
};

static void put32(uint8_t *p, uint32_t v)
{
  memcpy(p, &v, sizeof v);
}

static uint64_t read_header(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct side *s = dev;
  uint8_t h[HEADER + 8] = {0};
  if (s->test == 0) {
    h[H_WIDTH] = 1;
    put32(h + H_OFFSET, HEADER);
    put32(h + H_DATA, 0xfa);
    put32(h + H_COUNT, s->count);
    strcpy((char *)h + H_NAME, s->name);
  }
  uint64_t v = 0;
  if (off < HEADER)
    memcpy(&v, h + off, size);
  return v;
}

static void write_header(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct side *s = dev;
  if (off == H_TEST) {
    s->test = (uint8_t)value;
    s->count = 0;
  } else if (off == HEADER && s->test == 0 && size == 1 && (uint8_t)value == 0xfa) {
    s->count++;
  }
}

static const struct bus_ops ops = {.read = read_header, .write = write_header, .max_size = 4};

static void reset(struct device *d)
{
  struct pci_testdev *p = d->self;
  pci_func_reset(&p->pci);
  for (unsigned i = 0; i < 2; i++)
    p->side[i].test = 0, p->side[i].count = 0;
}

static void release(struct device *d)
{
  struct pci_testdev *p = d->self;
  pci_remove(&p->pci);
  free(p->device.id);
  free(p);
}

struct device *pci_testdev_device(const struct device_env *env, struct opts *props, struct err *e)
{
  unsigned slot, function;
  if (!place_pci(env, props, "pci-testdev", 3, &slot, &function, e))
    return NULL;
  struct pci_testdev *p = calloc(1, sizeof *p);
  if (!p) {
    err_set(e, "out of memory");
    return NULL;
  }
  p->side[0].name = "mmio-no-eventfd";
  p->side[1].name = "portio-no-eventfd";
  pci_func_init(&p->pci, "pci-testdev", 0x1b36, 0x0005, 0x00ff00, 0, p);
  pci_set_subsystem(&p->pci, 0x1af4, 0x1100);
  pci_bar_mem(&p->pci, 0, BAR_SIZE, false, false, &ops, &p->side[0]);
  pci_bar_io(&p->pci, 1, PORTS, &ops, &p->side[1]);
  if (!pci_add(env->pci, &p->pci, (uint8_t)slot, (uint8_t)function, 0)) {
    err_set(e, "pci-testdev: its PCI address is taken");
    free(p);
    return NULL;
  }
  p->device = (struct device){.type = "pci-testdev", .reset = reset, .free = release, .self = p};
  return &p->device;
}
