// TCP in order: what of a guest's TCP passes, by itself and with libslirp and real sockets behind.
#include "netbed.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/net_flow.h"
#include "device/net_sum.h"

enum { IP = 14, FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 0x10, URG = 0x20, SEQ = 1000 };

struct to {
  uint32_t payload; // bytes, or headers wrong by options
  unsigned port;    // the guest's
  unsigned host;    // the host's port
  bool v6, out;     // out: from the library to the guest
};

// Makes a TCP packet between the guest and the host; the payload is what lies there. Returns its length.
static uint32_t tcp(uint8_t *p, struct to t, uint8_t flags, uint32_t seq, uint32_t ack)
{
  static const uint8_t v4[34] = {0x52, 0x55, 10,   0, 2, 2,  0x52, 0x54, 0, 0x12, 0x34, 0x56,
                                 8,    0,    0x45, 0, 0, 0,  0,    0,    0, 0,    64,   6,
                                 0,    0,    10,   0, 2, 15, 10,   0,    2, 2};
  static const uint8_t v6[54] = {0x52, 0x56, 0, 0, 0, 2, 0x52, 0x54, 0,    0x12, 0x34, 0x56, 0x86, 0xdd,
                                 0x60, 0,    0, 0, 0, 0, 6,    64,   0xfe, 0xc0, 0,    0,    0,    0,
                                 0,    0,    0, 0, 0, 0, 0,    0,    0,    15,   0xfe, 0xc0, 0,    0,
                                 0,    0,    0, 0, 0, 0, 0,    0,    0,    0,    0,    2};
  uint32_t at = t.v6 ? sizeof v6 : sizeof v4, len = at + 20 + t.payload;
  uint8_t *h = p + at;
  memcpy(p, t.v6 ? v6 : v4, at);
  net_put16(h + (t.out ? 2 : 0), t.port);
  net_put16(h + (t.out ? 0 : 2), t.host);
  net_put32(h + 4, seq);
  net_put32(h + 8, ack);
  memcpy(h + 12, (uint8_t[]){0x50, flags, 0xff, 0xff, 0, 0, 0, 0}, 8);
  if (t.out) {
    uint8_t a[16];
    unsigned size = t.v6 ? 16 : 4;
    memcpy(a, h - 2ul * size, size);
    memcpy(h - 2ul * size, h - size, size);
    memcpy(h - size, a, size);
  }
  uint32_t pseudo;
  if (t.v6) {
    net_put16(p + IP + 4, len - at);
    pseudo = net_fold((uint64_t)net_sum(p + IP + 8, 32) + NET_TCP + len - at);
  } else {
    net_put16(p + IP + 2, len - IP);
    net_sum_insert(p, len, IP, IP + 10, at - 1);
    pseudo = net_pseudo(p + IP, len - at);
  }
  net_put16(h + 16, pseudo);
  net_sum_insert(p, len, at, at + 16, 0);
  return len;
}

// ---- the filter by itself ----

static struct net_flow flow;
static uint8_t packet[NET_LARGE_MAX + 100];

static enum net_flow_verdict guest(struct to t, uint8_t flags, uint32_t seq)
{
  return net_flow_check(&flow, packet, tcp(packet, t, flags, seq, 1));
}

static void library(struct to t, uint8_t flags, uint32_t ack)
{
  t.out = true;
  net_flow_answered(&flow, packet, tcp(packet, t, flags, 1, ack));
}

static int clear(void **state)
{
  memset(&flow, 0, sizeof flow);
  return 0;
}

static const struct to none = {0, 4000, 80, false, false}, some = {100, 4000, 80, false, false};

static void data_passes_in_order_or_again_and_not_ahead(void **state)
{
  for (uint32_t next = SEQ; next; next = next == SEQ ? 0xffffffd0 : 0) { // the second wraps around
    library(none, SYN | ACK, next);
    assert_int_equal(guest(some, ACK, next), NET_FLOW_PASS);
    assert_int_equal(guest(some, ACK, next - 50), NET_FLOW_PASS);
    assert_int_equal(guest(some, ACK | PSH | FIN, next - 100), NET_FLOW_PASS);
    assert_int_equal(guest((struct to){1, 4000, 80}, ACK, next - 1), NET_FLOW_PASS); // keep-alive
    assert_int_equal(guest(some, ACK, next + 1), NET_FLOW_ASK_FIRST);
    assert_int_equal(guest(some, ACK | URG, next + 100), NET_FLOW_ASK_FIRST);
    library(none, ACK, next + 100);
    assert_int_equal(guest(some, ACK, next + 100), NET_FLOW_PASS);
    assert_int_equal(guest(some, ACK, next + 101), NET_FLOW_ASK_FIRST);
  }
}

