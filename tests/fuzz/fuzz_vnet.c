// virtio-net with any rings and chains, long packets with any header, and TCP streams that come in. Promises:
// nothing leads outside, no sequence holds the machine, nothing longer than a frame but TCP in IPv4 reaches
// the network, and after a reset the adapter works.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "device/net_sum.h"

#define STEPS 200

enum { BAR = 0xe9000000, NOTIFY = 0x3000, SIZE = 64, RX = 0, TX = 1, HDR = 12 };
enum { DESC = 0x10000, AVAIL = 0x11000, USED = 0x12000, QUEUE = 0x4000 }; // of queue n: + n * QUEUE
enum { PACKET = 0x100000, RX_BUFFERS = 0x200000, NEXT = 1, WRITE = 2, IP = 14, TCP = 34 };
#define FEATURES                                                                                             \
  UINT64_C(0x1000138a3) // sums, address, joined, segments, congestion, merged, status, version 1

enum step {
  STEP_SETUP,
  STEP_PACKET,
  STEP_CHANGE,
  STEP_SEND,
  STEP_RX_BUFFERS,
  STEP_DESC,
  STEP_KICK,
  STEP_STREAM,
  STEP_REGISTER,
  STEP_LARGE,
  STEP_PASS,
  STEP_KINDS
};

struct play {
  struct machine *m;
  struct netdev *net;
  uint16_t avail[2];
  uint32_t seq;
};

static void set(struct play *p, unsigned reg, unsigned size, uint32_t v)
{
  board_access(p->m, TXN_MEM, BAR + reg, size, true, v);
}

static void place(struct play *p)
{
  for (unsigned i = 0; i < 256; i++) {
    struct pci_func *f = p->m->pc.pci.func[i];
    if (!f || pci_get_long(f, 0) != 0x10001af4)
      continue;
    board_pci(p->m, (uint8_t)i, 0x20, 4, BAR);
    board_pci(p->m, (uint8_t)i, 0x24, 4, 0);
    board_pci(p->m, (uint8_t)i, 4, 2, 6);
  }
}

static void setup(struct play *p, uint64_t features)
{
  set(p, 0x14, 1, 0);
  set(p, 0x14, 1, 3);
  for (unsigned i = 0; i < 2; i++) {
    set(p, 8, 4, i);
    set(p, 0xc, 4, (uint32_t)(features >> 32 * i));
  }
  set(p, 0x14, 1, 11);
  for (unsigned q = 0; q < 2; q++) {
    static const uint8_t none[4] = {0};
    set(p, 0x16, 2, q);
    set(p, 0x18, 2, SIZE);
    set(p, 0x20, 4, DESC + q * QUEUE);
    set(p, 0x28, 4, AVAIL + q * QUEUE);
    set(p, 0x30, 4, USED + q * QUEUE);
    set(p, 0x1c, 2, 1);
    board_poke(p->m, AVAIL + q * QUEUE, none, 4);
    p->avail[q] = 0;
  }
  set(p, 0x14, 1, 15);
}

static void desc(struct play *p, unsigned q, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
                 uint16_t next)
{
  uint8_t d[16];
  memcpy(d, &addr, 8);
  memcpy(d + 8, &len, 4);
  memcpy(d + 12, &flags, 2);
  memcpy(d + 14, &next, 2);
  board_poke(p->m, DESC + q * QUEUE + 16 * (i % SIZE), d, 16);
}

static void offer(struct play *p, unsigned q, uint16_t head)
{
  board_poke(p->m, AVAIL + q * QUEUE + 4 + 2 * (p->avail[q] % SIZE), &head, 2);
  p->avail[q]++;
  board_poke(p->m, AVAIL + q * QUEUE + 2, &p->avail[q], 2);
}

