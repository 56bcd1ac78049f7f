// The controller as a whole: its PCI function, generic registers, interrupts; see ahci.h. Ports are in
// ahci_port.c, commands in ahci_cmd.c.
#include "device/ahci.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/ahci_int.h"
#include "device/place.h"

// Six ports, 32 slots, AHCI only, 3 Gb/s, command list override, 64-bit addresses. No NCQ, no port
// multipliers.
#define CAP_VALUE ((AHCI_PORTS - 1) | 31u << 8 | 1u << 18 | 2u << 20 | 1u << 24 | 1u << 31)
#define VERSION   0x00010301u

bool ahci_read(struct ahci_port *p, uint64_t addr, void *buf, uint32_t len)
{
  p->hba->busy = true;
  bool ok = dma_read(&p->hba->pci.dma, addr, buf, len) == TXN_OK;
  p->hba->busy = false;
  p->bus_error |= !ok;
  return ok;
}

bool ahci_write(struct ahci_port *p, uint64_t addr, const void *buf, uint32_t len)
{
  p->hba->busy = true;
  bool ok = dma_write(&p->hba->pci.dma, addr, buf, len) == TXN_OK;
  p->hba->busy = false;
  p->bus_error |= !ok;
  return ok;
}

// 10.7: IS has a bit for each port that wants an interrupt. The pin follows it; a message goes out when a bit
// appears.
static void update(struct ahci *h)
{
  uint32_t was = h->is;
  for (unsigned i = 0; i < AHCI_PORTS; i++)
    if (h->port[i].is & h->port[i].ie)
      h->is |= 1u << i;
  bool level = h->is && (h->ghc & GHC_IE);
  if (!pci_msi_enabled(&h->pci)) {
    pci_set_intx(&h->pci, level);
  } else if (level && (h->is & ~was)) {
    h->busy = true;
    pci_msi(&h->pci, 0);
    h->busy = false;
  }
}

void ahci_interrupt(struct ahci_port *p, uint32_t is)
{
  p->is |= is;
  update(p->hba);
}

static void hba_reset(struct ahci *h)
{
  h->ghc = GHC_AE;
  h->is = 0;
  for (unsigned i = 0; i < AHCI_PORTS; i++)
    ahci_port_reset(&h->port[i]);
  pci_set_intx(&h->pci, 0);
}

static uint64_t reg_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct ahci *h = dev;
  if (h->busy)
    return UINT64_MAX;
  if (off >= HBA_PORTS) {
    unsigned port = (unsigned)(off - HBA_PORTS) / HBA_PORT_SIZE;
    return port < AHCI_PORTS ? ahci_port_read(&h->port[port], off % HBA_PORT_SIZE) : 0;
  }
  switch (off) {
  case HBA_CAP:
    return CAP_VALUE;
  case HBA_GHC:
    return h->ghc;
  case HBA_IS:
    return h->is;
  case HBA_PI:
    return (1u << AHCI_PORTS) - 1;
  case HBA_VS:
    return VERSION;
  default:
    return 0;
  }
}

static void reg_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct ahci *h = dev;
  if (h->busy)
    return;
  if (off >= HBA_PORTS) {
    unsigned port = (unsigned)(off - HBA_PORTS) / HBA_PORT_SIZE;
    if (port < AHCI_PORTS)
      ahci_port_write(&h->port[port], off % HBA_PORT_SIZE, (uint32_t)value);
  } else if (off == HBA_GHC && (value & GHC_HR)) {
    hba_reset(h);
  } else if (off == HBA_GHC) {
    h->ghc = GHC_AE | (value & GHC_IE);
  } else if (off == HBA_IS) {
    h->is &= ~(uint32_t)value;
  }
  update(h);
}

static const struct bus_ops ops = {.read = reg_read, .write = reg_write, .min_size = 4, .max_size = 4};

static void reset_device(struct device *d)
{
  struct ahci *h = d->self;
  hba_reset(h);
  pci_func_reset(&h->pci);
}

static void free_device(struct device *d)
{
  ahci_free(d->self);
}

void ahci_free(struct ahci *h)
{
  for (unsigned i = 0; i < AHCI_PORTS; i++) {
    struct ide_drive *d = &h->port[i].channel.drive[0];
    timer_cancel(&h->port[i].timer);
    ide_drive_free(d);
  }
  pci_remove(&h->pci);
  free(h->device.id);
  free(h);
}

struct device *ahci_device(const struct device_env *env, struct opts *props, struct err *e)
{
  unsigned slot, function;
  if (!place_pci(env, props, "ich9-ahci", 3, &slot, &function, e))
    return NULL;
  struct ahci *h = calloc(1, sizeof *h);
  if (!h) {
    err_set(e, "out of memory");
    return NULL;
  }
  h->clock = env->clock;
  h->log = env->log;
  pci_func_init(&h->pci, "ich9-ahci", 0x8086, 0x2922, 0x010601, 2, h);
  pci_set_subsystem(&h->pci, 0x8086, 0x2922);
  pci_bar_mem(&h->pci, 5, HBA_SIZE, false, false, &ops, h);
  pci_add_msi(&h->pci);
  for (unsigned i = 0; i < AHCI_PORTS; i++)
    ahci_port_init(&h->port[i], h, i);
  if (!pci_add(env->pci, &h->pci, (uint8_t)slot, (uint8_t)function, 1)) {
    err_set(e, "ich9-ahci: PCI address %02x.%x is taken", slot, function);
    free(h);
    return NULL;
  }
  h->device = (struct device){.type = "ich9-ahci", .reset = reset_device, .free = free_device, .self = h};
  hba_reset(h);
  return &h->device;
}

bool ahci_attach(struct ahci *h, unsigned port, enum ide_kind kind, struct blockdev *blk,
                 const struct ide_props *props, struct err *e)
{
  if (port >= AHCI_PORTS)
    return err_set(e, "ich9-ahci: there is no port %u; there are ports 0 to %u", port, AHCI_PORTS - 1);
  if (ahci_present(&h->port[port]))
    return err_set(e, "ich9-ahci: port %u is taken", port);
  char place[24];
  snprintf(place, sizeof place, "ahci port %u", port);
  if (!ide_drive_init(&h->port[port].channel.drive[0], kind, blk, props, place, 100 + port, e))
    return false;
  ahci_port_reset(&h->port[port]);
  return true;
}

int ahci_free_port(const struct ahci *h)
{
  for (unsigned i = 0; i < AHCI_PORTS; i++)
    if (!ahci_present(&h->port[i]))
      return (int)i;
  return -1;
}
