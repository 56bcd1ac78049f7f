// Networks: queues between adapter and backend, -netdev user, MAC addresses.
#include "netbed.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/net_sum.h"

struct adapter {
  unsigned room, received, told;
  bool running;
  uint8_t first;
  uint8_t last[NET_FRAME_MAX];
};

static bool running(void *arg)
{
  return ((struct adapter *)arg)->running;
}

static bool can_receive(void *arg)
{
  return ((struct adapter *)arg)->room > 0;
}

static void receive(void *arg, const uint8_t *frame, size_t len)
{
  struct adapter *a = arg;
  a->room--;
  a->received++;
  a->first = frame[0];
  memcpy(a->last, frame, len);
}

static void sent(void *arg)
{
  ((struct adapter *)arg)->told++;
}

struct fixture {
  struct bed bed;
  struct netbed nb;
  struct adapter a;
};

static void start(struct fixture *f)
{
  memset(f, 0, sizeof *f);
  bed_init(&f->bed, 1 << 20);
  netbed_init(&f->nb, &f->bed);
  netdev_attach(f->nb.net, &(struct net_user){running, can_receive, receive, sent, &f->a});
}

static void stop(struct fixture *f)
{
  netdevs_free(&f->nb.set);
  bed_free(&f->bed);
}

static void frames_of_the_guest_wait_until_the_machine_looks_outside(void **state)
{
  struct fixture f;
  uint8_t frame[64] = {7};
  start(&f);
  netdev_send(f.nb.net, frame, 64);
  assert_int_equal(f.nb.frames, 0);
  assert_int_equal(f.nb.wakes, 1);
  netbed_look(&f.nb);
  assert_int_equal(f.nb.frames, 1);
  assert_int_equal(f.nb.last_len, 64);
  assert_int_equal(f.nb.last[0], 7);
  stop(&f);
}

static void a_full_queue_makes_the_guest_wait_and_tells_it_when_there_is_room(void **state)
{
  struct fixture f;
  uint8_t frame[64] = {0};
  start(&f);
  unsigned n = 0;
  while (netdev_can_send(f.nb.net) && n < 10000) {
    netdev_send(f.nb.net, frame, 64);
    n++;
  }
  assert_int_equal(n, NET_OUT);
  netdev_send(f.nb.net, frame, 64); // who does not ask loses it
  assert_int_equal(f.nb.net->dropped, 1);
  assert_int_equal(f.a.told, 0);
  netbed_look(&f.nb);
  assert_int_equal(f.nb.frames, NET_OUT);
  assert_int_equal(f.a.told, 1);
  netbed_look(&f.nb);
  assert_int_equal(f.a.told, 1);
  stop(&f);
}

static void long_packets_go_where_they_are_taken_and_fill_the_queue_sooner(void **state)
{
  struct fixture f;
  static uint8_t packet[NET_LARGE_MAX + 1];
  start(&f);
  assert_false(netdev_takes_large(f.nb.net));
  netdev_send_large(f.nb.net, packet, NET_FRAME_MAX + 1);
  assert_int_equal(f.nb.net->dropped, 1);
  f.nb.ops.large = true;
  netdev_send_large(f.nb.net, packet, NET_LARGE_MAX + 1);
  netdev_send(f.nb.net, packet, NET_FRAME_MAX + 1);
  assert_int_equal(f.nb.net->dropped, 3);
  unsigned n = 0;
  while (netdev_can_send(f.nb.net) && n < 10000) {
    packet[NET_LARGE_MAX - 1] = (uint8_t)n++;
    netdev_send_large(f.nb.net, packet, NET_LARGE_MAX);
  }
  assert_true(n >= 4 && n < NET_OUT);
  assert_int_equal(f.nb.net->dropped, 3);
  netdev_send(f.nb.net, packet, 60);
  assert_int_equal(f.nb.net->dropped, 4);
  netbed_look(&f.nb);
  assert_int_equal(f.nb.frames, n);
  assert_int_equal(f.nb.last_len, NET_LARGE_MAX);
  assert_int_equal(f.nb.last[NET_LARGE_MAX - 1], n - 1);
  assert_int_equal(f.a.told, 1);
  assert_true(netdev_can_send(f.nb.net));
  stop(&f);
}

