// Which devices a BIOS tries first; see bootorder.c.
#ifndef MACHINE_BOOTORDER_H
#define MACHINE_BOOTORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct device;
struct ide_drive;
struct machine;
struct pci_func;

#define BOOT_ENTRIES 32u
#define BOOT_PATH    80u

struct boot_entry {
  uint64_t index;
  const struct pci_func *func; // of a virtio disk, or NULL
  const struct ide_drive *drive;
};

struct bootorder {
  struct boot_entry entry[BOOT_ENTRIES]; // in order
  unsigned count;
  char text[BOOT_ENTRIES][BOOT_PATH];
  const char *path[BOOT_ENTRIES + 1];
};

// d: of a kind that a BIOS can boot from; others are passed over.
bool bootorder_add(struct machine *m, struct device *d, uint64_t index, struct err *e);
// place: channel * 2 + unit.
bool bootorder_add_ide(struct machine *m, unsigned place, uint64_t index, struct err *e);
// Paths in order, NULL-terminated; after all devices were made.
const char *const *bootorder_paths(struct machine *m);

#endif
