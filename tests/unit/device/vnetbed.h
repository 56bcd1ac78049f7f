// A virtio-net with a network for tests, and the driver's side of its rings.
#ifndef TEST_VNETBED_H
#define TEST_VNETBED_H

#include "netbed.h"

#include <stdlib.h>

#include "device/virtio_net.h"

enum { BAR4 = 0xe0000000, MSIX = 0xe1000000, SIZE = 16, RX = 0, TX = 1, HDR = 12, BUF = 0x40000 };
enum { DESC = 0x10000, AVAIL = 0x11000, USED = 0x12000, STEP = 0x4000 }; // of queue n: + n * STEP
enum { NEXT = 1, WRITE = 2 };
#define CSUM       (UINT64_C(1) << 0)
#define GUEST_CSUM (UINT64_C(1) << 1)
#define GUEST_TSO4 (UINT64_C(1) << 7)
#define HOST_TSO4  (UINT64_C(1) << 11)
#define HOST_TSO6  (UINT64_C(1) << 12)
#define HOST_ECN   (UINT64_C(1) << 13)
#define MRG        (UINT64_C(1) << 15)

struct fixture {
  struct bed bed;
  struct netbed nb;
  struct virtio_net *d;
  uint16_t avail[2];
};

static inline void driver(struct fixture *f, uint64_t features)
{
  struct bed *b = &f->bed;
  bed_write(b, BAR4 + 0x14, 1, 0);
  bed_write(b, BAR4 + 0x14, 1, 3);
  for (unsigned i = 0; i < 2; i++) {
    bed_write(b, BAR4 + 8, 4, i);
    bed_write(b, BAR4 + 0xc, 4, (features | VIRTIO_F_VERSION_1) >> 32 * i & 0xffffffff);
  }
  bed_write(b, BAR4 + 0x14, 1, 11);
  memset(bed_mem(b, DESC), 0, 2 * STEP);
  for (unsigned q = 0; q < 2; q++) {
    bed_write(b, BAR4 + 0x16, 2, q);
    bed_write(b, BAR4 + 0x18, 2, SIZE);
    bed_write(b, BAR4 + 0x20, 4, DESC + q * STEP);
    bed_write(b, BAR4 + 0x28, 4, AVAIL + q * STEP);
    bed_write(b, BAR4 + 0x30, 4, USED + q * STEP);
    bed_write(b, BAR4 + 0x1c, 2, 1);
    f->avail[q] = 0;
  }
  bed_write(b, BAR4 + 0x14, 1, 15);
}

static inline void start_with(struct fixture *f, uint64_t features, const char *props)
{
  struct err e;
  memset(f, 0, sizeof *f);
  bed_init(&f->bed, 4 << 20);
  netbed_init(&f->nb, &f->bed);
  f->d = virtio_net_create(&f->bed.env, f->nb.net, bed_opts(props), &e);
  assert_non_null(f->d);
  const struct pci_func *p = &f->d->pci.pci;
  bed_config_write(&f->bed, p, 0x14, 4, MSIX);
  bed_config_write(&f->bed, p, 0x20, 4, BAR4);
  bed_config_write(&f->bed, p, PCI_COMMAND, 2, 7);
  driver(f, features);
}

static inline void start(struct fixture *f, uint64_t features)
{
  start_with(f, features, "x");
}

static inline void stop(struct fixture *f)
{
  virtio_net_free(f->d);
  netdevs_free(&f->nb.set);
  bed_free(&f->bed);
}

static inline void desc(struct fixture *f, unsigned q, unsigned i, uint64_t addr, uint32_t len,
                        uint16_t flags, uint16_t next)
{
  uint8_t *d = bed_mem(&f->bed, DESC + q * STEP + 16 * i);
  memcpy(d, &addr, 8);
  memcpy(d + 8, &len, 4);
  memcpy(d + 12, &flags, 2);
  memcpy(d + 14, &next, 2);
}

static inline void offer(struct fixture *f, unsigned q, uint16_t head)
{
  memcpy(bed_mem(&f->bed, AVAIL + q * STEP + 4 + 2 * (f->avail[q] & (SIZE - 1))), &head, 2);
  f->avail[q]++;
  memcpy(bed_mem(&f->bed, AVAIL + q * STEP + 2), &f->avail[q], 2);
}

static inline void kick(struct fixture *f, unsigned q)
{
  bed_write(&f->bed, BAR4 + 0x3000 + 4 * q, 2, q);
  bed_run(&f->bed, 10000000);
  netbed_look(&f->nb);
}

static inline uint16_t used(struct fixture *f, unsigned q)
{
  uint16_t v;
  memcpy(&v, bed_mem(&f->bed, USED + q * STEP + 2), 2);
  return v;
}

static inline uint32_t used_len(struct fixture *f, unsigned q, unsigned n)
{
  uint32_t v;
  memcpy(&v, bed_mem(&f->bed, USED + q * STEP + 8 + 8 * n), 4);
  return v;
}

static inline uint8_t status(struct fixture *f)
{
  return (uint8_t)bed_read(&f->bed, BAR4 + 0x14, 1);
}

static inline void feed(struct fixture *f, unsigned len, uint8_t fill)
{
  uint8_t frame[NET_FRAME_MAX];
  for (unsigned i = 0; i < len; i++)
    frame[i] = (uint8_t)(fill + i);
  netdev_feed(f->nb.net, frame, len);
  netbed_look(&f->nb);
}

#endif