static void a_fin_takes_its_place_in_order(void **state)
{
  library(none, ACK, SEQ);
  assert_int_equal(guest(none, ACK | FIN, SEQ + 1), NET_FLOW_ASK_FIRST);
  assert_int_equal(guest(none, ACK | FIN, SEQ), NET_FLOW_PASS);
  assert_int_equal(guest(none, FIN, SEQ), NET_FLOW_DROP);
}

static void what_carries_nothing_passes_anywhere(void **state)
{
  assert_int_equal(guest(none, SYN, SEQ), NET_FLOW_PASS);
  assert_int_equal(guest(none, SYN | ACK, SEQ), NET_FLOW_PASS);
  assert_int_equal(guest(none, ACK, SEQ + 70000), NET_FLOW_PASS);
  assert_int_equal(guest(none, RST, SEQ), NET_FLOW_PASS);
  assert_int_equal(guest(none, 0, SEQ), NET_FLOW_PASS);
}

static void syn_with_payload_and_data_without_ack_are_dropped(void **state)
{
  library(none, ACK, SEQ);
  assert_int_equal(guest(some, 0, SEQ), NET_FLOW_DROP);
  assert_int_equal(guest(some, SYN, SEQ), NET_FLOW_DROP);
  assert_int_equal(guest(some, SYN | ACK, SEQ), NET_FLOW_DROP);
  assert_int_equal(guest(none, SYN | FIN, SEQ), NET_FLOW_DROP);
}

static void connections_are_told_apart_and_forgotten_when_they_may_be_others(void **state)
{
  library(none, ACK, SEQ);
  assert_int_equal(guest(some, ACK, SEQ), NET_FLOW_PASS);
  assert_int_equal(guest((struct to){100, 4001, 80}, ACK, SEQ), NET_FLOW_ASK_FIRST);
  assert_int_equal(guest((struct to){100, 4000, 81}, ACK, SEQ), NET_FLOW_ASK_FIRST);
  assert_int_equal(guest((struct to){100, 80, 4000}, ACK, SEQ), NET_FLOW_ASK_FIRST);
  assert_int_equal(guest((struct to){100, 4000, 80, .v6 = true}, ACK, SEQ), NET_FLOW_ASK_FIRST);
  static const struct {
    bool library;
    uint8_t flags;
  } ends[] = {{false, SYN}, {false, SYN | ACK}, {false, RST}, {true, RST}, {true, RST | ACK}, {true, SYN}};
  for (unsigned i = 0; i < sizeof ends / sizeof ends[0]; i++) {
    library(none, ACK, SEQ);
    assert_int_equal(guest(some, ACK, SEQ), NET_FLOW_PASS);
    if (ends[i].library)
      library(none, ends[i].flags, SEQ);
    else
      assert_int_equal(guest(none, ends[i].flags, SEQ), NET_FLOW_PASS);
    assert_int_equal(guest(some, ACK, SEQ), NET_FLOW_ASK_FIRST);
  }
}

static void ipv6_is_filtered_like_ipv4(void **state)
{
  const struct to n = {0, 4000, 80, true}, s = {100, 4000, 80, true};
  assert_int_equal(guest(n, SYN, SEQ), NET_FLOW_PASS);
  assert_int_equal(guest(s, SYN, SEQ), NET_FLOW_DROP);
  assert_int_equal(guest(s, ACK, SEQ), NET_FLOW_ASK_FIRST);
  library(n, SYN | ACK, SEQ);
  assert_int_equal(guest(s, ACK, SEQ), NET_FLOW_PASS);
  assert_int_equal(guest(s, ACK, SEQ + 1), NET_FLOW_ASK_FIRST);
}

