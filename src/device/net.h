// Networks: an adapter of the guest's on one side, a backend that speaks to the outside on the other.
//
// Frames wait in two bounded queues. What the guest sends goes to the backend only in netdevs_poll_fds, and
// what the backend has for the guest enters only in netdevs_poll, through netdev_feed: the machine calls both
// between slices, where all outside input enters. A guest that sends while its queue is full waits
// (netdev_can_send); what the outside sends to a guest that does not take it is lost, as on a wire.
//
// Where adapter and backend can, TCP goes in packets longer than a frame: what costs time is the guest's
// work, and the backend's, for each of them.
#ifndef DEVICE_NET_H
#define DEVICE_NET_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/opt.h"

#define NET_FRAME_MIN 14u
#define NET_FRAME_MAX 1522u // an Ethernet header with a tag, 1500 bytes, room for a checksum
#define NET_LARGE_MAX (NET_FRAME_MIN + 65535u) // a packet that nobody has cut into frames
#define NET_OUT       256u                     // frames
#define NET_OUT_BYTES (512u << 10)
#define NET_IN        512u

// TCP frames that were joined (net_merge.h). The field of TCP's checksum holds the sum of the pseudo header.
struct net_large {
  const uint8_t *data;
  uint32_t len, transport, header, segment; // where TCP begins, all headers, payload of each frame
};

// An adapter.
struct net_user {
  bool (*running)(void *arg);     // the guest's driver is there: time keeps step with the host's when idle
  bool (*can_receive)(void *arg); // takes a frame now
  void (*receive)(void *arg, const uint8_t *frame, size_t len);
  void (*sent)(void *arg); // netdev_can_send is true again
  void *arg;
  // NULL, or: how many bytes, of those wanted, a large packet may have now, and one that is not longer.
  uint32_t (*room)(void *arg, uint32_t want);
  void (*receive_large)(void *arg, const struct net_large *p);
};

struct net_frame {
  uint16_t len;
  uint8_t data[NET_FRAME_MAX];
};

struct net_queue {
  struct net_frame *frame; // owned
  unsigned room, head, count;
};

// Frames back to back, each behind its length: all of them leave at once.
struct net_out {
  uint8_t *data; // owned
  uint32_t used, count;
};

struct netdev;

struct net_ops {
  void (*input)(struct netdev *n, const uint8_t *frame, size_t len); // a frame of the guest's
  // What to wait for; may lower *timeout (ns). Returns the number of entries.
  unsigned (*poll_fds)(struct netdev *n, struct pollfd *fds, unsigned max, uint64_t *timeout);
  void (*poll)(struct netdev *n, const struct pollfd *fds, unsigned count); // calls netdev_feed
  void (*free)(struct netdev *n);
  bool large; // takes TCP packets in IPv4 of up to NET_LARGE_MAX bytes whole
};

struct netdev {
  struct netdevs *set;
  char *id; // owned
  const char *kind;
  const struct net_ops *ops;
  void *self;
  bool attached;
  struct net_user user;
  struct net_queue in; // towards the guest
  struct net_out out;
  uint8_t *joined; // NET_LARGE_MAX bytes; owned
  bool held;       // the guest was told to wait
  unsigned fds;    // entries at the last netdevs_poll_fds
  uint64_t received, transmitted, dropped;
  struct netdev *next;
};

// All networks of one machine.
struct netdevs {
  struct netdev *first;
  struct clock *clock;
  void (*wake)(void *arg); // frames wait: netdevs_poll_fds should be called soon
  void *wake_arg;
  unsigned macs; // given out so far
};

void netdevs_init(struct netdevs *s, struct clock *clock, void (*wake)(void *), void *arg);
void netdevs_free(struct netdevs *s);
struct netdev *netdevs_find(const struct netdevs *s, const char *id);
// Makes a network from -netdev KIND,id=...: implied key "type"; the kind is user. Takes the keys of the
// kind; the caller checks that none is left over.
struct netdev *netdev_open(struct netdevs *s, struct opts *o, struct err *e);

// Hands over what guests sent, then fills in what to wait for, and lowers *timeout (ns) if a backend wants to
// be asked sooner. netdevs_poll comes with the same array, whether something happened or not.
unsigned netdevs_poll_fds(struct netdevs *s, struct pollfd *fds, unsigned max, uint64_t *timeout);
void netdevs_poll(struct netdevs *s, const struct pollfd *fds);
// Some guest uses a network.
bool netdevs_running(const struct netdevs *s);

// ---- for adapters ----

void netdev_attach(struct netdev *n, const struct net_user *u);
void netdev_detach(struct netdev *n);
bool netdev_can_send(struct netdev *n);
// Frames of wrong lengths, and those for which there is no room, are dropped.
void netdev_send(struct netdev *n, const uint8_t *frame, size_t len);
// A TCP packet in IPv4 that need not be cut (net_tso_whole), where netdev_takes_large.
void netdev_send_large(struct netdev *n, const uint8_t *packet, size_t len);
bool netdev_takes_large(const struct netdev *n);
// The adapter has room again: delivers what waits.
void netdev_kick(struct netdev *n);
// mac=, or the next of 52:54:00:12:34:56 ... No group addresses.
bool netdev_mac(struct netdevs *s, struct opts *o, uint8_t mac[6], struct err *e);

// ---- for backends ----

// A new network, in the set; ops and self are filled in by the backend. NULL: no memory, or the id is taken.
struct netdev *netdev_new(struct netdevs *s, const char *id, const char *kind, struct err *e);
void netdev_delete(struct netdev *n);
bool netdev_wants(const struct netdev *n); // there is room for a good number of frames
// A frame from outside.
void netdev_feed(struct netdev *n, const uint8_t *frame, size_t len);

// net_user.c
bool net_user_open(struct netdev *n, struct opts *o, struct err *e);

#endif
