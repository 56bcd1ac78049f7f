// e1000: EEPROM, PHY, rings in both directions, checksums, segments, filters, refused memory.
#include "netbed.h"

#include <stdlib.h>

#include "device/e1000.h"

enum { BAR = 0xe0000000, PORTS = 0xd000, TXRING = 0x10000, RXRING = 0x20000, BUF = 0x40000, RXBUF = 0x80000 };
enum {
  CTRL = 0,
  EECD = 0x10,
  EERD = 0x14,
  MDIC = 0x20,
  ICR = 0xc0,
  ITR = 0xc4,
  ICS = 0xc8,
  IMS = 0xd0,
  IMC = 0xd8
};
enum { RCTL = 0x100, TCTL = 0x400, RD = 0x2800, TD = 0x3800, MTA = 0x5200 }; // rings: + 0, 8, 10h, 18h
enum { EOP = 1, RS = 8, DEXT = 0x20, TSE = 4, TXDW = 1, TXQE = 2, LSC = 4, RXT0 = 0x80 };
#define NOWHERE UINT64_C(0x100000000000)

struct fixture {
  struct bed bed;
  struct netbed nb;
  struct device *dev;
  struct e1000 *d;
  unsigned tail;
};

static uint32_t get(struct fixture *f, unsigned reg)
{
  return (uint32_t)bed_read(&f->bed, BAR + reg, 4);
}

static void set(struct fixture *f, unsigned reg, uint32_t v)
{
  bed_write(&f->bed, BAR + reg, 4, v);
}

static void rings(struct fixture *f)
{
  set(f, TD, TXRING);
  set(f, TD + 8, 16 * 16);
  set(f, TCTL, 0xa);
  set(f, RD, RXRING);
  set(f, RD + 8, 16 * 16);
  for (unsigned i = 0; i < 16; i++) {
    uint64_t desc[2] = {RXBUF + 0x1000 * i, 0};
    memcpy(bed_mem(&f->bed, RXRING + 16 * i), desc, 16);
  }
  set(f, RCTL, 0x8002); // 2048 bytes a buffer, broadcasts
  set(f, RD + 0x18, 15);
  set(f, IMS, 0xffff);
  f->tail = 0;
}

static void start(struct fixture *f)
{
  struct err e;
  memset(f, 0, sizeof *f);
  bed_init(&f->bed, 4 << 20);
  netbed_init(&f->nb, &f->bed);
  f->dev = e1000_device(&f->bed.env, bed_opts("x,netdev=n0,mac=52:54:00:01:02:03"), &e);
  assert_non_null(f->dev);
  f->d = f->dev->self;
  bed_config_write(&f->bed, &f->d->pci, 0x10, 4, BAR);
  bed_config_write(&f->bed, &f->d->pci, 0x18, 4, PORTS);
  bed_config_write(&f->bed, &f->d->pci, PCI_COMMAND, 2, 7);
  rings(f);
}

static void stop(struct fixture *f)
{
  device_free(f->dev);
  netdevs_free(&f->nb.set);
  bed_free(&f->bed);
}

static void desc(struct fixture *f, uint64_t addr, uint32_t command, uint32_t status)
{
  uint8_t *p = bed_mem(&f->bed, TXRING + 16 * f->tail);
  memcpy(p, &addr, 8);
  memcpy(p + 8, &command, 4);
  memcpy(p + 12, &status, 4);
  f->tail = (f->tail + 1) % 16;
}

static void go(struct fixture *f)
{
  set(f, TD + 0x18, f->tail);
  for (unsigned i = 0; i < 20; i++) {
    bed_run(&f->bed, 10000000);
    netbed_look(&f->nb);
  }
}

static void feed(struct fixture *f, const char *to, unsigned len)
{
  uint8_t frame[NET_FRAME_MAX];
  for (unsigned i = 0; i < len; i++)
    frame[i] = (uint8_t)i;
  memcpy(frame, to, 6);
  netdev_feed(f->nb.net, frame, len);
  netbed_look(&f->nb);
}