static void what_contradicts_itself_is_dropped_and_what_is_not_tcp_passes(void **state)
{
  library(none, ACK, SEQ);
  uint32_t len = tcp(packet, some, ACK, SEQ, 1);
  assert_int_equal(net_flow_check(&flow, packet, len), NET_FLOW_PASS);
  assert_int_equal(net_flow_check(&flow, packet, len + 50), NET_FLOW_PASS); // filled up
  static const struct {
    unsigned at;
    uint8_t value;
  } wrong[] = {{14, 0x44}, {14, 0x35}, {14, 0x4f}, {16, 1}, {17, 39}, {46, 0x40}, {46, 0xf0}};
  for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    len = tcp(packet, wrong[i].value == 0xf0 || wrong[i].value == 0x4f ? none : some, ACK, SEQ, 1);
    packet[wrong[i].at] = wrong[i].value;
    assert_int_equal(net_flow_check(&flow, packet, len), NET_FLOW_DROP);
  }
  tcp(packet, some, ACK, SEQ + 1, 1);
  for (len = NET_FRAME_MIN; len < 54; len++)
    assert_true(net_flow_check(&flow, packet, len) != NET_FLOW_ASK_FIRST);
  len = tcp(packet, some, ACK, SEQ + 1, 1);
  packet[23] = NET_UDP;
  assert_int_equal(net_flow_check(&flow, packet, len), NET_FLOW_PASS);
  packet[13] = 6; // ARP
  assert_int_equal(net_flow_check(&flow, packet, len), NET_FLOW_PASS);
}

static void a_full_table_forgets_the_oldest(void **state)
{
  enum { MANY = 60000 };
  unsigned known = 0;
  for (unsigned i = 0; i < MANY; i++)
    library((struct to){0, 1 + i, 80}, ACK, SEQ);
  for (unsigned i = 0; i < MANY; i++)
    known += guest((struct to){1, 1 + i, 80}, ACK, SEQ) == NET_FLOW_PASS;
  assert_true(known > NET_FLOW_SETS * NET_FLOW_WAYS * 9 / 10 && known <= NET_FLOW_SETS * NET_FLOW_WAYS);
  assert_int_equal(guest((struct to){1, MANY, 80}, ACK, SEQ), NET_FLOW_PASS);
  assert_int_equal(guest((struct to){1, 1, 80}, ACK, SEQ), NET_FLOW_ASK_FIRST);
}

static void the_question_is_a_bare_segment_far_away_with_right_sums(void **state)
{
  uint8_t q[NET_FLOW_ASK];
  uint32_t len = tcp(packet, some, ACK | PSH | FIN, SEQ, 77);
  packet[IP + 20 + 19] = 9;
  assert_int_equal(net_flow_question(packet, len, q), 54);
  assert_memory_equal(q, packet, 14);
  assert_memory_equal(q + 26, packet + 26, 12); // addresses, ports
  assert_int_equal(net_get16(q + 16), 40);
  assert_int_equal((uint32_t)(net_get32(q + 38) - SEQ), 1u << 30);
  assert_int_equal(net_get32(q + 42), 77);
  assert_int_equal(net_get16(q + 46), 0x5000 | ACK);
  assert_int_equal(net_get16(q + 52), 0);
  struct net_checks c = net_check(q, 54);
  assert_int_equal(c.ip, NET_GOOD);
  assert_int_equal(c.transport, NET_GOOD);
  assert_int_equal(net_flow_question(packet, tcp(packet, (struct to){9, 1, 2, true}, ACK, SEQ, 1), q), 74);
  assert_int_equal(net_fold((uint64_t)net_sum(q + 22, 32) + NET_TCP + 20 + net_sum(q + 54, 20)), 0xffff);
}

// ---- with the library behind ----

struct guest {
  struct bed bed;
  struct netbed nb;
  struct netdev *net;
  unsigned port; // the host's, that a socket listens at
  int listener, peer;
  struct to to;
  uint32_t seq, ack; // of the next segment
  uint8_t last[NET_FRAME_MAX];
  unsigned received;
};

static bool yes(void *arg)
{
  return true;
}

static void receive(void *arg, const uint8_t *frame, size_t len)
{
  struct guest *g = arg;
  memcpy(g->last, frame, len);
  g->received++;
}

static void nothing(void *arg)
{
}

static void look(struct guest *g)
{
  struct pollfd fds[64];
  uint64_t timeout = 0;
  unsigned n = netdevs_poll_fds(&g->nb.set, fds, 64, &timeout);
  poll(fds, n, 1);
  netdevs_poll(&g->nb.set, fds);
}