static void frames_from_outside_wait_for_room_and_are_bounded(void **state)
{
  struct fixture f;
  uint8_t frame[60] = {0};
  start(&f);
  for (unsigned i = 0; i < NET_IN + 5; i++) {
    frame[0] = (uint8_t)i;
    netdev_feed(f.nb.net, frame, 60);
  }
  assert_int_equal(f.nb.net->dropped, 5);
  assert_false(netdev_wants(f.nb.net));
  netbed_look(&f.nb);
  assert_int_equal(f.a.received, 0);
  f.a.room = 3;
  netdev_kick(f.nb.net);
  assert_int_equal(f.a.received, 3);
  assert_int_equal(f.a.first, 2);
  f.a.room = 1000;
  netbed_look(&f.nb);
  assert_int_equal(f.a.received, NET_IN);
  assert_true(netdev_wants(f.nb.net));
  stop(&f);
}

static void frames_of_impossible_length_are_dropped(void **state)
{
  struct fixture f;
  static uint8_t frame[70000];
  start(&f);
  f.a.room = 10;
  netdev_send(f.nb.net, frame, 13);
  netdev_send(f.nb.net, frame, NET_FRAME_MAX + 1);
  netdev_feed(f.nb.net, frame, 0);
  netdev_feed(f.nb.net, frame, sizeof frame);
  netbed_look(&f.nb);
  assert_int_equal(f.nb.frames, 0);
  assert_int_equal(f.a.received, 0);
  assert_int_equal(f.nb.net->dropped, 4);
  stop(&f);
}

static void a_network_without_adapter_takes_nothing(void **state)
{
  struct fixture f;
  uint8_t frame[60] = {0};
  start(&f);
  f.a.running = true;
  assert_true(netdevs_running(&f.nb.set));
  netdev_detach(f.nb.net);
  assert_false(netdevs_running(&f.nb.set));
  netdev_feed(f.nb.net, frame, 60);
  netbed_look(&f.nb);
  assert_int_equal(f.a.received, 0);
  stop(&f);
}

static bool opens(struct fixture *f, const char *text, struct err *e)
{
  struct opts o;
  assert_true(opts_parse(&o, "-netdev", text, "type", e));
  struct netdev *n = netdev_open(&f->nb.set, &o, e);
  bool ok = n && opts_done(&o, e);
  if (n)
    netdev_delete(n);
  opts_free(&o);
  return ok;
}

static void what_netdev_user_takes_and_refuses(void **state)
{
  struct fixture f;
  struct err e;
  start(&f);
  assert_true(opens(&f, "user,id=a", &e));
  assert_true(opens(&f,
                    "user,id=a,net=192.168.7.0/24,host=192.168.7.1,dns=192.168.7.9,dhcpstart=192.168.7.20,"
                    "restrict=on,hostname=guest",
                    &e));
  assert_true(opens(&f, "user,id=a,ipv6=on", &e));
  static const char *const bad[] = {"tap,id=a",
                                    "user",
                                    "user,id=n0", // taken
                                    "user,id=a,net=10.0.2",
                                    "user,id=a,net=10.0.2.0/40",
                                    "user,id=a,host=10.0.3.2",
                                    "user,id=a,host=10.0.2.3", // the name server's
                                    "user,id=a,dns=x",
                                    "user,id=a,nosuch=1",
                                    "user,id=a,ipv4=off",
                                    "user,id=a,hostfwd=",
                                    "user,id=a,hostfwd=icmp:127.0.0.1:1-:1",
                                    "user,id=a,hostfwd=tcp:127.0.0.1:1",
                                    "user,id=a,hostfwd=tcp:127.0.0.1:70000-:1",
                                    "user,id=a,hostfwd=tcp:300.0.0.1:7000-:1",
                                    "user,id=a,hostfwd=tcp:127.0.0.1:-1-:1",
                                    "user,id=a,hostfwd=tcp:127.0.0.1:7000-:1x"};
  for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    e.text[0] = 0;
    if (opens(&f, bad[i], &e))
      fail_msg("%s was taken", bad[i]);
    assert_true(e.text[0] != 0);
  }
  stop(&f);
}

static void a_port_in_use_is_an_error_that_names_it(void **state)
{
  struct fixture f;
  struct err e;
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof a;
  char text[100], port[8];
  start(&f);
  int s = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(listen(s, 1), 0);
  assert_int_equal(getsockname(s, (struct sockaddr *)&a, &len), 0);
  snprintf(port, sizeof port, "%u", ntohs(a.sin_port));
  snprintf(text, sizeof text, "user,id=a,hostfwd=tcp:127.0.0.1:%s-:80", port);
  assert_false(opens(&f, text, &e));
  assert_non_null(strstr(e.text, port));
  assert_non_null(strstr(e.text, "in use"));
  close(s);
  assert_true(opens(&f, text, &e));
  stop(&f);
}

static uint16_t sum(const uint8_t *p, unsigned n)
{
  return (uint16_t)~net_sum(p, n);
}