#define ME        "\x52\x54\x00\x01\x02\x03"
#define OTHER     "\x52\x54\x00\x01\x02\x04"
#define BROADCAST "\xff\xff\xff\xff\xff\xff"

static unsigned eeprom_bit(struct fixture *f, unsigned in)
{
  uint32_t v = 0x42 | in << 2; // CS, REQ
  set(f, EECD, v);
  set(f, EECD, v | 1);
  unsigned out = get(f, EECD) >> 3 & 1;
  set(f, EECD, v);
  return out;
}

static uint16_t eeprom_word(struct fixture *f, unsigned n)
{
  unsigned v = 0;
  set(f, EECD, 0x40);
  for (int i = 8; i >= 0; i--)
    eeprom_bit(f, (6u << 6 | n) >> i & 1);
  for (unsigned i = 0; i < 16; i++)
    v = v << 1 | eeprom_bit(f, 0);
  set(f, EECD, 0x40);
  return (uint16_t)v;
}

static void the_eeprom_is_read_bit_by_bit_or_by_word(void **state)
{
  struct fixture f;
  uint16_t sum = 0;
  start(&f);
  assert_int_equal(get(&f, EECD) & 0x180, 0x100);
  set(&f, EECD, 0x40);
  assert_int_equal(get(&f, EECD) & 0x80, 0x80); // granted
  for (unsigned i = 0; i < 64; i++) {
    uint16_t w = eeprom_word(&f, i);
    set(&f, EERD, i << 8 | 1);
    assert_int_equal(get(&f, EERD), (uint32_t)w << 16 | i << 8 | 0x10);
    sum = (uint16_t)(sum + w);
  }
  assert_int_equal(sum, 0xbaba);
  assert_int_equal(eeprom_word(&f, 0), 0x5452);
  assert_int_equal(eeprom_word(&f, 2), 0x0302);
  set(&f, EERD, 0x4001); // beyond its end
  assert_int_equal(get(&f, EERD) >> 16, 0xffff);
  stop(&f);
}

static void the_phy_answers_at_its_address(void **state)
{
  struct fixture f;
  start(&f);
  set(&f, MDIC, 2u << 26 | 1 << 21 | 2 << 16);
  assert_int_equal(get(&f, MDIC) & 0xf000ffff, 0x10000141);
  set(&f, MDIC, 2u << 26 | 1 << 21 | 1 << 16);
  assert_int_equal(get(&f, MDIC) & 0x24, 0x24); // link, negotiation complete
  set(&f, MDIC, 1u << 26 | 1 << 21 | 4 << 16 | 0x1234);
  set(&f, MDIC, 2u << 26 | 1 << 21 | 4 << 16);
  assert_int_equal(get(&f, MDIC) & 0xffff, 0x1234);
  set(&f, MDIC, 2u << 26 | 3 << 21 | 2 << 16);
  assert_int_equal(get(&f, MDIC) >> 30 & 1, 1); // an error: nobody there
  get(&f, ICR);
  set(&f, MDIC, 1u << 26 | 1 << 21 | 0x1200); // negotiate again
  assert_int_equal(get(&f, ICR) & LSC, LSC);
  stop(&f);
}

static void sends_a_frame_and_tells(void **state)
{
  struct fixture f;
  start(&f);
  memset(bed_mem(&f.bed, BUF), 0x3c, 200);
  get(&f, ICR);
  desc(&f, BUF, 100, 0);
  desc(&f, BUF + 100, 20 | (uint32_t)(EOP | RS) << 24, 0);
  go(&f);
  assert_int_equal(f.nb.frames, 1);
  assert_int_equal(f.nb.last_len, 120);
  assert_int_equal(get(&f, TD + 0x10), 2);
  assert_int_equal(*bed_mem(&f.bed, TXRING + 12), 0);
  assert_int_equal(*bed_mem(&f.bed, TXRING + 16 + 12), 1);
  assert_int_equal(f.bed.level[8 + 3], 1);
  assert_int_equal(get(&f, ICR), TXDW | TXQE);
  assert_int_equal(f.bed.level[8 + 3], 0);
  assert_int_equal(get(&f, 0x4080), 1); // good packets, cleared by reading
  assert_int_equal(get(&f, 0x4080), 0);
  stop(&f);
}

