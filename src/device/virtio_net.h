// virtio-net: a network adapter (Virtual I/O Device 1.2, section 5.1).
//
// One pair of queues, mergeable receive buffers, link status, checksums, and TCP packets longer than a frame
// in both directions. No control queue: what the network has for this adapter, the driver gets.
#ifndef DEVICE_VIRTIO_NET_H
#define DEVICE_VIRTIO_NET_H

#include "base/clock.h"
#include "device/device.h"
#include "device/net.h"
#include "device/net_tso.h"
#include "device/virtio_pci.h"

struct virtio_net {
  struct device device;
  struct virtio virtio;
  struct virtio_pci pci;
  struct netdev *net;
  struct timer tx, rx;
  bool waits; // sending stopped because the network takes no more
  struct vq_elem elem;
  uint8_t *packet; // NET_LARGE_MAX bytes: what is being sent; owned
  uint32_t len;
  struct net_tso tso;
  bool cutting; // segments of it are left
};

// net must be free; it stays the caller's. Properties: mac, mrg_rxbuf, csum, guest_csum, host_tso4,
// host_tso6, host_ecn, guest_tso4, status, rx_queue_size, tx_queue_size, and those of virtio_pci_init.
struct virtio_net *virtio_net_create(const struct device_env *env, struct netdev *net, struct opts *props,
                                     struct err *e);
void virtio_net_free(struct virtio_net *d);

// -device virtio-net-pci: finds the network by netdev=.
struct device *virtio_net_device(const struct device_env *env, struct opts *props, struct err *e);

// The network that netdev= names, for any adapter.
struct netdev *adapter_netdev(const struct device_env *env, struct opts *props, const char *name,
                              struct err *e);

#endif
