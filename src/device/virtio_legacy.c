// The legacy interface of virtio over PCI (Virtual I/O Device 1.1, section 4.1.4.8): ports in BAR0.
//
// A queue's three parts lie behind each other from a page-aligned address on, its size is fixed. With MSI-X
// on, two vector registers come before the device configuration.
#include "device/virtio_legacy.h"

enum {
  DEVICE_FEATURES = 0x00,
  DRIVER_FEATURES = 0x04,
  QUEUE_ADDRESS = 0x08, // in pages
  QUEUE_SIZE = 0x0c,
  QUEUE_SELECT = 0x0e,
  QUEUE_NOTIFY = 0x10,
  DEVICE_STATUS = 0x12,
  ISR_STATUS = 0x13,
  CONFIG_VECTOR = 0x14,
  QUEUE_VECTOR = 0x16,
  PAGE = 4096,
};

static struct virtqueue *queue(struct virtio_pci *p)
{
  return p->queue_sel < p->v->queues ? &p->v->vq[p->queue_sel] : NULL;
}

static unsigned config_start(const struct virtio_pci *p)
{
  return pci_msix_enabled(&p->pci) ? 0x18 : 0x14;
}

static uint64_t reg_read(struct virtio_pci *p, unsigned off)
{
  struct virtio *v = p->v;
  const struct virtqueue *q = queue(p);
  switch (off) {
  case DEVICE_FEATURES:
    return (uint32_t)v->offered;
  case DRIVER_FEATURES:
    return (uint32_t)v->features;
  case QUEUE_ADDRESS:
    return q && q->enabled ? q->desc / PAGE : 0;
  case QUEUE_SIZE:
    return q ? q->max : 0;
  case QUEUE_SELECT:
    return p->queue_sel;
  case DEVICE_STATUS:
    return v->status;
  case ISR_STATUS:
    return virtio_pci_read_isr(p);
  case CONFIG_VECTOR:
    return v->config_vector;
  case QUEUE_VECTOR:
    return q ? q->vector : VIRTIO_NO_VECTOR;
  default:
    return 0;
  }
}

static uint64_t legacy_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct virtio_pci *p = dev;
  if (p->v->busy)
    return UINT64_MAX;
  if (off >= config_start(p))
    return virtio_config_read(p->v, (unsigned)off - config_start(p), size);
  return reg_read(p, (unsigned)off);
}

static void place_queue(struct virtqueue *q, uint32_t page)
{
  q->num = q->max;
  q->desc = (uint64_t)page * PAGE;
  q->avail = q->desc + 16u * q->num;
  q->used = (q->avail + 4 + 2u * q->num + 2 + PAGE - 1) / PAGE * PAGE;
  q->enabled = page != 0;
  if (!page) {
    q->last_avail = q->used_idx = q->signalled = 0;
  }
}

static void reg_write(struct virtio_pci *p, unsigned off, unsigned size, uint32_t value)
{
  struct virtio *v = p->v;
  struct virtqueue *q = queue(p);
  switch (off) {
  case DRIVER_FEATURES:
    if (size == 4)
      v->features = value & v->offered & 0xffffffff;
    break;
  case QUEUE_ADDRESS:
    if (q && size == 4)
      place_queue(q, value);
    break;
  case QUEUE_SELECT:
    p->queue_sel = (uint16_t)value;
    break;
  case QUEUE_NOTIFY:
    virtio_pci_notify(p, value & 0xffff);
    break;
  case DEVICE_STATUS:
    v->legacy = true;
    virtio_set_status(v, (uint8_t)value);
    break;
  case CONFIG_VECTOR:
    v->config_vector = virtio_pci_vector(p, value);
    break;
  case QUEUE_VECTOR:
    if (q)
      q->vector = virtio_pci_vector(p, value);
    break;
  default:
    break;
  }
}

static void legacy_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct virtio_pci *p = dev;
  if (p->v->busy)
    return;
  if (off >= config_start(p))
    virtio_config_write(p->v, (unsigned)off - config_start(p), size, (uint32_t)value);
  else
    reg_write(p, (unsigned)off, size, (uint32_t)value);
}

static const struct bus_ops legacy_ops = {legacy_read, legacy_write, 1, 4};

void virtio_legacy_init(struct virtio_pci *p)
{
  unsigned size = 32;
  while (size < 0x18 + p->v->config_len)
    size *= 2;
  pci_bar_io(&p->pci, 0, size, &legacy_ops, p);
}
