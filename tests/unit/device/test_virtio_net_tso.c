// virtio-net and TCP packets longer than a frame, in both directions.
#include "device/net_sum.h"

#include "vnetbed.h"

enum { IP = 14, NEEDS_CSUM = 1, TCPV4 = 1, UDP = 3, TCPV6 = 4, ECN = 0x80, FIN_PSH = 9, CWR = 0x80 };
#define SEQ 0xfffffc00u
#define ALL (CSUM | HOST_TSO4 | HOST_TSO6 | HOST_ECN)

// A packet in the guest's memory, and the header that asks for it to be cut.
struct packet {
  unsigned ip, tcp, header, payload; // ip: 14, or 18 behind a tag
  uint8_t flags, gso_type;
  uint16_t mss, start, offset;
};

static struct packet v4(unsigned payload)
{
  return (struct packet){IP, 34, 34 + 32, payload, NEEDS_CSUM, TCPV4, 1448, 34, 16};
}

static struct packet v6(unsigned payload)
{
  return (struct packet){IP, 54, 54 + 20, payload, NEEDS_CSUM, TCPV6, 1440, 54, 16};
}

static uint32_t pseudo(const uint8_t *p, const struct packet *k, uint32_t len)
{
  if (p[k->ip] >> 4 == 4)
    return net_pseudo(p + k->ip, len);
  return net_fold((uint64_t)net_sum(p + k->ip + 8, 32) + NET_TCP + len);
}

static uint8_t *place(struct fixture *f, const struct packet *k)
{
  uint8_t *v = bed_mem(&f->bed, BUF), *p = v + HDR;
  memset(v, 0, HDR + k->header);
  v[0] = k->flags;
  v[1] = k->gso_type;
  memcpy(v + 4, &k->mss, 2);
  memcpy(v + 6, &k->start, 2);
  memcpy(v + 8, &k->offset, 2);
  memcpy(p, "\x52\x55\x0a\x00\x02\x02\x52\x54\x00\x12\x34\x56\x81\x00\x00\x07", 16);
  unsigned ip = k->ip, all = k->header - ip + k->payload;
  bool six = k->gso_type == TCPV6;
  net_put16(p + ip - 2, six ? NET_IPV6 : NET_IPV4);
  if (six) {
    p[ip] = 0x60;
    net_put16(p + ip + 4, all - 40);
    p[ip + 6] = NET_TCP;
    memset(p + ip + 8, 0xfe, 32);
  } else {
    memcpy(p + ip, "\x45\x00\x00\x00\xff\xff\x40\x00\x40\x06\x00\x00\x0a\x00\x02\x0f\x0a\x00\x02\x02", 20);
    net_put16(p + ip + 2, all);
    net_put16(p + ip + 10, ~net_sum(p + ip, 20)); // right for the whole
  }
  uint8_t *t = p + k->tcp;
  net_put16(t, 1024);
  net_put16(t + 2, 80);
  net_put32(t + 4, SEQ);
  t[12] = (uint8_t)((k->header - k->tcp) / 4 << 4);
  t[13] = 0x10 | FIN_PSH | CWR;
  net_put16(t + 16, pseudo(p, k, k->header - k->tcp + k->payload));
  for (unsigned i = 0; i < k->payload; i++)
    p[k->header + i] = (uint8_t)(i * 3 + (i >> 8));
  return p;
}

static void post(struct fixture *f, unsigned len)
{
  desc(f, TX, f->avail[TX] % SIZE, BUF, HDR + len, 0, 0);
  offer(f, TX, f->avail[TX] % SIZE);
}

static struct packet now;
static unsigned frames, bytes;

// One frame of `now`.
static void on_frame(struct netdev *n, const uint8_t *p, size_t len)
{
  const struct packet *k = &now;
  const uint8_t *t = p + k->tcp;
  unsigned part = (unsigned)len - k->header;
  bool last = bytes + part == k->payload;
  assert_true(len > k->header && part <= k->mss && (last || part == k->mss));
  if (k->gso_type == TCPV6) {
    assert_int_equal(net_get16(p + k->ip + 4), len - k->ip - 40);
  } else {
    assert_int_equal(net_get16(p + k->ip + 2), len - k->ip);
    assert_int_equal(net_get16(p + k->ip + 4), (0xffff + frames) & 0xffff);
    assert_int_equal(net_sum(p + k->ip, 20), 0xffff);
  }
  uint32_t whole = (uint32_t)len - k->tcp;
  assert_int_equal(net_fold((uint64_t)net_sum(t, whole) + pseudo(p, k, whole)), 0xffff);
  assert_int_equal(net_get32(t + 4), SEQ + bytes);
  unsigned cwr = k->gso_type & ECN && frames ? 0 : CWR;
  assert_int_equal(t[13], 0x10 | cwr | (last ? FIN_PSH : 0));
  for (unsigned i = 0; i < part; i++, bytes++)
    assert_int_equal(p[k->header + i], (uint8_t)(bytes * 3 + (bytes >> 8)));
  frames++;
}

