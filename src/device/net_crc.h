// The checksum of Ethernet frames (IEEE 802.3, 3.2.9), eight bytes at a time.
#ifndef DEVICE_NET_CRC_H
#define DEVICE_NET_CRC_H

#include <stddef.h>
#include <stdint.h>

// table[k][v]: what byte v does to the sum, k bytes later.
struct net_crc {
  uint32_t table[8][256];
};

void net_crc_init(struct net_crc *c);
// Its bytes are sent lowest first.
uint32_t net_crc(const struct net_crc *c, const uint8_t *p, size_t len);

#endif
