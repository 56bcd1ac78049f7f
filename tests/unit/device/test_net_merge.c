// Joining TCP frames: what is joined, to what, and what is not.
#include "netbed.h"

#include "device/net_merge.h"
#include "device/net_sum.h"

enum { IP = 14, TCP = 34, HEADER = 66, MSS = 1448, PSH = 8, ACK = 0x10 };
#define SEQ 0xfffffe00u

struct frame {
  uint8_t data[NET_FRAME_MAX];
  uint32_t len;
};

static void sums(struct frame *f)
{
  uint32_t header = (f->data[IP] & 15u) * 4;
  net_put16(f->data + IP + 10, 0);
  net_put16(f->data + IP + 10, ~net_sum(f->data + IP, header));
  net_put16(f->data + TCP + 16, 0);
  uint32_t n = f->len - TCP;
  net_put16(f->data + TCP + 16, ~net_fold((uint64_t)net_sum(f->data + TCP, n) + net_pseudo(f->data + IP, n)));
}

// `part` bytes of a stream, from its byte `at`.
static struct frame make(uint32_t at, uint32_t part, uint8_t flags)
{
  static const uint8_t head[TCP] = {0x52, 0x54, 0,    0x12, 0x34, 0x56, 0x52, 0x55, 10, 0, 2,  2,
                                    8,    0,    0x45, 0,    0,    0,    0,    0,    0,  0, 64, 6,
                                    0,    0,    10,   0,    2,    2,    10,   0,    2,  15};
  struct frame f = {.len = HEADER + part};
  uint8_t *t = f.data + TCP;
  memcpy(f.data, head, sizeof head);
  net_put16(f.data + IP + 2, f.len - IP);
  net_put16(f.data + IP + 4, at / MSS);
  net_put16(t, 80);
  net_put16(t + 2, 1024);
  net_put32(t + 4, SEQ + at);
  net_put32(t + 8, 4711);
  t[12] = 0x80;
  t[13] = flags;
  net_put16(t + 14, 0xfff0);
  memset(t + 20, 1, 12);
  for (uint32_t i = 0; i < part; i++)
    f.data[HEADER + i] = (uint8_t)((at + i) * 3);
  sums(&f);
  return f;
}

static struct net_merge begun(const struct frame *f, uint32_t most)
{
  struct net_merge m;
  assert_true(net_merge_begin(&m, f->data, f->len, most));
  return m;
}

static void frames_that_follow_each_other_become_one_packet(void **state)
{
  static uint8_t data[4 * MSS];
  struct frame f[3] = {make(0, MSS, ACK), make(MSS, MSS, ACK), make(2 * MSS, 100, ACK | PSH)};
  struct net_merge m = begun(&f[0], NET_LARGE_MAX);
  assert_true(net_merge_add(&m, f[1].data, f[1].len));
  assert_true(net_merge_add(&m, f[2].data, f[2].len));
  assert_int_equal(m.count, 3);
  assert_int_equal(m.segment, MSS);
  assert_int_equal(m.header, HEADER);
  assert_int_equal(m.len, HEADER + 2 * MSS + 100);
  memcpy(data, f[0].data, f[0].len);
  for (unsigned i = 0; i < 2 * MSS + 100; i++)
    data[HEADER + i] = (uint8_t)(i * 3);
  net_merge_finish(&m, data);
  assert_int_equal(net_get16(data + IP + 2), m.len - IP);
  assert_int_equal(net_sum(data + IP, 20), 0xffff);
  assert_int_equal(data[TCP + 13], ACK | PSH);
  assert_int_equal(net_get32(data + TCP + 4), SEQ);
  assert_int_equal(net_get16(data + TCP + 16), net_pseudo(data + IP, m.len - TCP));
  // Whoever completes the sum has a good packet.
  net_sum_insert(data, m.len, TCP, TCP + 16, 0);
  struct net_checks c = net_check(data, m.len);
  assert_int_equal(c.ip, NET_GOOD);
  assert_int_equal(c.transport, NET_GOOD);
}

