// Every device of a whole machine under any sequence of port and memory accesses, configuration writes, DMA
// and time. Promises: no access leads outside, no sequence holds the machine, and it can be reset and taken
// down after.
#include <stdio.h>
#include <stdlib.h>

#include "board.h"
#include "cpu/lapic.h"
#include "cpu/msr.h"

#define STEPS 400

enum step { // what the next byte of the input asks for
  STEP_PORT_OUT,
  STEP_PORT_IN,
  STEP_PORT_REPEAT,
  STEP_MEM_WRITE,
  STEP_MEM_READ,
  STEP_ANY_PORT,
  STEP_ANY_ADDRESS,
  STEP_PCI_WRITE,
  STEP_PCI_BAR,
  STEP_PCI_READ,
  STEP_PCI_EXTENDED,
  STEP_MMCFG,
  STEP_EXCLUSION,
  STEP_SPECIAL,
  STEP_POKE,
  STEP_DMA,
  STEP_LAPIC,
  STEP_PASS,
  STEP_PASS_LONG,
  STEP_RESET,
  STEP_KINDS
};

// A place in one of the devices that answer now: the n-th of them, at `off`.
static bool device_place(struct machine *m, enum txn_space space, unsigned n, uint64_t off, uint64_t *addr)
{
  unsigned count = 0;
  for (struct region *r = m->bus.regions[space]; r; r = r->next)
    count += r->kind == REGION_IO && r->size > 0;
  if (!count)
    return false;
  n %= count;
  for (struct region *r = m->bus.regions[space]; r; r = r->next)
    if (r->kind == REGION_IO && r->size > 0 && !n--) {
      *addr = r->base + off % r->size;
      return true;
    }
  return false;
}

static void any_dma(struct machine *m, struct fuzz_in *in)
{
  static uint8_t buf[65536];
  struct dma_port port = {.transfer = fabric_transfer, .fabric = &m->fabric, .requester = 0x18};
  unsigned how = (unsigned)fuzz_take(in, 1);
  port.node = how >> 3 & 1;
  port.unit = how >> 4 & 3;
  uint64_t addr = 0, len = fuzz_take(in, 2);
  if (how & 1)
    device_place(m, TXN_MEM, (unsigned)fuzz_take(in, 1), fuzz_take(in, 2), &addr);
  else
    addr = fuzz_take(in, how & 2 ? 8 : 4);
  if (how & 4)
    dma_read(&port, addr, buf, len);
  else
    dma_write(&port, addr, buf, len);
}

