// Virtio over PCI: identity, BARs, capabilities, interrupts and the modern interface; see virtio_pci.h.
// The legacy interface is in virtio_legacy.c.
#include "device/virtio_pci.h"

#include <string.h>

#include "device/place.h"
#include "device/virtio_legacy.h"

enum { // offsets in BAR4
  COMMON = 0x0000,
  ISR = 0x1000,
  DEVICE = 0x2000,
  NOTIFY = 0x3000,
  MODERN_SIZE = 0x4000,
  NOTIFY_STEP = 4,
};

enum { // struct virtio_pci_common_cfg, 4.1.4.3
  DEVICE_FEATURE_SELECT = 0x00,
  DEVICE_FEATURE = 0x04,
  DRIVER_FEATURE_SELECT = 0x08,
  DRIVER_FEATURE = 0x0c,
  CONFIG_MSIX_VECTOR = 0x10,
  NUM_QUEUES = 0x12,
  DEVICE_STATUS = 0x14,
  CONFIG_GENERATION = 0x15,
  QUEUE_SELECT = 0x16,
  QUEUE_SIZE = 0x18,
  QUEUE_MSIX_VECTOR = 0x1a,
  QUEUE_ENABLE = 0x1c,
  QUEUE_NOTIFY_OFF = 0x1e,
  QUEUE_DESC = 0x20,
  QUEUE_DRIVER = 0x28,
  QUEUE_DEVICE = 0x30,
  COMMON_SIZE = 0x38,
};

enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, CAP_PCI = 5 };

static void interrupt(void *transport, uint16_t vector, uint8_t isr)
{
  struct virtio_pci *p = transport;
  // The message is a write to an address of the guest's choice, perhaps one of our own registers.
  p->v->busy++;
  if (!pci_msix_enabled(&p->pci))
    pci_set_intx(&p->pci, isr != 0);
  else if (vector != VIRTIO_NO_VECTOR)
    pci_msi(&p->pci, vector);
  p->v->busy--;
}

uint16_t virtio_pci_vector(const struct virtio_pci *p, uint32_t value)
{
  return value < p->pci.msix_count ? (uint16_t)value : VIRTIO_NO_VECTOR;
}

uint8_t virtio_pci_read_isr(struct virtio_pci *p)
{
  uint8_t isr = p->v->isr;
  p->v->isr = 0;
  pci_set_intx(&p->pci, 0);
  return isr;
}

void virtio_pci_notify(struct virtio_pci *p, uint32_t queue)
{
  struct virtio *v = p->v;
  if (queue < v->queues && v->vq[queue].enabled && virtio_running(v))
    v->ops->notify(v, &v->vq[queue]);
}

static struct virtqueue *queue(struct virtio_pci *p)
{
  return p->queue_sel < p->v->queues ? &p->v->vq[p->queue_sel] : NULL;
}

static void put(uint8_t *at, uint64_t v, unsigned size)
{
  memcpy(at, &v, size);
}

static uint64_t common_read(struct virtio_pci *p, unsigned off, unsigned size)
{
  struct virtio *v = p->v;
  const struct virtqueue *q = queue(p);
  uint8_t image[COMMON_SIZE + 8] = {0};
  put(image + DEVICE_FEATURE_SELECT, p->device_sel, 4);
  put(image + DEVICE_FEATURE, p->device_sel < 2 ? v->offered >> 32 * p->device_sel : 0, 4);
  put(image + DRIVER_FEATURE_SELECT, p->driver_sel, 4);
  put(image + DRIVER_FEATURE, p->driver_sel < 2 ? v->features >> 32 * p->driver_sel : 0, 4);
  put(image + CONFIG_MSIX_VECTOR, v->config_vector, 2);
  put(image + NUM_QUEUES, v->queues, 2);
  image[DEVICE_STATUS] = v->status;
  image[CONFIG_GENERATION] = v->generation;
  put(image + QUEUE_SELECT, p->queue_sel, 2);
  if (q) {
    put(image + QUEUE_SIZE, q->num, 2);
    put(image + QUEUE_MSIX_VECTOR, q->vector, 2);
    put(image + QUEUE_ENABLE, q->enabled, 2);
    put(image + QUEUE_NOTIFY_OFF, q->index, 2);
    put(image + QUEUE_DESC, q->desc, 8);
    put(image + QUEUE_DRIVER, q->avail, 8);
    put(image + QUEUE_DEVICE, q->used, 8);
  }
  uint64_t value = 0;
  if (off < COMMON_SIZE)
    memcpy(&value, image + off, size);
  return value;
}

