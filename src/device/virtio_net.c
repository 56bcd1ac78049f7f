// virtio-net; see virtio_net.h.
//
// Frames leave by a timer, a bounded number each time. A frame from outside is stored when it comes, between
// two instructions of the guest, so that the used entries of one frame appear together.
#include "device/virtio_net.h"

#include <stdlib.h>
#include <string.h>

#include "device/net_sum.h"

#define VIRTIO_NET_F_CSUM       (UINT64_C(1) << 0)
#define VIRTIO_NET_F_GUEST_CSUM (UINT64_C(1) << 1)
#define VIRTIO_NET_F_MAC        (UINT64_C(1) << 5)
#define VIRTIO_NET_F_MRG_RXBUF  (UINT64_C(1) << 15)
#define VIRTIO_NET_F_STATUS     (UINT64_C(1) << 16)

#define DELAY_NS         5000
#define FRAMES_PER_EVENT 64u
#define MOST_BUFFERS     64u // for one frame

enum { RX, TX };
enum { NET_MAC = 0, NET_STATUS = 6, NET_CONFIG_SIZE = 12, LINK_UP = 1 }; // struct virtio_net_config, 5.1.4
// struct virtio_net_hdr, 5.1.6
enum { HDR_FLAGS = 0, HDR_CSUM_START = 6, HDR_CSUM_OFFSET = 8, HDR_NUM_BUFFERS = 10, HDR_MOST = 12 };
enum { HDR_NEEDS_CSUM = 1, HDR_DATA_VALID = 2 };

// 5.1.6.1: the legacy header has no count of buffers, unless they can be merged.
static unsigned header_size(const struct virtio *v)
{
  return virtio_has(v, VIRTIO_F_VERSION_1) || virtio_has(v, VIRTIO_NET_F_MRG_RXBUF) ? 12 : 10;
}

static void later(struct timer *t)
{
  if (!timer_armed(t))
    timer_set(t, clock_now(t->clock) + DELAY_NS);
}

// ---- sending ----

// 5.1.6.2: the driver left the checksum to the device; the field holds the sum of the pseudo header.
static void insert_sum(const uint8_t *header, uint8_t *frame, uint64_t len)
{
  uint32_t start = header[HDR_CSUM_START] | header[HDR_CSUM_START + 1] << 8;
  uint32_t at = start + (header[HDR_CSUM_OFFSET] | (uint32_t)header[HDR_CSUM_OFFSET + 1] << 8);
  if (!(header[HDR_FLAGS] & HDR_NEEDS_CSUM) || start >= len || at + 2 > len)
    return;
  uint32_t sum = ~net_sum(frame + start, len - start) & 0xffff;
  if (sum == 0) // in UDP it would mean that there is none
    sum = 0xffff;
  frame[at] = (uint8_t)(sum >> 8);
  frame[at + 1] = (uint8_t)sum;
}

static bool send_one(struct virtio_net *d)
{
  struct virtio *v = &d->virtio;
  uint8_t frame[HDR_MOST + NET_FRAME_MAX];
  unsigned header = header_size(v);
  uint64_t len = d->elem.out_len < header ? 0 : d->elem.out_len - header;
  // A frame that no Ethernet carries is done, and lost.
  if (len >= NET_FRAME_MIN && len <= NET_FRAME_MAX) {
    if (!vq_read(v, &d->elem, 0, frame, header + len)) {
      virtio_broken(v);
      return false;
    }
    if (virtio_has(v, VIRTIO_NET_F_CSUM))
      insert_sum(frame, frame + header, len);
    netdev_send(d->net, frame + header, len);
  }
  virtqueue_push(&v->vq[TX], &d->elem, 0);
  return true;
}

