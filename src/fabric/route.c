// Ways through the fabric: who owns an address, and along which links a request gets there. See fabric.h.
#include "fabric/fabric.h"

void fabric_connect(struct fabric *f, const struct topology *t)
{
  for (unsigned n = 0; n < f->nodes; n++) {
    for (unsigned p = 0; p < TOPOLOGY_PORTS; p++)
      f->node[n].link[p].peer = t->peer[n][p];
    for (unsigned to = 0; to < f->nodes; to++)
      f->node[n].route[to] = to == n ? 1 : (uint16_t)(2u << t->next[n][to]);
  }
}

bool fabric_add_range(struct fabric *f, const struct fabric_range *r)
{
  if (f->ranges == FABRIC_RANGES)
    return false;
  f->range[f->ranges++] = *r;
  return true;
}

void fabric_set_route(struct fabric *f, unsigned node, unsigned to, uint16_t way)
{
  if (node < f->nodes && to < f->nodes)
    f->node[node].route[to] = way;
}

// The port of a node that leads to another, or -1. A way that is longer than there are nodes goes in a
// circle.
static int next_port(const struct fabric *f, unsigned at, unsigned to, unsigned hops)
{
  const struct fabric_node *n = &f->node[at];
  for (unsigned p = 0; hops < f->nodes && p < TOPOLOGY_PORTS; p++)
    if (n->route[to] == 2u << p && n->link[p].peer < f->nodes)
      return (int)p;
  return -1;
}

bool fabric_route(struct fabric *f, unsigned from, unsigned to, uint64_t bytes)
{
  unsigned at = from;
  for (unsigned hops = 0; at != to; hops++) {
    int p = next_port(f, at, to, hops);
    if (p < 0) {
      f->node[from].unrouted++;
      return false;
    }
    struct fabric_link *l = &f->node[at].link[p];
    l->requests++;
    l->bytes += bytes;
    at = l->peer;
  }
  return true;
}

bool fabric_reaches(const struct fabric *f, unsigned from, unsigned to)
{
  unsigned at = from;
  for (unsigned hops = 0; at != to; hops++) {
    int p = next_port(f, at, to, hops);
    if (p < 0)
      return false;
    at = f->node[at].link[p].peer;
  }
  return true;
}

unsigned fabric_owner(struct fabric *f, unsigned space, uint64_t addr, uint64_t *last)
{
  struct fabric_range *r = &f->range[f->last_range];
  if (f->ranges && r->space == space && addr >= r->first && addr <= r->last) {
    *last = r->last;
    return r->node;
  }
  *last = UINT64_MAX; // up to the next range
  for (unsigned i = 0; i < f->ranges; i++) {
    r = &f->range[i];
    if (r->space != space || addr > r->last)
      continue;
    if (addr >= r->first) {
      f->last_range = i;
      *last = r->last;
      return r->node;
    }
    if (r->first - 1 < *last)
      *last = r->first - 1;
  }
  return 0;
}
