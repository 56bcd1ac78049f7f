// Internet checksums (RFC 1071), for adapters that make them or check them for their drivers.
#ifndef DEVICE_NET_SUM_H
#define DEVICE_NET_SUM_H

#include <stddef.h>
#include <stdint.h>

enum net_check { NET_UNCHECKED, NET_GOOD, NET_BAD };

struct net_checks {
  enum net_check ip;        // the header of IPv4
  enum net_check transport; // TCP or UDP in IPv4
};

// The sum of the bytes as 16-bit numbers, highest byte first, an odd one filled up with zero; folded.
uint32_t net_sum(const uint8_t *p, size_t len);
// What an Ethernet frame says of itself. Fragments, tags and other protocols are not looked into.
struct net_checks net_check(const uint8_t *frame, size_t len);

#endif