static void tx_fire(void *arg)
{
  struct virtio_net *d = arg;
  struct virtio *v = &d->virtio;
  struct virtqueue *q = &v->vq[TX];
  bool more = true;
  v->busy++;
  for (unsigned i = 0; i < FRAMES_PER_EVENT && more; i++) {
    if (!netdev_can_send(d->net)) {
      d->waits = true;
      more = false;
      break;
    }
    int got = virtqueue_pop(q, &d->elem);
    if (got == 0 && virtqueue_wait(q))
      got = virtqueue_pop(q, &d->elem);
    more = got > 0 && send_one(d);
  }
  virtqueue_signal(q);
  v->busy--;
  if (more && virtio_running(v))
    later(&d->tx);
}

static void sent(void *arg)
{
  struct virtio_net *d = arg;
  if (d->waits)
    later(&d->tx);
  d->waits = false;
}

// ---- receiving ----

static bool running(void *arg)
{
  const struct virtio_net *d = arg;
  return virtio_running(&d->virtio) && (d->virtio.status & VIRTIO_DRIVER_OK);
}

// True if a buffer waits; otherwise the driver is asked to say when one does.
static bool can_receive(void *arg)
{
  struct virtio_net *d = arg;
  struct virtqueue *q = &d->virtio.vq[RX];
  d->virtio.busy++;
  bool ok = running(d) && q->enabled && virtqueue_wait(q);
  d->virtio.busy--;
  return ok;
}

// How many buffers a frame of `len` bytes, header included, needs; 0: there are not enough. They stay in the
// ring.
static unsigned buffers(struct virtio_net *d, uint64_t len)
{
  struct virtqueue *q = &d->virtio.vq[RX];
  uint16_t first = q->last_avail;
  unsigned most = virtio_has(&d->virtio, VIRTIO_NET_F_MRG_RXBUF) ? MOST_BUFFERS : 1, n = 0;
  uint64_t room = 0;
  while (room < len && n < most && virtqueue_pop(q, &d->elem) > 0) {
    room += d->elem.in_len;
    n++;
  }
  q->last_avail = first;
  return room >= len ? n : 0;
}

static bool store(struct virtio_net *d, const uint8_t *data, uint64_t len, unsigned n)
{
  struct virtio *v = &d->virtio;
  struct virtqueue *q = &v->vq[RX];
  for (uint64_t at = 0; n; n--) {
    if (virtqueue_pop(q, &d->elem) <= 0)
      return false;
    uint64_t part = len - at < d->elem.in_len ? len - at : d->elem.in_len;
    if (!vq_write(v, &d->elem, 0, data + at, part)) {
      virtio_broken(v);
      return false;
    }
    virtqueue_push(q, &d->elem, (uint32_t)part);
    at += part;
  }
  return true;
}

static void receive(void *arg, const uint8_t *frame, size_t len)
{
  struct virtio_net *d = arg;
  struct virtio *v = &d->virtio;
  uint8_t data[HDR_MOST + NET_FRAME_MAX] = {0};
  unsigned header = header_size(v);
  memcpy(data + header, frame, len);
  v->busy++;
  unsigned n = buffers(d, header + len);
  if (virtio_has(v, VIRTIO_NET_F_GUEST_CSUM) && net_check(frame, len).transport == NET_GOOD)
    data[HDR_FLAGS] = HDR_DATA_VALID;
  if (header > HDR_NUM_BUFFERS)
    data[HDR_NUM_BUFFERS] = (uint8_t)n;
  // Without room the frame is lost, as in an adapter that has run over.
  if (n && store(d, data, header + len, n))
    virtqueue_signal(&v->vq[RX]);
  v->busy--;
}

static void rx_fire(void *arg)
{
  struct virtio_net *d = arg;
  netdev_kick(d->net);
}

// ---- life ----

static void notify(struct virtio *v, struct virtqueue *q)
{
  struct virtio_net *d = v->self;
  later(q->index == TX ? &d->tx : &d->rx);
}

static void reset(struct virtio *v)
{
  struct virtio_net *d = v->self;
  timer_cancel(&d->tx);
  timer_cancel(&d->rx);
  d->waits = false;
}

static const struct virtio_ops ops = {notify, NULL, reset};

static void device_reset_net(struct device *d)
{
  struct virtio_net *n = d->self;
  virtio_pci_reset(&n->pci);
}

