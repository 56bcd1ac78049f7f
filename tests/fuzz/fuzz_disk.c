// Drives under any sequence of commands: ATA and ATAPI by PIO, by bus master and through AHCI, virtio devices
// with any rings. Promises: none leads outside of the images, the buffers or the guest's RAM, and none holds
// the machine.
#include <stdio.h>
#include <stdlib.h>

#include "board.h"

#define STEPS 200

enum { // addresses that the target gives to the devices, and what lies in RAM
  BMDMA = 0xc000,
  VIRTIO = 0xc100, // legacy registers: + 100h for each function
  VIRTIO_MEM = 0xe0000000,
  PRDT = 0x10000,
  RING = 0x20000, // of each virtio function, 16 KB apart
  BUFFERS = 0x40000,
  SATA = 0xe8000000, // AHCI registers
  SATA_LIST = 0x60000,
  SATA_FIS = 0x61000,
  SATA_TABLES = 0x68000, // 1000h apart
};

enum step {
  STEP_ATA,
  STEP_PACKET,
  STEP_DATA,
  STEP_PRD,
  STEP_MASTER,
  STEP_CONTROL,
  STEP_REGISTER,
  STEP_QUEUE,
  STEP_CHAIN,
  STEP_NOTIFY,
  STEP_VIRTIO,
  STEP_VIRTIO_MEM,
  STEP_SATA,
  STEP_SATA_REGISTER,
  STEP_PASS,
  STEP_PASS_LONG,
  STEP_KINDS
};

static const uint16_t ports[2] = {0x1f0, 0x170};

// Gives registers to all functions that need some; virtio functions are returned in order.
static unsigned place(struct machine *m, uint8_t devfn[4])
{
  unsigned n = 0;
  for (unsigned i = 0; i < 256; i++) {
    struct pci_func *f = m->pc.pci.func[i];
    if (!f)
      continue;
    if (pci_get_word(f, PCI_VENDOR_ID) == 0x1af4 && n < 4) {
      for (unsigned b = 0; b < 6; b++)
        if (f->bar[b].size)
          board_pci(m, (uint8_t)i, (uint8_t)(0x10 + 4 * b), 4,
                    f->bar[b].io ? VIRTIO + 0x100 * n : VIRTIO_MEM + 0x1000000 * n + 0x100000 * b);
      board_pci(m, (uint8_t)i, 4, 2, 7);
      devfn[n++] = (uint8_t)i;
    } else if (pci_get_word(f, PCI_CLASS_DEVICE) == 0x0106) {
      board_pci(m, (uint8_t)i, 0x24, 4, SATA);
      board_pci(m, (uint8_t)i, 4, 2, 6);
    } else if (f == &m->pc.ide->pci) {
      board_pci(m, (uint8_t)i, 0x20, 4, BMDMA);
      board_pci(m, (uint8_t)i, 4, 2, 7);
      board_pci(m, (uint8_t)i, 0x40, 4, 0x80008000);
    }
  }
  return n;
}

static void ata(struct machine *m, struct fuzz_in *in, unsigned how)
{
  static const uint8_t commands[] = {0x20, 0x24, 0x29, 0x30, 0x34, 0x39, 0xc4, 0xc5, 0xc6, 0xc8, 0xca, 0x25,
                                     0x35, 0xec, 0xa1, 0xa0, 0xef, 0xe7, 0xea, 0x91, 0x90, 0x08, 0x40, 0x42,
                                     0xf8, 0x27, 0xe0, 0xe1, 0xe5, 0xe6, 0x06, 0xb0, 0x3d, 0xce, 0x00, 0x70};
  uint16_t p = ports[how & 1];
  board_out(m, p + 6, 1, (uint32_t)fuzz_take(in, 1));
  for (unsigned r = 1; r < 6; r++) {
    board_out(m, (uint16_t)(p + r), 1, (uint32_t)fuzz_take(in, 1) & (r == 1 ? 0xff : 7)); // previous content
    board_out(m, (uint16_t)(p + r), 1, (uint32_t)fuzz_take(in, 1));
  }
  uint8_t cmd = (uint8_t)fuzz_take(in, 1);
  board_out(m, p + 7, 1, how & 2 ? cmd : commands[cmd % sizeof commands]);
}