static void frames_that_differ_are_not_joined(void **state)
{
  static const struct {
    const char *what;
    unsigned at;
    uint8_t xor ;
    bool never; // nor can it be the first
  } row[] = {{"another destination", 5, 1},
             {"another source", 11, 1},
             {"another protocol", 12, 8, true},
             {"IP options", IP, 1, true},
             {"another class", IP + 1, 4},
             {"another DF", IP + 6, 0x40},
             {"more fragments", IP + 6, 0x20, true},
             {"an offset", IP + 7, 1, true},
             {"another life", IP + 8, 1},
             {"UDP", IP + 9, 0x17, true},
             {"another sender", IP + 15, 1},
             {"another receiver", IP + 19, 1},
             {"another port", TCP + 1, 1},
             {"another port to", TCP + 3, 1},
             {"a gap", TCP + 7, 1},
             {"another part of the stream", TCP + 4, 0x80},
             {"another acknowledgement", TCP + 11, 1},
             {"shorter options", TCP + 12, 0x10},
             {"reserved bits", TCP + 12, 1, true},
             {"FIN", TCP + 13, 1, true},
             {"SYN", TCP + 13, 2, true},
             {"RST", TCP + 13, 4, true},
             {"URG", TCP + 13, 0x20, true},
             {"ECE", TCP + 13, 0x40, true},
             {"CWR", TCP + 13, 0x80, true},
             {"no ACK", TCP + 13, ACK, true},
             {"another window", TCP + 15, 1},
             {"an urgent pointer", TCP + 19, 1},
             {"other options", TCP + 20, 2},
             {"options that end otherwise", HEADER - 1, 2}};
  struct frame first = make(0, MSS, ACK);
  for (unsigned i = 0; i < sizeof row / sizeof row[0]; i++) {
    struct frame next = make(MSS, MSS, ACK);
    next.data[row[i].at] ^= row[i].xor ;
    sums(&next);
    struct net_merge m = begun(&first, NET_LARGE_MAX), was = m;
    if (net_merge_add(&m, next.data, next.len))
      fail_msg("joined in spite of %s", row[i].what);
    assert_memory_equal(&m, &was, sizeof m);
    if (row[i].never && net_merge_begin(&m, next.data, next.len, NET_LARGE_MAX))
      fail_msg("began in spite of %s", row[i].what);
  }
}

static void a_wrong_checksum_in_any_frame_joins_nothing(void **state)
{
  static const unsigned at[] = {IP + 10, TCP + 16, HEADER + MSS - 1};
  for (unsigned i = 0; i < 3; i++) {
    struct frame a = make(0, MSS, ACK), b = make(MSS, MSS, ACK), bad_a = a, bad_b = b;
    bad_a.data[at[i]] ^= 1;
    bad_b.data[at[i]] ^= 1;
    struct net_merge m = begun(&a, NET_LARGE_MAX);
    assert_false(net_merge_add(&m, bad_b.data, bad_b.len));
    assert_true(net_merge_add(&m, b.data, b.len));
    m = begun(&bad_a, NET_LARGE_MAX);
    assert_false(net_merge_add(&m, b.data, b.len));
  }
}

static void a_short_or_pushed_frame_is_the_last_and_a_longer_one_is_none(void **state)
{
  struct frame a = make(0, 1000, ACK), shorter = make(1000, 999, ACK), pushed = make(1000, 1000, ACK | PSH);
  struct frame longer = make(1000, 1001, ACK), after = make(1999, 1000, ACK), then = make(2000, 1000, ACK);
  struct net_merge m = begun(&a, NET_LARGE_MAX);
  assert_false(net_merge_add(&m, longer.data, longer.len));
  assert_true(net_merge_add(&m, shorter.data, shorter.len));
  assert_false(net_merge_add(&m, after.data, after.len));
  m = begun(&a, NET_LARGE_MAX);
  assert_true(net_merge_add(&m, pushed.data, pushed.len));
  assert_false(net_merge_add(&m, then.data, then.len));
  assert_false(net_merge_begin(&m, pushed.data, pushed.len, NET_LARGE_MAX));
  // Without payload there is nothing to join, and padding is none.
  struct frame none = make(1000, 0, ACK), padded = make(1000, 10, ACK);
  m = begun(&a, NET_LARGE_MAX);
  assert_false(net_merge_add(&m, none.data, none.len));
  assert_false(net_merge_add(&m, padded.data, padded.len + 4));
  assert_false(net_merge_add(&m, padded.data, padded.len - 4));
  for (uint32_t n = 0; n < HEADER; n++)
    assert_false(net_merge_begin(&m, padded.data, n, NET_LARGE_MAX));
}