// A virtio header and a TCP packet; `tag` before IP, IPv6 if `six`.
static void packet(struct play *p, bool six, bool tag, uint8_t type, uint16_t mss, uint16_t len)
{
  uint8_t d[HDR + 128] = {1, type}, *f = d + HDR;
  unsigned ip = IP + (tag ? 4 : 0), tcp = ip + (six ? 40 : 20);
  uint16_t at = (uint16_t)tcp;
  memcpy(d + 4, &mss, 2);
  memcpy(d + 6, &at, 2);
  d[8] = 16;
  net_put16(f + 12, NET_VLAN);
  net_put16(f + ip - 2, six ? NET_IPV6 : NET_IPV4);
  f[ip] = six ? 0x60 : 0x45;
  f[ip + (six ? 6 : 9)] = NET_TCP;
  net_put16(f + ip + (six ? 4 : 2), len);
  f[tcp + 12] = 0x80;
  f[tcp + 13] = 0x19;
  net_put16(f + tcp + 16, six ? 0 : net_pseudo(f + ip, (uint32_t)len - 20));
  board_poke(p->m, PACKET, d, sizeof d);
}

// Frames of one connection, that may not fit together.
static void stream(struct play *p, unsigned frames, unsigned part, uint8_t flags, uint8_t at, uint8_t xor)
{
  uint8_t f[NET_FRAME_MAX] = {0};
  static const uint8_t head[] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 2, 10, 0, 2, 15};
  part %= NET_FRAME_MAX - 66;
  for (unsigned i = 0; i < frames; i++, p->seq += part) {
    memset(f, 0, 66);
    net_put16(f + 12, NET_IPV4);
    memcpy(f + IP, head, sizeof head);
    net_put16(f + IP + 2, 52 + part);
    net_put32(f + TCP + 4, p->seq);
    f[TCP + 12] = 0x80;
    f[TCP + 13] = i + 1 == frames ? 0x10 ^ flags : 0x10;
    if (i + 1 == frames)
      f[at % 66] ^= xor;
    net_sum_insert(f, 66 + part, IP, IP + 10, TCP - 1);
    net_put16(f + TCP + 16, net_pseudo(f + IP, 32 + part));
    net_sum_insert(f, 66 + part, TCP, TCP + 16, 0);
    netdev_feed(p->net, f, 66 + part);
  }
}

