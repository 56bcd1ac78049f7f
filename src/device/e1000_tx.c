// Transmitting (3.3 to 3.5): the ring of transmit descriptors, checksums, cutting long packets into segments;
// see e1000.h.
//
// A packet is gathered whole, then sent: as one frame, or cut into segments of MSS bytes (net_tso.h), or
// whole to a network that takes it. A bounded amount of work is done in one event.
#include <string.h>

#include "device/e1000_int.h"
#include "device/net_sum.h"

#define DELAY_NS 2000u

enum { DESC_PER_EVENT = 64, FRAMES_PER_EVENT = 64, MIN_FRAME = 60 };
enum { CMD_EOP = 1, CMD_IC = 4, CMD_TSE = 4, CMD_RS = 8, CMD_DEXT = 0x20 };
enum { TUCMD_TCP = 1, TUCMD_IP = 2 };
enum { POPTS_IXSM = 1, POPTS_TXSM = 2 };
enum { TX_DD = 1 };

struct desc {
  uint64_t addr;
  uint32_t command; // length 19:0, type 23:20, command 31:24; of a legacy one: length 15:0, CSO 23:16
  uint32_t status;  // status 7:0, POPTS 15:8; of a legacy one: CSS 15:8
};
_Static_assert(sizeof(struct desc) == 16, "transmit descriptor");

static void count(struct e1000 *d, uint32_t frames, uint32_t bytes)
{
  e1000_count(d, R_TPT, frames);
  e1000_count(d, R_GPTC, frames);
  e1000_count(d, R_GOTCL, bytes);
}

static void send(struct e1000 *d, const uint8_t *p, uint32_t len)
{
  count(d, 1, len);
  netdev_send(d->net, p, len);
}

static void insert_sums(const struct e1000_tx *t, uint8_t *p, uint32_t len)
{
  const struct e1000_context *c = &t->context;
  if (t->extended) {
    if (t->popts & POPTS_TXSM)
      net_sum_insert(p, len, c->tucss, c->tucso, c->tucse);
    if (t->popts & POPTS_IXSM)
      net_sum_insert(p, len, c->ipcss, c->ipcso, c->ipcse);
  } else if (t->insert) {
    net_sum_insert(p, len, t->css, t->cso, 0);
  }
}

// ---- segments (3.5) ------------------------------------------------------------------------------------

static void describe(struct e1000_tx *t)
{
  const struct e1000_context *c = &t->context;
  t->tso = (struct net_tso){.header = c->hdrlen,
                            .mss = c->mss,
                            .ip = c->ipcss,
                            .transport = c->tucss,
                            .ip_sum = c->ipcso,
                            .transport_sum = c->tucso,
                            .ip_last = c->ipcse,
                            .transport_last = c->tucse,
                            .sum_ip = t->popts & POPTS_IXSM,
                            .sum_transport = t->popts & POPTS_TXSM,
                            .v4 = c->tucmd & TUCMD_IP,
                            .tcp = c->tucmd & TUCMD_TCP};
}

// Sends the next segment. False: there was none.
static bool cut_one(struct e1000 *d)
{
  struct e1000_tx *t = &d->tx;
  uint8_t frame[NET_FRAME_MAX];
  uint32_t n = net_tso_next(&t->tso, t->packet, t->len, frame);
  if (n)
    send(d, frame, n);
  return n != 0;
}

static void next_packet(struct e1000_tx *t)
{
  t->len = 0;
  t->extended = t->segment = t->too_long = t->insert = t->cutting = false;
}

// A packet that is to be cut. A network that takes it whole is spared the work; the driver sees no
// difference.
static void long_packet(struct e1000 *d)
{
  struct e1000_tx *t = &d->tx;
  describe(t);
  if (!net_tso_sane(&t->tso, t->len)) {
    next_packet(t);
  } else if (netdev_takes_large(d->net) && net_tso_whole(&t->tso, t->packet, t->len)) {
    uint32_t frames = net_tso_count(&t->tso, t->len);
    count(d, frames, t->len + (frames - 1) * t->tso.header);
    netdev_send_large(d->net, t->packet, t->len);
    next_packet(t);
  } else {
    t->cutting = true;
  }
}

// All of a packet is there.
static void packet(struct e1000 *d)
{
  struct e1000_tx *t = &d->tx;
  if (!t->too_long && t->segment) {
    long_packet(d);
    return;
  }
  if (!t->too_long && t->len >= NET_FRAME_MIN && t->len <= NET_FRAME_MAX) {
    if (t->len < MIN_FRAME) {
      memset(t->packet + t->len, 0, MIN_FRAME - t->len);
      t->len = MIN_FRAME;
    }
    insert_sums(t, t->packet, t->len);
    send(d, t->packet, t->len);
  }
  next_packet(t);
}

