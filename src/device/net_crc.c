// The checksum of Ethernet frames; see net_crc.h.
#include "device/net_crc.h"

#include <string.h>

#define POLYNOMIAL UINT32_C(0xedb88320) // its bits reversed, as they are sent

void net_crc_init(struct net_crc *c)
{
  for (uint32_t v = 0; v < 256; v++) {
    uint32_t sum = v;
    for (unsigned bit = 0; bit < 8; bit++)
      sum = sum >> 1 ^ (sum & 1 ? POLYNOMIAL : 0);
    c->table[0][v] = sum;
  }
  for (unsigned k = 1; k < 8; k++)
    for (unsigned v = 0; v < 256; v++)
      c->table[k][v] = c->table[k - 1][v] >> 8 ^ c->table[0][c->table[k - 1][v] & 0xff];
}

uint32_t net_crc(const struct net_crc *c, const uint8_t *p, size_t len)
{
  uint32_t sum = UINT32_MAX;
  for (; len >= 8; len -= 8, p += 8) {
    uint64_t v;
    memcpy(&v, p, 8);
    v ^= sum;
    sum = 0;
    for (unsigned k = 0; k < 8; k++)
      sum ^= c->table[7 - k][v >> 8 * k & 0xff];
  }
  for (; len; len--, p++)
    sum = sum >> 8 ^ c->table[0][(sum ^ *p) & 0xff];
  return ~sum;
}
