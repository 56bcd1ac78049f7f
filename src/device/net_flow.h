// What of a guest's TCP may reach libslirp: that which is in order.
//
// The library keeps what arrives out of order until the gap closes: each segment in the buffer that it came
// in, however little of it is new, and a FIN without payload as often as it is sent. A guest could make it
// hold gigabytes that way. Between guest and library nothing is lost or changes places, so an honest guest
// does not need that queue: segments that would wait there are dropped, and come again in order (RFC
// 9293, 3.8).
//
// Invariant: a segment with payload or FIN passes only if it does not begin behind what the library has
// acknowledged last, so that the queue stays empty. The acknowledgements are kept for the connections seen
// last; for others, and when a segment is further on, the library is asked: a segment without payload, far
// outside of any window, which it must answer at once with what it expects, and which changes nothing
// (RFC 9293, 3.10.7.4). A lost entry therefore costs one question, and the table needs no more than to be
// bounded.
#ifndef DEVICE_NET_FLOW_H
#define DEVICE_NET_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_FLOW_SETS 1024u
#define NET_FLOW_WAYS 4u
#define NET_FLOW_ASK  80u // the longest question

// A connection: addresses and ports, the guest's first.
struct net_flow_key {
  uint8_t address[2][16]; // of IPv4 in the first four bytes
  uint8_t port[2][2];
  uint8_t family, used; // 4 or 6
  uint16_t pad;
};

struct net_flow_entry {
  struct net_flow_key key;
  uint32_t next; // the sequence number that the library expects of the guest
};

// The entry used last is the first of its set.
struct net_flow {
  struct net_flow_entry entry[NET_FLOW_SETS][NET_FLOW_WAYS];
};

enum net_flow_verdict { NET_FLOW_PASS, NET_FLOW_DROP, NET_FLOW_ASK_FIRST };

// A frame, or a packet of any length, of the guest's. ASK_FIRST: give the library the question, its answer to
// net_flow_answered, and try again; ASK_FIRST once more means to drop it.
enum net_flow_verdict net_flow_check(struct net_flow *f, const uint8_t *frame, size_t len);
// The question about a frame for which the verdict was ASK_FIRST, at most NET_FLOW_ASK bytes. Returns its
// length.
size_t net_flow_question(const uint8_t *frame, size_t len, uint8_t *question);
// A frame from the library to the guest.
void net_flow_answered(struct net_flow *f, const uint8_t *frame, size_t len);

#endif