static void expect(struct fixture *f, struct packet k, unsigned count)
{
  now = k;
  frames = bytes = 0;
  place(f, &k);
  post(f, k.header + k.payload);
  for (unsigned i = 0; i < 3; i++)
    kick(f, TX);
  assert_int_equal(frames, count);
  assert_int_equal(bytes, k.payload);
}

static void long_packets_are_cut_into_frames(void **state)
{
  struct fixture f;
  start(&f, ALL);
  f.nb.ops.input = on_frame;
  expect(&f, v4(5000), 4);
  expect(&f, v4(1448), 1);
  expect(&f, v4(1449), 2);
  expect(&f, v6(5000), 4);
  struct packet k = v4(5000);
  k.gso_type |= ECN;
  expect(&f, k, 4);
  struct packet tag = {18, 38, 58, 4000, NEEDS_CSUM, TCPV4, 1000, 38, 16};
  expect(&f, tag, 4);
  struct packet more = v6(3000); // a header between those of IP and TCP
  more.tcp = more.start = 62;
  more.header = 82;
  expect(&f, more, 3);
  assert_int_equal(used(&f, TX), 7);
  stop(&f);
}

static void a_network_that_takes_long_packets_gets_them_whole(void **state)
{
  struct fixture f;
  start(&f, ALL);
  f.nb.ops.large = true;
  struct packet k = v4(65535 - 52);
  place(&f, &k);
  post(&f, k.header + k.payload);
  kick(&f, TX);
  assert_int_equal(f.nb.frames, 1);
  assert_int_equal(f.nb.last_len, NET_LARGE_MAX);
  struct net_checks c = net_check(f.nb.last, f.nb.last_len);
  assert_int_equal(c.ip, NET_GOOD);
  assert_int_equal(c.transport, NET_GOOD);
  assert_int_equal(f.nb.last[34 + 13], 0x10 | FIN_PSH | CWR);
  assert_memory_equal(f.nb.last + k.header, bed_mem(&f.bed, BUF + HDR + k.header), k.payload);
  f.nb.ops.input = on_frame; // IPv6 is cut all the same
  expect(&f, v6(5000), 4);
  stop(&f);
}

static void packets_that_are_described_wrongly_are_dropped(void **state)
{
  static const struct {
    const char *what;
    unsigned at; // of the virtio header and what follows
    uint16_t value;
  } row[] = {{"no checksum to make", 0, TCPV4 << 8},
             {"datagrams", 0, NEEDS_CSUM | UDP << 8},
             {"an unknown type", 0, NEEDS_CSUM | 0x7f << 8},
             {"congestion notification of nothing", 0, NEEDS_CSUM | ECN << 8},
             {"IPv6 that is IPv4", 0, NEEDS_CSUM | TCPV6 << 8},
             {"segments of 0 bytes", 4, 0},
             {"segments longer than a frame", 4, NET_FRAME_MAX - 66 + 1},
             {"long segments", 4, 0xffff},
             {"TCP at the beginning", 6, 0},
             {"TCP elsewhere", 6, 38},
             {"TCP behind the end", 6, 5066 - 19},
             {"TCP far behind the end", 6, 0xffff},
             {"a checksum elsewhere", 8, 6},
             {"a checksum far away", 8, 0xffff},
             {"another protocol than IP", HDR + 12, 0x0608},
             {"a tag, and no IP behind it", HDR + 12, 0x0081},
             {"IP of version 5", HDR + IP, 0x0055},
             {"a short IP header", HDR + IP, 0x0044},
             {"a long IP header", HDR + IP, 0x0046},
             {"UDP", HDR + IP + 8, 0x1140},
             {"a short TCP header", HDR + 34 + 12, 0x1040}};
  struct fixture f;
  struct packet k = v4(5000);
  start(&f, ALL);
  unsigned n = 0;
  for (unsigned i = 0; i < sizeof row / sizeof row[0]; i++) {
    place(&f, &k);
    memcpy(bed_mem(&f.bed, BUF + row[i].at), &row[i].value, 2);
    post(&f, k.header + k.payload);
    kick(&f, TX);
    assert_int_equal(used(&f, TX), ++n);
    assert_int_equal(status(&f), 15);
    if (f.nb.frames)
      fail_msg("sent in spite of: %s", row[i].what);
  }
  static const unsigned lengths[] = {0, 14, 53, 57, 66, NET_LARGE_MAX + 1, 1 << 20};
  for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) { // a good header, but no such packet
    place(&f, &k);
    post(&f, lengths[i]);
    kick(&f, TX);
    assert_int_equal(used(&f, TX), ++n);
    assert_int_equal(f.nb.frames, 0);
  }
  stop(&f);
}

