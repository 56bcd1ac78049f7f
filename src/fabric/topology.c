// Links between nodes, and shortest ways; see topology.h.
#include "fabric/topology.h"

#include <string.h>

enum { UNREACHED = 0xff };

void topology_init(struct topology *t, unsigned nodes, unsigned ports)
{
  *t = (struct topology){.nodes = nodes, .ports = ports};
  memset(t->peer, PORT_FREE, sizeof t->peer);
  for (unsigned n = 0; n < nodes; n++)
    t->peer[n][0] = PORT_IO;
}

// The port of a that leads to b, or the first free one (b = PORT_FREE); ports if there is none.
static unsigned port_to(const struct topology *t, unsigned a, unsigned b)
{
  unsigned p = 1;
  while (p < t->ports && t->peer[a][p] != b)
    p++;
  return p;
}

bool topology_join(struct topology *t, unsigned a, unsigned b)
{
  unsigned from = port_to(t, a, PORT_FREE), to = port_to(t, b, PORT_FREE);
  if (a == b || from == t->ports || to == t->ports || port_to(t, a, b) != t->ports)
    return false;
  t->peer[a][from] = (uint8_t)b;
  t->peer[b][to] = (uint8_t)a;
  return true;
}

void topology_default(struct topology *t)
{
  bool mesh = t->nodes <= t->ports; // a node has ports - 1 neighbours at most
  for (unsigned a = 0; a < t->nodes; a++)
    for (unsigned b = a + 1; b < t->nodes; b++) {
      if (mesh || b == a + 1 || (a == 0 && b == t->nodes - 1))
        topology_join(t, a, b);
    }
}

static void measure(struct topology *t, unsigned from)
{
  uint8_t *hops = t->hops[from];
  memset(hops, UNREACHED, TOPOLOGY_NODES);
  hops[from] = 0;
  for (unsigned distance = 0; distance < t->nodes; distance++)
    for (unsigned n = 0; n < t->nodes; n++)
      for (unsigned p = 1; hops[n] == distance && p < t->ports; p++) {
        unsigned peer = t->peer[n][p];
        if (peer != PORT_FREE && hops[peer] == UNREACHED)
          hops[peer] = (uint8_t)(distance + 1);
      }
}

// The lowest port that leads nearer.
static unsigned nearer(const struct topology *t, unsigned from, unsigned to)
{
  unsigned p = 1;
  while (p < t->ports &&
         (t->peer[from][p] == PORT_FREE || t->hops[t->peer[from][p]][to] + 1 != t->hops[from][to]))
    p++;
  return p;
}

bool topology_route(struct topology *t)
{
  memset(t->spread, 0, sizeof t->spread);
  for (unsigned n = 0; n < t->nodes; n++) {
    measure(t, n);
    for (unsigned to = 0; to < t->nodes; to++)
      if (t->hops[n][to] == UNREACHED)
        return false;
  }
  for (unsigned n = 0; n < t->nodes; n++)
    for (unsigned to = 0; to < t->nodes; to++) {
      if (n == to)
        continue;
      unsigned p = nearer(t, n, to);
      t->next[n][to] = (uint8_t)p;
      // A broadcast of `to` reaches n over the last link of n's way there: a tree, so it comes once.
      unsigned parent = t->peer[n][p];
      t->spread[parent][to] |= (uint8_t)(1u << port_to(t, parent, n));
    }
  return true;
}