static void one(struct machine *m, enum step step, struct fuzz_in *in)
{
  unsigned size = 1u << (fuzz_take(in, 1) & 3), io_size = size > 4 ? 4 : size;
  uint64_t addr = 0;
  uint8_t devfn;
  switch (step) {
  case STEP_PORT_OUT:
  case STEP_PORT_REPEAT:
    if (device_place(m, TXN_IO, (unsigned)fuzz_take(in, 1), fuzz_take(in, 1), &addr))
      for (unsigned n = step == STEP_PORT_OUT ? 1 : (unsigned)fuzz_take(in, 1); n; n--)
        board_out(m, (uint16_t)addr, io_size, (uint32_t)fuzz_take(in, io_size));
    break;
  case STEP_PORT_IN:
    if (device_place(m, TXN_IO, (unsigned)fuzz_take(in, 1), fuzz_take(in, 1), &addr))
      board_in(m, (uint16_t)addr, io_size);
    break;
  case STEP_MEM_WRITE:
    if (device_place(m, TXN_MEM, (unsigned)fuzz_take(in, 1), fuzz_take(in, 2), &addr))
      board_access(m, TXN_MEM, addr, size, true, fuzz_take(in, size));
    break;
  case STEP_MEM_READ:
    if (device_place(m, TXN_MEM, (unsigned)fuzz_take(in, 1), fuzz_take(in, 2), &addr))
      board_access(m, TXN_MEM, addr, size, false, 0);
    break;
  case STEP_ANY_PORT:
    addr = fuzz_take(in, 2);
    board_access(m, TXN_IO, addr, io_size, fuzz_take(in, 1) & 1, fuzz_take(in, io_size));
    break;
  case STEP_ANY_ADDRESS:
    addr = fuzz_take(in, 8);
    board_access(m, TXN_MEM, addr, size, fuzz_take(in, 1) & 1, fuzz_take(in, size));
    break;
  case STEP_PCI_WRITE:
    devfn = board_pci_pick(m, (unsigned)fuzz_take(in, 1));
    addr = fuzz_take(in, 1);
    board_pci(m, devfn, (uint8_t)(addr & ~(uint64_t)(io_size - 1)), io_size,
              (uint32_t)fuzz_take(in, io_size));
    break;
  case STEP_PCI_BAR: // a base address that makes sense, decoding and bus mastering on
    devfn = board_pci_pick(m, (unsigned)fuzz_take(in, 1));
    addr = fuzz_take(in, 1);
    board_pci(m, devfn, (uint8_t)(0x10 + addr % 6 * 4), 4,
              addr & 0x80 ? 0xc000u + (uint32_t)(addr << 4) : 0xe0000000u + (uint32_t)(addr << 20));
    board_pci(m, devfn, 4, 2, 7);
    break;
  case STEP_PCI_READ:
    board_out(m, 0xcf8, 4, 0x80000000u | (uint32_t)fuzz_take(in, 3));
    board_in(m, (uint16_t)(0xcfc + (fuzz_take(in, 1) & 3)), io_size);
    break;
  case STEP_PCI_EXTENDED: // a northbridge's, by what some software uses: bits 27:24 of CF8h
    addr = fuzz_take(in, 2);
    board_out(m, 0xcf8, 4,
              0x8000c000u | (uint32_t)(addr & 0x0f00) << 16 | (uint32_t)(addr >> 12 & 0xf) << 8 |
                  (addr & 0xfc));
    if (fuzz_take(in, 1) & 1)
      board_out(m, 0xcfc, io_size, (uint32_t)fuzz_take(in, io_size));
    else
      board_in(m, (uint16_t)(0xcfc + (addr & 3)), io_size);
    break;
  case STEP_MMCFG:
    addr = fuzz_take(in, 1);
    msr_write(m->cpu[addr & 1], MSR_MMCFG_BASE, (addr >> 1 & 7) << 28 | (addr & 0xf0) >> 2 | (addr & 2) >> 1);
    break;
  case STEP_EXCLUSION: { // a register of a node's DEV
    uint8_t nb = (uint8_t)((0x18 + (fuzz_take(in, 1) & 1)) << 3 | 3);
    board_pci(m, nb, 0xf4, 4, (uint32_t)fuzz_take(in, 2) & 0x0707);
    board_pci(m, nb, 0xf8, 4, (uint32_t)fuzz_take(in, 4));
    break;
  }
  case STEP_SPECIAL: {
    static const uint64_t cycles[] = {CYCLE_SL_DEV, CYCLE_HASH_START, CYCLE_HASH_DATA, CYCLE_HASH_END};
    addr = fuzz_take(in, 1);
    board_access(m, TXN_SPECIAL, cycles[addr & 3] + (addr >> 4 == 1), size, true, fuzz_take(in, 4));
    break;
  }
  case STEP_POKE: {
    uint8_t data[64];
    addr = fuzz_take(in, 3);
    unsigned len = (unsigned)fuzz_take(in, 1) % sizeof data;
    for (unsigned i = 0; i < len; i++)
      data[i] = (uint8_t)fuzz_take(in, 1);
    board_poke(m, addr, data, len);
    break;
  }
  case STEP_DMA:
    any_dma(m, in);
    break;
  case STEP_LAPIC: {
    struct cpu *c = m->cpu[fuzz_take(in, 1) & 1];
    addr = fuzz_take(in, 1) << 4;
    if (fuzz_take(in, 1) & 1)
      lapic_mmio_write(c, addr, 4, fuzz_take(in, 4));
    else
      lapic_mmio_read(c, addr, size);
    break;
  }
  case STEP_PASS:
    board_pass(m, 1 + fuzz_take(in, 1));
    break;
  case STEP_PASS_LONG:
    board_pass(m, 1 + fuzz_take(in, 2));
    break;
  case STEP_RESET: {
    struct err e;
    if (fuzz_take(in, 1) == 0x5a && !machine_reset(m, &e))
      abort();
    break;
  }
  case STEP_KINDS:
    break;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
  struct fuzz_in in = {data, len};
  unsigned how = (unsigned)fuzz_take(&in, 1);
  struct fuzz_board b = {.nodes = 1 + (how & 1), .cpu = how & 2 ? "family10h" : how & 4 ? "k8f" : NULL};
  board_open(&b);
  for (unsigned i = 0; i < STEPS && in.left; i++)
    one(b.m, fuzz_take(&in, 1) % STEP_KINDS, &in);
  board_pass(b.m, 1000);
  board_close(&b);
  return 0;
}

// Known beginnings: timers that run, drives that are asked for data, an adapter in a linear mode.
size_t fuzz_seed(unsigned n, uint8_t *buf)
{
  struct fuzz_out out = {buf, 0};
  if (n >= 64)
    return 0;
  uint64_t noise = n;
  fuzz_put(&out, 1, n >> 2);
  for (unsigned i = 0; i < 8; i++) { // decoding on everywhere
    fuzz_put(&out, 2, STEP_PCI_BAR);
    fuzz_put(&out, 2, i | (i + (i & 1 ? 0x80 : 0)) << 8);
  }
  for (unsigned i = 0; i < 100; i++) {
    enum step step = (fuzz_random(&noise) & 3) == 0 ? fuzz_random(&noise) % STEP_KINDS : n % STEP_KINDS;
    fuzz_put(&out, 2, step | (fuzz_random(&noise) & 3) << 8);
    fuzz_put(&out, 6, fuzz_random(&noise) & (n & 16 ? 0xffffff0f : 0xffff1fff));
    if (i % 10 == 9)
      fuzz_put(&out, 4, STEP_PASS_LONG | 0x100000);
  }
  return out.len;
}