// What must be negotiated for a kind of packet.
static void what_was_not_negotiated_is_dropped(void **state)
{
  static const struct {
    uint64_t features;
    unsigned type, frames;
  } row[] = {{ALL, TCPV4, 4},
             {ALL & ~HOST_TSO4, TCPV4, 0},
             {ALL & ~HOST_TSO6, TCPV6, 0},
             {ALL & ~HOST_ECN, TCPV4 | ECN, 0},
             {ALL & ~CSUM, TCPV4, 0},
             {0, TCPV4, 0}};
  for (unsigned i = 0; i < sizeof row / sizeof row[0]; i++) {
    struct fixture f;
    start(&f, row[i].features);
    struct packet k = row[i].type == TCPV6 ? v6(5000) : v4(5000);
    k.gso_type = (uint8_t)row[i].type;
    place(&f, &k);
    post(&f, k.header + k.payload);
    kick(&f, TX);
    kick(&f, TX);
    assert_int_equal(f.nb.frames, row[i].frames);
    assert_int_equal(used(&f, TX), 1);
    stop(&f);
  }
}

static uint64_t offered(const char *props)
{
  struct fixture f;
  start_with(&f, 0, props);
  uint64_t v = f.d->virtio.offered;
  stop(&f);
  return v;
}

static void properties_take_features_away_with_what_needs_them(void **state)
{
  uint64_t all = ALL | GUEST_CSUM | MRG;
  assert_int_equal(offered("x") & all, all);
  assert_int_equal(offered("x,host_tso4=off") & all, all & ~HOST_TSO4);
  assert_int_equal(offered("x,host_tso6=off") & all, all & ~HOST_TSO6);
  assert_int_equal(offered("x,host_ecn=off") & all, all & ~HOST_ECN);
  assert_int_equal(offered("x,host_tso4=off,host_tso6=off") & all, GUEST_CSUM | CSUM | MRG);
  assert_int_equal(offered("x,csum=off") & all, GUEST_CSUM | MRG);
  assert_int_equal(offered("x") & GUEST_TSO4, GUEST_TSO4);
  assert_int_equal(offered("x,guest_tso4=off") & (GUEST_TSO4 | all), all);
  assert_int_equal(offered("x,guest_csum=off") & (GUEST_TSO4 | all), ALL | MRG);
}

static void small_segments_wait_for_the_network_and_a_reset_forgets_them(void **state)
{
  struct fixture f;
  start(&f, ALL);
  struct packet k = v4(60000);
  k.mss = 1;
  place(&f, &k);
  post(&f, k.header + k.payload);
  bed_write(&f.bed, BAR4 + 0x3004, 2, 1);
  bed_run(&f.bed, 100000000); // nobody looks outside
  assert_int_equal(f.nb.net->dropped, 0);
  assert_int_equal(used(&f, TX), 1);
  netbed_look(&f.nb);
  assert_int_equal(f.nb.frames, NET_OUT);
  for (unsigned i = 0; i < 2; i++) {
    bed_run(&f.bed, 100000000);
    netbed_look(&f.nb);
  }
  assert_int_equal(f.nb.frames, 3 * NET_OUT);
  bed_write(&f.bed, BAR4 + 0x14, 1, 0);
  driver(&f, ALL);
  kick(&f, TX);
  assert_int_equal(f.nb.frames, 3 * NET_OUT);
  assert_int_equal(f.nb.net->dropped, 0);
  stop(&f);
}

// ---- receiving -----------------------------------------------------------------------------------------

#define IN (MRG | GUEST_CSUM | GUEST_TSO4)

