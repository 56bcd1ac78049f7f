// virtio-rng: an entropy device (Virtual I/O Device 1.1, section 5.4) that is not random.
//
// A run must be repeatable, so the bytes come from a generator (xoshiro256**) that the machine seeds. They
// satisfy a guest that waits for entropy, and must not be used for secrets.
#ifndef DEVICE_VIRTIO_RNG_H
#define DEVICE_VIRTIO_RNG_H

#include "base/clock.h"
#include "device/device.h"
#include "device/virtio_pci.h"

struct virtio_rng {
  struct device device;
  struct virtio virtio;
  struct virtio_pci pci;
  struct timer timer;
  uint64_t seed;
  uint64_t state[4];
  struct vq_elem elem;
};

// Properties: those of virtio_pci_init. rng=, max-bytes= and period= are refused: there is one source.
struct virtio_rng *virtio_rng_create(const struct device_env *env, struct opts *props, struct err *e);
void virtio_rng_free(struct virtio_rng *r);
struct device *virtio_rng_device(const struct device_env *env, struct opts *props, struct err *e);

#endif
