// virtio-net, sending (Virtual I/O Device 1.2, 5.1.6.2); see virtio_net.h.
//
// Frames leave by a timer, a bounded number each time. A packet is copied whole, and its buffers are the
// driver's again, before it is sent or cut into segments.
#include <string.h>

#include "device/net_sum.h"
#include "device/virtio_net_int.h"

#define DELAY_NS         5000
#define FRAMES_PER_EVENT 64u

void virtio_net_later(struct timer *t)
{
  if (!timer_armed(t))
    timer_set(t, clock_now(t->clock) + DELAY_NS);
}

static uint32_t field(const uint8_t *header, unsigned at)
{
  return header[at] | (uint32_t)header[at + 1] << 8;
}

// The driver left the checksum to the device; the field holds the sum of the pseudo header.
static void insert_sum(const uint8_t *header, uint8_t *frame, uint32_t len)
{
  uint32_t start = field(header, HDR_CSUM_START), at = start + field(header, HDR_CSUM_OFFSET);
  if (!(header[HDR_FLAGS] & HDR_NEEDS_CSUM) || start >= len || at + 2 > len)
    return;
  uint32_t sum = ~net_sum(frame + start, len - start) & 0xffff;
  net_put16(frame + at, sum ? sum : 0xffff); // 0 would mean in UDP that there is none
}

// ---- segments ----

// Where the header of TCP begins, by what the packet says of itself; 0: nowhere, or it is not TCP.
static uint32_t transport(const uint8_t *packet, uint32_t len, uint32_t ip, bool v4, uint32_t start)
{
  const uint8_t *p = packet + ip;
  if (net_get16(p - 2) != (v4 ? NET_IPV4 : NET_IPV6) || p[0] >> 4 != (v4 ? 4 : 6))
    return 0;
  uint32_t header = (p[0] & 15u) * 4;
  if (v4)
    return header >= 20 && ip + header == start && p[9] == NET_TCP ? start : 0;
  return start >= ip + 40 ? start : 0; // there may be more headers in between
}

// How a packet is to be cut. False: its header makes no sense, or asks for what was not negotiated.
static bool describe(const struct virtio *v, const uint8_t *header, uint8_t *packet, uint32_t len,
                     struct net_tso *t)
{
  unsigned type = header[HDR_GSO_TYPE] & ~GSO_ECN;
  bool v4 = type == GSO_TCPV4, ecn = header[HDR_GSO_TYPE] & GSO_ECN;
  if ((!v4 && type != GSO_TCPV6) || !virtio_has(v, v4 ? VIRTIO_NET_F_HOST_TSO4 : VIRTIO_NET_F_HOST_TSO6) ||
      (ecn && !virtio_has(v, VIRTIO_NET_F_HOST_ECN)) || !virtio_has(v, VIRTIO_NET_F_CSUM) ||
      !(header[HDR_FLAGS] & HDR_NEEDS_CSUM) || field(header, HDR_CSUM_OFFSET) != 16)
    return false;
  uint32_t start = field(header, HDR_CSUM_START), ip = NET_FRAME_MIN;
  if (len < NET_FRAME_MIN + 4 + 40 || start + 20 > len)
    return false;
  ip += net_get16(packet + 12) == NET_VLAN ? 4 : 0;
  uint32_t tcp = transport(packet, len, ip, v4, start);
  if (!tcp || packet[tcp + 12] >> 4 < 5)
    return false;
  *t = (struct net_tso){.header = tcp + (packet[tcp + 12] >> 4) * 4u,
                        .mss = field(header, HDR_GSO_SIZE),
                        .ip = ip,
                        .transport = tcp,
                        .ip_sum = ip + 10,
                        .transport_sum = tcp + 16,
                        .ip_last = tcp - 1,
                        .sum_ip = v4,
                        .sum_transport = true,
                        .v4 = v4,
                        .tcp = true,
                        .ecn = ecn};
  if (!net_tso_sane(t, len))
    return false;
  // The pseudo header's sum holds the length of the whole.
  uint8_t *sum = packet + t->transport_sum;
  net_put16(sum, net_fold((uint64_t)net_get16(sum) + (~(len - tcp) & 0xffff)));
  if (v4)
    net_put16(packet + t->ip_sum, 0);
  return true;
}

static void send_segments(struct virtio_net *d, const uint8_t *header, uint32_t len)
{
  if (!describe(&d->virtio, header, d->packet, len, &d->tso))
    return;
  if (netdev_takes_large(d->net) && net_tso_whole(&d->tso, d->packet, len)) {
    netdev_send_large(d->net, d->packet, len);
    return;
  }
  d->len = len;
  d->cutting = true;
}

// Sends the next segment.
static void cut_one(struct virtio_net *d)
{
  uint8_t frame[NET_FRAME_MAX];
  uint32_t n = net_tso_next(&d->tso, d->packet, d->len, frame);
  if (n)
    netdev_send(d->net, frame, n);
  else
    d->cutting = false;
}

// ---- packets ----

static bool send_one(struct virtio_net *d)
{
  struct virtio *v = &d->virtio;
  uint8_t header[HDR_MOST];
  unsigned size = virtio_net_header(v);
  uint64_t len = d->elem.out_len < size ? 0 : d->elem.out_len - size;
  // What no Ethernet carries is done, and lost.
  if (len < NET_FRAME_MIN || len > NET_LARGE_MAX) {
    virtqueue_push(&v->vq[VNET_TX], &d->elem, 0);
    return true;
  }
  if (!vq_read(v, &d->elem, 0, header, size) || !vq_read(v, &d->elem, size, d->packet, len)) {
    virtio_broken(v);
    return false;
  }
  virtqueue_push(&v->vq[VNET_TX], &d->elem, 0);
  if (header[HDR_GSO_TYPE] != GSO_NONE) {
    send_segments(d, header, (uint32_t)len);
  } else if (len <= NET_FRAME_MAX) {
    if (virtio_has(v, VIRTIO_NET_F_CSUM))
      insert_sum(header, d->packet, (uint32_t)len);
    netdev_send(d->net, d->packet, len);
  }
  return true;
}

void virtio_net_tx_fire(void *arg)
{
  struct virtio_net *d = arg;
  struct virtio *v = &d->virtio;
  struct virtqueue *q = &v->vq[VNET_TX];
  bool more = true;
  v->busy++;
  for (unsigned i = 0; i < FRAMES_PER_EVENT && more; i++) {
    if (!netdev_can_send(d->net)) {
      d->waits = true;
      more = false;
    } else if (d->cutting) {
      cut_one(d);
    } else {
      int got = virtqueue_pop(q, &d->elem);
      if (got == 0 && virtqueue_wait(q))
        got = virtqueue_pop(q, &d->elem);
      more = got > 0 && send_one(d);
    }
  }
  virtqueue_signal(q);
  v->busy--;
  if (more && virtio_running(v))
    virtio_net_later(&d->tx);
}

void virtio_net_sent(void *arg)
{
  struct virtio_net *d = arg;
  if (d->waits)
    virtio_net_later(&d->tx);
  d->waits = false;
}
