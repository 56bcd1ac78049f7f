// Segmentation: a packet longer than a frame, and how the adapter's driver wants it cut.
//
// Where headers and checksums lie is the driver's word. Nothing outside of the packet is touched, whatever it
// says; the segments of a packet that is described wrongly are as wrong as a chip's would be.
#ifndef DEVICE_NET_TSO_H
#define DEVICE_NET_TSO_H

#include <stdbool.h>
#include <stdint.h>

struct net_tso {
  uint32_t header;                  // bytes that each segment begins with
  uint32_t mss;                     // payload of each, but for the last
  uint32_t ip, transport;           // where their headers begin
  uint32_t ip_sum, transport_sum;   // where their checksums are put; TCP's and UDP's field holds the sum of
                                    // the pseudo header without the length
  uint32_t ip_last, transport_last; // last byte that they cover, 0 for that of the segment
  bool sum_ip, sum_transport;       // whether they are made at all
  bool v4, tcp;                     // otherwise IPv6, UDP
  bool ecn;                         // CWR in the first segment alone
  // How far it has come:
  uint32_t cut; // payload
  uint16_t n;   // segments
};

// Segments that Ethernet carries come out.
bool net_tso_sane(const struct net_tso *t, uint32_t len);
// Makes the next segment in `frame`, of NET_FRAME_MAX bytes. Returns its length; 0: there are no more.
uint32_t net_tso_next(struct net_tso *t, const uint8_t *packet, uint32_t len, uint8_t *frame);
uint32_t net_tso_count(const struct net_tso *t, uint32_t len);
// Makes a single large packet of it, if it is plain TCP in IPv4 of at most NET_LARGE_MAX bytes, rightly
// described. False: it is not, and is unchanged.
bool net_tso_whole(const struct net_tso *t, uint8_t *packet, uint32_t len);

#endif
