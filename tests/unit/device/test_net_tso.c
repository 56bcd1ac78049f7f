// Segmentation: every byte of the segments, what goes whole, descriptions that are wrong.
#include "netbed.h"

#include <stdlib.h>

#include "device/net_sum.h"
#include "device/net_tso.h"

enum { IP = 14, TCP = 34, OPTIONS = 12, FIN_PSH = 0x09, CWR_ACK = 0x90 };
#define SEQ 0xfffffc00u

// A TCP packet in IPv4 with `payload` bytes, the sum of the pseudo header without length in its place.
static uint32_t make(uint8_t *p, uint32_t payload)
{
  static const uint8_t head[TCP] = {0x52, 0x55, 10,   0, 2, 2,  0x52, 0x54, 0,    1, 2,  3,
                                    8,    0,    0x45, 0, 0, 0,  0xff, 0xff, 0x40, 0, 64, 6,
                                    0,    0,    10,   0, 2, 15, 10,   0,    2,    2};
  uint32_t header = TCP + 20 + OPTIONS;
  memset(p, 0, header);
  memcpy(p, head, sizeof head);
  net_put16(p + TCP, 1024);
  net_put16(p + TCP + 2, 80);
  net_put32(p + TCP + 4, SEQ);
  net_put32(p + TCP + 8, 77);
  p[TCP + 12] = (20 + OPTIONS) / 4 << 4;
  p[TCP + 13] = CWR_ACK | FIN_PSH;
  memset(p + TCP + 20, 1, OPTIONS);
  for (uint32_t i = 0; i < payload; i++)
    p[header + i] = (uint8_t)(i * 3 + (i >> 8));
  net_put16(p + TCP + 16, net_pseudo(p + IP, 0));
  return header + payload;
}

static struct net_tso description(void)
{
  return (struct net_tso){.header = TCP + 20 + OPTIONS,
                          .mss = 1448,
                          .ip = IP,
                          .transport = TCP,
                          .ip_sum = IP + 10,
                          .transport_sum = TCP + 16,
                          .ip_last = TCP - 1,
                          .sum_ip = true,
                          .sum_transport = true,
                          .v4 = true,
                          .tcp = true};
}

static void good(const uint8_t *p, uint32_t len)
{
  struct net_checks c = net_check(p, len);
  assert_int_equal(c.ip, NET_GOOD);
  assert_int_equal(c.transport, NET_GOOD);
  assert_int_equal(net_get16(p + IP + 2), len - IP);
}

static uint8_t packet[NET_LARGE_MAX + 100], want[NET_FRAME_MAX];

static void segments_differ_in_length_number_sequence_flags_and_sums_alone(void **state)
{
  uint8_t frame[NET_FRAME_MAX];
  struct net_tso t = description();
  t.ecn = true;
  uint32_t len = make(packet, 4000), n;
  assert_true(net_tso_sane(&t, len));
  assert_int_equal(net_tso_count(&t, len), 3);
  for (unsigned i = 0; i < 3; i++) {
    uint32_t part = i < 2 ? 1448 : 4000 - 2 * 1448;
    n = net_tso_next(&t, packet, len, frame);
    assert_int_equal(n, t.header + part);
    good(frame, n);
    memcpy(want, packet, t.header);
    memcpy(want + t.header, packet + t.header + i * 1448, part);
    net_put16(want + IP + 2, n - IP);
    net_put16(want + IP + 4, 0xffff + i);
    net_put32(want + TCP + 4, SEQ + i * 1448);
    want[TCP + 13] = 0x10 | (i == 0 ? 0x80 : 0) | (i == 2 ? FIN_PSH : 0);
    memcpy(want + IP + 10, frame + IP + 10, 2); // the sums, that are good
    memcpy(want + TCP + 16, frame + TCP + 16, 2);
    assert_memory_equal(frame, want, n);
  }
  assert_int_equal(net_tso_next(&t, packet, len, frame), 0);
  assert_int_equal(net_tso_next(&t, packet, len, frame), 0);
}

static void a_whole_packet_is_right_and_otherwise_as_it_was(void **state)
{
  static uint8_t before[sizeof packet];
  static const uint32_t payloads[] = {1, 1448, 4001, NET_LARGE_MAX - TCP - 20 - OPTIONS};
  for (unsigned i = 0; i < 4; i++) {
    struct net_tso t = description();
    uint32_t len = make(packet, payloads[i]);
    memcpy(before, packet, len);
    assert_true(net_tso_whole(&t, packet, len));
    good(packet, len);
    net_put16(before + IP + 2, len - IP);
    memcpy(before + IP + 10, packet + IP + 10, 2);
    memcpy(before + TCP + 16, packet + TCP + 16, 2);
    assert_memory_equal(packet, before, len);
  }
}

