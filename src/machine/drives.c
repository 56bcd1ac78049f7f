// -drive: which image goes to which place.
//
// index=N, or bus=B,unit=U, is the IDE place B = N / 2, U = N % 2; without it the first free one. if=none
// only names the image, for a -device.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/virtio_blk.h"
#include "machine/devices.h"

enum iface { IF_IDE, IF_VIRTIO, IF_NONE };

struct drive_plan {
  unsigned iface, media;
  uint64_t index, bootindex;
  bool placed;
  const char *id, *serial;
};

static bool parse(struct opts *o, struct drive_plan *p, struct err *e)
{
  static const char *const ifaces[] = {"ide", "virtio", "none", NULL};
  static const char *const medias[] = {"disk", "cdrom", NULL};
  uint64_t none = UINT64_MAX, bus = none, unit = none;
  p->index = p->bootindex = none;
  p->id = opts_get(o, "id");
  p->serial = opts_get(o, "serial");
  if (!opts_choice(o, "if", ifaces, &p->iface, e) || !opts_choice(o, "media", medias, &p->media, e) ||
      !opts_u64(o, "index", &p->index, e) || !opts_u64(o, "bus", &bus, e) || !opts_u64(o, "unit", &unit, e) ||
      !opts_u64(o, "bootindex", &p->bootindex, e))
    return false;
  if (p->bootindex != none && p->iface == IF_NONE)
    return err_set(e, "%s: bootindex= with if=none; give it to the -device", o->option);
  if (p->index != none && (bus != none || unit != none))
    return err_set(e, "%s: give index, or bus and unit, not both", o->option);
  if (bus != none || unit != none)
    p->index = (bus == none ? 0 : bus) * 2 + (unit == none ? 0 : unit);
  p->placed = p->index != none;
  if (p->placed && p->iface == IF_IDE && (p->index > 3 || (unit != none && unit > 1)))
    return err_set(e, "%s: index=%llu: there are four IDE places, 0 to 3", o->option,
                   (unsigned long long)p->index);
  if (p->iface == IF_VIRTIO && p->media)
    return err_set(e, "%s: if=virtio has no CD-ROM; use if=ide", o->option);
  return true;
}

static struct drive *keep(struct machine *m, struct blockdev *blk)
{
  struct drive *d = calloc(1, sizeof *d);
  if (!d)
    return NULL;
  d->blk = blk;
  d->next = m->drives;
  m->drives = d;
  return d;
}

static struct blockdev *find(struct machine *m, const char *id)
{
  for (struct drive *d = m->drives; d; d = d->next)
    if (d->blk->id && !strcmp(d->blk->id, id))
      return d->blk;
  return NULL;
}

struct blockdev *drives_find(void *machine, const char *id)
{
  struct blockdev *b = find(machine, id);
  return b && !b->attached ? b : NULL;
}

// The name that a drive without id= has, as QEMU forms it.
static bool name(struct machine *m, struct blockdev *b, const struct drive_plan *p, unsigned n, struct err *e)
{
  char text[32];
  if (p->id)
    snprintf(text, sizeof text, "%s", "");
  else if (p->iface == IF_IDE)
    snprintf(text, sizeof text, "ide%u-%s%u", (unsigned)p->index / 2, p->media ? "cd" : "hd",
             (unsigned)p->index % 2);
  else
    snprintf(text, sizeof text, "%s%u", p->iface == IF_VIRTIO ? "virtio" : "none", n);
  const char *id = p->id ? p->id : text;
  if (find(m, id))
    return err_set(e, "two drives have the id '%s'", id);
  b->id = strdup(id);
  return b->id || err_set(e, "out of memory");
}

static struct blockdev *open_image(struct machine *m, struct opts *o, struct drive_plan *p, struct err *e)
{
  struct blk_config cfg = {.read_only = p->media == 1, .snapshot = m->config->snapshot && p->media == 0};
  if (!blk_config_opts(&cfg, o, e) || !opts_done(o, e))
    return NULL;
  if (!cfg.path) {
    err_set(e, "%s: file= is missing", o->option);
    return NULL;
  }
  return blk_open(&cfg, e);
}