static void short_frames_are_padded_and_long_ones_lost(void **state)
{
  struct fixture f;
  start(&f);
  desc(&f, BUF, 20 | (uint32_t)EOP << 24, 0);
  go(&f);
  assert_int_equal(f.nb.last_len, 60);
  for (unsigned i = 0; i < 3; i++)
    desc(&f, BUF, 0xffff, 0);
  desc(&f, BUF, 100 | (uint32_t)EOP << 24, 0);
  go(&f);
  assert_int_equal(f.nb.frames, 1);
  desc(&f, BUF, 61 | (uint32_t)EOP << 24, 0);
  go(&f);
  assert_int_equal(f.nb.frames, 2);
  assert_int_equal(f.nb.last_len, 61);
  stop(&f);
}

static uint32_t sum16(const uint8_t *p, unsigned n, uint32_t s)
{
  for (unsigned i = 0; i < n; i++)
    s += (uint32_t)p[i] << (i & 1 ? 0 : 8);
  while (s >> 16)
    s = (s & 0xffff) + (s >> 16);
  return s;
}

// Ethernet, IP, TCP headers at BUF, `payload` bytes behind; the TCP checksum holds the pseudo header's sum.
static void tcp(struct fixture *f, unsigned payload, unsigned pseudo_len)
{
  uint8_t *p = bed_mem(&f->bed, BUF);
  static const uint8_t head[54] = {0x52, 0x55, 10, 0, 2,    2,    0x52, 0x54, 0,  1,  2,    3,    8,  0,
                                   0x45, 0,    0,  0, 0,    7,    0x40, 0,    64, 6,  0,    0,    10, 0,
                                   2,    15,   10, 0, 2,    2,    4,    0,    0,  80, 0xff, 0xf0, 0,  0,
                                   0,    0,    0,  0, 0x50, 0x19, 0x10, 0,    0,  0,  0,    0};
  memcpy(p, head, sizeof head);
  for (unsigned i = 0; i < payload; i++)
    p[54 + i] = (uint8_t)(i * 3 + (i >> 8));
  p[16] = (uint8_t)((40 + payload) >> 8), p[17] = (uint8_t)(40 + payload);
  uint32_t s = sum16(p + 26, 8, 6 + pseudo_len);
  p[50] = (uint8_t)(s >> 8), p[51] = (uint8_t)s;
}

static void context(struct fixture *f, unsigned tucmd, unsigned hdrlen, unsigned mss)
{
  uint64_t where = 14 | 24u << 8 | 33u << 16 | (uint64_t)(34 | 50u << 8) << 32;
  desc(f, where, (uint32_t)(tucmd | DEXT) << 24, hdrlen << 8 | mss << 16);
}

static void right(const uint8_t *p, unsigned len)
{
  assert_int_equal(sum16(p + 14, 20, 0), 0xffff);
  assert_int_equal(sum16(p + 34, len - 34, sum16(p + 26, 8, 6 + len - 34)), 0xffff);
  assert_int_equal(p[16] << 8 | p[17], len - 14);
}