// Addresses are written in halves (4.1.3.1).
static void set_half(uint64_t *addr, unsigned off, uint32_t v)
{
  *addr = off & 4 ? (uint32_t)*addr | (uint64_t)v << 32 : (*addr & ~UINT64_C(0xffffffff)) | v;
}

static void queue_write(struct virtio_pci *p, struct virtqueue *q, unsigned off, unsigned size,
                        uint32_t value)
{
  // The place of a queue is fixed once it is enabled.
  if (off == QUEUE_MSIX_VECTOR && size == 2) {
    q->vector = virtio_pci_vector(p, value);
  } else if (q->enabled) {
    return;
  } else if (off == QUEUE_SIZE && size == 2) {
    if (value && value <= q->max && !(value & (value - 1)))
      q->num = (uint16_t)value;
  } else if (off == QUEUE_ENABLE && size == 2) {
    q->enabled = value == 1;
  } else if (size == 4 && off >= QUEUE_DESC && off < COMMON_SIZE && off % 4 == 0) {
    uint64_t *addr = off < QUEUE_DRIVER ? &q->desc : off < QUEUE_DEVICE ? &q->avail : &q->used;
    set_half(addr, off, value);
  }
}

static void common_write(struct virtio_pci *p, unsigned off, unsigned size, uint32_t value)
{
  struct virtio *v = p->v;
  struct virtqueue *q = queue(p);
  if (off == DEVICE_FEATURE_SELECT && size == 4) {
    p->device_sel = value;
  } else if (off == DRIVER_FEATURE_SELECT && size == 4) {
    p->driver_sel = value;
  } else if (off == DRIVER_FEATURE && size == 4) {
    if (p->driver_sel < 2 && !(v->status & VIRTIO_FEATURES_OK)) {
      uint64_t bits = (uint64_t)value << 32 * p->driver_sel;
      uint64_t other = v->features & (p->driver_sel ? 0xffffffff : ~UINT64_C(0xffffffff));
      v->features = (other | bits) & v->offered;
    }
  } else if (off == CONFIG_MSIX_VECTOR && size == 2) {
    v->config_vector = virtio_pci_vector(p, value);
  } else if (off == DEVICE_STATUS && size == 1) {
    v->legacy = false;
    virtio_set_status(v, (uint8_t)value);
  } else if (off == QUEUE_SELECT && size == 2) {
    p->queue_sel = (uint16_t)value;
  } else if (q) {
    queue_write(p, q, off, size, value);
  }
}

static uint64_t modern_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct virtio_pci *p = dev;
  if (p->v->busy)
    return UINT64_MAX;
  if (off < ISR)
    return common_read(p, (unsigned)off, size);
  if (off < DEVICE)
    return off == ISR ? virtio_pci_read_isr(p) : 0;
  if (off < NOTIFY)
    return virtio_config_read(p->v, (unsigned)off - DEVICE, size);
  return 0;
}

static void modern_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct virtio_pci *p = dev;
  if (p->v->busy)
    return;
  if (off < ISR)
    common_write(p, (unsigned)off, size, (uint32_t)value);
  else if (off >= NOTIFY)
    virtio_pci_notify(p, (uint32_t)(off - NOTIFY) / NOTIFY_STEP);
  else if (off >= DEVICE)
    virtio_config_write(p->v, (unsigned)off - DEVICE, size, (uint32_t)value);
}

static const struct bus_ops modern_ops = {modern_read, modern_write, 1, 4};

// 4.1.4: struct virtio_pci_cap
static uint8_t add_cap(struct virtio_pci *p, uint8_t type, uint32_t off, uint32_t len, unsigned size)
{
  uint8_t cap = pci_add_cap(&p->pci, 0x09, size, 0);
  uint8_t *c = p->pci.config + cap;
  c[2] = (uint8_t)size;
  c[3] = type;
  c[4] = type == CAP_PCI ? 0 : 4; // BAR
  pci_set_long(&p->pci, cap + 8u, off);
  pci_set_long(&p->pci, cap + 12u, len);
  return cap;
}

// 4.1.4.7: an access to the last 4 bytes of the PCI configuration capability is one to the BAR that the rest
// of it names.
static bool window(struct virtio_pci *p, unsigned off, unsigned size, uint32_t *at, uint32_t *len)
{
  const uint8_t *c = p->pci.config + p->cfg_cap;
  unsigned data = p->cfg_cap + 16u;
  if (!p->cfg_cap || off >= data + 4 || off + size <= data)
    return false;
  *at = pci_get_long(&p->pci, p->cfg_cap + 8u);
  *len = pci_get_long(&p->pci, p->cfg_cap + 12u);
  return c[4] == 4 && (*len == 1 || *len == 2 || *len == 4) && *at < MODERN_SIZE && *at % *len == 0;
}

