// e1000 with any rings and any frames: legacy, context and data descriptors. Promises: nothing leads outside,
// no sequence holds the machine, and after a reset the adapter works. virtio-net is in fuzz_vnet.c.
#include <stdio.h>
#include <stdlib.h>

#include "board.h"

#define STEPS 200

enum { E1000 = 0xe8000000, TX_RING = 0x10000, RX_RING = 0x14000, BUFFERS = 0x40000, RX_BUFFERS = 0x80000 };
enum { RCTL = 0x100, TCTL = 0x400, RD = 0x2800, TD = 0x3800 };

enum step {
  STEP_RINGS,
  STEP_LEGACY,
  STEP_CONTEXT,
  STEP_DATA,
  STEP_TAIL,
  STEP_RX_DESC,
  STEP_FRAME,
  STEP_REGISTER,
  STEP_READ,
  STEP_EEPROM,
  STEP_PASS,
  STEP_PASS_LONG,
  STEP_KINDS
};

struct play {
  struct machine *m;
  uint32_t tail;
};

static void set(struct play *p, unsigned reg, uint32_t v)
{
  board_access(p->m, TXN_MEM, E1000 + reg, 4, true, v);
}

static void place(struct play *p)
{
  for (unsigned i = 0; i < 256; i++) {
    struct pci_func *f = p->m->pc.pci.func[i];
    if (!f || pci_get_long(f, 0) != 0x100e8086)
      continue;
    board_pci(p->m, (uint8_t)i, 0x10, 4, E1000);
    board_pci(p->m, (uint8_t)i, 4, 2, 6);
  }
}

static void descriptor(struct play *p, uint64_t addr, uint32_t command, uint32_t status)
{
  struct {
    uint64_t addr;
    uint32_t command, status;
  } d = {addr, command, status};
  board_poke(p->m, TX_RING + 16 * (p->tail & 63), &d, 16);
  p->tail = (p->tail + 1) & 63;
}

static void rings(struct play *p, struct fuzz_in *in, unsigned how)
{
  static const uint32_t rctl[4] = {0x8002, 0x801a, 0x3801a, 0x203001a};
  if (how & 0x40)
    set(p, 0, 0x4000000); // a reset first
  set(p, TD, how & 8 ? (uint32_t)fuzz_take(in, 4) : TX_RING);
  set(p, TD + 8, how & 16 ? (uint32_t)fuzz_take(in, 3) : 64 * 16);
  set(p, RD, RX_RING);
  set(p, RD + 8, 64 * 16);
  set(p, RCTL, rctl[how & 3]);
  set(p, TCTL, how & 4 ? 0 : 0xa);
  set(p, 0xd0, 0xffff);
  set(p, RD + 0x18, 63);
  p->tail = 0;
}

static void one(struct play *p, enum step step, struct fuzz_in *in)
{
  unsigned how = (unsigned)fuzz_take(in, 1);
  uint64_t at = BUFFERS + 0x100 * (how & 15);
  uint32_t cmd = (uint32_t)fuzz_take(in, 1) << 24;
  uint8_t frame[NET_FRAME_MAX + 8] = {0};
  switch (step) {
  case STEP_RINGS:
    rings(p, in, how);
    break;
  case STEP_LEGACY:
    descriptor(p, how & 0x80 ? fuzz_take(in, 8) : at, (cmd & ~0x20000000u) | (uint32_t)fuzz_take(in, 3),
               (uint32_t)fuzz_take(in, 2));
    break;
  case STEP_CONTEXT:
    descriptor(p, fuzz_take(in, 8), cmd | 0x20000000 | (uint32_t)fuzz_take(in, 2),
               (uint32_t)fuzz_take(in, 4));
    break;
  case STEP_DATA:
    descriptor(p, how & 0x80 ? fuzz_take(in, 8) : at,
               cmd | 0x20100000 | ((uint32_t)fuzz_take(in, 3) & (how & 0x40 ? 0xfffff : 0x7ff)),
               (uint32_t)fuzz_take(in, 2));
    break;
  case STEP_TAIL:
    set(p, TD + 0x18, how & 0x80 ? (uint32_t)fuzz_take(in, 2) : p->tail);
    set(p, RD + 0x18, how & 0x40 ? (uint32_t)fuzz_take(in, 2) : how & 63);
    break;
  case STEP_RX_DESC: {
    uint64_t d[2] = {how & 0x80 ? fuzz_take(in, 8) : RX_BUFFERS + 0x1000 * (how & 63), 0};
    board_poke(p->m, RX_RING + 16 * (how & 63), d, 16);
    break;
  }
  case STEP_FRAME: {
    struct netdev *n = netdevs_find(&p->m->netdevs, how & 1 ? "n1" : "n0");
    size_t len = fuzz_take(in, 2) % sizeof frame;
    for (unsigned i = 0; i < 16; i++)
      frame[i] = how & 2 ? 0xff : (uint8_t)fuzz_take(in, 1);
    for (unsigned i = 0; n && i < 1 + (how >> 4); i++)
      netdev_feed(n, frame, len);
    break;
  }
  case STEP_REGISTER:
    set(p, (unsigned)fuzz_take(in, 2) & 0x7ffc, (uint32_t)fuzz_take(in, 4));
    break;
  case STEP_READ:
    board_access(p->m, TXN_MEM, E1000 + fuzz_take(in, 3) % 0x20000, 1u << (how & 3), false, 0);
    break;
  case STEP_EEPROM:
    for (unsigned i = 0; i < how; i++)
      set(p, 0x10, (uint32_t)fuzz_take(in, 1));
    set(p, 0x14, (uint32_t)fuzz_take(in, 2) | 1);
    set(p, 0x20, (uint32_t)fuzz_take(in, 4));
    break;
  case STEP_PASS:
    board_pass(p->m, 1 + how);
    break;
  case STEP_PASS_LONG:
    board_pass(p->m, 1 + 64 * how);
    break;
  case STEP_KINDS:
    break;
  }
}

