// What the files of virtio-net share; see virtio_net.h. Numbers are those of section 5.1.
#ifndef DEVICE_VIRTIO_NET_INT_H
#define DEVICE_VIRTIO_NET_INT_H

#include "device/virtio_net.h"

// 5.1.3
#define VIRTIO_NET_F_CSUM       (UINT64_C(1) << 0)
#define VIRTIO_NET_F_GUEST_CSUM (UINT64_C(1) << 1)
#define VIRTIO_NET_F_MAC        (UINT64_C(1) << 5)
#define VIRTIO_NET_F_GUEST_TSO4 (UINT64_C(1) << 7)
#define VIRTIO_NET_F_HOST_TSO4  (UINT64_C(1) << 11)
#define VIRTIO_NET_F_HOST_TSO6  (UINT64_C(1) << 12)
#define VIRTIO_NET_F_HOST_ECN   (UINT64_C(1) << 13)
#define VIRTIO_NET_F_MRG_RXBUF  (UINT64_C(1) << 15)
#define VIRTIO_NET_F_STATUS     (UINT64_C(1) << 16)

enum { VNET_RX, VNET_TX };

// struct virtio_net_hdr, 5.1.6
enum {
  HDR_FLAGS = 0,
  HDR_GSO_TYPE = 1,
  HDR_LEN = 2,
  HDR_GSO_SIZE = 4,
  HDR_CSUM_START = 6,
  HDR_CSUM_OFFSET = 8,
  HDR_NUM_BUFFERS = 10,
  HDR_MOST = 12
};
enum { HDR_NEEDS_CSUM = 1, HDR_DATA_VALID = 2 };
enum { GSO_NONE = 0, GSO_TCPV4 = 1, GSO_TCPV6 = 4, GSO_ECN = 0x80 };

// 5.1.6.1: the legacy header has no count of buffers, unless they can be merged.
static inline unsigned virtio_net_header(const struct virtio *v)
{
  return virtio_has(v, VIRTIO_F_VERSION_1) || virtio_has(v, VIRTIO_NET_F_MRG_RXBUF) ? 12 : 10;
}

void virtio_net_later(struct timer *t);

// virtio_net_tx.c
void virtio_net_tx_fire(void *arg);
void virtio_net_sent(void *arg);

// virtio_net_rx.c
extern const struct net_user virtio_net_user;
void virtio_net_rx_fire(void *arg);

#endif
