// virtio-net, receiving (Virtual I/O Device 1.2, 5.1.6.3 and 5.1.6.4); see virtio_net.h.
//
// A frame from outside is stored when it comes, between two instructions of the guest, so that the used
// entries of one frame appear together.
#include <string.h>

#include "device/net_sum.h"
#include "device/virtio_net_int.h"

#define MOST_BUFFERS 64u // for one frame, or one large packet

static bool running(void *arg)
{
  const struct virtio_net *d = arg;
  return virtio_running(&d->virtio) && (d->virtio.status & VIRTIO_DRIVER_OK);
}

// True if a buffer waits; otherwise the driver is asked to say when one does.
static bool can_receive(void *arg)
{
  struct virtio_net *d = arg;
  struct virtqueue *q = &d->virtio.vq[VNET_RX];
  d->virtio.busy++;
  bool ok = running(d) && q->enabled && virtqueue_wait(q);
  d->virtio.busy--;
  return ok;
}

// How many buffers hold `len` bytes, header included, or all that one frame may have if they do not; *room is
// their size. They stay in the ring.
static unsigned buffers(struct virtio_net *d, uint64_t len, uint64_t *room)
{
  struct virtqueue *q = &d->virtio.vq[VNET_RX];
  uint16_t first = q->last_avail;
  unsigned most = virtio_has(&d->virtio, VIRTIO_NET_F_MRG_RXBUF) ? MOST_BUFFERS : 1, n = 0;
  *room = 0;
  while (*room < len && n < most && virtqueue_pop(q, &d->elem) > 0) {
    *room += d->elem.in_len;
    n++;
  }
  q->last_avail = first;
  return n;
}

struct piece {
  const uint8_t *header, *data;
  uint64_t size, len; // of the header, of both
};

static bool store(struct virtio_net *d, const struct piece *p, unsigned n)
{
  struct virtio *v = &d->virtio;
  struct virtqueue *q = &v->vq[VNET_RX];
  for (uint64_t at = 0; n; n--) {
    if (virtqueue_pop(q, &d->elem) <= 0)
      return false;
    uint64_t part = p->len - at < d->elem.in_len ? p->len - at : d->elem.in_len;
    uint64_t left = at < p->size ? p->size - at : 0, head = left < part ? left : part;
    if (!vq_write(v, &d->elem, 0, p->header + at, head) ||
        (part > head && !vq_write(v, &d->elem, head, p->data + (at + head - p->size), part - head))) {
      virtio_broken(v);
      return false;
    }
    virtqueue_push(q, &d->elem, (uint32_t)part);
    at += part;
  }
  return true;
}

// Without room the frame is lost, as in an adapter that has run over.
static void deliver(struct virtio_net *d, uint8_t *header, const uint8_t *data, size_t len)
{
  struct virtio *v = &d->virtio;
  struct piece p = {header, data, virtio_net_header(v), 0};
  uint64_t room;
  p.len = p.size + len;
  v->busy++;
  unsigned n = buffers(d, p.len, &room);
  if (p.size > HDR_NUM_BUFFERS)
    header[HDR_NUM_BUFFERS] = (uint8_t)n;
  if (room >= p.len && store(d, &p, n))
    virtqueue_signal(&v->vq[VNET_RX]);
  v->busy--;
}

static void receive(void *arg, const uint8_t *frame, size_t len)
{
  struct virtio_net *d = arg;
  uint8_t header[HDR_MOST] = {0};
  if (virtio_has(&d->virtio, VIRTIO_NET_F_GUEST_CSUM) && net_check(frame, len).transport == NET_GOOD)
    header[HDR_FLAGS] = HDR_DATA_VALID;
  deliver(d, header, frame, len);
}

// 5.1.6.3.1: what fits in the buffers that may be used for one packet.
static uint32_t room(void *arg, uint32_t want)
{
  struct virtio_net *d = arg;
  struct virtio *v = &d->virtio;
  unsigned header = virtio_net_header(v);
  uint64_t most;
  if (!virtio_has(v, VIRTIO_NET_F_GUEST_TSO4) || !virtio_has(v, VIRTIO_NET_F_GUEST_CSUM))
    return 0;
  v->busy++;
  buffers(d, header + want, &most);
  v->busy--;
  return most < header ? 0 : most - header < want ? (uint32_t)(most - header) : want;
}

static void put(uint8_t *header, unsigned at, uint32_t value)
{
  header[at] = (uint8_t)value;
  header[at + 1] = (uint8_t)(value >> 8);
}

static void receive_large(void *arg, const struct net_large *p)
{
  uint8_t header[HDR_MOST] = {[HDR_FLAGS] = HDR_NEEDS_CSUM, [HDR_GSO_TYPE] = GSO_TCPV4};
  put(header, HDR_LEN, p->header);
  put(header, HDR_GSO_SIZE, p->segment);
  put(header, HDR_CSUM_START, p->transport);
  put(header, HDR_CSUM_OFFSET, 16);
  deliver(arg, header, p->data, p->len);
}

void virtio_net_rx_fire(void *arg)
{
  struct virtio_net *d = arg;
  netdev_kick(d->net);
}

const struct net_user virtio_net_user = {running, can_receive, receive,      virtio_net_sent,
                                         NULL,    room,        receive_large};
