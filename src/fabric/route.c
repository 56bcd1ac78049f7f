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

static struct fabric_link *link_of(struct fabric_node *n, unsigned way, unsigned nodes)
{
  for (unsigned p = 0; p < TOPOLOGY_PORTS; p++)
    if (way == 2u << p && n->link[p].peer < nodes)
      return &n->link[p];
  return NULL;
}

bool fabric_route(struct fabric *f, unsigned from, unsigned to, uint64_t bytes)
{
  unsigned at = from;
  for (unsigned hops = 0; at != to; hops++) {
    struct fabric_node *n = &f->node[at];
    // A way that is longer than there are nodes goes in a circle.
    struct fabric_link *l = hops < f->nodes ? link_of(n, n->route[to], f->nodes) : NULL;
    if (!l) {
      f->node[from].unrouted++;
      return false;
    }
    l->requests++;
    l->bytes += bytes;
    at = l->peer;
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
