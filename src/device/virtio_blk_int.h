// What virtio_blk.c and virtio_blk_create.c share.
#ifndef DEVICE_VIRTIO_BLK_INT_H
#define DEVICE_VIRTIO_BLK_INT_H

#include "device/virtio_blk.h"

#define VIRTIO_BLK_F_SEG_MAX      (UINT64_C(1) << 2)
#define VIRTIO_BLK_F_GEOMETRY     (UINT64_C(1) << 4)
#define VIRTIO_BLK_F_RO           (UINT64_C(1) << 5)
#define VIRTIO_BLK_F_BLK_SIZE     (UINT64_C(1) << 6)
#define VIRTIO_BLK_F_FLUSH        (UINT64_C(1) << 9)
#define VIRTIO_BLK_F_TOPOLOGY     (UINT64_C(1) << 10)
#define VIRTIO_BLK_F_CONFIG_WCE   (UINT64_C(1) << 11)
#define VIRTIO_BLK_F_DISCARD      (UINT64_C(1) << 13)
#define VIRTIO_BLK_F_WRITE_ZEROES (UINT64_C(1) << 14)

#define VIRTIO_BLK_MAX_DISCARD 0x3fffffu // sectors of one request
#define VIRTIO_BLK_MAX_ZEROES  0x8000u   // may have to be written out

enum { // struct virtio_blk_config, 5.2.4
  BLK_CAPACITY = 0,
  BLK_SEG_MAX = 12,
  BLK_CYLINDERS = 16,
  BLK_HEADS = 18,
  BLK_SECTORS = 19,
  BLK_BLK_SIZE = 20,
  BLK_PHYSICAL_EXP = 24,
  BLK_MIN_IO = 26,
  BLK_OPT_IO = 28,
  BLK_WRITEBACK_FIELD = 32,
  BLK_NUM_QUEUES = 34,
  BLK_MAX_DISCARD_SECTORS = 36,
  BLK_MAX_DISCARD_SEG = 40,
  BLK_DISCARD_ALIGNMENT = 44,
  BLK_MAX_ZEROES_SECTORS = 48,
  BLK_MAX_ZEROES_SEG = 52,
  BLK_ZEROES_MAY_UNMAP = 56,
  BLK_CONFIG_SIZE = 60,
};

void virtio_blk_fire(void *arg);
void virtio_blk_notify(struct virtio *v, struct virtqueue *q);

#endif
