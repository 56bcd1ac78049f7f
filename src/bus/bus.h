// The bus: one transaction type, the physical address map, the port space, interrupt messages.
//
// Every access that is not served from RAM through a CPU's TLB is a struct txn, and every txn says
// who made it: a CPU, or a device by its PCI requester and HyperTransport unit ID, and the node at
// which it enters. The map is a list of regions with priorities, flattened into sorted ranges when
// it changes; a change tells the CPUs so that they drop what their TLBs took from it.
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus/ram.h"

struct log;

enum txn_kind { TXN_READ, TXN_WRITE, TXN_FETCH };

enum txn_space {
  TXN_MEM,     // system-physical memory
  TXN_IO,      // the 64 K ports
  TXN_SPECIAL, // special cycles: SKINIT's hash cycles to the TPM
  TXN_CONFIG,  // configuration space, as a device would ask for it: always refused by the fabric
};

// What came back. An access that nothing answers is a master abort: a read gives all ones, a write
// is lost. A CPU does not notice; a device does, and behaves as a real one would.
enum txn_resp { TXN_OK, TXN_ABORT };

#define TXN_FROM_CPU 0x10000u // txn.requester of CPU n is TXN_FROM_CPU + n

struct txn {
  uint64_t addr;
  uint32_t size;      // bytes
  uint32_t requester; // TXN_FROM_CPU + n, or a PCI bus << 8 | device << 3 | function
  uint8_t kind;       // enum txn_kind
  uint8_t space;      // enum txn_space
  uint8_t node;       // where the request enters the coherent fabric
  uint8_t unit;       // HyperTransport unit ID on its chain
  bool walk;          // a page-table access of a CPU
  bool debug;         // made by a debugger: changes no device's state (only RAM and ROM answer it)
};

// Special cycles, by their address. The TPM's hash cycles are those of locality 4 (TPM interface
// specification); the northbridges' cycle shuts devices out of the 64 KB at the address that is its value.
#define CYCLE_SL_DEV     UINT64_C(0)
#define CYCLE_HASH_END   UINT64_C(0xfed44020)
#define CYCLE_HASH_DATA  UINT64_C(0xfed44024)
#define CYCLE_HASH_START UINT64_C(0xfed44028)

// A device's face towards the bus. `off` is relative to the region's start. size is 1, 2, 4 or 8
// and the access never leaves the region; a device never sees a size above max_size, nor one below
// min_size: the bus splits, or widens reads and narrows the result. 0 stands for 1 and 4.
// Accesses of a device with min_size > 1 are naturally aligned; others come as the CPU made them.
struct bus_ops {
  uint64_t (*read)(void *dev, uint64_t off, unsigned size, const struct txn *t);
  void (*write)(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t);
  uint8_t min_size, max_size;
};

enum region_kind { REGION_IO, REGION_RAM, REGION_ROM };

// A region lives in its owner and is linked into the map while enabled. For RAM and ROM kinds,
// `ram_off` is an offset into the machine's RAM (see ram.h), so that a region can also be an alias.
// A REGION_ROM drops writes. prio: the higher one wins where regions overlap. Parts of a region that
// nothing else covers answer; what is covered by nobody is a master abort.
struct region {
  const char *name;
  uint64_t base, size;
  int prio;
  uint8_t kind;  // enum region_kind
  uint8_t space; // TXN_MEM or TXN_IO
  bool read_ram; // REGION_IO only: reads are served from ram_off, writes go to ops (unused by most)
  const struct bus_ops *ops;
  void *dev;
  uint64_t ram_off;
  bool mapped;
  struct region *next;
};

// A piece of the flattened map.
struct flat {
  uint64_t first, last;
  struct region *region;
};

// An interrupt message, as the I/O APIC, an MSI write or a local APIC's ICR sends it.
struct intr_msg {
  uint32_t dest; // APIC ID or logical destination
  uint8_t vector;
  uint8_t delivery; // 0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 6 startup, 7 ExtINT
  bool logical;     // destination mode
  bool level;       // trigger mode
  bool assert_;     // level: asserted
};

