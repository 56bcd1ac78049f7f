// Status, features, configuration and interrupts of a virtio device; see virtio.h. The rings are in
// virtqueue.c.
#include "device/virtio.h"

#include <string.h>

void virtio_init(struct virtio *v, uint16_t id, const struct virtio_ops *ops, void *self)
{
  *v = (struct virtio){.ops = ops, .self = self, .id = id};
  v->offered = VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_IDX | VIRTIO_F_ANY_LAYOUT | VIRTIO_F_VERSION_1;
  v->config_vector = VIRTIO_NO_VECTOR;
}

void virtio_add_queue(struct virtio *v, uint16_t size)
{
  struct virtqueue *q = &v->vq[v->queues];
  *q = (struct virtqueue){.dev = v, .index = v->queues, .max = size, .num = size, .vector = VIRTIO_NO_VECTOR};
  v->queues++;
}

void virtio_reset(struct virtio *v)
{
  if (v->ops->reset)
    v->ops->reset(v);
  v->status = v->isr = 0;
  v->features = 0;
  v->legacy = false;
  v->config_vector = VIRTIO_NO_VECTOR;
  for (unsigned i = 0; i < v->queues; i++) {
    struct virtqueue *q = &v->vq[i];
    *q = (struct virtqueue){.dev = v, .index = i, .max = q->max, .num = q->max, .vector = VIRTIO_NO_VECTOR};
  }
  v->interrupt(v->transport, VIRTIO_NO_VECTOR, 0); // lowers the line
}

void virtio_set_status(struct virtio *v, uint8_t status)
{
  if (status == 0) {
    virtio_reset(v);
    return;
  }
  // 3.1.1: the device does not accept a set of features that it cannot work with.
  if (!v->legacy && (status & ~v->status & VIRTIO_FEATURES_OK) && !virtio_has(v, VIRTIO_F_VERSION_1))
    status &= (uint8_t)~VIRTIO_FEATURES_OK;
  v->status = (uint8_t)(status | (v->status & VIRTIO_NEEDS_RESET));
}

bool virtio_running(const struct virtio *v)
{
  // Legacy drivers may use a queue before they set DRIVER_OK (2.1.2, legacy note in 3.1.2).
  return !(v->status & VIRTIO_NEEDS_RESET) && (v->legacy || (v->status & VIRTIO_DRIVER_OK));
}

void virtio_broken(struct virtio *v)
{
  if (v->status & VIRTIO_NEEDS_RESET)
    return;
  v->status |= VIRTIO_NEEDS_RESET;
  if (v->status & VIRTIO_DRIVER_OK)
    virtio_config_changed(v);
}

void virtio_config_changed(struct virtio *v)
{
  v->generation++;
  v->isr |= 2;
  v->interrupt(v->transport, v->config_vector, v->isr);
}

uint32_t virtio_config_read(const struct virtio *v, unsigned off, unsigned size)
{
  uint32_t value = 0;
  for (unsigned i = 0; i < size; i++)
    value |= (uint32_t)(off + i < v->config_len ? v->config[off + i] : 0) << 8 * i;
  return value;
}

void virtio_config_write(struct virtio *v, unsigned off, unsigned size, uint32_t value)
{
  bool changed = false;
  for (unsigned i = 0; i < size && off + i < v->config_len; i++) {
    uint8_t mask = v->config_wmask[off + i], byte = (uint8_t)(value >> 8 * i);
    v->config[off + i] = (uint8_t)((v->config[off + i] & ~mask) | (byte & mask));
    changed |= mask != 0;
  }
  if (changed && v->ops->config_written)
    v->ops->config_written(v, off, size);
}
