// TCP in order; see net_flow.h.
#include "device/net_flow.h"

#include <string.h>

#include "device/net.h"
#include "device/net_sum.h"

enum { IP = NET_FRAME_MIN, V4 = 20, V6 = 40, TCP_HEADER = 20 };
enum { FIN = 1, SYN = 2, RST = 4, ACK = 0x10 };
enum { FAR = 1 << 30 }; // windows are shorter, and the other half of the sequence numbers is further

// What a frame says of itself; the bytes behind the packet are not of it.
struct segment {
  const uint8_t *ip, *tcp;
  uint32_t payload;
  uint8_t family, flags;
};

enum parsed { TCP_SEGMENT, NOT_TCP, WRONG };

// The library's own rules, so that both speak of the same bytes: IPv6 without headers between.
static enum parsed parse(const uint8_t *frame, size_t len, struct segment *s)
{
  const uint8_t *ip = frame + IP;
  size_t header, all;
  if (len < IP + V4)
    return NOT_TCP;
  s->ip = ip;
  switch (net_get16(frame + 12)) {
  case NET_IPV4:
    if (ip[9] != NET_TCP)
      return NOT_TCP;
    header = (ip[0] & 15u) * 4;
    all = net_get16(ip + 2);
    if (header < V4)
      return WRONG;
    s->family = 4;
    break;
  case NET_IPV6:
    if (len < IP + V6 || ip[6] != NET_TCP)
      return NOT_TCP;
    header = V6;
    all = V6 + net_get16(ip + 4);
    s->family = 6;
    break;
  default:
    return NOT_TCP;
  }
  if (ip[0] >> 4 != s->family || all > len - IP || all < header + TCP_HEADER)
    return WRONG;
  s->tcp = ip + header;
  uint32_t offset = (s->tcp[12] >> 4) * 4u;
  if (offset < TCP_HEADER || offset > all - header)
    return WRONG;
  s->payload = (uint32_t)(all - header) - offset;
  s->flags = s->tcp[13];
  return TCP_SEGMENT;
}

static void key_of(const struct segment *s, bool to_guest, struct net_flow_key *k)
{
  unsigned size = s->family == 4 ? 4 : 16;
  const uint8_t *address = s->ip + (s->family == 4 ? 12 : 8);
  *k = (struct net_flow_key){.family = s->family, .used = 1};
  for (unsigned i = 0; i < 2; i++) {
    memcpy(k->address[i ^ to_guest], address + i * size, size);
    memcpy(k->port[i ^ to_guest], s->tcp + i * 2ul, 2);
  }
}

static struct net_flow_entry *set_of(struct net_flow *f, const struct net_flow_key *k)
{
  uint64_t h = 0, part;
  for (size_t at = 0; at + sizeof part <= sizeof *k; at += sizeof part) {
    memcpy(&part, (const uint8_t *)k + at, sizeof part);
    h = (h ^ part) * 0x9e3779b97f4a7c15u;
    h ^= h >> 29;
  }
  return f->entry[h % NET_FLOW_SETS];
}

// Moves entry i of a set to the front.
static void use(struct net_flow_entry *set, unsigned i)
{
  struct net_flow_entry e = set[i];
  memmove(set + 1, set, i * sizeof *set);
  set[0] = e;
}

static struct net_flow_entry *find(struct net_flow *f, const struct net_flow_key *k)
{
  struct net_flow_entry *set = set_of(f, k);
  for (unsigned i = 0; i < NET_FLOW_WAYS; i++) {
    if (memcmp(&set[i].key, k, sizeof *k) != 0)
      continue;
    if (i)
      use(set, i);
    return set;
  }
  return NULL;
}

static void forget(struct net_flow *f, const struct net_flow_key *k)
{
  struct net_flow_entry *e = find(f, k);
  if (e)
    e->key.used = 0;
}

enum net_flow_verdict net_flow_check(struct net_flow *f, const uint8_t *frame, size_t len)
{
  struct segment s;
  struct net_flow_key k;
  enum parsed p = parse(frame, len, &s);
  if (p != TCP_SEGMENT)
    return p == NOT_TCP ? NET_FLOW_PASS : NET_FLOW_DROP;
  bool takes_room = s.payload || (s.flags & FIN);
  if (s.flags & (SYN | RST)) { // what was known may be of another connection soon
    key_of(&s, false, &k);
    forget(f, &k);
    // Until the host's socket is connected the library keeps the SYN. Those with payload are sent again
    // without.
    return (s.flags & SYN) && takes_room ? NET_FLOW_DROP : NET_FLOW_PASS;
  }
  if (!takes_room)
    return NET_FLOW_PASS;
  if (!(s.flags & ACK))
    return NET_FLOW_DROP;
  key_of(&s, false, &k);
  const struct net_flow_entry *e = find(f, &k);
  return e && (int32_t)(net_get32(s.tcp + 4) - e->next) <= 0 ? NET_FLOW_PASS : NET_FLOW_ASK_FIRST;
}

size_t net_flow_question(const uint8_t *frame, size_t len, uint8_t *question)
{
  struct segment s;
  if (parse(frame, len, &s) != TCP_SEGMENT)
    return 0;
  uint32_t header = s.family == 4 ? V4 : V6;
  uint8_t *ip = question + IP, *tcp = ip + header;
  memcpy(question, frame, IP + header); // without options
  memcpy(tcp, s.tcp, TCP_HEADER);
  net_put32(tcp + 4, net_get32(tcp + 4) + FAR);
  tcp[12] = TCP_HEADER / 4 << 4;
  tcp[13] = ACK;
  net_put16(tcp + 18, 0); // nothing is urgent
  uint32_t pseudo;
  if (s.family == 4) {
    ip[0] = 0x45;
    net_put16(ip + 2, V4 + TCP_HEADER);
    net_put16(ip + 10, 0);
    net_put16(ip + 10, ~net_sum(ip, V4));
    pseudo = net_pseudo(ip, TCP_HEADER);
  } else {
    net_put16(ip + 4, TCP_HEADER);
    pseudo = net_fold((uint64_t)net_sum(ip + 8, 32) + NET_TCP + TCP_HEADER);
  }
  net_put16(tcp + 16, pseudo);
  net_put16(tcp + 16, ~net_sum(tcp, TCP_HEADER));
  return IP + header + TCP_HEADER;
}

void net_flow_answered(struct net_flow *f, const uint8_t *frame, size_t len)
{
  struct segment s;
  struct net_flow_key k;
  if (parse(frame, len, &s) != TCP_SEGMENT)
    return;
  key_of(&s, true, &k);
  struct net_flow_entry *e = find(f, &k);
  if ((s.flags & RST) || !(s.flags & ACK)) { // there is none, or a new one begins
    if (e)
      e->key.used = 0;
    return;
  }
  if (!e) {
    e = set_of(f, &k);
    use(e, NET_FLOW_WAYS - 1); // the oldest of its set makes room
    e->key = k;
  }
  e->next = net_get32(s.tcp + 8);
}
