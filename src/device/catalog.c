// The list of devices; see catalog.h.
#include "device/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "device/ahci.h"
#include "device/e1000.h"
#include "device/ide.h"
#include "device/pacifica_dma.h"
#include "device/pci_testdev.h"
#include "device/serial.h"
#include "device/vga.h"
#include "device/virtio_blk.h"
#include "device/virtio_net.h"
#include "device/virtio_rng.h"

#define PCI_PROPS                                                                                            \
  {"addr", "slot[.function]", "place on the bus, hexadecimal (the first free one)"},                         \
      {"node", "number", "whose I/O chain it is on (0)"},                                                    \
  {                                                                                                          \
    "bus", "string", "pci.N, the chain of node N (pci.0)"                                                    \
  }
#define VIRTIO_PROPS                                                                                         \
  PCI_PROPS, {"disable-legacy", "on/off/auto", "leave out the legacy interface (auto: off)"},                \
      {"disable-modern", "on/off", "leave out the modern interface (off)"},                                  \
  {                                                                                                          \
    "vectors", "number", "MSI-X vectors, 0 for none (one for each queue, and one)"                           \
  }

static const struct catalog_prop serial_props[] = {
    {"chardev", "id", "what is connected (nothing)"},
    {"index", "number", "0 to 3 for COM1 to COM4 (0)"},
    {"iobase", "number", "first port (that of index)"},
    {"irq", "number", "ISA interrupt line (that of index)"},
    {NULL},
};

static const struct catalog_prop ide_hd_props[] = {
    {"drive", "id", "the -drive that holds the data"},
    {"bus", "ide.0/ide.1/ID.PORT", "channel, or port of the ahci with id=ID (the first free IDE place)"},
    {"unit", "number", "0 master, 1 slave"},
    {"serial", "string", "serial number, at most 20 characters"},
    {"model", "string", "model name, at most 40 characters"},
    {"ver", "string", "firmware version, at most 8 characters"},
    {"bootindex", "number", "place in the order of booting, from 0 (after all that have one)"},
    {NULL},
};

static const struct catalog_prop blk_props[] = {
    {"drive", "id", "the -drive that holds the data"},
    {"serial", "string", "serial number, at most 20 characters"},
    {"logical_block_size", "number", "bytes (512)"},
    {"physical_block_size", "number", "bytes (as logical_block_size)"},
    {"queue-size", "number", "entries of the queue, a power of two from 4 to 1024 (256)"},
    {"num-queues", "number", "1"},
    {"config-wce", "on/off", "the guest may turn the write cache off (on)"},
    {"discard", "on/off", "offer discard (on)"},
    {"write-zeroes", "on/off", "offer write zeroes (on)"},
    {"bootindex", "number", "place in the order of booting, from 0 (after all that have one)"},
    VIRTIO_PROPS,
    {NULL},
};

static const struct catalog_prop dma_props[] = {
    {"functions", "number", "PCI functions, 1 to 8, each a requester with registers of its own (1)"},
    {"unit", "number", "HyperTransport unit ID of its requests, 0 to 31 (its slot)"},
    PCI_PROPS,
    {NULL},
};

static const struct catalog_prop pci_props[] = {PCI_PROPS, {NULL}};
static const struct catalog_prop e1000_props[] = {
    {"netdev", "id", "the -netdev that it is connected to"},
    {"mac", "address", "52:54:00:12:34:56, and so on"},
    {"bootindex", "number", "accepted; there is no boot ROM"},
    {"romfile", "path", "accepted; there is no boot ROM"},
    PCI_PROPS,
    {NULL},
};

static const struct catalog_prop virtio_net_props[] = {
    {"netdev", "id", "the -netdev that it is connected to"},
    {"mac", "address", "52:54:00:12:34:56, and so on"},
    {"mrg_rxbuf", "on/off", "offer mergeable receive buffers (on)"},
    {"csum", "on/off", "offer to make checksums (on)"},
    {"guest_csum", "on/off", "offer to check checksums (on)"},
    {"host_tso4", "on/off", "offer to cut long TCP packets in IPv4 into frames; needs csum (on)"},
    {"host_tso6", "on/off", "the same in IPv6 (on)"},
    {"host_ecn", "on/off", "the same with congestion notification (on)"},
    {"guest_tso4", "on/off", "offer to join TCP frames in IPv4 to long packets; needs guest_csum (on)"},
    {"status", "on/off", "offer the link's status (on)"},
    {"rx_queue_size", "number", "entries, a power of two from 16 to 1024 (256)"},
    {"tx_queue_size", "number", "as rx_queue_size"},
    {"bootindex", "number", "accepted; there is no boot ROM"},
    {"romfile", "path", "accepted; there is no boot ROM"},
    VIRTIO_PROPS,
    {NULL},
};

static const struct catalog_prop rng_props[] = {VIRTIO_PROPS, {NULL}};

