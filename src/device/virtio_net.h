// virtio-net: a network adapter (Virtual I/O Device 1.1, section 5.1).
//
// One pair of queues, mergeable receive buffers, link status; no offloads, which the backend has no use for,
// and no control queue: what the network has for this adapter, the driver gets.
#ifndef DEVICE_VIRTIO_NET_H
#define DEVICE_VIRTIO_NET_H

#include "base/clock.h"
#include "device/device.h"
#include "device/net.h"
#include "device/virtio_pci.h"

struct virtio_net {
  struct device device;
  struct virtio virtio;
  struct virtio_pci pci;
  struct netdev *net;
  struct timer tx, rx;
  bool waits; // sending stopped because the network takes no more
  struct vq_elem elem;
};

// net must be free; it stays the caller's. Properties: mac, mrg_rxbuf, csum, guest_csum, status,
// rx_queue_size, tx_queue_size, and those of virtio_pci_init.
struct virtio_net *virtio_net_create(const struct device_env *env, struct netdev *net, struct opts *props,
                                     struct err *e);
void virtio_net_free(struct virtio_net *d);

// -device virtio-net-pci: finds the network by netdev=.
struct device *virtio_net_device(const struct device_env *env, struct opts *props, struct err *e);

// The network that netdev= names, for any adapter.
struct netdev *adapter_netdev(const struct device_env *env, struct opts *props, const char *name,
                              struct err *e);

#endif