static void checksums_are_inserted(void **state)
{
  struct fixture f;
  start(&f);
  tcp(&f, 501, 521);
  context(&f, 3, 0, 0);
  desc(&f, BUF, 555 | 1u << 20 | (uint32_t)(EOP | RS | DEXT) << 24, 3u << 8);
  go(&f);
  assert_int_equal(f.nb.frames, 1);
  right(f.nb.last, 555);
  // A legacy descriptor asks for one sum.
  tcp(&f, 100, 120);
  desc(&f, BUF, 154 | 50u << 16 | (uint32_t)(EOP | 4) << 24, 34u << 8);
  go(&f);
  assert_int_equal(sum16(f.nb.last + 34, 120, sum16(f.nb.last + 26, 8, 6 + 120)), 0xffff);
  // Places outside of the packet are left alone.
  desc(&f, BUF, 154 | 255u << 16 | (uint32_t)(EOP | 4) << 24, 254u << 8);
  go(&f);
  assert_int_equal(f.nb.frames, 3);
  stop(&f);
}

static unsigned segments;
static uint32_t next_seq, bytes;

static void on_segment(struct netdev *n, const uint8_t *p, size_t len)
{
  right(p, (unsigned)len);
  assert_int_equal(p[18] << 8 | p[19], 7 + segments); // identification
  uint32_t seq = (uint32_t)p[38] << 24 | (uint32_t)p[39] << 16 | (uint32_t)p[40] << 8 | p[41];
  assert_int_equal(seq, next_seq);
  for (unsigned i = 54; i < len; i++, bytes++)
    assert_int_equal(p[i], (uint8_t)(bytes * 3 + (bytes >> 8)));
  assert_int_equal(p[47], bytes == 5000 ? 0x19 : 0x10); // FIN and PSH in the last
  next_seq += (uint32_t)len - 54;
  segments++;
}

static void long_packets_are_cut_into_segments(void **state)
{
  struct fixture f;
  start(&f);
  segments = bytes = 0;
  next_seq = 0xfff00000;
  struct net_ops ops = *f.nb.net->ops;
  ops.input = on_segment;
  f.nb.net->ops = &ops;
  tcp(&f, 5000, 0);
  context(&f, 3 | TSE, 54, 1448);
  desc(&f, BUF, 3000 | 1u << 20 | (uint32_t)(DEXT | TSE) << 24, 3u << 8);
  desc(&f, BUF + 3000, 2054 | 1u << 20 | (uint32_t)(DEXT | TSE | EOP | RS) << 24, 0);
  go(&f);
  assert_int_equal(segments, 4);
  assert_int_equal(bytes, 5000);
  stop(&f);
}

static void a_network_that_takes_long_packets_gets_them_whole_and_segments_are_counted(void **state)
{
  struct fixture f;
  start(&f);
  f.nb.ops.large = true;
  tcp(&f, 5000, 0);
  context(&f, 3 | TSE, 54, 1448);
  desc(&f, BUF, 5054 | 1u << 20 | (uint32_t)(DEXT | TSE | EOP | RS) << 24, 3u << 8);
  go(&f);
  assert_int_equal(f.nb.frames, 1);
  assert_int_equal(f.nb.last_len, 5054);
  right(f.nb.last, 5054);
  assert_int_equal(f.nb.last[47], 0x19);
  assert_int_equal(get(&f, 0x4080), 4);
  assert_int_equal(get(&f, 0x40d4), 4);
  assert_int_equal(get(&f, 0x4090), 5000 + 4 * 54);
  // What says that it is something else is cut.
  tcp(&f, 5000, 0);
  bed_mem(&f.bed, BUF)[20] = 0x20;
  desc(&f, BUF, 5054 | 1u << 20 | (uint32_t)(DEXT | TSE | EOP | RS) << 24, 3u << 8);
  go(&f);
  assert_int_equal(f.nb.frames, 5);
  assert_int_equal(get(&f, 0x4080), 4);
  assert_int_equal(get(&f, 0x4090), 5000 + 4 * 54);
  stop(&f);
}