// What the seeds' context descriptors describe: TCP in IPv4.
static void headers(struct play *p)
{
  static const uint8_t head[54] = {
      [12] = 8, [14] = 0x45, [20] = 0x40, [22] = 64, [23] = 6, [46] = 0x50, [47] = 0x18};
  board_poke(p->m, BUFFERS, head, sizeof head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
  struct fuzz_in in = {data, len};
  struct fuzz_board b = {0};
  board_open(&b);
  struct play p = {.m = b.m};
  place(&p);
  headers(&p);
  for (unsigned i = 0; i < STEPS && in.left; i++)
    one(&p, fuzz_take(&in, 1) % STEP_KINDS, &in);
  board_pass(b.m, 20000);
  // After a reset the adapter sends and receives: what it sends comes back.
  struct err e;
  if (!machine_reset(b.m, &e))
    abort();
  place(&p);
  struct fuzz_in none = {NULL, 0};
  for (unsigned i = 0; i < 64; i++)
    one(&p, STEP_RX_DESC, &(struct fuzz_in){(uint8_t[]){(uint8_t)i}, 1});
  rings(&p, &none, 1);
  descriptor(&p, BUFFERS, 100 | 0x09000000, 0);
  set(&p, TD + 0x18, p.tail);
  board_pass(b.m, 20000);
  uint64_t head = board_access(b.m, TXN_MEM, E1000 + RD + 0x10, 4, false, 0);
  FUZZ_REQUIRE(head != 0, "the adapter receives nothing after a reset");
  board_close(&b);
  return 0;
}

size_t fuzz_seed(unsigned n, uint8_t *buf)
{
  struct fuzz_out out = {buf, 0};
  if (n >= 64)
    return 0;
  uint64_t noise = n;
  fuzz_put(&out, 3, STEP_RINGS | (n & 3) << 8);
  for (unsigned i = 0; i < 8; i++)
    fuzz_put(&out, 3, STEP_RX_DESC | i << 8);
  for (unsigned round = 0; round < 8; round++) {
    fuzz_put(&out, 3, STEP_CONTEXT | (uint64_t)(n & 1 ? 7 : 3) << 16);
    fuzz_put(&out, 8, 0x000032220021180e);
    fuzz_put(&out, 6, 0x05a836000000 | (n & 2 ? fuzz_random(&noise) & 0xff00ff000000 : 0));
    for (unsigned i = 0; i < 3; i++) {
      fuzz_put(&out, 3, STEP_DATA | (i | 0x40) << 8 | (i == 2 ? 0x09u : 0x08u | (n & 1) << 2) << 16);
      fuzz_put(&out, 5, (n & 4 ? 1000 : 200) | (uint64_t)0x300 << 24);
    }
    fuzz_put(&out, 3, STEP_LEGACY | 0x09u << 16);
    fuzz_put(&out, 5, 100 + round);
    fuzz_put(&out, 3, STEP_TAIL | 7 << 8);
    fuzz_put(&out, 3, STEP_PASS_LONG | 0xff00);
    fuzz_put(&out, 5, STEP_FRAME | (uint64_t)(0x13 | (n & 8)) << 8 | (uint64_t)(64 + 100 * round) << 24);
  }
  return out.len;
}