static const uint8_t arp[42] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6, 0, 1, 8, 0,  6, 4, 0,
    1,    0x52, 0x54, 0,    0x12, 0x34, 0x56, 10,   0, 2,    15,   0,    0, 0, 0, 0, 0, 10, 0, 2, 2};

enum { IP = 14, TCP = 34, PAYLOAD = 54, SYN = 2, PSH = 8, ACK = 0x10 };

// A TCP packet from 10.0.2.15, port 4000, to the host; returns its length.
static uint32_t tcp(uint8_t *p, unsigned port, uint32_t seq, uint32_t ack, uint8_t flags, uint32_t payload)
{
  static const uint8_t head[PAYLOAD] = {0x52, 0x55, 10, 0, 2,    2, 0x52, 0x54, 0,  0x12, 0x34, 0x56, 8,  0,
                                        0x45, 0,    0,  0, 0,    0, 0x40, 0,    64, 6,    0,    0,    10, 0,
                                        2,    15,   10, 0, 2,    2, 0x0f, 0xa0, 0,  0,    0,    0,    0,  0,
                                        0,    0,    0,  0, 0x50, 0, 0xff, 0xff, 0,  0,    0,    0};
  memcpy(p, head, sizeof head);
  uint32_t len = PAYLOAD + payload;
  net_put16(p + IP + 2, len - IP);
  net_put16(p + TCP + 2, port);
  net_put32(p + TCP + 4, seq);
  net_put32(p + TCP + 8, ack);
  p[TCP + 13] = flags;
  net_sum_insert(p, len, IP, IP + 10, TCP - 1);
  net_put16(p + TCP + 16, net_pseudo(p + IP, len - TCP));
  net_sum_insert(p, len, TCP, TCP + 16, 0);
  return len;
}

static void the_user_network_answers_arp_and_hostile_frames_do_no_harm(void **state)
{
  struct fixture f;
  struct opts o;
  struct err e;
  start(&f);
  assert_true(opts_parse(&o, "-netdev", "user,id=u,restrict=on", "type", &e));
  struct netdev *n = netdev_open(&f.nb.set, &o, &e);
  assert_non_null(n);
  opts_free(&o);
  f.a = (struct adapter){.room = 100000};
  netdev_attach(n, &(struct net_user){running, can_receive, receive, sent, &f.a});
  netdev_send(n, arp, sizeof arp);
  netbed_look(&f.nb);
  assert_int_equal(f.a.received, 1);
  uint64_t noise = 1;
  for (unsigned i = 0; i < 20000; i++) { // IP headers that are right so far, and noise behind
    uint8_t frame[1514] = {0x52, 0x55, 10, 0, 2, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 0, 0x45};
    for (unsigned b = 15; b < sizeof frame; b++)
      frame[b] = (uint8_t)((noise = noise * 6364136223846793005u + 1442695040888963407u) >> 56);
    unsigned len = 34 + (unsigned)(noise >> 33) % 1480;
    frame[16] = (uint8_t)((len - 14) >> 8), frame[17] = (uint8_t)(len - 14);
    if (i % 4)
      frame[20] &= 0x40, frame[21] = 0; // whole datagrams; the others are fragments
    frame[23] = i % 3 == 0 ? 6 : i % 3 == 1 ? 17 : 1;
    memcpy(frame + 26, (uint8_t[]){10, 0, 2, 15, 10, 0, 2, 2}, 8);
    frame[24] = frame[25] = 0;
    uint16_t s = sum(frame + 14, 20);
    frame[24] = (uint8_t)(s >> 8), frame[25] = (uint8_t)s;
    if (frame[23] == 17 &&
        i % 2) { // UDP to the name server, DHCP and TFTP, of the right length, without a sum
      static const uint8_t ports[4] = {53, 67, 69, 68};
      memset(frame + 26 + 4, 10, 1), frame[36] = 0, frame[37] = ports[i / 6 % 4];
      frame[38] = (uint8_t)((len - 34) >> 8), frame[39] = (uint8_t)(len - 34);
      frame[40] = frame[41] = 0;
    }
    netdev_send(n, frame, len);
    if (i % 64 == 0) { // and a long packet of a connection that there is not
      static uint8_t packet[NET_LARGE_MAX];
      len = tcp(packet, (unsigned)noise & 0xffff, (uint32_t)(noise >> 8), (uint32_t)noise, noise >> 50 & 0xdb,
                (uint32_t)(noise >> 20) % (NET_LARGE_MAX - PAYLOAD));
      netdev_send_large(n, packet, len);
      netbed_look(&f.nb);
    }
  }
  netbed_look(&f.nb);
  unsigned before = f.a.received;
  netdev_send(n, arp, sizeof arp);
  netbed_look(&f.nb);
  assert_int_equal(f.a.received, before + 1);
  netdev_detach(n);
  stop(&f);
}