static void senseless_segments_are_lost_and_small_ones_take_turns(void **state)
{
  struct fixture f;
  static const unsigned bad[][2] = {{54, 0}, {255, 1448}, {54, 1469}, {0, 1448}, {13, 100}};
  start(&f);
  tcp(&f, 100, 0);
  for (unsigned i = 0; i < 5; i++) {
    context(&f, 3 | TSE, bad[i][0], bad[i][1]);
    desc(&f, BUF, 154 | 1u << 20 | (uint32_t)(DEXT | TSE | EOP) << 24, 3u << 8);
    go(&f);
  }
  assert_int_equal(f.nb.frames, 0);
  context(&f, 3 | TSE, 54, 1);
  desc(&f, BUF, 60000 | 1u << 20 | (uint32_t)(DEXT | TSE | EOP) << 24, 0);
  set(&f, TD + 0x18, f.tail);
  bed_run(&f.bed, 10000000); // nobody looks outside: it waits when the queue is full
  unsigned n = 0;
  for (; f.nb.frames < 60000 - 54 && n < 1000; n++) {
    netbed_look(&f.nb);
    bed_run(&f.bed, 10000000);
  }
  netbed_look(&f.nb);
  assert_int_equal(f.nb.frames, 60000 - 54);
  assert_true(n > 60000 / NET_OUT - 2);
  stop(&f);
}

static void receives_what_is_addressed_to_it(void **state)
{
  struct fixture f;
  start(&f);
  get(&f, ICR);
  feed(&f, OTHER, 100);
  assert_int_equal(get(&f, RD + 0x10), 0);
  feed(&f, ME, 100);
  assert_int_equal(get(&f, RD + 0x10), 1);
  uint8_t *p = bed_mem(&f.bed, RXRING);
  assert_int_equal(p[8] | p[9] << 8, 104); // with its checksum
  assert_int_equal(p[12] & 3, 3);          // done, end of packet
  assert_memory_equal(bed_mem(&f.bed, RXBUF), ME, 6);
  assert_int_equal(*bed_mem(&f.bed, RXBUF + 99), 99);
  assert_int_equal(get(&f, ICR) & RXT0, RXT0);
  feed(&f, BROADCAST, 42);
  assert_int_equal(get(&f, RD + 0x10), 2);
  p = bed_mem(&f.bed, RXRING + 16);
  assert_int_equal(p[8] | p[9] << 8, 64); // padded
  set(&f, RCTL, 2);                       // no broadcasts
  feed(&f, BROADCAST, 60);
  assert_int_equal(get(&f, RD + 0x10), 2);
  feed(&f, "\x01\x00\x5e\x00\x00\xfb", 60);
  assert_int_equal(get(&f, RD + 0x10), 2);
  set(&f, MTA + 4 * (0xfb0 >> 5), 1u << (0xfb0 & 31)); // hash: bits 47:36 of the address
  feed(&f, "\x01\x00\x5e\x00\x00\xfb", 60);
  assert_int_equal(get(&f, RD + 0x10), 3);
  set(&f, RCTL, 2 | 8); // promiscuous
  feed(&f, OTHER, 60);
  assert_int_equal(get(&f, RD + 0x10), 4);
  stop(&f);
}

// Status and errors of the descriptor of a datagram, one byte of which may be wrong.
static unsigned checked(uint32_t rxcsum, unsigned wrong)
{
  struct fixture f;
  uint8_t frame[sizeof netbed_udp];
  start(&f);
  set(&f, 0x5000, rxcsum);
  memcpy(frame, netbed_udp, sizeof frame);
  if (wrong)
    frame[wrong] ^= 4;
  netdev_feed(f.nb.net, frame, sizeof frame);
  netbed_look(&f.nb);
  assert_int_equal(get(&f, RD + 0x10), 1);
  const uint8_t *p = bed_mem(&f.bed, RXRING);
  unsigned v = p[12] | (unsigned)p[13] << 8;
  stop(&f);
  return v;
}

