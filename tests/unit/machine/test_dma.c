// A fabric that refuses everything: whatever software has the devices do, no byte of RAM changes. That
// devices tried is seen from the refusals.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../fuzz/board.h"
#include "base/clock.h"
#include "firmware/post.h"

enum { REQUESTERS = 65536 };

struct refusals {
  unsigned total, by[REQUESTERS];
};

static enum txn_resp refuse(void *arg, const struct txn *t, void *buf, uint64_t len)
{
  struct refusals *r = arg;
  r->total++;
  r->by[t->requester & 0xffff]++;
  if (t->kind != TXN_WRITE)
    memset(buf, r->total % 3 ? 0xff : 0, len);
  return r->total % 5 ? TXN_ABORT : TXN_OK; // some go on in good faith
}

static uint32_t next(uint64_t *seed)
{
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(*seed >> 33);
}

// What a driver might write: small numbers, commands of disks, addresses in RAM, anything.
static uint32_t value(uint64_t *seed)
{
  static const uint32_t known[] = {0xc8, 0xca, 0x25, 0x35, 0x20, 0xa0, 0x08, 0x09, 0x0f, 0x105, 0x11, 0x27};
  switch (next(seed) % 4) {
  case 0:
    return next(seed) % 8;
  case 1:
    return known[next(seed) % (sizeof known / sizeof known[0])];
  case 2:
    return next(seed) % BOARD_RAM & ~0xfffu;
  default:
    return next(seed) << 8 | next(seed);
  }
}

static void poke_bars(struct machine *m, const struct pci_func *f, uint64_t *seed)
{
  for (unsigned i = 0; i < 6; i++) {
    const struct pci_bar *b = &f->bar[i];
    if (!b->active || b->region.kind != REGION_IO)
      continue;
    uint64_t span = b->size < 0x400 || next(seed) % 4 ? b->size < 0x200 ? b->size : 0x200 : b->size;
    unsigned size = 1u << next(seed) % 3;
    uint64_t addr = b->region.base + (next(seed) % span & ~(uint64_t)(size - 1));
    board_access(m, b->io ? TXN_IO : TXN_MEM, addr, size, next(seed) % 4 != 0, value(seed));
  }
}

static void poke_ide(struct machine *m, uint64_t *seed)
{
  static const uint16_t base[] = {0x1f0, 0x170};
  board_out(m, base[next(seed) & 1] + next(seed) % 8, 1, value(seed));
}

// The device without a function: firmware configuration by DMA, ports 514h and 518h.
static void poke_fw_cfg(struct machine *m, uint64_t *seed)
{
  board_out(m, 0x514, 4, 0);
  board_out(m, 0x518, 4, __builtin_bswap32(value(seed)));
}

static unsigned refused(const struct refusals *r, const struct machine *m, const char *name)
{
  unsigned n = 0;
  for (unsigned i = 0; i < 256; i++)
    if (m->pc.pci.func[i] && !strcmp(m->pc.pci.func[i]->name, name))
      n += r->by[m->pc.pci.func[i]->dma.requester];
  return n;
}

static void no_device_writes_memory_that_the_fabric_refuses(void **state)
{
  static const char *const masters[] = {"virtio-blk-pci", "virtio-rng-pci", "virtio-net-pci", "ich9-ahci",
                                        "pacifica-dma"};
  struct fuzz_board b = {0};
  struct refusals *r = calloc(1, sizeof *r);
  board_open(&b);
  struct machine *m = b.m;
  post_run(&m->bus, &m->board);
  m->pc.pci.transfer = m->pc.fw_cfg.dma.transfer = refuse;
  m->pc.pci.fabric = m->pc.fw_cfg.dma.fabric = r;
  uint8_t *before = malloc(m->low_size), *ram = m->ram.mem + m->low_off;
  memcpy(before, ram, m->low_size);
  uint64_t seed = 1;
  for (unsigned n = 0; n < 200000; n++) {
    for (unsigned i = 0; i < 256; i++) {
      struct pci_func *f = m->pc.pci.func[i];
      if (!f || i >> 3 >= 0x18)
        continue;
      if (n % 1000 == 0)
        pci_set_word(f, PCI_COMMAND, pci_get_word(f, PCI_COMMAND) | PCI_COMMAND_MASTER);
      poke_bars(m, f, &seed);
    }
    poke_ide(m, &seed);
    if (n % 16 == 0)
      poke_fw_cfg(m, &seed);
    clock_advance(&m->clock, clock_now(&m->clock) + 5000);
  }
  assert_memory_equal(ram, before, m->low_size);
  for (unsigned i = 0; i < sizeof masters / sizeof masters[0]; i++)
    if (!refused(r, m, masters[i]))
      fail_msg("%s never tried", masters[i]);
  assert_true(r->by[m->pc.fw_cfg.dma.requester] > 0);
  assert_true(refused(r, m, "piix3-ide") > 0);
  free(before);
  board_close(&b);
  free(r);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(no_device_writes_memory_that_the_fabric_refuses)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
