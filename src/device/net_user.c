// -netdev user: the host's sockets as a network, by libslirp; see net.h.
//
// The guest's frames are parsed by the library, which opens sockets for what they ask for. It acknowledges
// each TCP packet at once, so that one of 64 KB saves the guest the work of some forty. Its clock is the
// machine's. Sockets are looked at only between slices.
//
// What a guest can make the library hold is bounded: of TCP, net_flow.h; of fragments, fit(). Each
// connection, UDP socket and ping has a file descriptor, and buffers of 260 KB if it is TCP's: the host's
// limit on descriptors (ulimit -n) is the limit on them, beyond which the guest is refused. UDP sockets and
// pings expire. The tables of ARP, NDP, DHCP and TFTP are of fixed size. Answers to an address whose hardware
// address is not known wait for a second of the guest's time, in 1.6 KB each.
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <slirp/libslirp.h>

#include "device/net.h"
#include "device/net_flow.h"

#define NS_PER_MS 1000000u

struct net_timer {
  struct timer timer;
  struct net_user_state *state;
  SlirpTimerId id;
  void *cb_opaque;
};

struct net_user_state {
  struct netdev *net;
  Slirp *slirp;
  char *hostname;        // owned
  struct net_flow *flow; // owned
  // Only within poll_fds and poll:
  struct pollfd *fill;
  const struct pollfd *filled;
  unsigned count, max;
};

// ---- what the library calls ----

static ssize_t to_guest(const void *buf, size_t len, void *opaque)
{
  struct net_user_state *u = opaque;
  net_flow_answered(u->flow, buf, len);
  netdev_feed(u->net, buf, len);
  return (ssize_t)len;
}

static void guest_error(const char *msg, void *opaque)
{
}

static int64_t now(void *opaque)
{
  const struct net_user_state *u = opaque;
  return (int64_t)clock_now(u->net->set->clock);
}

static void fire(void *arg)
{
  struct net_timer *t = arg;
  slirp_handle_timer(t->state->slirp, t->id, t->cb_opaque);
}

static void *timer_create_for(SlirpTimerId id, void *cb_opaque, void *opaque)
{
  struct net_user_state *u = opaque;
  struct net_timer *t = calloc(1, sizeof *t);
  if (!t)
    return NULL;
  *t = (struct net_timer){.state = u, .id = id, .cb_opaque = cb_opaque};
  timer_init(&t->timer, u->net->set->clock, fire, t);
  return t;
}

static void timer_release(void *timer, void *opaque)
{
  struct net_timer *t = timer;
  if (t)
    timer_cancel(&t->timer);
  free(t);
}

static void timer_move(void *timer, int64_t ms, void *opaque)
{
  struct net_timer *t = timer;
  if (t)
    timer_set(&t->timer, ms > 0 ? (uint64_t)ms * NS_PER_MS : 0);
}

static void ignore_fd(int fd, void *opaque)
{
}

static void notify(void *opaque)
{
  const struct net_user_state *u = opaque;
  if (u->net->set->wake)
    u->net->set->wake(u->net->set->wake_arg);
}

static const SlirpCb callbacks = {
    .send_packet = to_guest,
    .guest_error = guest_error,
    .clock_get_ns = now,
    .timer_free = timer_release,
    .timer_mod = timer_move,
    .register_poll_fd = ignore_fd,
    .unregister_poll_fd = ignore_fd,
    .notify = notify,
    .timer_new_opaque = timer_create_for,
};

// ---- sockets ----

static const struct {
  int slirp;
  short host;
} events[] = {{SLIRP_POLL_IN, POLLIN},
              {SLIRP_POLL_OUT, POLLOUT},
              {SLIRP_POLL_PRI, POLLPRI},
              {SLIRP_POLL_ERR, POLLERR},
              {SLIRP_POLL_HUP, POLLHUP}};

// A socket for which there is no room is asked another time, when others are gone.
static int add_poll(int fd, int wanted, void *opaque)
{
  struct net_user_state *u = opaque;
  if (u->count == u->max)
    return -1;
  short host = 0;
  for (unsigned i = 0; i < sizeof events / sizeof events[0]; i++)
    host |= wanted & events[i].slirp ? events[i].host : 0;
  u->fill[u->count] = (struct pollfd){.fd = fd, .events = host};
  return (int)u->count++;
}

static int get_revents(int idx, void *opaque)
{
  const struct net_user_state *u = opaque;
  int got = 0;
  if (idx < 0 || (unsigned)idx >= u->count)
    return 0;
  for (unsigned i = 0; i < sizeof events / sizeof events[0]; i++)
    got |= u->filled[idx].revents & events[i].host ? events[i].slirp : 0;
  return got;
}