static void checksums_are_checked_where_rxcsum_asks_for_it(void **state)
{
  enum { IP = 0x100, TCP = 0x200, IXSM = 4, DONE = 3 };
  assert_int_equal(checked(0, 0), DONE | IXSM);
  assert_int_equal(checked(IP | TCP, 0), DONE | 0x60);
  assert_int_equal(checked(TCP, 0), DONE | 0x20);
  assert_int_equal(checked(IP | TCP, sizeof netbed_udp - 1), DONE | 0x60 | 0x2000);
  assert_int_equal(checked(IP, sizeof netbed_udp - 1), DONE | 0x40);
  assert_int_equal(checked(IP | TCP, 22), DONE | 0x60 | 0x4000); // time to live: not in the datagram's sum
  assert_int_equal(checked(IP | TCP, 17), DONE | IXSM);          // the length goes beyond the frame
}

static void the_checksum_of_a_frame_is_ethernet_s(void **state)
{
  struct fixture f;
  start(&f);
  for (unsigned n = 0; n < 10; n++) { // of all remainders by eight
    unsigned len = n < 8 ? 60 + n : n == 8 ? 1514 : 40;
    feed(&f, ME, len);
    uint32_t c = UINT32_MAX; // the residue over frame and checksum
    for (unsigned i = 0; i < (len < 60 ? 60 : len) + 4; i++) {
      c ^= *bed_mem(&f.bed, RXBUF + 0x1000 * n + i);
      for (unsigned b = 0; b < 8; b++)
        c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
    }
    assert_int_equal(c, 0xdebb20e3);
  }
  for (unsigned i = 40; i < 60; i++)
    assert_int_equal(*bed_mem(&f.bed, RXBUF + 0x9000 + i), 0);
  set(&f, RCTL, 0x4008002); // stripped
  feed(&f, ME, 60);
  uint8_t *p = bed_mem(&f.bed, RXRING + 16 * 10);
  assert_int_equal(p[8] | p[9] << 8, 60);
  stop(&f);
}

static void a_frame_is_spread_over_small_buffers_and_waits_for_them(void **state)
{
  struct fixture f;
  start(&f);
  set(&f, RCTL, 0x8002 | 3u << 16); // 256 bytes
  feed(&f, ME, 600);
  assert_int_equal(get(&f, RD + 0x10), 3);
  assert_int_equal(bed_mem(&f.bed, RXRING)[12] & 3, 1);
  assert_int_equal(bed_mem(&f.bed, RXRING + 16)[12] & 3, 1);
  assert_int_equal(bed_mem(&f.bed, RXRING + 32)[12] & 3, 3);
  assert_int_equal(bed_mem(&f.bed, RXRING + 32)[8], 604 - 512);
  set(&f, RD + 0x18, 3); // none is left
  feed(&f, ME, 60);
  assert_int_equal(get(&f, RD + 0x10), 3);
  set(&f, RD + 0x18, 2);
  bed_run(&f.bed, 1000000);
  assert_int_equal(get(&f, RD + 0x10), 4);
  stop(&f);
}

static void refused_memory_stops_a_ring_until_the_chip_is_reset(void **state)
{
  struct fixture f;
  start(&f);
  desc(&f, NOWHERE, 60 | (uint32_t)(EOP | RS) << 24, 0);
  desc(&f, BUF, 60 | (uint32_t)(EOP | RS) << 24, 0);
  go(&f);
  assert_int_equal(f.nb.frames, 0);
  assert_int_equal(get(&f, TD + 0x10), 0);
  assert_int_equal(*bed_mem(&f.bed, TXRING + 12) & 1, 0);
  assert_int_equal(get(&f, ICR) & TXDW, 0);
  uint64_t there = BUF;
  memcpy(bed_mem(&f.bed, TXRING), &there, 8);
  go(&f); // what was wrong is right now, but the ring stands still
  assert_int_equal(f.nb.frames, 0);
  uint64_t none = NOWHERE;
  memcpy(bed_mem(&f.bed, RXRING), &none, 8);
  feed(&f, ME, 60);
  assert_int_equal(get(&f, RD + 0x10), 0);
  assert_int_equal(bed_mem(&f.bed, RXRING)[12], 0);
  assert_int_equal(get(&f, ICR) & RXT0, 0);
  feed(&f, ME, 60);
  assert_int_equal(get(&f, RD + 0x10), 0);
  set(&f, CTRL, 1u << 26);
  assert_int_equal(get(&f, TCTL), 0);
  rings(&f);
  desc(&f, BUF, 60 | (uint32_t)(EOP | RS) << 24, 0);
  go(&f);
  assert_int_equal(f.nb.frames, 1);
  assert_int_equal(get(&f, RD + 0x10), 1); // what waited
  stop(&f);
}

