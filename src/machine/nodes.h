// The nodes of a machine: links and routes, which memory and which devices are whose, the northbridges.
//
// A node has CPUs, memory, a northbridge at 00:18.0 + n, and an I/O chain. Bus 0 is node 0's chain; that of
// node n, if it has devices, is bus 20h * n with windows of its own.
#ifndef MACHINE_NODES_H
#define MACHINE_NODES_H

#include <stdbool.h>
#include <stdint.h>

#include "chipset/northbridge.h"
#include "fabric/topology.h"
#include "firmware/board.h"

struct config;
struct err;
struct machine;

struct nodes {
  unsigned count;
  struct topology topology;
  struct nb_map map;
  struct northbridge northbridge[NB_NODES];
  struct pci_bus chain[NB_NODES]; // not [0]: that is pc.pci
  // PIRQA..D: a bit for each bus that drives the wire.
  uint8_t pirq_level[4];
  struct irq pirq[4];
};

unsigned nodes_count(const struct config *c);
// The node of a CPU, and its APIC ID: node and number on the node.
unsigned nodes_of_cpu(const struct config *c, unsigned cpu);
unsigned nodes_apic_id(const struct config *c, unsigned cpu);

// The fabric and its links; the processor model is known.
bool nodes_init(struct machine *m, struct err *e);
// Northbridges and chains; bus 0 is there.
void nodes_attach(struct machine *m);
// The bus for a device on a node's chain; NULL: there is no such node, or no chain can be routed there.
struct pci_bus *nodes_chain(struct machine *m, unsigned node, struct err *e);
// After all devices: the chains that exist get their windows, and the fabric its owners of addresses.
bool nodes_settle(struct machine *m, struct err *e);
void nodes_reset(struct machine *m);
// For the firmware: memory by node, distances, chains.
void nodes_describe(const struct machine *m, struct board *b);

#endif
