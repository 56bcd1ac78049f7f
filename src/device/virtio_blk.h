// virtio-blk: a disk (Virtual I/O Device 1.1, section 5.2).
//
// Requests are served by a timer on the virtual clock, a bounded number of bytes each time, so that neither
// a huge request nor an endless stream of them keeps the host busy, and the interrupt comes later than the
// notification.
#ifndef DEVICE_VIRTIO_BLK_H
#define DEVICE_VIRTIO_BLK_H

#include "base/clock.h"
#include "device/block.h"
#include "device/device.h"
#include "device/virtio_pci.h"

#define VIRTIO_BLK_BUFFER 65536u

struct virtio_blk {
  struct device device;
  struct virtio virtio;
  struct virtio_pci pci;
  struct blockdev *blk;
  struct timer timer;
  char serial[21];
  bool active; // elem is a request in progress
  struct vq_elem elem;
  uint32_t type;
  uint64_t sector;
  uint64_t pos, len; // bytes of data done, in all
  uint8_t *buf;
};

// blk must be open; it stays the caller's. Properties: serial, logical_block_size, physical_block_size,
// queue-size, num-queues, config-wce, write-cache, discard, write-zeroes, and those of virtio_pci_init.
struct virtio_blk *virtio_blk_create(const struct device_env *env, struct blockdev *blk, struct opts *props,
                                     struct err *e);
void virtio_blk_free(struct virtio_blk *b);

// -device virtio-blk-pci: finds the block device by drive=.
struct device *virtio_blk_device(const struct device_env *env, struct opts *props, struct err *e);

#endif
