// Making a virtio-blk device: properties, features, configuration; see virtio_blk.h.
#include <stdlib.h>
#include <string.h>

#include "device/virtio_blk_int.h"

static void put(struct virtio_blk *b, unsigned off, uint64_t v, unsigned size)
{
  memcpy(b->virtio.config + off, &v, size);
}

static void reset(struct virtio *v)
{
  struct virtio_blk *b = v->self;
  timer_cancel(&b->timer);
  b->active = false;
  v->config[BLK_WRITEBACK_FIELD] = 1;
}

static void config_written(struct virtio *v, unsigned off, unsigned size)
{
  v->config[BLK_WRITEBACK_FIELD] &= 1;
}

static const struct virtio_ops ops = {virtio_blk_notify, config_written, reset};

static bool block_size(struct opts *props, const char *key, uint64_t *v, struct err *e)
{
  if (!opts_u64(props, key, v, e))
    return false;
  if (*v < 512 || *v > 32768 || (*v & (*v - 1)))
    return err_set(e, "virtio-blk-pci: %s must be a power of two from 512 to 32768", key);
  return true;
}

struct settings {
  uint64_t logical, physical, queue_size, queues;
  bool config_wce, discard, zeroes;
};

static bool options(struct virtio_blk *b, struct opts *props, struct settings *s, struct err *e)
{
  const char *serial = opts_get(props, "serial");
  *s = (struct settings){512, 512, 256, 1, true, true, true};
  if (serial && strlen(serial) > 20)
    return err_set(e, "virtio-blk-pci: serial=%s is longer than 20 characters", serial);
  if (serial)
    memcpy(b->serial, serial, strlen(serial));
  if (!block_size(props, "logical_block_size", &s->logical, e))
    return false;
  s->physical = s->logical;
  if (!block_size(props, "physical_block_size", &s->physical, e) ||
      !opts_u64(props, "queue-size", &s->queue_size, e) || !opts_u64(props, "num-queues", &s->queues, e) ||
      !opts_bool(props, "config-wce", &s->config_wce, e) || !opts_bool(props, "discard", &s->discard, e) ||
      !opts_bool(props, "write-zeroes", &s->zeroes, e))
    return false;
  if (s->physical < s->logical)
    return err_set(e, "virtio-blk-pci: physical_block_size is less than logical_block_size");
  if (s->queue_size < 4 || s->queue_size > VIRTIO_MAX_QUEUE || (s->queue_size & (s->queue_size - 1)))
    return err_set(e, "virtio-blk-pci: queue-size must be a power of two from 4 to %u", VIRTIO_MAX_QUEUE);
  if (s->queues != 1)
    return err_set(e, "virtio-blk-pci: num-queues=%llu is not supported, only 1",
                   (unsigned long long)s->queues);
  if (b->blk->sectors * BLK_SECTOR < s->logical)
    return err_set(e, "%s is smaller than one block of %llu bytes", b->blk->path,
                   (unsigned long long)s->logical);
  return true;
}