static void config_read(struct pci_func *f, unsigned off, unsigned size)
{
  struct virtio_pci *p = f->dev;
  uint32_t at, len;
  if (window(p, off, size, &at, &len))
    pci_set_long(f, p->cfg_cap + 16u, (uint32_t)modern_read(p, at, len, NULL));
}

static void config_written(struct pci_func *f, unsigned off, unsigned size)
{
  struct virtio_pci *p = f->dev;
  uint32_t at, len;
  if (window(p, off, size, &at, &len))
    modern_write(p, at, len, pci_get_long(f, p->cfg_cap + 16u), NULL);
}

static bool options(struct virtio_pci *p, struct opts *props, uint64_t *vectors, const char *name,
                    struct err *e)
{
  static const char *const tri[] = {"off", "on", "auto", "false", "true", "no", "yes", NULL};
  unsigned no_legacy = 0;
  bool no_modern = false;
  if (!opts_choice(props, "disable-legacy", tri, &no_legacy, e) ||
      !opts_bool(props, "disable-modern", &no_modern, e) || !opts_u64(props, "vectors", vectors, e))
    return false;
  p->legacy = no_legacy != 1 && no_legacy != 4 && no_legacy != 6;
  p->modern = !no_modern;
  if (!p->legacy && !p->modern)
    return err_set(e, "%s: disable-legacy=on and disable-modern=on leave nothing", name);
  if (*vectors > 32)
    return err_set(e, "%s: vectors=%llu is more than 32", name, (unsigned long long)*vectors);
  return true;
}

bool virtio_pci_init(struct virtio_pci *p, struct virtio *v, const char *name, uint16_t transitional_id,
                     uint32_t class_code, const struct device_env *env, struct opts *props, struct err *e)
{
  uint64_t vectors = v->queues + 1u;
  *p = (struct virtio_pci){.v = v};
  unsigned slot, function;
  if (!options(p, props, &vectors, name, e) || !place_pci(env, props, name, 3, &slot, &function, e))
    return false;
  uint16_t id = p->legacy ? transitional_id : (uint16_t)(0x1040 + v->id);
  pci_func_init(&p->pci, name, 0x1af4, id, class_code, p->legacy ? 0 : 1, p);
  pci_set_subsystem(&p->pci, 0x1af4, p->legacy ? v->id : 0x1100);
  if (!p->modern)
    v->offered &= 0xffffffff;
  if (p->legacy)
    virtio_legacy_init(p);
  if (vectors && !pci_add_msix(&p->pci, 1, (unsigned)vectors))
    return err_set(e, "out of memory");
  if (p->modern) {
    pci_bar_mem(&p->pci, 4, MODERN_SIZE, true, true, &modern_ops, p);
    add_cap(p, CAP_COMMON, COMMON, COMMON_SIZE, 16);
    add_cap(p, CAP_ISR, ISR, 1, 16);
    if (v->config_len)
      add_cap(p, CAP_DEVICE, DEVICE, v->config_len, 16);
    uint8_t cap = add_cap(p, CAP_NOTIFY, NOTIFY, NOTIFY_STEP * v->queues, 20);
    pci_set_long(&p->pci, cap + 16u, NOTIFY_STEP);
    p->cfg_cap = add_cap(p, CAP_PCI, 0, 0, 20);
    memset(p->pci.wmask + p->cfg_cap + 4, 0xff, 16);
    memset(p->pci.wmask + p->cfg_cap + 5, 0, 3); // padding
    p->pci.config_read = config_read;
    p->pci.config_written = config_written;
  }
  v->dma = &p->pci.dma;
  v->interrupt = interrupt;
  v->transport = p;
  if (!pci_add(env->pci, &p->pci, (uint8_t)slot, (uint8_t)function, 1)) {
    pci_func_free(&p->pci);
    return err_set(e, "%s: PCI address %02x.%x is taken", name, slot, function);
  }
  virtio_pci_reset(p);
  return true;
}

void virtio_pci_reset(struct virtio_pci *p)
{
  virtio_reset(p->v);
  p->device_sel = p->driver_sel = 0;
  p->queue_sel = 0;
  pci_func_reset(&p->pci);
}

void virtio_pci_free(struct virtio_pci *p)
{
  pci_remove(&p->pci);
}
