// Sharing out CPUs and memory among the nodes; see config.h.
#include "machine/config.h"

#define MB   (1ull << 20)
#define UNIT (16 * MB) // the grain of the northbridge's address maps

static bool count_nodes(struct config *c, struct err *e)
{
  unsigned given = 0;
  for (unsigned n = 0; n < CONFIG_NODES; n++)
    given += c->node[n].given;
  for (unsigned n = 0; n < given; n++)
    if (!c->node[n].given)
      return err_set(e, "-numa: there is no node %u; nodes are numbered from 0 without gaps", n);
  if (given && c->nodes && c->nodes != given)
    return err_set(e, "-smp nodes=%u: -node gives %u; leave one of them out", c->nodes, given);
  c->nodes = given ? given : c->nodes ? c->nodes : 1;
  for (unsigned i = 0; i < c->links; i++)
    if (c->link[i].a >= c->nodes || c->link[i].b >= c->nodes)
      return err_set(e, "-link %u-%u: there are %u nodes, numbered from 0", c->link[i].a, c->link[i].b,
                     c->nodes);
  return true;
}

static bool share_cpus(struct config *c, struct err *e)
{
  unsigned given = 0;
  uint32_t seen = 0;
  for (unsigned n = 0; n < c->nodes; n++) {
    given += c->node[n].cpus != 0;
    seen |= c->node[n].cpus;
  }
  if (seen && !c->cpus_given) // then the nodes say how many
    c->cpus = 32 - (unsigned)__builtin_clz(seen);
  uint32_t all = (uint32_t)((1ull << c->cpus) - 1);
  seen = 0;
  if (given && given != c->nodes)
    return err_set(e, "-node: give cpus= to all nodes or to none");
  if (c->cpus < c->nodes)
    return err_set(e, "-smp %u: %u nodes need at least %u CPUs", c->cpus, c->nodes, c->nodes);
  for (unsigned n = 0; n < c->nodes && !given; n++) {
    unsigned first = n * c->cpus / c->nodes, end = (n + 1) * c->cpus / c->nodes;
    c->node[n].cpus = (uint32_t)((1ull << end) - (1ull << first));
  }
  for (unsigned n = 0; n < c->nodes; n++) {
    if (c->node[n].cpus & seen)
      return err_set(e, "-node: node %u has a CPU that another node has too", n);
    seen |= c->node[n].cpus;
  }
  if (seen != all)
    return err_set(e, "-node: the nodes' cpus= must be the CPUs 0 to %u, each once", c->cpus - 1);
  if (!(c->node[0].cpus & 1))
    return err_set(e, "-node: CPU 0, which starts the machine, belongs to node 0");
  return true;
}

static bool share_memory(struct config *c, struct err *e)
{
  unsigned given = 0;
  uint64_t sum = 0;
  for (unsigned n = 0; n < c->nodes; n++) {
    given += c->node[n].mem != 0;
    sum += c->node[n].mem;
    if (c->node[n].mem > CONFIG_RAM_MAX || (c->nodes > 1 && c->node[n].mem % UNIT))
      return err_set(e, "-node: mem= of node %u: a multiple of 16M, at most 64G", n);
  }
  if (given && given != c->nodes)
    return err_set(e, "-node: give mem= to all nodes or to none");
  if (given && c->ram_given && sum != c->ram_size)
    return err_set(e, "-m: the nodes' mem= are %lluM in sum; give that, or leave -m out",
                   (unsigned long long)(sum / MB));
  if (given) {
    c->ram_size = sum;
    return (sum >= 2 * MB && sum <= CONFIG_RAM_MAX && sum % 4096 == 0) ||
           err_set(e, "-node: memory is 2M to 64G in sum, in whole pages of 4 KB");
  }
  uint64_t share = c->nodes > 1 ? c->ram_size / c->nodes / UNIT * UNIT : c->ram_size;
  if (share == 0)
    return err_set(e, "-m: %u nodes need at least %uM", c->nodes, 16 * c->nodes);
  for (unsigned n = 0; n < c->nodes; n++)
    c->node[n].mem = n + 1 < c->nodes ? share : c->ram_size - share * (c->nodes - 1);
  return true;
}

bool config_nodes(struct config *c, struct err *e)
{
  return count_nodes(c, e) && share_cpus(c, e) && share_memory(c, e);
}