// Three frames of 1000, 1000 and 600 bytes wait before the driver has buffers of `size` bytes.
static void join(struct fixture *f, uint64_t features, unsigned buffers, unsigned size)
{
  start(f, features);
  for (unsigned i = 0; i < 3; i++) {
    unsigned part = i < 2 ? 1000 : 600;
    struct packet k = v4(part);
    k.header = 54;
    uint8_t *p = place(f, &k), frame[NET_FRAME_MAX];
    net_put32(p + 34 + 4, SEQ + i * 1000);
    p[34 + 13] = 0x10;
    net_sum_insert(p, 54 + part, 34, 50, 0);
    memcpy(frame, p, 54 + part);
    netdev_feed(f->nb.net, frame, 54 + part);
  }
  memset(bed_mem(&f->bed, BUF), 0xee, 0x10000);
  for (unsigned i = 0; i < buffers; i++) {
    desc(f, RX, i, BUF + 0x1000 * i, size, WRITE, 0);
    offer(f, RX, (uint16_t)i);
  }
  kick(f, RX);
}

static void frames_arrive_as_one_packet_that_says_how_it_was_cut(void **state)
{
  struct fixture f;
  join(&f, IN, 4, 1500);
  assert_int_equal(used(&f, RX), 2);
  static const uint8_t header[HDR] = {NEEDS_CSUM, TCPV4, 54, 0, 1000 & 0xff, 1000 >> 8, 34, 0, 16, 0, 2, 0};
  assert_memory_equal(bed_mem(&f.bed, BUF), header, HDR);
  assert_int_equal(used_len(&f, RX, 0), 1500);
  assert_int_equal(used_len(&f, RX, 1), HDR + 54 + 2600 - 1500);
  const uint8_t *p = bed_mem(&f.bed, BUF + HDR);
  assert_int_equal(net_get16(p + IP + 2), 40 + 2600);
  assert_int_equal(net_get16(p + 50), net_pseudo(p + IP, 2620));
  assert_int_equal(p[54 + 999], (uint8_t)(999 * 3 + 3));
  assert_int_equal(p[54 + 1000], 0);
  assert_int_equal(*bed_mem(&f.bed, BUF + 0x1000 + 1165), (uint8_t)(599 * 3 + 2));
  stop(&f);
  join(&f, GUEST_CSUM | GUEST_TSO4, 4, 4000); // one buffer, that is large enough
  assert_int_equal(used(&f, RX), 1);
  assert_int_equal(used_len(&f, RX, 0), HDR + 54 + 2600);
  stop(&f);
}

static void frames_arrive_one_by_one_where_they_cannot_be_joined(void **state)
{
  static const struct {
    uint64_t features;
    unsigned buffers, size;
    unsigned used, first; // buffers, bytes in the first
  } row[] = {{IN & ~GUEST_TSO4, 4, 4000, 3, HDR + 1054},
             {IN & ~GUEST_CSUM, 4, 4000, 3, HDR + 1054},
             {0, 4, 4000, 3, HDR + 1054},
             {GUEST_CSUM | GUEST_TSO4, 4, 1600, 3, HDR + 1054}, // too small, and cannot be merged
             {IN, 1, 2100, 1, HDR + 2054},                      // room for two; then there is none
             {IN, 1, 1100, 1, HDR + 1054},
             {IN, 3, 1100, 3, 1100}};
  for (unsigned i = 0; i < sizeof row / sizeof row[0]; i++) {
    struct fixture f;
    join(&f, row[i].features, row[i].buffers, row[i].size);
    assert_int_equal(used(&f, RX), row[i].used);
    assert_int_equal(used_len(&f, RX, 0), row[i].first);
    bool joined = row[i].first != HDR + 1054;
    assert_int_equal(*bed_mem(&f.bed, BUF + 1), joined ? TCPV4 : 0);
    assert_int_equal(status(&f), 15);
    stop(&f);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(long_packets_are_cut_into_frames),
      cmocka_unit_test(a_network_that_takes_long_packets_gets_them_whole),
      cmocka_unit_test(packets_that_are_described_wrongly_are_dropped),
      cmocka_unit_test(what_was_not_negotiated_is_dropped),
      cmocka_unit_test(properties_take_features_away_with_what_needs_them),
      cmocka_unit_test(frames_arrive_as_one_packet_that_says_how_it_was_cut),
      cmocka_unit_test(frames_arrive_one_by_one_where_they_cannot_be_joined),
      cmocka_unit_test(small_segments_wait_for_the_network_and_a_reset_forgets_them),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
