// Joining: TCP frames of one connection that follow each other, as one packet, for adapters whose drivers
// take that (large receive).
//
// Only what loses nothing is joined: plain IPv4 and TCP without gaps, headers alike but for sequence, number
// and checksums, all of which are right; each frame but the last as long as the first. Cut again at that
// length, the packet is what came.
#ifndef DEVICE_NET_MERGE_H
#define DEVICE_NET_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net_merge {
  const uint8_t *first;
  uint32_t first_len;
  uint32_t header, segment; // bytes of headers, payload of a frame
  uint32_t len, most;       // of the packet
  uint32_t count;           // of frames
  bool push, ended;
};

// False: nothing can be joined to this frame. It must stay where it is.
bool net_merge_begin(struct net_merge *m, const uint8_t *frame, size_t len, uint32_t most);
// Whether the next frame joins; nothing is copied.
bool net_merge_add(struct net_merge *m, const uint8_t *frame, size_t len);
// The headers of the packet, to which the payloads were appended in `data`. The field of TCP's checksum holds
// the sum of the pseudo header.
void net_merge_finish(const struct net_merge *m, uint8_t *data);

#endif