// What the chipset says of A0000h to BFFFFh for CPUs in system-management mode: they see the RAM there,
// unless it is closed to data (then only what they fetch is from it). Whoever changes it calls map_changed.
struct smram {
  uint64_t ram_off; // of the RAM behind A0000h; RAM_NONE: there is none
  bool on, closed;
};

struct bus {
  struct ram *ram;
  struct smram smram;
  struct log *log;
  struct region *regions[2]; // TXN_MEM, TXN_IO: linked, unsorted
  struct flat *flat[2];
  size_t flats[2];
  struct flat *last[2]; // the last hit
  // Set by the machine: the CPUs' side.
  void (*map_changed)(void *arg); // memory map: TLBs must be emptied
  void *map_changed_arg;
  void (*intr)(void *arg, const struct intr_msg *m); // delivery to the local APICs
  void *intr_arg;
  // Special cycles of CPUs; TXN_ABORT: nobody answered.
  enum txn_resp (*special)(void *arg, const struct txn *t, uint64_t *value);
  void *special_arg;
  unsigned batch; // bus_begin nesting
  bool stale[2];  // the map changed inside a batch
};

bool bus_init(struct bus *b, struct ram *ram, struct log *log);
void bus_free(struct bus *b);

// Links a region in or out. Cheap to call with no change; to move a region, unmap it, change it, map it.
// Between bus_begin and bus_commit the map is rebuilt only once.
void bus_map(struct bus *b, struct region *r);
void bus_unmap(struct bus *b, struct region *r);
void bus_begin(struct bus *b);
void bus_commit(struct bus *b);

// Helpers that fill a region (zeroed, or mapped before) and map it.
void bus_map_io(struct bus *b, struct region *r, const char *name, uint64_t base, uint64_t size,
                const struct bus_ops *ops, void *dev); // memory-mapped device, prio 1
void bus_map_ports(struct bus *b, struct region *r, const char *name, uint16_t base, unsigned count,
                   const struct bus_ops *ops, void *dev);
void bus_map_ram(struct bus *b, struct region *r, const char *name, uint64_t base, uint64_t size,
                 uint64_t ram_off, int prio, bool rom);

// One access of up to 8 bytes, any alignment, which may straddle regions. A read returns its value
// in *value (all ones on abort). Writes take it from there. RAM is accessed through ram_write, so that
// watchers see it.
enum txn_resp bus_access(struct bus *b, const struct txn *t, uint64_t *value);

// Bulk transfer to or from memory, any length: RAM by pieces of a page, devices by 4 bytes. t->addr
// and t->kind are used, t->size is ignored. Aborts if any byte aborts; what could be done is done.
enum txn_resp bus_transfer(struct bus *b, const struct txn *t, void *buf, uint64_t len);

// Host memory behind an address: of RAM, or to read, of whatever is read from memory. *len is how much is
// wanted, and becomes how much lies together there. NULL: it takes bus_transfer. Whoever writes there calls
// ram_touched afterwards, and keeps the pointer no longer than nothing else happens.
uint8_t *bus_host(struct bus *b, uint64_t addr, bool write, uint64_t *len);

// The region that answers for an address, or NULL; *first and *last give the extent over which that
// answer holds (inclusive).
struct region *bus_find(struct bus *b, enum txn_space space, uint64_t addr, uint64_t *first, uint64_t *last);

// For TLB fills: the RAM offset that stands behind the 4 KB page of addr if all of it is RAM (or ROM,
// then *rom is set), or RAM_NONE.
#define RAM_NONE UINT64_MAX
uint64_t bus_ram_page(struct bus *b, uint64_t addr, bool *rom);

// Sends an interrupt message to the local APICs.
static inline void bus_intr(struct bus *b, const struct intr_msg *m)
{
  if (b->intr)
    b->intr(b->intr_arg, m);
}

#endif
