// Internet checksums; see net_sum.h.
#include "device/net_sum.h"

#include <string.h>

enum { ETHERNET = 14, IP_HEADER = 20 };

uint32_t net_fold(uint64_t sum)
{
  while (sum >> 16)
    sum = (sum & 0xffff) + (sum >> 16);
  return (uint32_t)sum;
}

// One's complement sums are the same in either order of bytes, but for that order itself; the host is
// little-endian.
uint32_t net_sum(const uint8_t *p, size_t len)
{
  uint64_t sum = 0;
  for (; len >= 4; len -= 4, p += 4) {
    uint32_t v;
    memcpy(&v, p, 4);
    sum += v;
  }
  if (len >= 2) {
    uint16_t v;
    memcpy(&v, p, 2);
    sum += v;
    p += 2;
    len -= 2;
  }
  if (len)
    sum += *p;
  uint32_t s = net_fold(sum);
  return (s << 8 | s >> 8) & 0xffff;
}

uint32_t net_pseudo(const uint8_t *ip, uint32_t len)
{
  return net_fold((uint64_t)net_sum(ip + 12, 8) + ip[9] + len);
}

void net_sum_insert(uint8_t *p, uint32_t len, uint32_t first, uint32_t at, uint32_t last)
{
  uint32_t end = last && last < len ? last + 1 : len;
  if (at + 2 > len || first >= end)
    return;
  net_put16(p + at, ~net_sum(p + first, end - first));
}

static enum net_check whether(uint32_t sum)
{
  return sum == 0xffff ? NET_GOOD : NET_BAD;
}

struct net_checks net_check(const uint8_t *frame, size_t len)
{
  struct net_checks c = {NET_UNCHECKED, NET_UNCHECKED};
  const uint8_t *ip = frame + ETHERNET;
  if (len < ETHERNET + IP_HEADER || net_get16(frame + 12) != NET_IPV4 || ip[0] >> 4 != 4)
    return c;
  uint32_t header = (ip[0] & 15u) * 4, total = net_get16(ip + 2), protocol = ip[9];
  if (header < IP_HEADER || total < header || total > len - ETHERNET)
    return c;
  c.ip = whether(net_sum(ip, header));
  uint32_t n = total - header, least = protocol == NET_TCP ? 20 : 8;
  const uint8_t *transport = ip + header;
  if ((protocol != NET_TCP && protocol != NET_UDP) || n < least || (net_get16(ip + 6) & 0x3fff))
    return c;
  if (protocol == NET_UDP && net_get16(transport + 6) == 0) // none was made
    return c;
  c.transport = whether(net_fold((uint64_t)net_sum(transport, n) + net_pseudo(ip, n)));
  return c;
}
