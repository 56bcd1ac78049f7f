// Cutting packets into segments; see net_tso.h.
#include "device/net_tso.h"

#include <string.h>

#include "device/net.h"
#include "device/net_sum.h"

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, URG = 0x20, CWR = 0x80 };

bool net_tso_sane(const struct net_tso *t, uint32_t len)
{
  return t->mss && t->mss <= NET_FRAME_MAX && t->header >= NET_FRAME_MIN && t->header < len &&
         t->header + t->mss <= NET_FRAME_MAX;
}

// Sets right what of a header differs from segment to segment; the first, and the last, may be the whole.
static void adapt(const struct net_tso *t, uint8_t *p, uint32_t len, bool last)
{
  uint32_t ip = t->ip, tu = t->transport;
  if (ip + 6 <= len && t->v4) {
    net_put16(p + ip + 2, len - ip);
    net_put16(p + ip + 4, net_get16(p + ip + 4) + t->n);
  } else if (ip + 6 <= len && len >= ip + 40) {
    net_put16(p + ip + 4, len - ip - 40);
  }
  if (t->tcp && tu + 14 <= len) {
    net_put32(p + tu + 4, net_get32(p + tu + 4) + t->cut);
    p[tu + 13] &= (uint8_t) ~((last ? 0 : FIN | PSH) | (t->ecn && t->n ? CWR : 0));
  } else if (!t->tcp && tu + 6 <= len) {
    net_put16(p + tu + 4, len - tu);
  }
  if (t->transport_sum + 2 <= len && tu < len)
    net_put16(p + t->transport_sum, net_fold((uint64_t)net_get16(p + t->transport_sum) + len - tu));
  if (t->sum_transport)
    net_sum_insert(p, len, tu, t->transport_sum, t->transport_last);
  if (t->sum_ip)
    net_sum_insert(p, len, ip, t->ip_sum, t->ip_last);
}

uint32_t net_tso_next(struct net_tso *t, const uint8_t *packet, uint32_t len, uint8_t *frame)
{
  uint32_t left = len - t->header - t->cut, n = left < t->mss ? left : t->mss;
  if (n == 0)
    return 0;
  memcpy(frame, packet, t->header);
  memcpy(frame + t->header, packet + t->header + t->cut, n);
  adapt(t, frame, t->header + n, n == left);
  t->cut += n;
  t->n++;
  return t->header + n;
}

uint32_t net_tso_count(const struct net_tso *t, uint32_t len)
{
  return (len - t->header + t->mss - 1) / t->mss;
}

// The description agrees with what the packet says of itself.
static bool plain(const struct net_tso *t, const uint8_t *packet, uint32_t len)
{
  const uint8_t *ip = packet + NET_FRAME_MIN, *tcp = packet + t->transport;
  if (!t->v4 || !t->tcp || !t->sum_ip || !t->sum_transport || len > NET_LARGE_MAX || t->ip != NET_FRAME_MIN ||
      t->transport < t->ip + 20 || t->header < t->transport + 20)
    return false;
  if (t->ip_sum != t->ip + 10 || t->ip_last != t->transport - 1 || t->transport_sum != t->transport + 16 ||
      (t->transport_last && t->transport_last < len - 1))
    return false;
  return net_get16(packet + 12) == NET_IPV4 && ip[0] >> 4 == 4 && t->ip + (ip[0] & 15u) * 4 == t->transport &&
         !(net_get16(ip + 6) & 0x3fff) && ip[9] == NET_TCP &&
         t->transport + (tcp[12] >> 4) * 4u == t->header && !(tcp[13] & (SYN | RST | URG));
}

bool net_tso_whole(const struct net_tso *t, uint8_t *packet, uint32_t len)
{
  if (!plain(t, packet, len))
    return false;
  adapt(t, packet, len, true);
  return true;
}