// The library's reassembly of IPv4 fragments writes outside of its buffers when fragments contradict each
// other (4.7.0), so none reaches it: a guest cannot send datagrams that are longer than a frame.
static bool fit(const uint8_t *frame, size_t len)
{
  if (frame[12] != 0x08 || frame[13] != 0x00)
    return true;
  const uint8_t *ip = frame + NET_FRAME_MIN;
  return len >= NET_FRAME_MIN + 20 && !(ip[6] & 0x3f) && !ip[7]; // neither more fragments, nor an offset
}

static bool in_order(struct net_user_state *u, const uint8_t *frame, size_t len)
{
  enum net_flow_verdict v = net_flow_check(u->flow, frame, len);
  if (v == NET_FLOW_ASK_FIRST) {
    uint8_t question[NET_FLOW_ASK];
    slirp_input(u->slirp, question, (int)net_flow_question(frame, len, question));
    v = net_flow_check(u->flow, frame, len);
  }
  return v == NET_FLOW_PASS;
}

static void input(struct netdev *n, const uint8_t *frame, size_t len)
{
  struct net_user_state *u = n->self;
  if (fit(frame, len) && in_order(u, frame, len))
    slirp_input(u->slirp, frame, (int)len);
  else
    n->dropped++;
}

static unsigned poll_fds(struct netdev *n, struct pollfd *fds, unsigned max, uint64_t *timeout)
{
  struct net_user_state *u = n->self;
  u->fill = fds;
  u->count = 0;
  u->max = max;
  if (!netdev_wants(n)) // the sockets wait until the guest has taken what there is
    return 0;
  uint32_t ms = *timeout / NS_PER_MS < UINT32_MAX ? (uint32_t)(*timeout / NS_PER_MS) : UINT32_MAX, was = ms;
  slirp_pollfds_fill(u->slirp, &ms, add_poll, u);
  if (ms < was)
    *timeout = (uint64_t)ms * NS_PER_MS;
  return u->count;
}

static void poll_done(struct netdev *n, const struct pollfd *fds, unsigned count)
{
  struct net_user_state *u = n->self;
  u->filled = fds;
  u->count = count;
  slirp_pollfds_poll(u->slirp, 0, get_revents, u);
}

static void release(struct netdev *n)
{
  struct net_user_state *u = n->self;
  if (u->slirp)
    slirp_cleanup(u->slirp);
  free(u->hostname);
  free(u->flow);
  free(u);
}

static const struct net_ops ops = {input, poll_fds, poll_done, release, true};

// ---- options ----

static bool address(struct opts *o, const char *key, struct in_addr *a, struct err *e)
{
  const char *text = opts_get(o, key);
  return !text || inet_pton(AF_INET, text, a) == 1 ||
         err_set(e, "%s: %s=%s is not an IPv4 address", o->option, key, text);
}

// net=A[/BITS]
static bool network(struct opts *o, struct in_addr *net, struct in_addr *mask, struct err *e)
{
  const char *text = opts_get(o, "net");
  char a[INET_ADDRSTRLEN];
  uint64_t bits = 24;
  if (!text)
    return true;
  const char *slash = strchr(text, '/');
  size_t n = slash ? (size_t)(slash - text) : strlen(text);
  bool ok = n < sizeof a && (!slash || (parse_u64(slash + 1, &bits) && bits >= 8 && bits <= 28));
  if (ok) {
    memcpy(a, text, n);
    a[n] = 0;
    ok = inet_pton(AF_INET, a, net) == 1;
  }
  if (!ok)
    return err_set(e, "%s: net=%s is not ADDRESS/BITS with 8 to 28 bits", o->option, text);
  mask->s_addr = htonl(~((UINT32_C(1) << (32 - bits)) - 1));
  net->s_addr &= mask->s_addr;
  return true;
}

static bool in_network(const SlirpConfig *c, struct in_addr a)
{
  return (a.s_addr & c->vnetmask.s_addr) == c->vnetwork.s_addr;
}

static bool addresses(SlirpConfig *c, struct opts *o, struct err *e)
{
  inet_pton(AF_INET, "10.0.2.0", &c->vnetwork);
  inet_pton(AF_INET, "255.255.255.0", &c->vnetmask);
  if (!network(o, &c->vnetwork, &c->vnetmask, e))
    return false;
  c->vhost.s_addr = c->vnetwork.s_addr | htonl(2);
  c->vnameserver.s_addr = c->vnetwork.s_addr | htonl(3);
  uint32_t hosts = ~ntohl(c->vnetmask.s_addr);
  c->vdhcp_start.s_addr = c->vnetwork.s_addr | htonl(hosts > 31 ? 15 : 4);
  if (!address(o, "host", &c->vhost, e) || !address(o, "dns", &c->vnameserver, e) ||
      !address(o, "dhcpstart", &c->vdhcp_start, e))
    return false;
  if (!in_network(c, c->vhost) || !in_network(c, c->vnameserver) || !in_network(c, c->vdhcp_start) ||
      c->vhost.s_addr == c->vnameserver.s_addr)
    return err_set(e, "%s: host, dns and dhcpstart must be in the network, and host and dns differ",
                   o->option);
  return true;
}

