// Host bridge of the i440FX: PCI configuration mechanism #1 (ports CF8h and CFCh), and the switches that
// say what stands behind A0000h to FFFFFh (Intel 82441FX data sheet).
//
// The machine maps RAM below A0000h and from 1 MB on; the area between belongs to this chip, except what
// the VGA puts at A0000h.
#ifndef CHIPSET_I440FX_H
#define CHIPSET_I440FX_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/pci.h"

enum { I440FX_SEGMENTS = 13 }; // C0000h to EFFFFh by 16 KB, and F0000h with 64 KB

struct i440fx;

struct i440fx_segment {
  struct region region;
  struct i440fx *owner;
  uint8_t access; // 1 read, 2 write: as mapped now
};

struct i440fx {
  struct pci_func func;
  struct bus *bus;
  struct pci_bus *buses; // list of root buses that configuration accesses reach
  struct region ports;
  uint32_t address; // CF8h
  uint64_t ram_off; // RAM that stands behind physical address 0
  uint64_t rom_off; // the BIOS image, or RAM_NONE
  uint64_t rom_size;
  struct i440fx_segment segment[I440FX_SEGMENTS];
  struct region smram;
  // Byte accesses to CF9h, which lies among the ports of this chip but is the ISA bridge's; may be NULL.
  uint8_t (*reset_control_read)(void *arg);
  void (*reset_control_write)(void *arg, uint8_t v);
  void *reset_control_arg;
  // Whether a configuration access gets to its function, and whether CF8h has register bits 11:8 in 27:24.
  // NULL: always, never.
  bool (*reaches)(void *arg, const struct txn *t, uint8_t bus, uint8_t devfn);
  bool (*extended)(void *arg, const struct txn *t);
  void *gate_arg;
};

// Puts itself at 00:00.0 of pb. rom_off RAM_NONE: no BIOS; otherwise the last 128 KB of the image (or all
// of it) appear below 1 MB.
void i440fx_init(struct i440fx *h, struct bus *bus, struct pci_bus *pb, uint64_t ram_off, uint64_t rom_off,
                 uint64_t rom_size);
void i440fx_reset(struct i440fx *h);
// All of C0000h to FFFFFh is RAM, as a BIOS leaves it: for a machine that boots without one.
void i440fx_open_shadow(struct i440fx *h);

#endif
