// Internet checksums (RFC 1071), for adapters that make them or check them for their drivers.
#ifndef DEVICE_NET_SUM_H
#define DEVICE_NET_SUM_H

#include <stddef.h>
#include <stdint.h>

enum { NET_IPV4 = 0x0800, NET_IPV6 = 0x86dd, NET_VLAN = 0x8100, NET_TCP = 6, NET_UDP = 17 };

enum net_check { NET_UNCHECKED, NET_GOOD, NET_BAD };

struct net_checks {
  enum net_check ip;        // the header of IPv4
  enum net_check transport; // TCP or UDP in IPv4
};

// Fields of headers: highest byte first.
static inline uint32_t net_get16(const uint8_t *p)
{
  return (uint32_t)p[0] << 8 | p[1];
}
static inline void net_put16(uint8_t *p, uint32_t v)
{
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}
static inline uint32_t net_get32(const uint8_t *p)
{
  return net_get16(p) << 16 | net_get16(p + 2);
}
static inline void net_put32(uint8_t *p, uint32_t v)
{
  net_put16(p, v >> 16);
  net_put16(p + 2, v);
}

// The sum of the bytes as 16-bit numbers, highest byte first, an odd one filled up with zero; folded.
uint32_t net_sum(const uint8_t *p, size_t len);
// Adds up what several sums make.
uint32_t net_fold(uint64_t sum);
// The sum of TCP's or UDP's pseudo header: addresses, protocol, length of header and payload (IPv4).
uint32_t net_pseudo(const uint8_t *ip, uint32_t len);
// Stores at `at` the checksum of the bytes from `first` to `last` (0: to the end), if they lie in the packet.
void net_sum_insert(uint8_t *p, uint32_t len, uint32_t first, uint32_t at, uint32_t last);
// What an Ethernet frame says of itself. Fragments, tags and other protocols are not looked into.
struct net_checks net_check(const uint8_t *frame, size_t len);

#endif