static void packet(struct machine *m, struct fuzz_in *in, unsigned how)
{
  static const uint8_t opcodes[] = {0x00, 0x03, 0x12, 0x1b, 0x1e, 0x25, 0x28, 0xa8, 0xbe,
                                    0xb9, 0x43, 0x46, 0x4a, 0x51, 0x52, 0x5a, 0x1a, 0xad,
                                    0xbd, 0x42, 0x55, 0x2b, 0x35, 0x23, 0xa4, 0xac, 0xbb};
  uint16_t p = ports[how & 1];
  board_out(m, p + 6, 1, how & 4 ? 0x10 : 0);
  board_out(m, p + 1, 1, how >> 1 & 1); // DMA
  board_out(m, p + 4, 1, (uint32_t)fuzz_take(in, 1));
  board_out(m, p + 5, 1, (uint32_t)fuzz_take(in, 1));
  board_out(m, p + 7, 1, 0xa0);
  board_pass(m, 2000);
  for (unsigned i = 0; i < 6; i++) {
    uint32_t v = (uint32_t)fuzz_take(in, 2);
    if (i == 0 && !(how & 8))
      v = opcodes[(v & 0xff) % sizeof opcodes] | (v & 0xff00);
    board_out(m, p, 2, v);
  }
}

static void data(struct machine *m, struct fuzz_in *in, unsigned how)
{
  unsigned n = (unsigned)fuzz_take(in, 2) & 0xfff, size = how & 2 ? 4 : how & 4 ? 1 : 2;
  uint32_t v = (uint32_t)fuzz_take(in, 1);
  for (unsigned i = 0; i < n; i++)
    if (how & 8)
      board_out(m, ports[how & 1], size, v * i);
    else
      board_in(m, ports[how & 1], size);
}

static void prd(struct machine *m, struct fuzz_in *in, unsigned how)
{
  unsigned n = 1 + (unsigned)fuzz_take(in, 1) % 8;
  uint32_t at = PRDT + (how & 1) * 0x1000 + (how & 0x10 ? 0xff8 : 0);
  for (unsigned i = 0; i < n; i++) {
    uint32_t d[2] = {how & 2 ? (uint32_t)fuzz_take(in, 4) : BUFFERS + (uint32_t)fuzz_take(in, 2) * 2,
                     (uint32_t)fuzz_take(in, 2) | (i + 1 == n && !(how & 4) ? 0x80000000u : 0)};
    board_poke(m, at + 8 * i, d, 8);
  }
  board_out(m, (uint16_t)(BMDMA + 8 * (how & 1) + 4), 4, how & 8 ? (uint32_t)fuzz_take(in, 4) : at);
}

struct ring {
  uint16_t port;
  uint32_t base; // of queue memory
  uint16_t avail, size;
};

// The legacy interface: queue address, size, DRIVER_OK.
static void queue(struct machine *m, struct fuzz_in *in, unsigned how, struct ring *r)
{
  board_out(m, r->port + 18, 1, how & 2 ? 0 : 3);
  board_out(m, r->port + 4, 4, (uint32_t)fuzz_take(in, 4));
  board_out(m, r->port + 14, 2, how & 4 ? (uint32_t)fuzz_take(in, 2) : 0);
  r->size = (uint16_t)board_in(m, r->port + 12, 2);
  board_out(m, r->port + 8, 4, how & 8 ? (uint32_t)fuzz_take(in, 4) : r->base >> 12);
  board_out(m, r->port + 18, 1, how & 0x10 ? (uint32_t)fuzz_take(in, 1) : 7);
  r->avail = 0;
}

static void chain(struct machine *m, struct fuzz_in *in, unsigned how, struct ring *r)
{
  unsigned n = 1 + (unsigned)fuzz_take(in, 1) % 6, first = (unsigned)fuzz_take(in, 1) & 31;
  uint32_t header[4] = {(uint32_t)fuzz_take(in, 1) % 16, 0,
                        (uint32_t)fuzz_take(in, 2) & (how & 2 ? 0xffff : 0x7ff), 0};
  uint32_t head_at = BUFFERS + (first & 7) * 16;
  board_poke(m, head_at, header, 16);
  uint32_t table = how & 4 ? r->base + 0x3000 : r->base; // indirect
  for (unsigned i = 0; i < n; i++) {
    struct {
      uint64_t addr;
      uint32_t len;
      uint16_t flags, next;
    } d = {.addr = i == 0 ? head_at : BUFFERS + 0x1000 * (1 + i),
           .len = i == 0       ? 16
                  : i + 1 == n ? 1
                               : 512u << (how & 3)};
    uint8_t odd = (uint8_t)fuzz_take(in, 1);
    d.flags = (i + 1 < n ? 1 : 0) | (i && ((how & 8) || i + 1 == n) ? 2 : 0);
    d.next = (uint16_t)((how & 4 ? 0 : first) + i + 1);
    if (odd & 0x80)
      d.flags ^= odd & 7;
    if (odd & 0x40)
      d.addr = fuzz_take(in, 8);
    if (odd & 0x20)
      d.len = (uint32_t)fuzz_take(in, 4);
    if (odd & 0x10)
      d.next = (uint16_t)fuzz_take(in, 2);
    board_poke(m, table + 16 * ((how & 4 ? 0 : first) + i), &d, 16);
  }
  if (how & 4) {
    struct {
      uint64_t addr;
      uint32_t len;
      uint16_t flags, next;
    } d = {.addr = table, .len = 16 * n, .flags = 4};
    board_poke(m, r->base + 16 * first, &d, 16);
  }
  uint32_t avail = r->base + 16u * r->size;
  uint16_t entry = (uint16_t)first;
  board_poke(m, avail + 4 + 2 * (r->size ? r->avail % r->size : 0), &entry, 2);
  r->avail += how & 0x10 ? (uint16_t)fuzz_take(in, 2) : 1;
  uint16_t head[2] = {how & 0x20 ? 1 : 0, r->avail};
  board_poke(m, avail, head, 4);
}

