// The northbridge of one node, as software sees it: device 18h + node on bus 0, functions 0 to 3 (K8, BKDG
// publication 32559) or 0 to 4 (family 10h, BKDG publication 31116).
//
// Function 0: HyperTransport links, node count, routes. 1: address maps. 2: memory controller. 3:
// miscellaneous, machine checks. 4: link control. Firmware has set the maps up: they are read-only.
#ifndef CHIPSET_NORTHBRIDGE_H
#define CHIPSET_NORTHBRIDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/pci.h"

enum { NB_FUNCTIONS = 5, NB_NODES = 8 };

enum nb_family { NB_K8, NB_FAMILY10H };

// What every northbridge of a machine knows of all nodes.
struct nb_map {
  enum nb_family family;
  unsigned nodes;
  unsigned cpus;      // of the whole machine
  uint32_t signature; // CPUID Fn0000_0001 EAX, for F3xFC
  struct {
    uint64_t base, size; // DRAM in system-physical addresses, the hole included; size 0: none. 16 MB units
    uint8_t route[NB_NODES]; // the link (0..2) by which this node sends to another
  } node[NB_NODES];
  uint64_t hole_base; // start of the MMIO hole below 4 GB
};

// The Device Exclusion Vector behind the capability at F3xF0 to F3xFB: reg is the offset of the doubleword,
// F0h (header), F4h (function and index) or F8h (data).
struct nb_dev {
  uint32_t (*read)(void *opaque, unsigned reg);
  void (*write)(void *opaque, unsigned reg, uint32_t v);
  void *opaque;
};

struct northbridge {
  struct pci_func func[NB_FUNCTIONS];
  unsigned functions;
  uint8_t node;
  struct nb_map map;
  struct nb_dev dev; // read == NULL: none
};

// Fills in routes for a machine whose nodes form a ring in the order of their numbers: to the next node by
// link 1, to the one before by link 2, the shorter way; link 0 is the node's I/O chain.
void nb_map_ring(struct nb_map *m);

void nb_init(struct northbridge *nb, struct pci_bus *pb, const struct nb_map *map, uint8_t node);
void nb_reset(struct northbridge *nb);
// Gives function 3 the capability, the only one in its list. Without this call it has none.
void nb_set_dev(struct northbridge *nb, const struct nb_dev *dev);

#endif
