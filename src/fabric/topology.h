// Which node is linked to which, and the routes that firmware would set up: HyperTransport ports, hops, the
// shortest way from each node to each other, and how a broadcast spreads (BKDG 31116, section 2.6.4).
//
// Port 0 of every node is its I/O chain; the others are coherent links, given out in the order of joining.
#ifndef FABRIC_TOPOLOGY_H
#define FABRIC_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

enum { TOPOLOGY_NODES = 8, TOPOLOGY_PORTS = 4 };
enum { PORT_FREE = 0xff, PORT_IO = 0xfe };

struct topology {
  unsigned nodes, ports;                        // ports: of one node, that of the I/O chain included
  uint8_t peer[TOPOLOGY_NODES][TOPOLOGY_PORTS]; // the node at the other end, PORT_IO or PORT_FREE
  uint8_t hops[TOPOLOGY_NODES][TOPOLOGY_NODES];
  uint8_t next[TOPOLOGY_NODES][TOPOLOGY_NODES];   // the port by which a node sends to another
  uint8_t spread[TOPOLOGY_NODES][TOPOLOGY_NODES]; // [node][source]: ports on which a broadcast goes on, bits
};

void topology_init(struct topology *t, unsigned nodes, unsigned ports);
// Links two nodes. False if that cannot be: no port is left, or they are linked already.
bool topology_join(struct topology *t, unsigned a, unsigned b);
// A full mesh if the ports suffice for that, else a ring.
void topology_default(struct topology *t);
// Works out hops and routes. False: some node cannot be reached from node 0.
bool topology_route(struct topology *t);

#endif
