// The coherent fabric: the nodes of the machine and the way of a device's request into memory.
//
// Each node has a northbridge to which its chain of devices is attached. A request of a device enters
// at its own node; that is where it is checked (Device Exclusion Vector, APM volume 2 section 15.24), before
// it travels on. fabric_transfer is the function behind every dma_port, so no device has another way
// into memory.
#ifndef FABRIC_FABRIC_H
#define FABRIC_FABRIC_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "fabric/dev.h"

enum { FABRIC_NODES = 8 };

struct fabric_node {
  // DRAM that this node's memory controller owns; size 0: none. Two ranges: below and above the hole.
  struct {
    uint64_t base, size;
  } dram[2];
  // Requests that entered here from devices.
  uint64_t reads, writes, read_bytes, written_bytes;
  uint64_t messages; // interrupt messages
  uint64_t aborts;   // requests of which a part was denied, or answered by nobody
  struct dev *dev;   // what its devices may reach; NULL: this processor has no such thing
};

struct fabric {
  struct bus *bus;
  unsigned nodes;
  struct fabric_node node[FABRIC_NODES];
  unsigned depth; // of requests that are under way
};

void fabric_init(struct fabric *f, struct bus *bus, unsigned nodes);

// Frees what the nodes own.
void fabric_free(struct fabric *f);
// Gives each node a Device Exclusion Vector. False: no memory.
bool fabric_add_dev(struct fabric *f, const struct dev_model *model, const struct clock *clock);

// The request of a device: t says address, kind, requester, unit and node of entry. Reads fill buf with
// ones where nobody answers or the request is refused. A write of 4 bytes to FEEx_xxxxh is an interrupt
// message; nothing else passes there, the local APICs being the CPUs' own.
enum txn_resp fabric_transfer(void *fabric, const struct txn *t, void *buf, uint64_t len);

#endif
