// The transport-independent half of a virtio device: features, status, split virtqueues (Virtual I/O Device
// 1.1, chapters 2.1 to 2.6). virtio_pci.h puts it on PCI; virtio_blk.h and virtio_rng.h are devices.
//
// Everything in a ring is the guest's word. Each index, length and link is checked; what cannot be makes
// the device set NEEDS_RESET and stop until it is reset. A chain that loops ends at the ring's size.
#ifndef DEVICE_VIRTIO_H
#define DEVICE_VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus/dma.h"

#define VIRTIO_MAX_QUEUE  1024u // entries
#define VIRTIO_MAX_QUEUES 8u
#define VIRTIO_MAX_SG     1024u // buffers of one request
#define VIRTIO_NO_VECTOR  0xffffu
#define VIRTIO_MAX_CONFIG 128u

enum { // device status
  VIRTIO_ACKNOWLEDGE = 1,
  VIRTIO_DRIVER = 2,
  VIRTIO_DRIVER_OK = 4,
  VIRTIO_FEATURES_OK = 8,
  VIRTIO_NEEDS_RESET = 64,
  VIRTIO_FAILED = 128,
};

#define VIRTIO_F_NOTIFY_ON_EMPTY (UINT64_C(1) << 24)
#define VIRTIO_F_ANY_LAYOUT      (UINT64_C(1) << 27)
#define VIRTIO_F_INDIRECT        (UINT64_C(1) << 28)
#define VIRTIO_F_EVENT_IDX       (UINT64_C(1) << 29)
#define VIRTIO_F_VERSION_1       (UINT64_C(1) << 32)

struct virtio;

struct virtqueue {
  struct virtio *dev;
  unsigned index;
  uint16_t max, num; // entries: offered, in use
  uint64_t desc, avail, used;
  bool enabled;
  uint16_t vector;
  uint16_t last_avail; // next entry of the available ring to take
  uint16_t used_idx;
  uint16_t signalled; // used_idx at the last interrupt
};

// A request: `out` buffers to read from, then `in` buffers to write to.
struct vq_elem {
  uint16_t head;
  unsigned out, in;
  uint64_t out_len, in_len;
  struct dma_range sg[VIRTIO_MAX_SG];
};

struct virtio_ops {
  void (*notify)(struct virtio *v, struct virtqueue *q); // the driver made buffers available
  void (*config_written)(struct virtio *v, unsigned off,
                         unsigned size); // after config[] changed; may be NULL
  void (*reset)(struct virtio *v);
};

struct virtio {
  const struct virtio_ops *ops;
  void *self;  // the device
  uint16_t id; // of the device type, section 5
  uint64_t offered, features;
  uint8_t status, isr, generation;
  bool legacy; // the driver uses the legacy interface
  uint16_t config_vector;
  unsigned queues;
  struct virtqueue vq[VIRTIO_MAX_QUEUES];
  uint8_t config[VIRTIO_MAX_CONFIG];
  uint8_t config_wmask[VIRTIO_MAX_CONFIG];
  unsigned config_len;
  const struct dma_port *dma;
  void (*interrupt)(void *transport, uint16_t vector, uint8_t isr);
  void *transport;
  // A transfer of this device that lands on its own registers must not change it half way through.
  unsigned busy;
};

void virtio_init(struct virtio *v, uint16_t id, const struct virtio_ops *ops, void *self);
void virtio_add_queue(struct virtio *v, uint16_t size);
void virtio_reset(struct virtio *v);
// The driver writes the status register; 0 resets.
void virtio_set_status(struct virtio *v, uint8_t status);
// The guest broke the rules: stop, and tell it.
void virtio_broken(struct virtio *v);
bool virtio_running(const struct virtio *v);
static inline bool virtio_has(const struct virtio *v, uint64_t feature)
{
  return (v->features & feature) != 0;
}

uint32_t virtio_config_read(const struct virtio *v, unsigned off, unsigned size);
void virtio_config_write(struct virtio *v, unsigned off, unsigned size, uint32_t value);
// The device changed config[]: new generation, and an interrupt.
void virtio_config_changed(struct virtio *v);

// Takes the next request: 1 taken, 0 none, -1 the ring is broken (NEEDS_RESET is set).
int virtqueue_pop(struct virtqueue *q, struct vq_elem *e);
// Like pop on an empty ring, but also asks for a notification when something arrives. Returns true if
// something arrived meanwhile.
bool virtqueue_wait(struct virtqueue *q);
// Gives a request back; `written` bytes were stored to it.
void virtqueue_push(struct virtqueue *q, const struct vq_elem *e, uint32_t written);
// Interrupts the driver if it wants to know about the requests pushed since the last time.
void virtqueue_signal(struct virtqueue *q);

// Copies from the out buffers at byte `off`, or to the in buffers. False: out of range, or memory refused.
bool vq_read(const struct virtio *v, const struct vq_elem *e, uint64_t off, void *buf, uint64_t len);
bool vq_write(const struct virtio *v, const struct vq_elem *e, uint64_t off, const void *buf, uint64_t len);
// The same bytes for dma_direct.
static inline struct dma_list vq_out(const struct vq_elem *e, uint64_t off, uint64_t len)
{
  return (struct dma_list){e->sg, e->out, off, len};
}
static inline struct dma_list vq_in(const struct vq_elem *e, uint64_t off, uint64_t len)
{
  return (struct dma_list){e->sg + e->out, e->in, off, len};
}

#endif