static bool attach(struct machine *m, struct drive_plan *p, struct blockdev *blk, struct err *e)
{
  if (p->iface == IF_IDE) {
    struct ide_props props = {.serial = p->serial};
    return ide_attach(m->pc.ide, (unsigned)p->index / 2, (unsigned)p->index % 2, p->media ? IDE_CD : IDE_HD,
                      blk, &props, e) &&
           (p->bootindex == UINT64_MAX || bootorder_add_ide(m, (unsigned)p->index, p->bootindex, e));
  }
  if (p->iface == IF_NONE)
    return true;
  char text[64] = "";
  if (p->serial)
    snprintf(text, sizeof text, "serial=%.20s", p->serial);
  struct opts o;
  if (!opts_parse(&o, "-drive", text, NULL, e))
    return false;
  struct virtio_blk *v = virtio_blk_create(&m->env, blk, &o, e);
  opts_free(&o);
  if (!v)
    return false;
  v->device.next = m->devices;
  m->devices = &v->device;
  return p->bootindex == UINT64_MAX || bootorder_add(m, &v->device, p->bootindex, e);
}

static bool add(struct machine *m, const char *text, unsigned n, struct err *e)
{
  struct opts o;
  struct drive_plan p = {0};
  if (!opts_parse(&o, "-drive", text, NULL, e))
    return false;
  bool ok = false;
  struct blockdev *blk = NULL;
  if (!parse(&o, &p, e))
    goto out;
  if (p.iface == IF_IDE && !p.placed) {
    // A CD-ROM without a place goes to the second channel first, where a BIOS boots it from.
    int at = p.media && m->pc.ide->ch[1].drive[0].kind == IDE_NONE ? 2 : ide_free_place(m->pc.ide);
    if (at < 0) {
      err_set(e, "-drive: all four IDE places are taken; use if=virtio");
      goto out;
    }
    p.index = (uint64_t)at;
  }
  // An empty CD-ROM drive.
  if (p.media && !opts_get(&o, "file")) {
    ok = opts_done(&o, e) && (p.iface != IF_IDE || attach(m, &p, NULL, e));
    goto out;
  }
  blk = open_image(m, &o, &p, e);
  if (!blk)
    goto out;
  if (!name(m, blk, &p, n, e) || !keep(m, blk)) {
    blk_close(blk);
    goto out;
  }
  ok = attach(m, &p, blk, e);
out:
  opts_free(&o);
  return ok;
}

bool drives_init(struct machine *m, struct err *e)
{
  const struct config *c = m->config;
  // Those that say where they go come first, so that the others find what is left.
  for (unsigned pass = 0; pass < 2; pass++)
    for (unsigned i = 0; i < c->drives.count; i++) {
      const char *text = c->drives.item[i];
      bool placed = strstr(text, "index=") || strstr(text, "unit=") || strstr(text, "bus=");
      if (placed == (pass == 0) && !add(m, text, i, e))
        return false;
    }
  if (c->nodefaults || m->pc.ide->ch[1].drive[0].kind != IDE_NONE)
    return true;
  return ide_attach(m->pc.ide, 1, 0, IDE_CD, NULL, NULL, e);
}

void drives_free(struct machine *m)
{
  while (m->drives) {
    struct drive *d = m->drives;
    m->drives = d->next;
    blk_close(d->blk);
    free(d);
  }
}

bool drives_change_cd(struct machine *m, struct ide_drive *d, const char *path, struct err *e)
{
  struct blk_config cfg = {.path = path, .read_only = true};
  struct blockdev *blk = blk_open(&cfg, e);
  if (!blk)
    return false;
  if (!keep(m, blk)) {
    blk_close(blk);
    return err_set(e, "out of memory");
  }
  return ide_change_medium(d, blk, false, e);
}