// What the machine does between slices, with the sockets.
static void look(struct netdevs *s)
{
  struct pollfd fds[16];
  uint64_t timeout = 0;
  unsigned n = netdevs_poll_fds(s, fds, 16, &timeout);
  poll(fds, n, 20);
  netdevs_poll(s, fds);
}

static void a_long_packet_reaches_a_socket_whole_and_is_acknowledged_once(void **state)
{
  enum { LEN = 40000, SEQ = 1000 };
  struct fixture f;
  struct opts o;
  struct err e;
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof a;
  static uint8_t packet[NET_LARGE_MAX], got[LEN];
  start(&f);
  int s = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(listen(s, 1), 0);
  assert_int_equal(getsockname(s, (struct sockaddr *)&a, &len), 0);
  unsigned port = ntohs(a.sin_port);
  assert_true(opts_parse(&o, "-netdev", "user,id=u", "type", &e));
  struct netdev *n = netdev_open(&f.nb.set, &o, &e);
  assert_non_null(n);
  opts_free(&o);
  assert_true(netdev_takes_large(n));
  f.a = (struct adapter){.room = 100000};
  netdev_attach(n, &(struct net_user){running, can_receive, receive, sent, &f.a});
  netdev_send(n, arp, sizeof arp);
  look(&f.nb.set);
  netdev_send(n, packet, tcp(packet, port, SEQ, 0, SYN, 0));
  const uint8_t *t = f.a.last + TCP;
  for (unsigned i = 0; i < 100 && f.a.received < 2; i++)
    look(&f.nb.set);
  assert_int_equal(t[13], SYN | ACK);
  uint32_t ack = net_get32(t + 4) + 1;
  netdev_send(n, packet, tcp(packet, port, SEQ + 1, ack, ACK, 0));
  for (unsigned i = 0; i < LEN; i++)
    packet[PAYLOAD + i] = (uint8_t)(i * 7 + (i >> 8));
  unsigned before = f.a.received;
  netdev_send_large(n, packet, tcp(packet, port, SEQ + 1, ack, ACK | PSH, LEN));
  look(&f.nb.set);
  assert_int_equal(f.a.received, before + 1);
  assert_int_equal(t[13], ACK);
  assert_int_equal(net_get32(t + 8), SEQ + 1 + LEN);
  int c = accept(s, NULL, NULL);
  assert_true(c >= 0);
  assert_int_equal(recv(c, got, LEN, MSG_WAITALL), LEN);
  assert_memory_equal(got, packet + PAYLOAD, LEN);
  close(c);
  close(s);
  netdev_detach(n);
  stop(&f);
}

static void addresses_are_given_out_in_order(void **state)
{
  struct fixture f;
  struct err e;
  uint8_t mac[6];
  start(&f);
  assert_true(netdev_mac(&f.nb.set, bed_opts("x"), mac, &e));
  assert_int_equal(mac[5], 0x56);
  assert_true(netdev_mac(&f.nb.set, bed_opts("x"), mac, &e));
  assert_int_equal(mac[5], 0x57);
  assert_true(netdev_mac(&f.nb.set, bed_opts("x,mac=02:00:5e:10:00:Ff"), mac, &e));
  assert_memory_equal(mac, "\x02\x00\x5e\x10\x00\xff", 6);
  assert_false(netdev_mac(&f.nb.set, bed_opts("x,mac=02:00:5e:10:00"), mac, &e));
  assert_false(netdev_mac(&f.nb.set, bed_opts("x,mac=02:00:5e:10:00:11:22"), mac, &e));
  assert_false(netdev_mac(&f.nb.set, bed_opts("x,mac=03:00:5e:10:00:11"), mac, &e));
  stop(&f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(frames_of_the_guest_wait_until_the_machine_looks_outside),
      cmocka_unit_test(a_full_queue_makes_the_guest_wait_and_tells_it_when_there_is_room),
      cmocka_unit_test(long_packets_go_where_they_are_taken_and_fill_the_queue_sooner),
      cmocka_unit_test(frames_from_outside_wait_for_room_and_are_bounded),
      cmocka_unit_test(frames_of_impossible_length_are_dropped),
      cmocka_unit_test(a_network_without_adapter_takes_nothing),
      cmocka_unit_test(what_netdev_user_takes_and_refuses),
      cmocka_unit_test(a_port_in_use_is_an_error_that_names_it),
      cmocka_unit_test(the_user_network_answers_arp_and_hostile_frames_do_no_harm),
      cmocka_unit_test(a_long_packet_reaches_a_socket_whole_and_is_acknowledged_once),
      cmocka_unit_test(addresses_are_given_out_in_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
