// The coherent fabric: the nodes of the machine and the way of a device's request into memory.
//
// Each node has a northbridge to which its chain of devices is attached. A request of a device enters
// at its own node; that is where it is checked (Device Exclusion Vector, APM volume 2 section 15.24), before
// it travels on along the routing tables to the node that owns the address. fabric_transfer is the function
// behind every dma_port, so no device has another way into memory.
#ifndef FABRIC_FABRIC_H
#define FABRIC_FABRIC_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/dma.h"
#include "fabric/dev.h"
#include "fabric/topology.h"

enum { FABRIC_NODES = TOPOLOGY_NODES, FABRIC_RANGES = 40 };

// A HyperTransport port of a node, and what left the node through it.
struct fabric_link {
  uint8_t peer; // the node at the other end, PORT_IO or PORT_FREE
  uint64_t requests, bytes;
};

struct fabric_node {
  struct fabric_link link[TOPOLOGY_PORTS];
  // By destination: where requests go, as in the routing table: bit 0 this node, bit 1 + n port n. One bit
  // is a route; anything else leads nowhere.
  uint16_t route[FABRIC_NODES];
  uint64_t unrouted; // requests from here that found no way
  // Requests that entered here from devices.
  uint64_t reads, writes, read_bytes, written_bytes;
  uint64_t messages; // interrupt messages
  uint64_t aborts;   // requests of which a part was denied, or answered by nobody
  struct dev *dev;   // what its devices may reach; NULL: this processor has no such thing
};

// Addresses that a node owns: its DRAM, the windows of its I/O chain. What nobody owns is node 0's.
struct fabric_range {
  uint64_t first, last;
  uint8_t space; // enum txn_space
  uint8_t node;
  bool dram;
};

struct fabric {
  struct bus *bus;
  unsigned nodes;
  unsigned ranges, last_range; // last_range: the last that was found
  struct fabric_range range[FABRIC_RANGES];
  struct fabric_node node[FABRIC_NODES];
  unsigned depth; // of requests that are under way
};

void fabric_init(struct fabric *f, struct bus *bus, unsigned nodes);

// Links and routes of a topology in place of the default one.
void fabric_connect(struct fabric *f, const struct topology *t);
// False: there are too many ranges.
bool fabric_add_range(struct fabric *f, const struct fabric_range *r);
// A routing table's entry was written.
void fabric_set_route(struct fabric *f, unsigned node, unsigned to, uint16_t way);

// Takes a request of `bytes` from a node to another along the routing tables, and counts it on the links that
// it crosses. False: the tables lead nowhere, or in a circle. A node finds itself without its table.
bool fabric_route(struct fabric *f, unsigned from, unsigned to, uint64_t bytes);
// Whether it would get there; counts nothing.
bool fabric_reaches(const struct fabric *f, unsigned from, unsigned to);
// The node that owns an address, and the last address (inclusive) for which that holds.
unsigned fabric_owner(struct fabric *f, unsigned space, uint64_t addr, uint64_t *last);

// Frees what the nodes own.
void fabric_free(struct fabric *f);
// Gives each node a Device Exclusion Vector. False: no memory.
bool fabric_add_dev(struct fabric *f, const struct dev_model *model, const struct clock *clock);

// The request of a device: t says address, kind, requester, unit and node of entry. Reads fill buf with
// ones where nobody answers or the request is refused. A write of 4 bytes to FEEx_xxxxh is an interrupt
// message; nothing else passes there, the local APICs being the CPUs' own.
enum txn_resp fabric_transfer(void *fabric, const struct txn *t, void *buf, uint64_t len);

// The requests of a list, one for each of its ranges, in one go (dma_direct). They are counted as
// fabric_transfer counts them.
bool fabric_direct(void *fabric, const struct txn *t, const struct dma_list *l, struct dma_mover *m);

#endif