static void sata_write(struct machine *m, unsigned port, unsigned reg, uint32_t v)
{
  board_access(m, TXN_MEM, SATA + 0x100 + 0x80 * port + reg, 4, true, v);
}

// A command of a port: header, FIS, packet and descriptors, mostly sound.
static void sata(struct machine *m, struct fuzz_in *in, unsigned how)
{
  unsigned port = how & 1, slot = how >> 1 & 3, prds = 1 + (how >> 3 & 3);
  uint32_t table = SATA_TABLES + 0x1000 * slot;
  uint8_t fis[0x50] = {0x27, 0x80};
  for (unsigned i = 2; i < 16; i++)
    fis[i] = (uint8_t)fuzz_take(in, 1);
  uint8_t odd = (uint8_t)fuzz_take(in, 1);
  if (odd & 0x80)
    fis[odd & 1] = (uint8_t)fuzz_take(in, 1);
  for (unsigned i = 0x40; i < 0x4c; i++)
    fis[i] = (uint8_t)fuzz_take(in, 1);
  board_poke(m, table, fis, sizeof fis);
  for (unsigned i = 0; i < prds; i++) {
    uint32_t prd[4] = {BUFFERS + 0x10000 * i, 0, 0, (uint32_t)fuzz_take(in, 2)};
    if (odd & 0x40)
      prd[i & 1] = (uint32_t)fuzz_take(in, 4);
    board_poke(m, table + 0x80 + 16 * i, prd, 16);
  }
  uint32_t header[4] = {5 | (port ? 0x20 : 0) | prds << 16, 0, table, odd & 0x20 ? odd : 0};
  if (odd & 0x10)
    header[0] = (uint32_t)fuzz_take(in, 4);
  board_poke(m, SATA_LIST + 0x400 * port + 32 * slot, header, 16);
  if (!(odd & 8)) { // the port runs, after whatever stopped it
    sata_write(m, port, 0x18, 0x10);
    sata_write(m, port, 0x00, SATA_LIST + 0x400 * port);
    sata_write(m, port, 0x08, SATA_FIS + 0x100 * port);
    sata_write(m, port, 0x14, ~0u);
    sata_write(m, port, 0x18, 0x11);
  }
  sata_write(m, port, 0x38, 1u << slot);
}