// Sends and lets the library take it; the queue towards the guest is taken, too.
static void say(struct guest *g, struct to t, uint8_t flags, uint32_t seq)
{
  if (!netdev_can_send(g->net))
    look(g);
  netdev_send_large(g->net, packet, tcp(packet, t, flags, seq, g->ack));
}

static const uint8_t *heard(const struct guest *g)
{
  return g->last + IP + (g->to.v6 ? 40 : 20);
}

static void connect_to(struct guest *g, bool v6)
{
  static const uint8_t arp[42] = {
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6, 0, 1, 8, 0,  6, 4, 0,
      1,    0x52, 0x54, 0,    0x12, 0x34, 0x56, 10,   0, 2,    15,   0,    0, 0, 0, 0, 0, 10, 0, 2, 2};
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof a;
  struct opts o;
  struct err e;
  memset(g, 0, sizeof *g);
  bed_init(&g->bed, 1 << 20);
  netbed_init(&g->nb, &g->bed);
  g->listener = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(g->listener, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(listen(g->listener, 1), 0);
  assert_int_equal(getsockname(g->listener, (struct sockaddr *)&a, &len), 0);
  assert_true(opts_parse(&o, "-netdev", "user,id=u", "type", &e));
  g->net = netdev_open(&g->nb.set, &o, &e);
  assert_non_null(g->net);
  opts_free(&o);
  netdev_attach(g->net, &(struct net_user){yes, yes, receive, nothing, g});
  netdev_send(g->net, arp, sizeof arp);
  look(g);
  g->to = (struct to){0, 4000, ntohs(a.sin_port), v6, false};
  say(g, g->to, SYN, SEQ);
  for (unsigned i = 0; i < 100 && g->received < 2; i++)
    look(g);
  assert_int_equal(heard(g)[13], SYN | ACK);
  g->ack = net_get32(heard(g) + 4) + 1;
  g->seq = SEQ + 1;
  say(g, g->to, ACK, g->seq);
  g->peer = accept(g->listener, NULL, NULL);
  assert_true(g->peer >= 0);
}

static void disconnect(struct guest *g)
{
  close(g->peer);
  close(g->listener);
  netdev_detach(g->net);
  netdevs_free(&g->nb.set);
  bed_free(&g->bed);
}

static size_t memory(void)
{
  struct mallinfo2 i = mallinfo2();
  return i.uordblks + i.hblkhd;
}

static void with_payload(struct guest *g, uint32_t payload, uint8_t flags, uint32_t seq)
{
  struct to t = g->to;
  t.payload = payload;
  say(g, t, flags, seq);
}

static void libslirp_holds_nothing_that_a_hostile_guest_sends_out_of_order(void **state)
{
  static const struct {
    const char *name;
    uint32_t payload, count;
    int first, step;
    bool fin, first_is_wrong;
  } attacks[] = {{"frames, a new byte each", 1400, 3000, 4000, -1, false, false},
                 {"large packets, a new byte each", 60000, 1000, 2000, -1, false, false},
                 {"bytes", 1, 3000, 1, 2, false, false},
                 {"a FIN again and again", 0, 3000, 1, 0, true, false},
                 {"in order behind a wrong sum", 1, 3000, 1, 1, false, true}};
  for (unsigned i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
    struct guest g;
    connect_to(&g, false);
    look(&g);
    size_t before = memory();
    uint64_t dropped = g.net->dropped;
    uint32_t at = g.seq + (uint32_t)attacks[i].first;
    if (attacks[i].first_is_wrong) {
      uint32_t len = tcp(packet, (struct to){1, 4000, g.to.host}, ACK | PSH, g.seq, g.ack);
      packet[len - 1] ^= 1;
      netdev_send(g.net, packet, len);
    }
    for (unsigned n = 0; n < attacks[i].count; n++, at += (uint32_t)attacks[i].step)
      with_payload(&g, attacks[i].payload, attacks[i].fin ? ACK | FIN : ACK | PSH, at);
    look(&g);
    size_t after = memory();
    if (after > before + (1u << 20))
      fail_msg("%s: %zu KB", attacks[i].name, (after - before) >> 10);
    assert_int_equal(g.net->dropped - dropped, attacks[i].count);
    uint8_t buffer[1000];
    for (unsigned b = 0; b < 200; b++)
      packet[54 + b] = (uint8_t)b;
    with_payload(&g, 200, ACK | PSH, g.seq); // and what is in order arrives
    look(&g);
    assert_int_equal(recv(g.peer, buffer, sizeof buffer, 0), 200);
    assert_memory_equal(buffer, packet + 54, 200);
    disconnect(&g);
  }
}

static void segments_sent_at_once_arrive_whether_acknowledged_at_once_or_later(void **state)
{
  enum { PART = 300, PARTS = 40 };
  for (unsigned slow = 0; slow < 2; slow++) {
    struct guest g;
    static uint8_t got[PART * PARTS];
    connect_to(&g, false);
    look(&g);
    for (unsigned n = 0; n < PARTS; n++) {
      uint32_t len = tcp(packet, (struct to){PART, 4000, g.to.host}, ACK, g.seq + n * PART, g.ack);
      memset(packet + 54, (int)n, PART);
      // A window that changes keeps the library from its shortest way, and so from acknowledging at once.
      if (slow)
        net_put16(packet + 48, 0xff00 + n);
      net_put16(packet + 50, net_pseudo(packet + IP, len - 34));
      net_sum_insert(packet, len, 34, 50, 0);
      netdev_send(g.net, packet, len);
    }
    with_payload(&g, 0, ACK | FIN, g.seq + PART * PARTS);
    for (unsigned i = 0; i < 10; i++)
      look(&g);
    assert_int_equal(g.net->dropped, 0);
    assert_int_equal(recv(g.peer, got, sizeof got, MSG_WAITALL), sizeof got);
    for (unsigned n = 0; n < PARTS; n++)
      assert_true(got[n * PART] == n && got[n * PART + PART - 1] == n);
    assert_int_equal(recv(g.peer, got, sizeof got, 0), 0);
    disconnect(&g);
  }
}

static void a_gap_is_answered_with_what_is_missing(void **state)
{
  struct guest g;
  connect_to(&g, false);
  look(&g);
  unsigned before = g.received;
  with_payload(&g, 10, ACK | PSH, g.seq + 10);
  look(&g);
  assert_int_equal(g.received, before + 1);
  assert_int_equal(heard(&g)[13], ACK);
  assert_int_equal(net_get32(heard(&g) + 8), g.seq);
  assert_int_equal(g.net->dropped, 1);
  disconnect(&g);
}

static void data_for_a_connection_that_there_is_not_is_answered_with_a_reset(void **state)
{
  struct guest g;
  connect_to(&g, false);
  look(&g);
  unsigned before = g.received;
  say(&g, (struct to){10, 4001, g.to.host}, ACK | PSH, g.seq);
  look(&g);
  assert_int_equal(g.received, before + 1);
  assert_int_equal(heard(&g)[13] & RST, RST);
  assert_int_equal(net_get32(heard(&g) + 4), g.ack);
  disconnect(&g);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(data_passes_in_order_or_again_and_not_ahead, clear),
      cmocka_unit_test_setup(a_fin_takes_its_place_in_order, clear),
      cmocka_unit_test_setup(what_carries_nothing_passes_anywhere, clear),
      cmocka_unit_test_setup(syn_with_payload_and_data_without_ack_are_dropped, clear),
      cmocka_unit_test_setup(connections_are_told_apart_and_forgotten_when_they_may_be_others, clear),
      cmocka_unit_test_setup(ipv6_is_filtered_like_ipv4, clear),
      cmocka_unit_test_setup(what_contradicts_itself_is_dropped_and_what_is_not_tcp_passes, clear),
      cmocka_unit_test_setup(a_full_table_forgets_the_oldest, clear),
      cmocka_unit_test_setup(the_question_is_a_bare_segment_far_away_with_right_sums, clear),
      cmocka_unit_test(libslirp_holds_nothing_that_a_hostile_guest_sends_out_of_order),
      cmocka_unit_test(segments_sent_at_once_arrive_whether_acknowledged_at_once_or_later),
      cmocka_unit_test(a_gap_is_answered_with_what_is_missing),
      cmocka_unit_test(data_for_a_connection_that_there_is_not_is_answered_with_a_reset),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