static void a_packet_grows_to_its_limit(void **state)
{
  static const uint32_t limits[] = {NET_LARGE_MAX, UINT32_MAX, HEADER + 2 * MSS, HEADER + 2 * MSS - 1, 0};
  static const uint32_t frames[] = {45, 45, 2, 1, 1};
  for (unsigned i = 0; i < 5; i++) {
    struct frame f = make(0, MSS, ACK);
    if (limits[i] < f.len)
      continue; // one frame is not asked about
    struct net_merge m = begun(&f, limits[i]);
    uint32_t n = 1;
    for (; n < 100; n++) {
      struct frame next = make(n * MSS, MSS, ACK);
      if (!net_merge_add(&m, next.data, next.len))
        break;
    }
    assert_int_equal(n, frames[i]);
    assert_true(m.len <= limits[i] && m.len <= NET_LARGE_MAX);
  }
}

// ---- in a network --------------------------------------------------------------------------------------

struct adapter {
  uint32_t room, asked, single, large, last, segment, order[8], n;
  uint8_t data[NET_LARGE_MAX];
};

static bool running(void *arg)
{
  return true;
}

static void receive(void *arg, const uint8_t *frame, size_t len)
{
  struct adapter *a = arg;
  a->single++;
  a->order[a->n++ % 8] = net_get32(frame + TCP + 4) - SEQ;
}

static uint32_t room(void *arg, uint32_t want)
{
  struct adapter *a = arg;
  a->asked = want;
  return a->room < want ? a->room : want;
}

static void receive_large(void *arg, const struct net_large *p)
{
  struct adapter *a = arg;
  a->large++;
  a->last = p->len;
  a->segment = p->segment;
  assert_int_equal(p->transport, TCP);
  assert_int_equal(p->header, HEADER);
  memcpy(a->data, p->data, p->len);
  a->order[a->n++ % 8] = net_get32(p->data + TCP + 4) - SEQ;
}

static void told(void *arg)
{
}

static void waiting_frames_are_delivered_joined_as_far_as_there_is_room(void **state)
{
  struct bed bed;
  struct netbed nb;
  static struct adapter a;
  for (unsigned round = 0; round < 4; round++) {
    bed_init(&bed, 1 << 20);
    netbed_init(&nb, &bed);
    a = (struct adapter){.room = round == 1   ? HEADER + 2 * MSS + 7
                                 : round == 2 ? HEADER + MSS
                                              : NET_LARGE_MAX};
    netdev_attach(nb.net, &(struct net_user){running, running, receive, told, &a, round == 3 ? NULL : room,
                                             receive_large});
    for (uint32_t i = 0; i < 4; i++) {
      struct frame f = make(i * MSS, MSS, ACK);
      netdev_feed(nb.net, f.data, f.len);
    }
    struct frame other = make(0, 100, ACK); // of another part of the stream
    netdev_feed(nb.net, other.data, other.len);
    netbed_look(&nb);
    static const uint32_t large[] = {1, 2, 0, 0}, single[] = {1, 1, 5, 5};
    assert_int_equal(a.large, large[round]);
    assert_int_equal(a.single, single[round]);
    assert_int_equal(nb.net->received, 5);
    assert_int_equal(a.order[a.n - 1], 0);
    if (round == 1)
      assert_int_equal(a.order[1], 2 * MSS);
    if (round < 2) {
      assert_int_equal(a.segment, MSS);
      assert_int_equal(a.last, HEADER + (round ? 2 : 4) * MSS);
      for (uint32_t i = 0; i < a.last - HEADER; i++)
        assert_int_equal(a.data[HEADER + i], (uint8_t)(((round ? 2 * MSS : 0) + i) * 3));
    }
    netdevs_free(&nb.set);
    bed_free(&bed);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(frames_that_follow_each_other_become_one_packet),
      cmocka_unit_test(frames_that_differ_are_not_joined),
      cmocka_unit_test(a_wrong_checksum_in_any_frame_joins_nothing),
      cmocka_unit_test(a_short_or_pushed_frame_is_the_last_and_a_longer_one_is_none),
      cmocka_unit_test(a_packet_grows_to_its_limit),
      cmocka_unit_test(waiting_frames_are_delivered_joined_as_far_as_there_is_room),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
