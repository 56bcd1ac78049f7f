// virtio-net's features, properties and life; see virtio_net.h. Its two directions are in virtio_net_tx.c and
// virtio_net_rx.c.
#include "device/virtio_net.h"

#include <stdlib.h>
#include <string.h>

#include "device/virtio_net_int.h"

enum { NET_MAC = 0, NET_STATUS = 6, NET_CONFIG_SIZE = 12, LINK_UP = 1 }; // struct virtio_net_config, 5.1.4

static void notify(struct virtio *v, struct virtqueue *q)
{
  struct virtio_net *d = v->self;
  virtio_net_later(q->index == VNET_TX ? &d->tx : &d->rx);
}

static void reset(struct virtio *v)
{
  struct virtio_net *d = v->self;
  timer_cancel(&d->tx);
  timer_cancel(&d->rx);
  d->waits = d->cutting = false;
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

// 5.1.3.1: what a feature requires.
static const struct feature {
  const char *property;
  uint64_t bit, needs;
} features[] = {
    {"mrg_rxbuf", VIRTIO_NET_F_MRG_RXBUF, 0},
    {"status", VIRTIO_NET_F_STATUS, 0},
    {"csum", VIRTIO_NET_F_CSUM, 0},
    {"guest_csum", VIRTIO_NET_F_GUEST_CSUM, 0},
    {"host_tso4", VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_CSUM},
    {"host_tso6", VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_CSUM},
    {"host_ecn", VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6},
    {"guest_tso4", VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_CSUM},
};

static bool offer(struct virtio *v, struct opts *props, struct err *e)
{
  for (unsigned i = 0; i < sizeof features / sizeof features[0]; i++) {
    const struct feature *f = &features[i];
    bool on = true;
    if (!opts_bool(props, f->property, &on, e))
      return false;
    if (on && (!f->needs || (v->offered & f->needs)))
      v->offered |= f->bit;
  }
  return true;
}

static bool configure(struct virtio_net *d, const struct device_env *env, struct opts *props, struct err *e)
{
  struct virtio *v = &d->virtio;
  uint64_t rx, tx;
  uint8_t mac[6];
  opts_get(props, "romfile");
  if (!queue_size(props, "rx_queue_size", &rx, e) || !queue_size(props, "tx_queue_size", &tx, e) ||
      !offer(v, props, e) || !netdev_mac(env->netdevs, props, mac, e))
    return false;
  v->offered |= VIRTIO_NET_F_MAC;
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
  if (!d || !(d->packet = malloc(NET_LARGE_MAX))) {
    free(d);
    err_set(e, "out of memory");
    return NULL;
  }
  d->net = net;
  timer_init(&d->tx, env->clock, virtio_net_tx_fire, d);
  timer_init(&d->rx, env->clock, virtio_net_rx_fire, d);
  virtio_init(&d->virtio, 1, &ops, d);
  if (!configure(d, env, props, e) ||
      !virtio_pci_init(&d->pci, &d->virtio, "virtio-net-pci", 0x1000, 0x020000, env, props, e)) {
    free(d->packet);
    free(d);
    return NULL;
  }
  struct net_user user = virtio_net_user;
  user.arg = d;
  netdev_attach(net, &user);
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
  free(d->packet);
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
