// info fabric: nodes with their memory, links, routes as the tables have them now, and traffic.
#include "debug/info.h"
#include "machine/machine.h"

typedef unsigned long long ull;

static void print_node(FILE *out, const struct machine *m, unsigned n)
{
  const struct fabric *f = &m->fabric;
  const struct fabric_node *node = &f->node[n];
  fprintf(out, "node %u: CPUs", n);
  for (unsigned i = 0; i < m->cpus; i++)
    if (m->cpu[i]->node == n)
      fprintf(out, " %u", i);
  fprintf(out, "\n");
  for (unsigned i = 0; i < f->ranges; i++)
    if (f->range[i].node == n)
      fprintf(out, "  %s %012llx-%012llx\n",
              f->range[i].dram              ? "memory"
              : f->range[i].space == TXN_IO ? "ports "
                                            : "window",
              (ull)f->range[i].first, (ull)f->range[i].last);
  const struct nb_chain *c = &m->nodes.map.node[n].chain;
  if (c->present)
    fprintf(out, "  I/O chain: buses %02x-%02x\n", c->first_bus, c->last_bus);
  fprintf(out,
          "  from devices: %llu reads of %llu bytes, %llu writes of %llu bytes, %llu interrupt messages\n",
          (ull)node->reads, (ull)node->read_bytes, (ull)node->writes, (ull)node->written_bytes,
          (ull)node->messages);
  fprintf(out, "  aborted %llu, of these without a route %llu\n", (ull)node->aborts, (ull)node->unrouted);
}

static void print_links(FILE *out, const struct fabric *f, unsigned n)
{
  for (unsigned p = 0; p < TOPOLOGY_PORTS; p++) {
    const struct fabric_link *l = &f->node[n].link[p];
    if (l->peer < f->nodes)
      fprintf(out, "  link %u to node %u: %llu requests, %llu bytes\n", p, l->peer, (ull)l->requests,
              (ull)l->bytes);
  }
}

static void print_routes(FILE *out, const struct fabric *f, unsigned n)
{
  fprintf(out, "  routes:");
  for (unsigned to = 0; to < f->nodes; to++) {
    unsigned way = f->node[n].route[to];
    if (to == n)
      continue;
    fprintf(out, " %u by ", to);
    // What is not one link leads nowhere; then the table's bits say more.
    if (way > 1 && !(way & (way - 1)))
      fprintf(out, "%d", __builtin_ctz(way) - 1);
    else
      fprintf(out, "(%03x)", way);
  }
  fprintf(out, "\n");
}

void info_fabric(struct monitor_call *c)
{
  const struct fabric *f = &c->machine->fabric;
  for (unsigned n = 0; n < f->nodes; n++) {
    print_node(c->out, c->machine, n);
    print_links(c->out, f, n);
    if (f->nodes > 1)
      print_routes(c->out, f, n);
  }
}