static void configure(struct virtio_blk *b, const struct settings *s)
{
  struct virtio *v = &b->virtio;
  uint64_t unit = s->logical / BLK_SECTOR, capacity = b->blk->sectors / unit * unit;
  uint64_t cylinders = capacity / (16 * 63);
  unsigned exp = 0;
  while (s->logical << exp < s->physical)
    exp++;
  v->offered |= VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_GEOMETRY | VIRTIO_BLK_F_BLK_SIZE | VIRTIO_BLK_F_FLUSH |
                VIRTIO_BLK_F_TOPOLOGY;
  if (b->blk->read_only)
    v->offered |= VIRTIO_BLK_F_RO;
  else
    v->offered |= (s->config_wce ? VIRTIO_BLK_F_CONFIG_WCE : 0) | (s->discard ? VIRTIO_BLK_F_DISCARD : 0) |
                  (s->zeroes ? VIRTIO_BLK_F_WRITE_ZEROES : 0);
  put(b, BLK_CAPACITY, capacity, 8);
  put(b, BLK_SEG_MAX, s->queue_size - 2, 4); // header and status take one each
  put(b, BLK_CYLINDERS, cylinders > 65535 ? 65535 : cylinders, 2);
  put(b, BLK_HEADS, 16, 1);
  put(b, BLK_SECTORS, 63, 1);
  put(b, BLK_BLK_SIZE, s->logical, 4);
  put(b, BLK_PHYSICAL_EXP, exp, 1);
  put(b, BLK_MIN_IO, s->physical / s->logical, 2);
  put(b, BLK_WRITEBACK_FIELD, 1, 1);
  put(b, BLK_NUM_QUEUES, 1, 2);
  put(b, BLK_MAX_DISCARD_SECTORS, VIRTIO_BLK_MAX_DISCARD, 4);
  put(b, BLK_MAX_DISCARD_SEG, 1, 4);
  put(b, BLK_DISCARD_ALIGNMENT, unit, 4);
  put(b, BLK_MAX_ZEROES_SECTORS, VIRTIO_BLK_MAX_ZEROES, 4);
  put(b, BLK_MAX_ZEROES_SEG, 1, 4);
  put(b, BLK_ZEROES_MAY_UNMAP, b->blk->discard, 1);
  v->config_len = BLK_CONFIG_SIZE;
  if (v->offered & VIRTIO_BLK_F_CONFIG_WCE)
    v->config_wmask[BLK_WRITEBACK_FIELD] = 0xff;
}

static void device_reset_blk(struct device *d)
{
  struct virtio_blk *b = d->self;
  virtio_pci_reset(&b->pci);
}

static void device_free_blk(struct device *d)
{
  virtio_blk_free(d->self);
}

struct virtio_blk *virtio_blk_create(const struct device_env *env, struct blockdev *blk, struct opts *props,
                                     struct err *e)
{
  struct virtio_blk *b = calloc(1, sizeof *b);
  struct settings s;
  if (!b || !(b->buf = calloc(1, VIRTIO_BLK_BUFFER))) {
    err_set(e, "out of memory");
    free(b);
    return NULL;
  }
  b->blk = blk;
  timer_init(&b->timer, env->clock, virtio_blk_fire, b);
  virtio_init(&b->virtio, 2, &ops, b);
  if (!options(b, props, &s, e)) {
    free(b->buf);
    free(b);
    return NULL;
  }
  configure(b, &s);
  virtio_add_queue(&b->virtio, (uint16_t)s.queue_size);
  if (!virtio_pci_init(&b->pci, &b->virtio, "virtio-blk-pci", 0x1001, 0x010000, env, props, e)) {
    free(b->buf);
    free(b);
    return NULL;
  }
  blk->attached = true;
  b->device = (struct device){
      .type = "virtio-blk-pci", .reset = device_reset_blk, .free = device_free_blk, .self = b};
  return b;
}

void virtio_blk_free(struct virtio_blk *b)
{
  timer_cancel(&b->timer);
  virtio_pci_free(&b->pci);
  b->blk->attached = false;
  free(b->device.id);
  free(b->buf);
  free(b);
}

struct device *virtio_blk_device(const struct device_env *env, struct opts *props, struct err *e)
{
  const char *name = opts_get(props, "drive");
  if (!name) {
    err_set(e, "virtio-blk-pci needs drive=ID of a -drive if=none,id=ID,file=...");
    return NULL;
  }
  struct blockdev *blk = env->drive ? env->drive(env->arg, name) : NULL;
  if (!blk) {
    err_set(e, "virtio-blk-pci: there is no -drive with id=%s that is free", name);
    return NULL;
  }
  struct virtio_blk *b = virtio_blk_create(env, blk, props, e);
  return b ? &b->device : NULL;
}
