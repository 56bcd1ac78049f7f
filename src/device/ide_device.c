// -device ide-hd and -device ide-cd: which drive goes where; see ide.h.
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "device/ahci.h"

static bool place(const struct ide *ide, struct opts *props, unsigned *channel, unsigned *unit, struct err *e)
{
  static const char *const buses[] = {"ide.0", "ide.1", NULL};
  uint64_t u = UINT64_MAX;
  *channel = UINT_MAX;
  if (!opts_choice(props, "bus", buses, channel, e)) // an AHCI controller is found before
    return err_set(e, "bus=%s: drives go to ide.0, ide.1, or ID.PORT of an -device ahci,id=ID before them",
                   opts_get(props, "bus"));
  if (!opts_u64(props, "unit", &u, e))
    return false;
  if (*channel == UINT_MAX && u == UINT64_MAX) {
    int free_place = ide_free_place(ide);
    if (free_place < 0)
      return err_set(e, "all four places for IDE drives are taken; use virtio-blk-pci");
    *channel = (unsigned)free_place / 2;
    *unit = (unsigned)free_place % 2;
    return true;
  }
  if (*channel == UINT_MAX)
    *channel = 0;
  if (u == UINT64_MAX)
    u = ide->ch[*channel].drive[0].kind != IDE_NONE;
  if (u > 1)
    return err_set(e, "unit=%llu is not 0 or 1", (unsigned long long)u);
  *unit = (unsigned)u;
  return true;
}

static void free_drive(struct device *d)
{
  // The drive is part of its controller and goes with it.
  free(d->id);
  d->id = NULL;
}

static void free_sata(struct device *d)
{
  free(d->id);
  free(d);
}

// bus=ID.PORT, or bus=ID for the first free port. NULL: it names no AHCI controller.
static struct ahci *controller(const struct device_env *env, const char *bus, unsigned *port)
{
  char id[64];
  const char *dot = strrchr(bus, '.');
  uint64_t n = UINT64_MAX;
  size_t len = dot && parse_u64(dot + 1, &n) ? (size_t)(dot - bus) : strlen(bus);
  if (len >= sizeof id || !env->device)
    return NULL;
  memcpy(id, bus, len);
  id[len] = 0;
  struct device *d = env->device(env->arg, id);
  if (!d || strcmp(d->type, "ich9-ahci") != 0)
    return NULL;
  struct ahci *h = d->self;
  int first = ahci_free_port(h);
  *port = n != UINT64_MAX ? (n < 1000 ? (unsigned)n : 1000) : first >= 0 ? (unsigned)first : 0;
  return h;
}

static struct device *create_sata(struct ahci *h, unsigned port, enum ide_kind kind, struct blockdev *blk,
                                  const struct ide_props *p, const char *type, struct opts *props,
                                  struct err *e)
{
  uint64_t unit = 0;
  if (!opts_u64(props, "unit", &unit, e))
    return NULL;
  if (unit) {
    err_set(e, "%s: a SATA port has one drive, unit=0", type);
    return NULL;
  }
  // The controller may go before its drives do, so this is apart from it.
  struct device *d = calloc(1, sizeof *d);
  if (!d) {
    err_set(e, "out of memory");
    return NULL;
  }
  if (!ahci_attach(h, port, kind, blk, p, e)) {
    free(d);
    return NULL;
  }
  *d = (struct device){.type = type, .free = free_sata, .self = &h->port[port].channel.drive[0]};
  return d;
}

static struct device *create(const struct device_env *env, struct opts *props, enum ide_kind kind,
                             const char *type, struct err *e)
{
  struct ide_props p = {opts_get(props, "serial"), opts_get(props, "model"), opts_get(props, "ver")};
  const char *name = opts_get(props, "drive");
  const char *bus = opts_get(props, "bus");
  unsigned channel, unit = 0, port = 0;
  struct ahci *sata = bus ? controller(env, bus, &port) : NULL;
  opts_get(props, "bootindex"); // -boot gives the order
  if (!env->ide && !sata) {
    err_set(e, "%s: this machine has no IDE controller", type);
    return NULL;
  }
  if (!sata && !place(env->ide, props, &channel, &unit, e))
    return NULL;
  struct blockdev *blk = name && env->drive ? env->drive(env->arg, name) : NULL;
  if (name && !blk) {
    err_set(e, "%s: there is no -drive with id=%s that is free", type, name);
    return NULL;
  }
  if ((p.serial && strlen(p.serial) > 20) || (p.model && strlen(p.model) > 40) ||
      (p.version && strlen(p.version) > 8)) {
    err_set(e, "%s: at most 20 characters for serial, 40 for model, 8 for ver", type);
    return NULL;
  }
  if (sata)
    return create_sata(sata, port, kind, blk, &p, type, props, e);
  if (!ide_attach(env->ide, channel, unit, kind, blk, &p, e))
    return NULL;
  struct ide_drive *d = &env->ide->ch[channel].drive[unit];
  d->device = (struct device){.type = type, .free = free_drive, .self = d};
  return &d->device;
}

struct device *ide_hd_create(const struct device_env *env, struct opts *props, struct err *e)
{
  return create(env, props, IDE_HD, "ide-hd", e);
}

struct device *ide_cd_create(const struct device_env *env, struct opts *props, struct err *e)
{
  return create(env, props, IDE_CD, "ide-cd", e);
}
