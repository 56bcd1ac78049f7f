// pacifica-dma: a PCI function that accesses any address on command, for tests and for teaching.
//
// It copies, fills, compares and checks memory, reads and writes single values in memory, I/O and
// configuration space, and sends interrupt messages, all as a bus master, and says what became of it.
// docs/pacifica-dma.md is its manual; the names here are those of its register table.
#ifndef DEVICE_PACIFICA_DMA_H
#define DEVICE_PACIFICA_DMA_H

#include "device/device.h"

enum {
  PDMA_VENDOR = 0x1234,
  PDMA_DEVICE = 0x5044, // "PD"
  PDMA_BAR_SIZE = 4096,
  PDMA_IDENTITY = 0x50440100, // "PD", version 1.0
  PDMA_MOST = 1u << 20,       // bytes of one command
};

enum { // registers, of 32 bits
  PDMA_ID = 0x00,
  PDMA_COMMAND = 0x04,
  PDMA_STATUS = 0x08,
  PDMA_INTERRUPT = 0x0c,
  PDMA_SOURCE = 0x10, // 64 bits, as DEST, DATA, FAIL_ADDRESS
  PDMA_DEST = 0x18,
  PDMA_LENGTH = 0x20,
  PDMA_PATTERN = 0x24,
  PDMA_DATA = 0x28,
  PDMA_FAIL_ADDRESS = 0x30,
  PDMA_FAIL_DATA = 0x38,
  PDMA_MOVED = 0x3c,
  PDMA_ABORTS = 0x40,
  PDMA_REQUESTER = 0x44,
  PDMA_LIMIT = 0x48,
  PDMA_REGS = 0x4c,
};

enum { // COMMAND: bits 7:0
  PDMA_COPY = 1,
  PDMA_FILL = 2,
  PDMA_CHECK = 3,
  PDMA_COMPARE = 4,
  PDMA_READ = 5,
  PDMA_WRITE = 6,
  PDMA_IO_READ = 7,
  PDMA_IO_WRITE = 8,
  PDMA_CONFIG_READ = 9,
  PDMA_CONFIG_WRITE = 10,
  PDMA_MESSAGE = 11,
  PDMA_OPS,
  PDMA_IRQ = 0x100,      // interrupt at the end
  PDMA_CONTINUE = 0x200, // after an abort or a mismatch too
};

enum { // STATUS
  PDMA_BUSY = 1,
  PDMA_DONE = 2,
  PDMA_ABORT = 4,
  PDMA_MISMATCH = 8,
  PDMA_BAD = 16, // COMMAND, LENGTH or an address cannot be
};

// -device pacifica-dma: addr, bus, functions=1..8, unit=0..31 (HyperTransport unit ID).
struct device *pacifica_dma_device(const struct device_env *env, struct opts *props, struct err *e);

#endif
