// The northbridge of one node, as software sees it: device 18h + node on bus 0, functions 0 to 3 (K8, BKDG
// publication 32559) or 0 to 4 (family 10h, BKDG publication 31116).
//
// Function 0: HyperTransport links, node count, routes. 1: address maps. 2: memory controller. 3:
// miscellaneous, machine checks. 4: link control. Firmware has set all of it up: the routing tables can be
// written, and are what requests follow; the address maps are read-only.
//
// The hardware's maps have room for four I/O chains. Family 10h shows the ranges of more of them in the same
// form at F1x1C0 (ports) and F1x1E0 (buses), where no processor has registers.
#ifndef CHIPSET_NORTHBRIDGE_H
#define CHIPSET_NORTHBRIDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/pci.h"

enum { NB_FUNCTIONS = 5, NB_NODES = 8, NB_LINKS = 4, NB_EXTENDED = 3840 };
enum { NB_CHAINS_K8 = 4 }; // I/O chains that can be routed on K8

enum nb_family { NB_K8, NB_FAMILY10H };

enum { NB_LINK_FREE = 0xff, NB_LINK_IO = 0xfe };

// What is routed to a node's I/O chain. Memory in units of 64 KB, ports in units of 4 KB; size 0: none.
struct nb_chain {
  bool present;
  uint8_t first_bus, last_bus;
  uint64_t mem_base, mem_size;
  uint32_t io_base, io_size;
};

struct nb_node {
  uint64_t base, size;      // DRAM in system-physical addresses, the hole included; size 0: none. 16 MB units
  uint8_t cpus;             // of this node
  uint8_t peer[NB_LINKS];   // the node at the other end of each link, NB_LINK_IO or NB_LINK_FREE
  uint8_t route[NB_NODES];  // the link by which this node sends to another
  uint8_t spread[NB_NODES]; // links on which a broadcast that began at another node goes on, bits
  struct nb_chain chain;
};

// What every northbridge of a machine knows of all nodes.
struct nb_map {
  enum nb_family family;
  unsigned nodes;
  unsigned cpus;      // of the whole machine
  uint32_t signature; // CPUID Fn0000_0001 EAX, for F3xFC
  struct nb_node node[NB_NODES];
  uint64_t hole_base;              // start of the MMIO hole below 4 GB; 0: no memory lies above it
  uint64_t mem64_base, mem64_size; // node 0's window above memory
};

// The Device Exclusion Vector behind the capability at F3xF0 to F3xFB: reg is the offset of the doubleword,
// F0h (header), F4h (function and index) or F8h (data).
struct nb_dev {
  uint32_t (*read)(void *opaque, unsigned reg);
  void (*write)(void *opaque, unsigned reg, uint32_t v);
  void *opaque;
};

// The northbridge's machine check bank, which F3x40, F3x48/4C and F3x50/54 show in part (BKDG 31116: MSR
// 0410h to 0412h). reg is the number of the register in the bank: 0 control, 1 status, 2 address.
struct nb_mca {
  uint64_t (*read)(void *opaque, unsigned node, unsigned reg);
  void (*write)(void *opaque, unsigned node, unsigned reg, uint64_t v);
  void *opaque;
};

// Who follows the routing tables. way: bit 0 the node itself, bit 1 + n link n.
struct nb_router {
  void (*set)(void *opaque, unsigned node, unsigned to, unsigned way);
  void *opaque;
};

struct northbridge {
  struct pci_func func[NB_FUNCTIONS];
  uint8_t extended[NB_EXTENDED]; // function 1 from 100h on

  unsigned functions;
  uint8_t node;
  struct nb_map map;
  struct nb_dev dev; // read == NULL: none
  struct nb_mca mca; // likewise: the registers are there, and mean nothing
  struct nb_router router;
};

void nb_init(struct northbridge *nb, struct pci_bus *pb, const struct nb_map *map, uint8_t node);
void nb_reset(struct northbridge *nb);
// Another map, of as many nodes: when the I/O chains are known.
void nb_set_map(struct northbridge *nb, const struct nb_map *map);
// Tells at once what the table says, and from then on what is written to it.
void nb_set_router(struct northbridge *nb, const struct nb_router *router);
// F3x88 and F3x8C, which MSR C001_001F shows too.
uint64_t nb_config(const struct northbridge *nb);
void nb_set_config(struct northbridge *nb, uint64_t v);
#define NB_CONFIG_CF8_EXT (UINT64_C(1) << 46) // CF8h has the bits 11:8 of a register's offset in 27:24
// Gives function 3 the capability, the only one in its list. Without this call it has none.
void nb_set_dev(struct northbridge *nb, const struct nb_dev *dev);
void nb_set_mca(struct northbridge *nb, const struct nb_mca *mca);

#endif