static void one(struct machine *m, enum step step, struct fuzz_in *in, struct ring rings[4],
                unsigned rings_there)
{
  unsigned how = (unsigned)fuzz_take(in, 1), size = 1u << (how >> 6);
  struct ring *r = &rings[rings_there ? (how & 1) % rings_there : 0];
  switch (step) {
  case STEP_ATA:
    ata(m, in, how);
    break;
  case STEP_PACKET:
    packet(m, in, how);
    break;
  case STEP_DATA:
    data(m, in, how);
    break;
  case STEP_PRD:
    prd(m, in, how);
    break;
  case STEP_MASTER:
    board_out(m, (uint16_t)(BMDMA + 8 * (how & 1) + (how & 2)), 1, (uint32_t)fuzz_take(in, 1));
    break;
  case STEP_CONTROL:
    board_out(m, how & 1 ? 0x376 : 0x3f6, 1, (uint32_t)fuzz_take(in, 1));
    break;
  case STEP_REGISTER:
    board_access(m, TXN_IO, ports[how & 1] + (how >> 1 & 7), size > 4 ? 4 : size, how & 0x10,
                 fuzz_take(in, 4));
    break;
  case STEP_QUEUE:
    queue(m, in, how, r);
    break;
  case STEP_CHAIN:
    chain(m, in, how, r);
    break;
  case STEP_NOTIFY:
    board_out(m, r->port + 16, 2, how & 2 ? (uint32_t)fuzz_take(in, 2) : 0);
    break;
  case STEP_VIRTIO:
    board_access(m, TXN_IO, r->port + (fuzz_take(in, 1) & 0x3f), size > 4 ? 4 : size, how & 2,
                 fuzz_take(in, 4));
    break;
  case STEP_VIRTIO_MEM: {
    struct pci_func *f = m->pc.pci.func[board_pci_pick(m, (unsigned)fuzz_take(in, 1))];
    uint64_t off = fuzz_take(in, 2);
    for (unsigned b = 0; f && b < 6; b++)
      if (f->bar[b].active && !f->bar[b].io)
        board_access(m, TXN_MEM, f->bar[b].region.base + (how & 4 ? off & 0x3f : off) % f->bar[b].size, size,
                     how & 2, fuzz_take(in, size));
    break;
  }
  case STEP_SATA:
    sata(m, in, how);
    break;
  case STEP_SATA_REGISTER:
    board_access(m, TXN_MEM, SATA + (how & 0x10 ? 0x100 : 0) + fuzz_take(in, 1), 4, how & 2,
                 fuzz_take(in, 4));
    break;
  case STEP_PASS:
    board_pass(m, 1 + fuzz_take(in, 1));
    break;
  case STEP_PASS_LONG:
    board_pass(m, 1 + fuzz_take(in, 2));
    break;
  case STEP_KINDS:
    break;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data_, size_t len)
{
  struct fuzz_in in = {data_, len};
  struct fuzz_board b = {0};
  uint8_t devfn[4];
  struct ring rings[4];
  board_open(&b);
  unsigned there = place(b.m, devfn);
  for (unsigned i = 0; i < 4; i++)
    rings[i] = (struct ring){.port = (uint16_t)(VIRTIO + 0x100 * i), .base = RING + 0x4000 * i, .size = 256};
  for (unsigned i = 0; i < STEPS && in.left; i++)
    one(b.m, fuzz_take(&in, 1) % STEP_KINDS, &in, rings, there);
  board_pass(b.m, 20000);
  board_close(&b);
  return 0;
}

static void wait(struct fuzz_out *out)
{
  fuzz_put(out, 4, STEP_PASS_LONG | 0x400000);
}

size_t fuzz_seed(unsigned n, uint8_t *buf)
{
  struct fuzz_out out = {buf, 0};
  if (n >= 132)
    return 0;
  for (unsigned round = 0; round < 4; round++) {
    unsigned k = n % 36 + round;
    switch (n / 36) {
    case 0: // an ATA command, by PIO and by bus master
      fuzz_put(&out, 4, STEP_PRD | (n & 1) << 8 | 1 << 16);
      fuzz_put(&out, 8, 0x800010000000u);
      fuzz_put(&out, 3, STEP_ATA | 0x4000 << 8);
      for (unsigned r = 1; r < 6; r++)
        fuzz_put(&out, 2, r == 2 ? 0x0400 : 0x0100 * (r == 3 ? round : 0));
      fuzz_put(&out, 1, k);
      fuzz_put(&out, 3, STEP_MASTER | (round & 1 ? 9 : 1) << 16);
      wait(&out);
      fuzz_put(&out, 5, STEP_DATA | (round & 1 ? 8 : 0) << 8 | 0x200 << 16);
      wait(&out);
      break;
    case 1: // a packet
      fuzz_put(&out, 4, STEP_PACKET | (1 | (round & 1) << 1) << 8 | 0x080000);
      fuzz_put(&out, 2, k);
      fuzz_put(&out, 8, 0x0000000100000000u);
      fuzz_put(&out, 2, 0x0100);
      fuzz_put(&out, 3, STEP_MASTER | 1 << 8 | 9 << 16);
      wait(&out);
      fuzz_put(&out, 5, STEP_DATA | 1 << 8 | 0x400 << 16);
      break;
    case 3: // a command of a SATA port
      fuzz_put(&out, 2, STEP_SATA | ((n & 1) | round << 1) << 8);
      fuzz_put(&out, 8, (n & 1 ? 0xa0 : (uint64_t)(k < 18 ? 0x20 + k : 0xc0 + k)) | 0x40u << 24);
      fuzz_put(&out, 6, 0x0200);
      fuzz_put(&out, 1, 0);
      fuzz_put(&out, 8, k * 8);
      fuzz_put(&out, 4, 0);
      fuzz_put(&out, 8, 0x0fff0fff0fff0fff);
      wait(&out);
      break;
    default: // a request on a ring
      if (!round)
        fuzz_put(&out, 6, STEP_QUEUE | (n & 1) << 8 | (n & 2 ? 0x7fu << 24 : 0));
      fuzz_put(&out, 4, STEP_CHAIN | ((n & 1) | (k & 0x0c)) << 8 | 2 << 16 | (k & 15) << 24);
      fuzz_put(&out, 4, k % 14);
      fuzz_put(&out, 3, 0);
      fuzz_put(&out, 2, STEP_NOTIFY | (n & 1) << 8);
      wait(&out);
    }
  }
  return out.len;
}
