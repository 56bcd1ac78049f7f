// Joining frames; see net_merge.h.
#include "device/net_merge.h"

#include <string.h>

#include "device/net.h"
#include "device/net_sum.h"

enum { IP = NET_FRAME_MIN, TCP = IP + 20, PSH = 8, ACK = 0x10 };

// Length of the headers of a frame with TCP payload and no flags but ACK and PSH; 0: it is something else.
static uint32_t headers(const uint8_t *f, size_t len)
{
  if (len < TCP + 20 || net_get16(f + 12) != NET_IPV4 || f[IP] != 0x45 || (net_get16(f + IP + 6) & 0x3fff) ||
      f[IP + 9] != NET_TCP || net_get16(f + IP + 2) != len - IP)
    return 0;
  uint32_t header = TCP + (f[TCP + 12] >> 4) * 4u;
  bool data = (f[TCP + 13] & ~PSH) == ACK && !(f[TCP + 12] & 15) && header >= TCP + 20 && header < len;
  return data ? header : 0;
}

static bool right(const uint8_t *f, size_t len)
{
  struct net_checks c = net_check(f, len);
  return c.ip == NET_GOOD && c.transport == NET_GOOD;
}

// Everything but length, number, checksums, sequence and PSH.
static bool alike(const uint8_t *a, const uint8_t *b, uint32_t header)
{
  return !memcmp(a, b, IP + 2) && !memcmp(a + IP + 6, b + IP + 6, 4) && // addresses, type; fragments, life
         !memcmp(a + IP + 12, b + IP + 12, 8 + 4) &&                    // addresses, ports
         !memcmp(a + TCP + 8, b + TCP + 8, 5) && !memcmp(a + TCP + 14, b + TCP + 14, 2) && // ack, window
         !memcmp(a + TCP + 18, b + TCP + 18, header - TCP - 18);
}

bool net_merge_begin(struct net_merge *m, const uint8_t *frame, size_t len, uint32_t most)
{
  uint32_t header = headers(frame, len);
  if (!header || (frame[TCP + 13] & PSH))
    return false;
  *m = (struct net_merge){.first = frame,
                          .first_len = (uint32_t)len,
                          .header = header,
                          .segment = (uint32_t)len - header,
                          .len = (uint32_t)len,
                          .most = most < NET_LARGE_MAX ? most : NET_LARGE_MAX,
                          .count = 1};
  return true;
}

bool net_merge_add(struct net_merge *m, const uint8_t *frame, size_t len)
{
  if (m->ended || headers(frame, len) != m->header || !alike(m->first, frame, m->header))
    return false;
  uint32_t part = (uint32_t)len - m->header;
  if (part > m->segment || part > m->most - m->len ||
      net_get32(frame + TCP + 4) != (uint32_t)(net_get32(m->first + TCP + 4) + m->len - m->header))
    return false;
  if ((m->count == 1 && !right(m->first, m->first_len)) || !right(frame, len))
    return false;
  m->push = frame[TCP + 13] & PSH;
  m->ended = m->push || part < m->segment;
  m->len += part;
  m->count++;
  return true;
}

void net_merge_finish(const struct net_merge *m, uint8_t *data)
{
  net_put16(data + IP + 2, m->len - IP);
  net_put16(data + IP + 10, 0);
  net_sum_insert(data, m->len, IP, IP + 10, TCP - 1);
  data[TCP + 13] |= m->push ? PSH : 0;
  net_put16(data + TCP + 16, net_pseudo(data + IP, m->len - TCP));
}