static void rings_that_cannot_be_are_not_followed(void **state)
{
  struct fixture f;
  start(&f);
  set(&f, TD + 0x10, 500); // head outside
  desc(&f, BUF, 60 | (uint32_t)EOP << 24, 0);
  go(&f);
  set(&f, TD + 0x10, 0);
  set(&f, TD + 8, 0);
  go(&f);
  assert_int_equal(f.nb.frames, 0);
  set(&f, RD + 8, 0);
  feed(&f, ME, 60);
  set(&f, RD + 8, 0xfff80);
  set(&f, RD + 0x18, 0xffff);
  set(&f, RD + 0x10, 0xfffe);
  netbed_look(&f.nb);
  set(&f, RD, TXRING); // rings in its own registers
  set(&f, TD, BAR);
  set(&f, TD + 8, 0x80);
  go(&f);
  stop(&f);
}

static void interrupts_keep_their_distance(void **state)
{
  struct fixture f;
  start(&f);
  bed_run(&f.bed, 1000000);
  get(&f, ICR);
  set(&f, ITR, 1000); // 256 us
  set(&f, ICS, LSC);
  assert_int_equal(f.bed.level[8 + 3], 1);
  get(&f, ICR);
  assert_int_equal(f.bed.level[8 + 3], 0);
  set(&f, ICS, LSC);
  assert_int_equal(f.bed.level[8 + 3], 0);
  bed_run(&f.bed, 250000);
  assert_int_equal(f.bed.level[8 + 3], 0);
  bed_run(&f.bed, 10000);
  assert_int_equal(f.bed.level[8 + 3], 1);
  set(&f, IMC, LSC);
  assert_int_equal(f.bed.level[8 + 3], 0);
  stop(&f);
}

static void registers_are_reached_by_ports_too(void **state)
{
  struct fixture f;
  start(&f);
  bed_out(&f.bed, PORTS, 4, 0x5400);
  assert_int_equal(bed_in(&f.bed, PORTS + 4, 4), 0x01005452);
  bed_out(&f.bed, PORTS, 4, 0xffffffff);
  bed_out(&f.bed, PORTS + 4, 4, 1);
  bed_in(&f.bed, PORTS + 4, 4);
  stop(&f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_eeprom_is_read_bit_by_bit_or_by_word),
      cmocka_unit_test(the_phy_answers_at_its_address),
      cmocka_unit_test(sends_a_frame_and_tells),
      cmocka_unit_test(short_frames_are_padded_and_long_ones_lost),
      cmocka_unit_test(checksums_are_inserted),
      cmocka_unit_test(long_packets_are_cut_into_segments),
      cmocka_unit_test(a_network_that_takes_long_packets_gets_them_whole_and_segments_are_counted),
      cmocka_unit_test(senseless_segments_are_lost_and_small_ones_take_turns),
      cmocka_unit_test(receives_what_is_addressed_to_it),
      cmocka_unit_test(checksums_are_checked_where_rxcsum_asks_for_it),
      cmocka_unit_test(the_checksum_of_a_frame_is_ethernet_s),
      cmocka_unit_test(a_frame_is_spread_over_small_buffers_and_waits_for_them),
      cmocka_unit_test(refused_memory_stops_a_ring_until_the_chip_is_reset),
      cmocka_unit_test(rings_that_cannot_be_are_not_followed),
      cmocka_unit_test(interrupts_keep_their_distance),
      cmocka_unit_test(registers_are_reached_by_ports_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