static void device_free_net(struct device *d)
{
  virtio_net_free(d->self);
}

static bool queue_size(struct opts *props, const char *key, uint64_t *v, struct err *e)
{
  *v = 256;
  if (!opts_u64(props, key, v, e))
    return false;
  if (*v < 16 || *v > VIRTIO_MAX_QUEUE || (*v & (*v - 1)))
    return err_set(e, "virtio-net-pci: %s must be a power of two from 16 to %u", key, VIRTIO_MAX_QUEUE);
  return true;
}

static bool configure(struct virtio_net *d, const struct device_env *env, struct opts *props, struct err *e)
{
  struct virtio *v = &d->virtio;
  uint64_t rx, tx;
  uint8_t mac[6];
  bool merge = true, status = true, sum = true, guest_sum = true;
  opts_get(props, "romfile");
  if (!queue_size(props, "rx_queue_size", &rx, e) || !queue_size(props, "tx_queue_size", &tx, e) ||
      !opts_bool(props, "mrg_rxbuf", &merge, e) || !opts_bool(props, "status", &status, e) ||
      !opts_bool(props, "csum", &sum, e) || !opts_bool(props, "guest_csum", &guest_sum, e) ||
      !netdev_mac(env->netdevs, props, mac, e))
    return false;
  v->offered |= (sum ? VIRTIO_NET_F_CSUM : 0) | (guest_sum ? VIRTIO_NET_F_GUEST_CSUM : 0);
  v->offered |= VIRTIO_NET_F_MAC | (merge ? VIRTIO_NET_F_MRG_RXBUF : 0) | (status ? VIRTIO_NET_F_STATUS : 0);
  memcpy(v->config + NET_MAC, mac, sizeof mac);
  v->config[NET_STATUS] = LINK_UP;
  v->config_len = NET_CONFIG_SIZE;
  virtio_add_queue(v, (uint16_t)rx);
  virtio_add_queue(v, (uint16_t)tx);
  return true;
}

struct virtio_net *virtio_net_create(const struct device_env *env, struct netdev *net, struct opts *props,
                                     struct err *e)
{
  struct virtio_net *d = calloc(1, sizeof *d);
  if (!d) {
    err_set(e, "out of memory");
    return NULL;
  }
  d->net = net;
  timer_init(&d->tx, env->clock, tx_fire, d);
  timer_init(&d->rx, env->clock, rx_fire, d);
  virtio_init(&d->virtio, 1, &ops, d);
  if (!configure(d, env, props, e) ||
      !virtio_pci_init(&d->pci, &d->virtio, "virtio-net-pci", 0x1000, 0x020000, env, props, e)) {
    free(d);
    return NULL;
  }
  netdev_attach(net, &(struct net_user){running, can_receive, receive, sent, d});
  d->device = (struct device){
      .type = "virtio-net-pci", .reset = device_reset_net, .free = device_free_net, .self = d};
  return d;
}

void virtio_net_free(struct virtio_net *d)
{
  timer_cancel(&d->tx);
  timer_cancel(&d->rx);
  netdev_detach(d->net);
  virtio_pci_free(&d->pci);
  free(d->device.id);
  free(d);
}

struct netdev *adapter_netdev(const struct device_env *env, struct opts *props, const char *name,
                              struct err *e)
{
  const char *id = opts_get(props, "netdev");
  if (!id) {
    err_set(e, "%s needs netdev=ID of a -netdev user,id=ID", name);
    return NULL;
  }
  struct netdev *net = env->netdev ? env->netdev(env->arg, id) : NULL;
  if (!net)
    err_set(e, "%s: there is no -netdev with id=%s that is free", name, id);
  return net;
}

struct device *virtio_net_device(const struct device_env *env, struct opts *props, struct err *e)
{
  struct netdev *net = adapter_netdev(env, props, "virtio-net-pci", e);
  struct virtio_net *d = net ? virtio_net_create(env, net, props, e) : NULL;
  return d ? &d->device : NULL;
}
