// A whole machine for the targets that play its devices: two CPUs that wait for interrupts, 16 MB of RAM on
// each node, all devices, disks and CD-ROMs in memory.
#ifndef FUZZ_BOARD_H
#define FUZZ_BOARD_H

#include "fuzz.h"
#include "machine/machine.h"

enum { BOARD_RAM = 16 << 20, BOARD_DISK = 1 << 20, BOARD_CD = 128 << 10 };

struct fuzz_board {
  unsigned nodes;  // 1 or 2; 0 is 1
  const char *cpu; // NULL: the default model
  struct config config;
  struct machine *m;
  int file[6]; // BIOS, disk, CD, virtio disk, SATA disk and CD
};

void board_open(struct fuzz_board *b);
void board_close(struct fuzz_board *b);

// What guests send comes back to them; whether they may send TCP packets longer than a frame.
void board_networks(struct machine *m, bool large);

// As a CPU: one access of 1, 2, 4 or 8 bytes. Returns what was read.
uint64_t board_access(struct machine *m, enum txn_space space, uint64_t addr, unsigned size, bool write,
                      uint64_t v);
static inline void board_out(struct machine *m, uint16_t port, unsigned size, uint32_t v)
{
  board_access(m, TXN_IO, port, size, true, v);
}
static inline uint32_t board_in(struct machine *m, uint16_t port, unsigned size)
{
  return (uint32_t)board_access(m, TXN_IO, port, size, false, 0);
}
// PCI configuration by mechanism 1.
void board_pci(struct machine *m, uint8_t devfn, uint8_t reg, unsigned size, uint32_t v);
// The n-th function that is there; returns its device and function number.
uint8_t board_pci_pick(struct machine *m, unsigned n);
// Writes to RAM as a device would.
void board_poke(struct machine *m, uint64_t pa, const void *data, unsigned len);

// Lets up to n instructions' time pass; does what parts asked for, except ending the machine.
void board_pass(struct machine *m, uint64_t n);

#endif
