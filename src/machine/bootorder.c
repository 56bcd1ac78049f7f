// The order in which a BIOS tries devices, as bootindex= gives it: lines of OpenFirmware paths in the file
// "bootorder" (SeaBIOS, docs/Runtime_config.md). Devices without a bootindex come after, in the order of
// -boot.
#include "machine/bootorder.h"

#include <stdio.h>
#include <string.h>

#include "device/virtio_blk.h"
#include "machine/machine.h"

static struct pci_func *virtio_func(const struct device *d)
{
  return strcmp(d->type, "virtio-blk-pci") == 0 ? &((struct virtio_blk *)d->self)->pci.pci : NULL;
}

static bool bootable(const struct device *d)
{
  return virtio_func(d) || !strcmp(d->type, "ide-hd") || !strcmp(d->type, "ide-cd");
}

static bool add(struct machine *m, const struct boot_entry *new, uint64_t index, struct err *e)
{
  struct bootorder *b = &m->bootorder;
  unsigned at = 0;
  if (index > INT32_MAX)
    return err_set(e, "bootindex=%llu: a number from 0 to %d", (unsigned long long)index, INT32_MAX);
  if (b->count == BOOT_ENTRIES)
    return err_set(e, "bootindex=: at most %u devices", BOOT_ENTRIES);
  while (at < b->count && b->entry[at].index < index)
    at++;
  if (at < b->count && b->entry[at].index == index)
    return err_set(e, "bootindex=%llu is given twice; each device needs its own", (unsigned long long)index);
  memmove(&b->entry[at + 1], &b->entry[at], (b->count - at) * sizeof b->entry[0]);
  b->entry[at] = *new;
  b->entry[at].index = index;
  b->count++;
  return true;
}

bool bootorder_add(struct machine *m, struct device *d, uint64_t index, struct err *e)
{
  if (!bootable(d))
    return true; // a network card, say: there is no boot ROM
  struct boot_entry new = {.func = virtio_func(d)};
  if (!new.func)
    new.drive = d->self;
  return add(m, &new, index, e);
}

bool bootorder_add_ide(struct machine *m, unsigned place, uint64_t index, struct err *e)
{
  struct boot_entry new = {.drive = &m->pc.ide->ch[place / 2].drive[place % 2]};
  return add(m, &new, index, e);
}

// SeaBIOS numbers root buses other than the first as it finds devices on them.
static unsigned root_number(const struct machine *m, const struct pci_bus *bus)
{
  unsigned n = 0;
  for (unsigned i = 1; i < m->nodes.count; i++) {
    const struct pci_bus *chain = &m->nodes.chain[i];
    bool used = false;
    for (unsigned k = 0; k < 256; k++)
      used |= chain->func[k] != NULL;
    n += used;
    if (chain == bus)
      return n;
  }
  return 0;
}

static void path(const struct machine *m, const struct boot_entry *b, char out[BOOT_PATH])
{
  const struct pci_func *f = b->func ? b->func : &m->pc.ide->pci;
  unsigned root = root_number(m, f->bus), slot = f->devfn >> 3, func = f->devfn & 7;
  int n = snprintf(out, BOOT_PATH, root ? "/pci@i0cf8,%x" : "/pci@i0cf8", root);
  n += snprintf(out + n, BOOT_PATH - (size_t)n, "/%s@%x", b->func ? "scsi" : "ide", slot);
  if (func)
    n += snprintf(out + n, BOOT_PATH - (size_t)n, ",%x", func);
  if (b->func)
    snprintf(out + n, BOOT_PATH - (size_t)n, "/disk@0,0");
  else
    snprintf(out + n, BOOT_PATH - (size_t)n, "/drive@%x/disk@%x", (unsigned)(b->drive->ch - m->pc.ide->ch),
             (unsigned)(b->drive - b->drive->ch->drive));
}

const char *const *bootorder_paths(struct machine *m)
{
  struct bootorder *b = &m->bootorder;
  for (unsigned i = 0; i < b->count; i++) {
    path(m, &b->entry[i], b->text[i]);
    b->path[i] = b->text[i];
  }
  b->path[b->count] = NULL;
  return b->path;
}
