// A network for tests of adapters: what the guest sends is kept, what the outside sends is fed by hand.
#ifndef TEST_NETBED_H
#define TEST_NETBED_H

#include "bed.h"

#include <string.h>

#include "device/net.h"

struct netbed {
  struct netdevs set;
  struct netdev *net;
  unsigned frames, wakes; // that the guest sent
  struct net_ops ops;
  uint8_t last[NET_LARGE_MAX];
  size_t last_len;
};

static inline void netbed_input(struct netdev *n, const uint8_t *frame, size_t len)
{
  struct netbed *b = n->self;
  b->frames++;
  memcpy(b->last, frame, len);
  b->last_len = len;
}

static inline unsigned netbed_poll_fds(struct netdev *n, struct pollfd *fds, unsigned max, uint64_t *timeout)
{
  return 0;
}

static inline void netbed_poll(struct netdev *n, const struct pollfd *fds, unsigned count)
{
}

static inline void netbed_release(struct netdev *n)
{
}

static inline void netbed_wake(void *arg)
{
  ((struct netbed *)arg)->wakes++;
}

static inline struct netdev *netbed_find(void *arg, const char *id)
{
  struct bed *bed = arg;
  struct netdev *n = netdevs_find(bed->env.netdevs, id);
  return n && !n->attached ? n : NULL;
}

static inline void netbed_init(struct netbed *b, struct bed *bed)
{
  struct err e;
  memset(b, 0, sizeof *b);
  b->ops = (struct net_ops){netbed_input, netbed_poll_fds, netbed_poll, netbed_release, false};
  netdevs_init(&b->set, &bed->clock, netbed_wake, b);
  b->net = netdev_new(&b->set, "n0", "test", &e);
  assert_non_null(b->net);
  b->net->ops = &b->ops;
  b->net->self = b;
  bed->env.netdevs = &b->set;
  bed->env.netdev = netbed_find;
}

// What the machine does between slices.
static inline void netbed_look(struct netbed *b)
{
  struct pollfd fds[4];
  uint64_t timeout = 0;
  netdevs_poll_fds(&b->set, fds, 4, &timeout);
  netdevs_poll(&b->set, fds);
}

// A frame with a UDP datagram of "hello", its checksums right (worked out by hand), to 52:54:00:01:02:03.
static const uint8_t netbed_udp[] = {0x52, 0x54, 0x00, 0x01, 0x02, 0x03, 0x52, 0x55, 0x00, 0x00, 0x02, 0x02,
                                     0x08, 0x00, 0x45, 0x00, 0x00, 0x21, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11,
                                     0x62, 0xbb, 0x0a, 0x00, 0x02, 0x02, 0x0a, 0x00, 0x02, 0x0f, 0x00, 0x07,
                                     0x03, 0xe8, 0x00, 0x0d, 0xa0, 0x02, 0x68, 0x65, 0x6c, 0x6c, 0x6f};
enum { NETBED_UDP_SUM = 14 + 20 + 6, NETBED_UDP_RIGHT = 0xa002, NETBED_UDP_PSEUDO = 0x182f };

#endif
