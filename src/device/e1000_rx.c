// Receiving (3.2): filters, and the ring of receive descriptors; see e1000.h.
//
// A frame is taken only if the ring has room for it, so that it waits in the network's queue otherwise. The
// four bytes of its checksum are made here; those of IP, TCP and UDP are checked where RXCSUM asks for it
// (13.4.39).
#include <string.h>

#include "device/e1000_int.h"
#include "device/net_sum.h"

enum { RX_DD = 1, RX_EOP = 2, RX_IXSM = 4, RX_TCPCS = 0x20, RX_IPCS = 0x40 }; // status
enum { RX_TCPE = 0x20, RX_IPE = 0x40 };                                       // errors
enum { RXCSUM_IPOFL = 0x100, RXCSUM_TUOFL = 0x200 };
enum { CRC = 4, MIN_FRAME = 60, TAG = 0x8100 };

static uint32_t buffer_size(const struct e1000 *d)
{
  uint32_t rctl = e1000_get(d, R_RCTL), n = 2048u >> (rctl >> 16 & 3);
  return rctl & RCTL_BSEX && n < 2048 ? n * 16 : n;
}

static uint32_t room(const struct e1000_ring *r)
{
  return (r->tail + r->entries - r->head) % r->entries;
}

static bool running(void *arg)
{
  const struct e1000 *d = arg;
  return e1000_get(d, R_RCTL) & RCTL_EN;
}

static bool can_receive(void *arg)
{
  const struct e1000 *d = arg;
  struct e1000_ring r;
  uint32_t most = NET_FRAME_MAX + CRC, size = buffer_size(d);
  return running(arg) && !d->rx_broken && e1000_ring(d, R_RDBAL, &r) && room(&r) >= (most + size - 1) / size;
}

// 13.5.1: exact addresses, the hash of multicast addresses, VLANs.
static bool wanted(const struct e1000 *d, const uint8_t *f)
{
  static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  uint32_t rctl = e1000_get(d, R_RCTL);
  if ((rctl & RCTL_VFE) && (f[12] << 8 | f[13]) == TAG) {
    unsigned vlan = (f[14] << 8 | f[15]) & 0xfff;
    if (!(e1000_get(d, R_VFTA + vlan / 32 * 4) >> vlan % 32 & 1))
      return false;
  }
  if (rctl & (f[0] & 1 ? RCTL_MPE : RCTL_UPE))
    return true;
  if ((rctl & RCTL_BAM) && !memcmp(f, broadcast, 6))
    return true;
  for (unsigned i = 0; i < 16; i++) {
    uint32_t low = e1000_get(d, R_RAL + 8 * i), high = e1000_get(d, R_RAL + 8 * i + 4);
    if ((high >> 31) && !memcmp(f, &low, 4) && f[4] == (high & 0xff) && f[5] == (high >> 8 & 0xff))
      return true;
  }
  if (!(f[0] & 1))
    return false;
  static const uint8_t shift[4] = {4, 3, 2, 0};
  unsigned hash = (f[5] << 8 | f[4]) >> shift[rctl >> 12 & 3] & 0xfff;
  return e1000_get(d, R_MTA + hash / 32 * 4) >> hash % 32 & 1;
}

// What the descriptor says of the checksums of a packet.
struct verdict {
  uint8_t status, errors;
};

static struct verdict verdict(const struct e1000 *d, const uint8_t *frame, uint32_t len)
{
  struct verdict v = {RX_IXSM, 0};
  uint32_t asked = e1000_get(d, R_RXCSUM);
  if (!(asked & (RXCSUM_IPOFL | RXCSUM_TUOFL)))
    return v;
  struct net_checks c = net_check(frame, len);
  bool ip = (asked & RXCSUM_IPOFL) && c.ip, transport = (asked & RXCSUM_TUOFL) && c.transport;
  if (ip || transport)
    v.status = (ip ? RX_IPCS : 0) | (transport ? RX_TCPCS : 0);
  v.errors = (ip && c.ip == NET_BAD ? RX_IPE : 0) | (transport && c.transport == NET_BAD ? RX_TCPE : 0);
  return v;
}

static bool store(struct e1000 *d, struct e1000_ring *r, const uint8_t *p, uint32_t len, struct verdict v)
{
  uint32_t size = buffer_size(d);
  while (len) {
    uint32_t n = len < size ? len : size;
    uint64_t at = r->base + 16u * r->head;
    struct {
      uint64_t addr;
      uint16_t len, sum;
      uint8_t status, errors;
      uint16_t special;
    } desc;
    _Static_assert(sizeof desc == 16, "receive descriptor");
    if (!e1000_read_mem(d, at, &desc, sizeof desc) || (desc.addr && !e1000_write_mem(d, desc.addr, p, n)))
      return false;
    p += n;
    len -= n;
    desc.len = (uint16_t)n;
    desc.sum = desc.special = 0;
    desc.errors = len ? 0 : v.errors;
    desc.status = RX_DD | (len ? RX_IXSM : v.status | RX_EOP);
    if (!e1000_write_mem(d, at + 8, &desc.len, 8))
      return false;
    r->head = (r->head + 1) % r->entries;
  }
  return true;
}

static void receive(void *arg, const uint8_t *frame, size_t len)
{
  struct e1000 *d = arg;
  struct e1000_ring r;
  uint8_t data[NET_FRAME_MAX + CRC];
  e1000_count(d, R_TPR, 1);
  if (!wanted(d, frame) || !e1000_ring(d, R_RDBAL, &r))
    return;
  uint32_t n = len < MIN_FRAME ? MIN_FRAME : (uint32_t)len;
  memcpy(data, frame, len);
  memset(data + len, 0, n - len);
  if (!(e1000_get(d, R_RCTL) & RCTL_SECRC)) {
    uint32_t crc = net_crc(&d->crc, data, n);
    memcpy(data + n, &crc, CRC);
    n += CRC;
  }
  if (!store(d, &r, data, n, verdict(d, frame, (uint32_t)len))) {
    d->rx_broken = true; // the ring stands still
    return;
  }
  *e1000_reg(d, R_RDH) = r.head;
  e1000_count(d, R_GPRC, 1);
  e1000_count(d, R_GORCL, n);
  if (frame[0] & 1)
    e1000_count(d, frame[1] == 0xff ? R_BPRC : R_MPRC, 1);
  uint32_t few = r.entries >> (1 + (e1000_get(d, R_RCTL) >> 8 & 3));
  e1000_cause(d, ICR_RXT0 | (room(&r) <= few ? ICR_RXDMT0 : 0));
}

static void sent(void *arg)
{
  struct e1000 *d = arg;
  d->tx.waits = false;
  e1000_tx_start(d);
}

const struct net_user e1000_net = {running, can_receive, receive, sent, NULL};

void e1000_rx_fire(void *arg)
{
  struct e1000 *d = arg;
  netdev_kick(d->net);
}
