// The bed on which devices are tested; see bed.h.
#include "bed.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool bed_without_direct;

static void set_line(void *sink, int pin, int level)
{
  struct bed *b = sink;
  b->edges[pin] += level && !b->level[pin];
  b->level[pin] = level;
}

static void set_intx(void *sink, int pin, int level)
{
  set_line(sink, 8 + pin, level); // INTA..INTD appear as lines 8 to 11
}

static enum txn_resp transfer(void *fabric, const struct txn *t, void *buf, uint64_t len)
{
  struct bed *b = fabric;
  if (t->space == TXN_CONFIG) {
    b->config_requests++;
    return TXN_ABORT;
  }
  if (t->space == TXN_IO)
    return bus_access(&b->bus, t, buf);
  if (t->kind == TXN_WRITE && t->addr >= 0xfee00000 && t->addr < 0xfef00000 && len == 4) {
    b->messages++;
    memcpy(&b->last_message, buf, 4);
    return TXN_OK;
  }
  return bus_transfer(&b->bus, t, buf, len);
}

static bool direct(void *fabric, const struct txn *t, const struct dma_list *l, struct dma_mover *m)
{
  struct bed *b = fabric;
  return !bed_without_direct && fabric_direct(&b->fabric, t, l, m);
}

struct irq bed_irq(struct bed *b, int n)
{
  return (struct irq){set_line, b, n};
}

static struct irq isa_irq(void *arg, int n)
{
  return bed_irq(arg, n);
}

void bed_init(struct bed *b, uint64_t ram)
{
  struct err e;
  memset(b, 0, sizeof *b);
  assert_true(ram_init(&b->ram, ram + BED_RAM, &e));
  assert_true(bus_init(&b->bus, &b->ram, &b->log));
  uint64_t off = ram_alloc(&b->ram, ram);
  bus_map_ram(&b->bus, &b->low, "ram", 0, ram, off, 0, false);
  b->low_size = ram;
  pci_bus_init(&b->pci, &b->bus, 0, 0);
  b->pci.transfer = transfer;
  b->pci.direct = direct;
  b->pci.fabric = b;
  fabric_init(&b->fabric, &b->bus, 1);
  for (int i = 0; i < 4; i++)
    b->pci.intx[i] = (struct irq){set_intx, b, i};
  clock_init(&b->clock);
  b->env = (struct device_env){.bus = &b->bus,
                               .pci = &b->pci,
                               .clock = &b->clock,
                               .log = &b->log,
                               .seed = 1,
                               .arg = b,
                               .isa_irq = isa_irq};
  strcpy(b->dir, "/tmp/pacifica-test-XXXXXX");
  assert_non_null(mkdtemp(b->dir));
}

void bed_free(struct bed *b)
{
  char cmd[100];
  snprintf(cmd, sizeof cmd, "rm -rf %s", b->dir);
  assert_int_equal(system(cmd), 0);
  assert_int_equal(b->clock.count, 0); // no device left a timer behind
  clock_free(&b->clock);
  bus_free(&b->bus);
  ram_free(&b->ram);
}

const char *bed_path(struct bed *b, const char *name)
{
  static char path[128];
  snprintf(path, sizeof path, "%s/%s", b->dir, name);
  return path;
}

const char *bed_image(struct bed *b, const char *name, uint64_t size)
{
  const char *path = bed_path(b, name);
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(ftruncate(fd, (off_t)size), 0);
  for (uint64_t s = 0; s * 512 + 8 <= size; s++)
    assert_int_equal(pwrite(fd, &s, 8, (off_t)(s * 512)), 8);
  close(fd);
  return path;
}

static struct txn cpu(uint8_t space, uint8_t kind, uint64_t addr, unsigned size)
{
  return (struct txn){.addr = addr, .size = size, .kind = kind, .space = space, .requester = TXN_FROM_CPU};
}

uint32_t bed_in(struct bed *b, uint16_t port, unsigned size)
{
  struct txn t = cpu(TXN_IO, TXN_READ, port, size);
  uint64_t v = 0;
  bus_access(&b->bus, &t, &v);
  return (uint32_t)v;
}

void bed_out(struct bed *b, uint16_t port, unsigned size, uint32_t value)
{
  struct txn t = cpu(TXN_IO, TXN_WRITE, port, size);
  uint64_t v = value;
  bus_access(&b->bus, &t, &v);
}

uint64_t bed_read(struct bed *b, uint64_t addr, unsigned size)
{
  struct txn t = cpu(TXN_MEM, TXN_READ, addr, size);
  uint64_t v = 0;
  bus_access(&b->bus, &t, &v);
  return v;
}

void bed_write(struct bed *b, uint64_t addr, unsigned size, uint64_t v)
{
  struct txn t = cpu(TXN_MEM, TXN_WRITE, addr, size);
  bus_access(&b->bus, &t, &v);
}

uint8_t *bed_mem(struct bed *b, uint64_t addr)
{
  assert_true(addr < b->low_size);
  return b->ram.mem + b->low.ram_off + addr;
}

uint32_t bed_config_read(struct bed *b, const struct pci_func *f, unsigned off, unsigned size)
{
  return pci_config_read(&b->pci, 0, f->devfn, off, size);
}

void bed_config_write(struct bed *b, const struct pci_func *f, unsigned off, unsigned size, uint32_t v)
{
  pci_config_write(&b->pci, 0, f->devfn, off, size, v);
}

void bed_run(struct bed *b, uint64_t ns)
{
  clock_advance(&b->clock, clock_now(&b->clock) + ns);
}

struct opts *bed_opts(const char *text)
{
  static struct opts o;
  struct err e;
  opts_free(&o);
  memset(&o, 0, sizeof o);
  assert_true(opts_parse(&o, "-device", text, "driver", &e));
  return &o;
}
