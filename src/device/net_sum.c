// Internet checksums; see net_sum.h.
#include "device/net_sum.h"

#include <string.h>

enum { ETHERNET = 14, IPV4 = 0x0800, IP_HEADER = 20, TCP = 6, UDP = 17 };

static uint32_t get16(const uint8_t *p)
{
  return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t fold(uint64_t sum)
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
  uint32_t s = fold(sum);
  return (s << 8 | s >> 8) & 0xffff;
}

static enum net_check whether(uint32_t sum)
{
  return sum == 0xffff ? NET_GOOD : NET_BAD;
}

struct net_checks net_check(const uint8_t *frame, size_t len)
{
  struct net_checks c = {NET_UNCHECKED, NET_UNCHECKED};
  const uint8_t *ip = frame + ETHERNET;
  if (len < ETHERNET + IP_HEADER || get16(frame + 12) != IPV4 || ip[0] >> 4 != 4)
    return c;
  uint32_t header = (ip[0] & 15u) * 4, total = get16(ip + 2), protocol = ip[9];
  if (header < IP_HEADER || total < header || total > len - ETHERNET)
    return c;
  c.ip = whether(net_sum(ip, header));
  uint32_t n = total - header, least = protocol == TCP ? 20 : 8;
  const uint8_t *transport = ip + header;
  if ((protocol != TCP && protocol != UDP) || n < least || (get16(ip + 6) & 0x3fff))
    return c;
  if (protocol == UDP && get16(transport + 6) == 0) // none was made
    return c;
  // The pseudo header: addresses, protocol, length.
  c.transport = whether(fold((uint64_t)net_sum(transport, n) + net_sum(ip + 12, 8) + protocol + n));
  return c;
}