static void refused(const struct net_tso *t, const uint8_t *changed, uint32_t len, const char *what)
{
  static uint8_t before[sizeof packet];
  memcpy(packet, changed, len);
  memcpy(before, packet, len);
  if (net_tso_whole(t, packet, len))
    fail_msg("%s went whole", what);
  assert_memory_equal(packet, before, len);
}

static void only_plain_tcp_in_ipv4_goes_whole(void **state)
{
  static uint8_t p[sizeof packet];
  static const struct {
    unsigned at;
    uint8_t xor ;
    const char *what;
  } byte[] = {{12, 0x80, "another protocol than IP"},
              {IP, 0x20, "IPv6"},
              {IP, 0x01, "IP options"},
              {IP + 6, 0x20, "a first fragment"},
              {IP + 7, 0x01, "a later fragment"},
              {IP + 9, 0x17, "UDP"},
              {TCP + 12, 0x10, "another length of header"},
              {TCP + 13, 0x02, "SYN"},
              {TCP + 13, 0x04, "RST"},
              {TCP + 13, 0x20, "URG"}};
  struct net_tso t = description();
  uint32_t len = make(p, 4000);
  for (unsigned i = 0; i < sizeof byte / sizeof byte[0]; i++) {
    p[byte[i].at] ^= byte[i].xor ;
    refused(&t, p, len, byte[i].what);
    p[byte[i].at] ^= byte[i].xor ;
  }
  for (unsigned i = 0; i < 11; i++) {
    static const char *const what[] = {
        "v4",     "tcp",           "sum_ip",  "sum_transport", "ip", "transport", "header",
        "ip_sum", "transport_sum", "ip_last", "transport_last"};
    t = description();
    bool *const flag[] = {&t.v4, &t.tcp, &t.sum_ip, &t.sum_transport};
    uint32_t *const place[] = {&t.ip,      &t.transport,     &t.header, &t.ip_sum, &t.transport_sum,
                               &t.ip_last, &t.transport_last};
    if (i < 4)
      *flag[i] = false;
    else
      *place[i - 4] += 4;
    refused(&t, p, len, what[i]);
  }
  t = description();
  refused(&t, p, make(p, NET_LARGE_MAX - t.header + 1), "a packet that is too long");
}

static void descriptions_without_sense_are_found(void **state)
{
  struct net_tso t = description();
  assert_true(net_tso_sane(&t, t.header + 1));
  assert_false(net_tso_sane(&t, t.header)); // nothing to cut
  t.mss = 0;
  assert_false(net_tso_sane(&t, 5000));
  t.mss = NET_FRAME_MAX - t.header + 1;
  assert_false(net_tso_sane(&t, 5000));
  t.mss = UINT32_MAX;
  assert_false(net_tso_sane(&t, 5000));
  t = description();
  t.header = NET_FRAME_MIN - 1;
  assert_false(net_tso_sane(&t, 5000));
}

// Whatever is said of places, nothing is written behind a segment, and payloads stay in order.
static void wrong_places_do_no_harm(void **state)
{
  uint64_t noise = 5;
  for (unsigned i = 0; i < 3000; i++) {
    struct net_tso t = description();
    uint32_t *const place[] = {&t.ip,      &t.transport,      &t.ip_sum, &t.transport_sum,
                               &t.ip_last, &t.transport_last, &t.header};
    for (unsigned k = 0; k < 7; k++) {
      noise = noise * 6364136223846793005u + 1442695040888963407u;
      *place[k] = (noise >> 33) % (k == 6 ? 100 : k == 4 || k == 5 ? 0x10000 : 300);
    }
    t.mss = 1 + (noise >> 20) % 1500;
    t.v4 = noise >> 60 & 1;
    t.tcp = noise >> 61 & 1;
    uint32_t len = make(packet, 3000), total = 0, n;
    if (!net_tso_sane(&t, len))
      continue;
    uint8_t *frame = malloc(NET_FRAME_MAX);
    while ((n = net_tso_next(&t, packet, len, frame)) != 0) {
      assert_true(n <= NET_FRAME_MAX);
      total += n - t.header;
    }
    free(frame);
    assert_int_equal(total, len - t.header);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(segments_differ_in_length_number_sequence_flags_and_sums_alone),
      cmocka_unit_test(a_whole_packet_is_right_and_otherwise_as_it_was),
      cmocka_unit_test(only_plain_tcp_in_ipv4_goes_whole),
      cmocka_unit_test(descriptions_without_sense_are_found),
      cmocka_unit_test(wrong_places_do_no_harm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