// [ADDR]:PORT, ended by `end`. The address stays as it is if it is left out.
static bool end_point(const char **p, char end, struct in_addr *a, int *port)
{
  char text[INET_ADDRSTRLEN];
  const char *colon = strchr(*p, ':');
  char *stop;
  if (!colon || (size_t)(colon - *p) >= sizeof text)
    return false;
  memcpy(text, *p, (size_t)(colon - *p));
  text[colon - *p] = 0;
  if (*text && inet_pton(AF_INET, text, a) != 1)
    return false;
  if (colon[1] < '0' || colon[1] > '9')
    return false;
  unsigned long v = strtoul(colon + 1, &stop, 10);
  *port = (int)v;
  *p = stop + 1;
  return *stop == end && v <= 65535;
}

// [tcp|udp]:[ADDR]:PORT-[ADDR]:PORT
static bool forward(struct net_user_state *u, const SlirpConfig *c, const char *option, const char *rule,
                    struct err *e)
{
  const char *p = rule;
  struct in_addr host = {0}, guest = c->vdhcp_start; // any address of the host; the first that DHCP gives
  int host_port, guest_port;
  bool udp = !strncmp(p, "udp:", 4);
  if (!udp && strncmp(p, "tcp:", 4) != 0 && *p != ':')
    return err_set(e, "%s: hostfwd=%s is not [tcp|udp]:[ADDRESS]:PORT-[ADDRESS]:PORT", option, rule);
  p += *p == ':' ? 1 : 4;
  if (!end_point(&p, '-', &host, &host_port) || !end_point(&p, 0, &guest, &guest_port) || !host_port ||
      !guest_port)
    return err_set(e, "%s: hostfwd=%s is not [tcp|udp]:[ADDRESS]:PORT-[ADDRESS]:PORT", option, rule);
  if (slirp_add_hostfwd(u->slirp, udp, host, host_port, guest, guest_port) < 0)
    return err_set(e, "%s: hostfwd=%s: the host's port %d cannot be used: %s; choose another one", option,
                   rule, host_port, strerror(errno));
  return true;
}

static bool forwards(struct net_user_state *u, const SlirpConfig *c, struct opts *o, struct err *e)
{
  for (unsigned i = 0; i < o->count; i++) { // may be given several times
    if (strcmp(o->item[i].key, "hostfwd") != 0)
      continue;
    o->item[i].used = true;
    if (!forward(u, c, o->option, o->item[i].value, e))
      return false;
  }
  return true;
}

bool net_user_open(struct netdev *n, struct opts *o, struct err *e)
{
  struct net_user_state *u = calloc(1, sizeof *u);
  bool restricted = false, ipv4 = true, ipv6 = false;
  if (!u)
    return err_set(e, "out of memory");
  u->net = n;
  n->self = u;
  n->ops = &ops;
  u->flow = calloc(1, sizeof *u->flow);
  if (!u->flow)
    return err_set(e, "out of memory");
  SlirpConfig c = {.version = 4, .in_enabled = true};
  const char *hostname = opts_get(o, "hostname");
  if (!opts_bool(o, "restrict", &restricted, e) || !opts_bool(o, "ipv4", &ipv4, e) ||
      !opts_bool(o, "ipv6", &ipv6, e) || !addresses(&c, o, e))
    return false;
  if (!ipv4)
    return err_set(e, "%s: ipv4=off is not supported", o->option);
  if (hostname && strlen(hostname) > 32)
    return err_set(e, "%s: hostname=%s is longer than 32 characters", o->option, hostname);
  if (hostname && !(u->hostname = strdup(hostname)))
    return err_set(e, "out of memory");
  c.restricted = restricted;
  c.vhostname = u->hostname;
  c.in6_enabled = ipv6;
  inet_pton(AF_INET6, "fec0::", &c.vprefix_addr6);
  c.vprefix_len = 64;
  inet_pton(AF_INET6, "fec0::2", &c.vhost6);
  inet_pton(AF_INET6, "fec0::3", &c.vnameserver6);
  u->slirp = slirp_new(&c, &callbacks, u);
  if (!u->slirp)
    return err_set(e, "%s: libslirp cannot be started", o->option);
  return forwards(u, &c, o, e);
}