static const struct catalog_prop vga_props[] = {
    {"vgamem_mb", "number", "video memory, a power of two from 1 to 256 (16)"},
    {"romfile", "path", "VGA BIOS; empty for none (vgabios-stdvga.bin of the distribution)"},
    PCI_PROPS,
    {NULL},
};

static const struct catalog_prop debug_exit_props[] = {
    {"iobase", "number", "port (0x501)"},
    {"iosize", "number", "bytes, 1 to 4 (2)"},
    {NULL},
};

static const struct catalog_prop debugcon_props[] = {
    {"chardev", "id", "where the bytes go"},
    {"iobase", "number", "port (0xe9)"},
    {NULL},
};

static const struct catalog_prop tpm_props[] = {
    {"tpmdev", "id", "the TPM behind it (-tpmdev)"},
    {"did-vid", "number", "what DID_VID reads, device << 16 | vendor (0x00011014)"},
    {NULL},
};

static const struct catalog_prop none[] = {{NULL}};

const struct catalog_device catalog[] = {
    {"e1000", NULL, "PCI", "Intel 82540EM network adapter", e1000_props, e1000_device},
    {"ich9-ahci", "ahci", "PCI", "SATA controller: six ports for ide-hd and ide-cd with bus=ID.PORT",
     pci_props, ahci_device},
    {"ide-cd", NULL, "IDE", "CD-ROM drive (ATAPI)", ide_hd_props, ide_cd_create},
    {"ide-hd", NULL, "IDE", "hard disk (ATA)", ide_hd_props, ide_hd_create},
    {"isa-debug-exit", NULL, "ISA", "a port that ends the machine with a status", debug_exit_props, NULL},
    {"isa-debugcon", NULL, "ISA", "a port whose bytes are the firmware's console", debugcon_props, NULL},
    {"isa-serial", NULL, "ISA", "16550A UART", serial_props, serial_create},
    {"pacifica-dma", NULL, "PCI", "accesses any address on command, for tests and teaching", dma_props,
     pacifica_dma_device},
    {"pc-testdev", NULL, "ISA", "ports for kvm-unit-tests", none, NULL},
    {"pci-testdev", NULL, "PCI", "counts writes, for kvm-unit-tests", pci_props, pci_testdev_device},
    {"tpm-crb", NULL, "board", "TPM 2.0 with a command-response buffer", tpm_props, NULL},
    {"tpm-tis", NULL, "board", "TPM with the FIFO interface of TIS", tpm_props, NULL},
    {"VGA", NULL, "PCI", "standard VGA with linear modes", vga_props, vga_device},
    {"virtio-blk-pci", "virtio-blk", "PCI", "paravirtual disk", blk_props, virtio_blk_device},
    {"virtio-net-pci", "virtio-net", "PCI", "paravirtual network adapter", virtio_net_props,
     virtio_net_device},
    {"virtio-rng-pci", "virtio-rng", "PCI", "entropy from the machine's seed: repeatable, not for secrets",
     rng_props, virtio_rng_device},
    {NULL},
};

const struct catalog_device *catalog_find(const char *name)
{
  for (const struct catalog_device *d = catalog; d->name; d++)
    if (!strcmp(d->name, name) || (d->alias && !strcmp(d->alias, name)))
      return d;
  return NULL;
}

void catalog_list(FILE *out)
{
  for (const struct catalog_device *d = catalog; d->name; d++) {
    fprintf(out, "name \"%s\", bus %s", d->name, d->bus);
    if (d->alias)
      fprintf(out, ", alias \"%s\"", d->alias);
    fprintf(out, ", desc \"%s\"\n", d->help);
  }
}

void catalog_help(const struct catalog_device *d, FILE *out)
{
  fprintf(out, "%s: %s\n", d->name, d->help);
  for (const struct catalog_prop *p = d->props; p->name; p++)
    fprintf(out, "  %s=<%s> - %s\n", p->name, p->type, p->help);
}

static bool unknown(const char *name, struct err *e)
{
  const char *names[2 * sizeof catalog / sizeof catalog[0]];
  unsigned n = 0;
  for (const struct catalog_device *d = catalog; d->name; d++) {
    names[n++] = d->name;
    if (d->alias)
      names[n++] = d->alias;
  }
  names[n] = NULL;
  const char *like = nearest(name, names);
  return like ? err_set(e, "-device %s: no such device; did you mean %s?", name, like)
              : err_set(e, "-device %s: no such device; -device help lists them", name);
}

struct device *device_create(const struct device_env *env, struct opts *props, struct err *e)
{
  const char *name = opts_get(props, "driver"), *id = opts_get(props, "id");
  const struct catalog_device *row = name ? catalog_find(name) : NULL;
  if (!row) {
    unknown(name ? name : "", e);
    return NULL;
  }
  if (!row->create) {
    err_set(e, "-device %s cannot be made here", name);
    return NULL;
  }
  struct device *d = row->create(env, props, e);
  if (!d)
    return NULL;
  if (!opts_done(props, e)) {
    device_free(d);
    return NULL;
  }
  if (id) {
    free(d->id);
    d->id = strdup(id);
  }
  return d;
}