static void one(struct play *p, enum step step, struct fuzz_in *in)
{
  unsigned how = (unsigned)fuzz_take(in, 1);
  uint16_t a = (uint16_t)fuzz_take(in, 2), b = (uint16_t)fuzz_take(in, 2);
  switch (step) {
  case STEP_SETUP:
    setup(p, how & 1 ? FEATURES & ~((uint64_t)a << (how & 2 ? 0 : 6)) : FEATURES);
    break;
  case STEP_PACKET:
    packet(p, how & 1, how & 2, how & 4 ? (uint8_t)fuzz_take(in, 1) : how & 1 ? 4 : 1, a, b);
    break;
  case STEP_CHANGE: {
    uint8_t v = (uint8_t)b;
    board_poke(p->m, PACKET + a % 128, &v, 1);
    break;
  }
  case STEP_SEND: { // in one or two pieces, of b bytes, a of them in the first
    uint32_t len = b + (how & 0x80 ? 100u : 0), first = how & 1 && a < len ? a : len;
    desc(p, TX, 0, PACKET, first, first < len ? NEXT : 0, 1);
    desc(p, TX, 1, PACKET + first, len - first, 0, 0);
    offer(p, TX, 0);
    set(p, NOTIFY + 4 * TX, 2, TX);
    break;
  }
  case STEP_RX_BUFFERS:
    for (unsigned i = 0; i < how % SIZE; i++) {
      desc(p, RX, i, RX_BUFFERS + 0x1000 * i, a, WRITE, 0);
      offer(p, RX, (uint16_t)i);
    }
    break;
  case STEP_DESC:
    desc(p, how & 1, how >> 2, how & 2 ? fuzz_take(in, 8) : PACKET, (uint32_t)fuzz_take(in, 4), a, b);
    offer(p, how & 1, how & 0x80 ? b : how >> 2);
    break;
  case STEP_KICK:
    set(p, NOTIFY + 4 * (how & 1), 2, how & 1);
    break;
  case STEP_STREAM:
    stream(p, how & 0x7f, a, (uint8_t)b, (uint8_t)fuzz_take(in, 1), (uint8_t)fuzz_take(in, 1));
    break;
  case STEP_REGISTER:
    set(p, a % 0x4000, 1u << (how & 3) % 3, (uint32_t)fuzz_take(in, 4));
    break;
  case STEP_LARGE:
    board_networks(p->m, how & 1);
    break;
  case STEP_PASS:
    board_pass(p->m, 1 + 64 * how);
    break;
  case STEP_KINDS:
    break;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
  struct fuzz_in in = {data, len};
  struct fuzz_board b = {0};
  board_open(&b);
  struct play p = {.m = b.m, .net = netdevs_find(&b.m->netdevs, "n0")};
  place(&p);
  setup(&p, FEATURES);
  for (unsigned i = 0; i < STEPS && in.left; i++)
    one(&p, fuzz_take(&in, 1) % STEP_KINDS, &in);
  board_pass(b.m, 20000);
  // After a reset the adapter sends and receives: what it sends comes back.
  struct err e;
  if (!machine_reset(b.m, &e))
    abort();
  place(&p);
  setup(&p, FEATURES);
  packet(&p, false, false, 1, 1000, 3000);
  for (unsigned i = 0; i < 8; i++) {
    desc(&p, RX, i, RX_BUFFERS, 2000, WRITE, 0);
    offer(&p, RX, (uint16_t)i);
  }
  board_networks(b.m, false);
  uint64_t before = p.net->transmitted;
  desc(&p, TX, 0, PACKET, HDR + 3000, 0, 0);
  offer(&p, TX, 0);
  set(&p, NOTIFY, 2, RX);
  set(&p, NOTIFY + 4, 2, TX);
  board_pass(b.m, 20000);
  FUZZ_REQUIRE(p.net->transmitted >= before + 3, "the adapter does not cut after a reset");
  uint64_t used = board_access(b.m, TXN_MEM, USED + 2, 2, false, 0);
  FUZZ_REQUIRE(used != 0, "the adapter receives nothing after a reset");
  board_close(&b);
  return 0;
}

size_t fuzz_seed(unsigned n, uint8_t *buf)
{
  struct fuzz_out out = {buf, 0};
  if (n >= 64)
    return 0;
  fuzz_put(&out, 6, STEP_LARGE | (n & 1) << 8);
  fuzz_put(&out, 4, STEP_SETUP | (n & 2 ? 0x4000100 >> (n >> 4) : 0));
  fuzz_put(&out, 2, 0);
  for (unsigned round = 0; round < 6; round++) {
    uint64_t len = n & 4 ? 20000 : 3000;
    fuzz_put(&out, 6, STEP_RX_BUFFERS | 63 << 8 | (n & 8 ? 600u : 4096u) << 16);
    fuzz_put(&out, 2, STEP_PACKET | ((n >> 4 & 3) == 3 ? 3 : n >> 4 & 1) << 8);
    fuzz_put(&out, 4, (n & 32 ? 9 : 1400) | (len - 26) << 16);
    if (round & 1)
      fuzz_put(&out, 6, STEP_CHANGE | (uint64_t)(HDR + 12 + n) << 16 | (uint64_t)0x46 << 32);
    fuzz_put(&out, 6, STEP_SEND | 1 << 8 | (uint64_t)(HDR + 54) << 16 | len << 32);
    fuzz_put(&out, 6, STEP_PASS | 0xff00);
    fuzz_put(&out, 8,
             STEP_STREAM | 20 << 8 | 1400 << 16 | (uint64_t)(n & 8) << 32 | (uint64_t)(n & 16) << 48);
    fuzz_put(&out, 6, STEP_KICK);
    fuzz_put(&out, 6, STEP_PASS | 0xff00);
  }
  return out.len;
}
