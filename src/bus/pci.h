// PCI: functions with configuration space and BARs, buses, interrupt pins, MSI.
//
// A device embeds a struct pci_func, fills the header with the pci_set_* helpers, declares BARs, and
// adds itself to a bus. Configuration accesses arrive through the host bridge (mechanism #1, ports
// CF8h/CFCh, and memory-mapped configuration where the model has it). Field names are those of the PCI
// Local Bus Specification 3.0, section 6.
#ifndef BUS_PCI_H
#define BUS_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/dma.h"
#include "bus/irq.h"

enum {
  PCI_VENDOR_ID = 0x00,
  PCI_DEVICE_ID = 0x02,
  PCI_COMMAND = 0x04,
  PCI_STATUS = 0x06,
  PCI_REVISION_ID = 0x08,
  PCI_CLASS_PROG = 0x09,
  PCI_CLASS_DEVICE = 0x0a,
  PCI_CACHE_LINE_SIZE = 0x0c,
  PCI_LATENCY_TIMER = 0x0d,
  PCI_HEADER_TYPE = 0x0e,
  PCI_BAR0 = 0x10,
  PCI_SUBSYSTEM_VENDOR_ID = 0x2c,
  PCI_SUBSYSTEM_ID = 0x2e,
  PCI_ROM_ADDRESS = 0x30,
  PCI_CAPABILITY_LIST = 0x34,
  PCI_INTERRUPT_LINE = 0x3c,
  PCI_INTERRUPT_PIN = 0x3d,

  PCI_COMMAND_IO = 1,
  PCI_COMMAND_MEMORY = 2,
  PCI_COMMAND_MASTER = 4,
  PCI_COMMAND_INTX_DISABLE = 0x400,
  PCI_STATUS_INTX = 0x0008,
  PCI_STATUS_CAP_LIST = 0x0010,
  PCI_STATUS_REC_MASTER_ABORT = 0x2000,
};

struct pci_bus;

struct pci_bar {
  struct region region;
  uint64_t size; // a power of two, or 0: no such BAR
  bool io, wide, prefetch;
  bool active; // decoded now
};

struct pci_func {
  const char *name;
  struct pci_bus *bus;
  uint8_t devfn; // device << 3 | function
  uint8_t config[256];
  const uint8_t *extended; // configuration space from 100h to FFFh, read-only; NULL: there is none
  uint8_t wmask[256];      // bits that software can write
  uint8_t w1cmask[256];    // bits that software clears by writing 1
  uint8_t cap_size[64];    // of the capability that begins at 4 * index
  struct pci_bar bar[7];   // 6: expansion ROM
  void *dev;
  // Optional: called after a configuration write took effect / before a read (to refresh config[]).
  void (*config_written)(struct pci_func *f, unsigned off, unsigned size);
  void (*config_read)(struct pci_func *f, unsigned off, unsigned size);
  struct dma_port dma; // refuses while bus mastering is off
  int intx_level;      // as the device drives it
  int intx_wire;       // as the wire shows it: 0 while INTX_DISABLE is set
  // MSI and MSI-X.
  uint8_t msi_cap, msix_cap; // 0: none
  uint16_t msix_count;
  uint8_t *msix_table; // entries of 16 bytes; owned
  uint8_t *msix_pba;   // one bit per vector; owned
};

// The sink of the four INTx wires of a bus; pin 0..3 = INTA..INTD of device 0, swizzled for others by
// pci itself: wire = (pin + device) & 3. Shared wires are counted.
struct pci_bus {
  struct bus *bus;
  uint8_t number;
  uint8_t node;
  struct pci_func *func[256];
  struct irq intx[4]; // wired to the interrupt router of the chipset
  int intx_count[4];
  // How devices on this bus reach memory.
  enum txn_resp (*transfer)(void *fabric, const struct txn *t, void *buf, uint64_t len);
  bool (*direct)(void *fabric, const struct txn *t, const struct dma_list *l, struct dma_mover *m);
  void *fabric;
  struct pci_bus *next; // other root buses, found by number
};

void pci_bus_init(struct pci_bus *pb, struct bus *bus, uint8_t number, uint8_t node);

// Fills in the identity. class_code is 24 bits: base class, subclass, programming interface.
void pci_func_init(struct pci_func *f, const char *name, uint16_t vendor, uint16_t device,
                   uint32_t class_code, uint8_t revision, void *dev);
void pci_set_subsystem(struct pci_func *f, uint16_t vendor, uint16_t id);
void pci_set_word(struct pci_func *f, unsigned off, uint16_t v);
void pci_set_long(struct pci_func *f, unsigned off, uint32_t v);
uint16_t pci_get_word(const struct pci_func *f, unsigned off);
uint32_t pci_get_long(const struct pci_func *f, unsigned off);

// Declares BAR n (0..5). size a power of two, >= 4 for ports, >= 16 for memory.
void pci_bar_io(struct pci_func *f, int n, unsigned size, const struct bus_ops *ops, void *dev);
void pci_bar_mem(struct pci_func *f, int n, uint64_t size, bool wide, bool prefetch,
                 const struct bus_ops *ops, void *dev);
// A BAR that is memory itself (video memory), or the expansion ROM (n = 6, rom = true).
void pci_bar_ram(struct pci_func *f, int n, uint64_t size, uint64_t ram_off, bool prefetch, bool rom);

// Adds a capability of `size` bytes in the next free place from 40h on (or at `at` if not 0); returns
// its offset. The caller fills in the rest and the write masks.
uint8_t pci_add_cap(struct pci_func *f, uint8_t id, unsigned size, unsigned at);
void pci_add_msi(struct pci_func *f);
// MSI-X with `count` vectors; table and pending bits live in memory BAR `bar` at offset 0 and 800h; the
// BAR is declared by this call with size 4 KB.
bool pci_add_msix(struct pci_func *f, int bar, unsigned count); // false: no memory, or more than 128

// Frees what pci_add_msix took; the function must not be used afterwards.
void pci_func_free(struct pci_func *f);

// Puts a function on a bus. pin: 0 no interrupt, 1..4 INTA..INTD. Returns false if the place is taken.
bool pci_add(struct pci_bus *pb, struct pci_func *f, uint8_t device, uint8_t function, uint8_t pin);
// Takes a function off its bus: BARs unmapped, wire released, then pci_func_free.
void pci_remove(struct pci_func *f);
// The lowest free device number >= from, or -1.
int pci_free_device(const struct pci_bus *pb, int from);

// Drives the INTx pin (honours INTX_DISABLE and keeps the status bit).
void pci_set_intx(struct pci_func *f, int level);
// True if MSI or MSI-X is enabled by software: then pci_msi is used in place of the pin.
bool pci_msi_enabled(const struct pci_func *f);
bool pci_msix_enabled(const struct pci_func *f);
// Sends vector n as a memory write through the function's DMA port; masked MSI-X vectors become pending.
void pci_msi(struct pci_func *f, unsigned n);

// Configuration accesses, size 1, 2 or 4, naturally aligned. A function or a register that is not there
// reads all ones. `buses` is a list of root buses.
uint32_t pci_config_read(struct pci_bus *buses, uint8_t bus, uint8_t devfn, unsigned off, unsigned size);
void pci_config_write(struct pci_bus *buses, uint8_t bus, uint8_t devfn, unsigned off, unsigned size,
                      uint32_t value);

// Reset of one function: command register cleared, BARs undecoded, INTx low, MSI off.
void pci_func_reset(struct pci_func *f);

#endif