// ---- descriptors ---------------------------------------------------------------------------------------

static void context(struct e1000 *d, const struct desc *s)
{
  uint32_t ip = (uint32_t)s->addr, tu = (uint32_t)(s->addr >> 32);
  d->tx.context = (struct e1000_context){.ipcss = (uint8_t)ip,
                                         .ipcso = (uint8_t)(ip >> 8),
                                         .ipcse = (uint16_t)(ip >> 16),
                                         .tucss = (uint8_t)tu,
                                         .tucso = (uint8_t)(tu >> 8),
                                         .tucse = (uint16_t)(tu >> 16),
                                         .tucmd = (uint8_t)(s->command >> 24),
                                         .hdrlen = (uint8_t)(s->status >> 8),
                                         .mss = (uint16_t)(s->status >> 16)};
}

static bool gather(struct e1000 *d, uint64_t addr, uint32_t len)
{
  struct e1000_tx *t = &d->tx;
  if (len > E1000_PACKET - t->len) {
    t->too_long = true;
    return true;
  }
  if (len && !e1000_read_mem(d, addr, t->packet + t->len, len))
    return false;
  t->len += len;
  return true;
}

// False: memory was refused.
static bool data(struct e1000 *d, const struct desc *s)
{
  struct e1000_tx *t = &d->tx;
  uint8_t cmd = (uint8_t)(s->command >> 24);
  if (cmd & CMD_DEXT) {
    if (t->len == 0) { // the first one says what is to be done
      t->extended = true;
      t->popts = (uint8_t)(s->status >> 8);
      t->segment = cmd & CMD_TSE;
    }
    if (!gather(d, s->addr, s->command & 0xfffff))
      return false;
  } else {
    if (!gather(d, s->addr, s->command & 0xffff))
      return false;
    if (cmd & CMD_IC) {
      t->insert = true;
      t->cso = (uint8_t)(s->command >> 16);
      t->css = (uint8_t)(s->status >> 8);
    }
  }
  if (cmd & CMD_EOP)
    packet(d);
  return true;
}

// Takes one descriptor. False: there is none, or the ring has come to a stop.
static bool take(struct e1000 *d, uint32_t *cause)
{
  struct e1000_ring r;
  struct desc s;
  if (!e1000_ring(d, R_TDBAL, &r) || r.head == r.tail)
    return false;
  uint64_t at = r.base + 16u * r.head;
  bool ok = e1000_read_mem(d, at, &s, sizeof s);
  uint8_t cmd = (uint8_t)(s.command >> 24);
  if (ok && (cmd & CMD_DEXT) && !(s.command & 0xf00000))
    context(d, &s);
  else
    ok = ok && data(d, &s);
  if (ok && (cmd & CMD_RS)) {
    uint8_t status = (uint8_t)(s.status | TX_DD);
    ok = e1000_write_mem(d, at + 12, &status, 1);
    *cause |= ICR_TXDW;
  }
  if (!ok) {
    d->tx.broken = true;
    return false;
  }
  r.head = (r.head + 1) % r.entries;
  *e1000_reg(d, R_TDH) = r.head;
  if (r.head == r.tail)
    *cause |= ICR_TXQE;
  return true;
}

void e1000_tx_fire(void *arg)
{
  struct e1000 *d = arg;
  struct e1000_tx *t = &d->tx;
  uint32_t cause = 0;
  bool more = true;
  for (unsigned descs = 0, frames = 0; more && descs < DESC_PER_EVENT && frames < FRAMES_PER_EVENT;) {
    if (!(e1000_get(d, R_TCTL) & TCTL_EN) || t->broken) {
      more = false;
    } else if (!netdev_can_send(d->net)) {
      t->waits = true;
      more = false;
    } else if (t->cutting) {
      if (!cut_one(d))
        next_packet(t);
      frames++;
    } else {
      more = take(d, &cause);
      descs++;
    }
  }
  if (cause)
    e1000_cause(d, cause);
  if (more)
    timer_set(&t->timer, clock_now(t->timer.clock) + DELAY_NS);
}

void e1000_tx_start(struct e1000 *d)
{
  struct e1000_tx *t = &d->tx;
  if ((e1000_get(d, R_TCTL) & TCTL_EN) && !t->waits && !timer_armed(&t->timer))
    timer_set(&t->timer, clock_now(t->timer.clock) + DELAY_NS);
}

void e1000_tx_reset(struct e1000 *d)
{
  timer_cancel(&d->tx.timer);
  next_packet(&d->tx);
  d->tx.context = (struct e1000_context){0};
  d->tx.waits = d->tx.broken = false;
}
