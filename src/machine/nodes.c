// The nodes of a machine; see nodes.h.
#include "machine/nodes.h"

#include <string.h>

#include "base/err.h"
#include "cpu/model.h"
#include "machine/machine.h"

#define GB4 (1ull << 32)

static uint32_t cpus_of(const struct config *c, unsigned node)
{
  return c->nodes ? c->node[node].cpus : UINT32_MAX;
}

unsigned nodes_count(const struct config *c)
{
  return c->nodes ? c->nodes : 1;
}

unsigned nodes_of_cpu(const struct config *c, unsigned cpu)
{
  unsigned n = 0;
  while (n + 1 < nodes_count(c) && !(cpus_of(c, n) >> cpu & 1))
    n++;
  return n;
}

static unsigned size_of(const struct config *c, unsigned node)
{
  unsigned n = 0;
  for (unsigned i = 0; i < c->cpus; i++)
    n += cpus_of(c, node) >> i & 1;
  return n;
}

unsigned nodes_apic_id(const struct config *c, unsigned cpu)
{
  unsigned node = nodes_of_cpu(c, cpu), number = 0, bits = 0, most = 1;
  for (unsigned i = 0; i < cpu; i++)
    number += cpus_of(c, node) >> i & 1;
  for (unsigned n = 0; n < nodes_count(c); n++)
    most = size_of(c, n) > most ? size_of(c, n) : most;
  while (1u << bits < most)
    bits++;
  return node << bits | number;
}

// ---- links ----

bool nodes_init(struct machine *m, struct err *e)
{
  const struct config *c = m->config;
  struct nodes *ns = &m->nodes;
  struct topology *t = &ns->topology;
  bool k8 = model_family(m->model) == 15;
  ns->count = nodes_count(c);
  topology_init(t, ns->count, k8 ? 3 : 4);
  for (unsigned i = 0; i < c->links; i++)
    if (!topology_join(t, c->link[i].a, c->link[i].b))
      return err_set(e, "-link %u-%u: a node of this processor has %u links to others", c->link[i].a,
                     c->link[i].b, t->ports - 1);
  if (!c->links)
    topology_default(t);
  if (!topology_route(t))
    return err_set(e, "-link: not every node can be reached; add links");
  fabric_init(&m->fabric, &m->bus, ns->count);
  fabric_connect(&m->fabric, t);
  return true;
}

static void set_route(void *opaque, unsigned node, unsigned to, unsigned way)
{
  struct machine *m = opaque;
  fabric_set_route(&m->fabric, node, to, (uint16_t)way);
}

// ---- memory ----

// DRAM by node in system-physical addresses: one after the other, and over the hole below 4 GB.
static void place_memory(const struct machine *m, struct nb_map *map)
{
  uint64_t at = 0, hole = m->high_size ? m->low_size : GB4;
  for (unsigned n = 0; n < map->nodes; n++) {
    uint64_t size = m->config->nodes ? m->config->node[n].mem : m->low_size + m->high_size;
    if (at == hole)
      at = GB4;
    map->node[n].base = at;
    if (at < hole && at + size > hole)
      size += GB4 - hole;
    map->node[n].size = size;
    at += size;
  }
  map->hole_base = m->high_size ? hole : 0;
}

// The pieces of a node's memory, below the hole and above it.
static unsigned pieces(const struct machine *m, unsigned n, struct board_range out[2])
{
  const struct nb_node *node = &m->nodes.map.node[n];
  uint64_t end = node->base + node->size, low = m->low_size;
  unsigned count = 0;
  if (node->base < low)
    out[count++] = (struct board_range){node->base, (end < low ? end : low) - node->base, (uint8_t)n};
  if (end > GB4) {
    uint64_t base = node->base > GB4 ? node->base : GB4;
    out[count++] = (struct board_range){base, end - base, (uint8_t)n};
  }
  return count;
}

// ---- chains ----

static void pirq(void *sink, int pin, int level)
{
  struct nodes *ns = sink;
  unsigned wire = (unsigned)pin & 3, bit = 1u << (pin >> 2);
  if (level)
    ns->pirq_level[wire] |= (uint8_t)bit;
  else
    ns->pirq_level[wire] &= (uint8_t)~bit;
  irq_set(&ns->pirq[wire], ns->pirq_level[wire] != 0);
}

// The wires of all chains end at the same router.
static void join_interrupts(struct machine *m)
{
  struct nodes *ns = &m->nodes;
  for (int i = 0; i < 4; i++) {
    ns->pirq[i] = m->pc.pci.intx[i];
    m->pc.pci.intx[i] = (struct irq){.set = pirq, .sink = ns, .pin = i};
    for (unsigned n = 1; n < ns->count; n++)
      ns->chain[n].intx[i] = (struct irq){.set = pirq, .sink = ns, .pin = (int)(n << 2) | i};
  }
}

void nodes_attach(struct machine *m)
{
  struct nodes *ns = &m->nodes;
  struct nb_map *map = &ns->map;
  *map = (struct nb_map){.family = model_family(m->model) == 15 ? NB_K8 : NB_FAMILY10H,
                         .nodes = ns->count,
                         .cpus = m->cpus,
                         .signature = m->model->signature};
  place_memory(m, map);
  map->node[0].chain.present = true;
  for (unsigned n = 0; n < ns->count; n++) {
    struct nb_node *node = &map->node[n];
    node->cpus = (uint8_t)size_of(m->config, n);
    memcpy(node->peer, ns->topology.peer[n], sizeof node->peer);
    memcpy(node->route, ns->topology.next[n], sizeof node->route);
    memcpy(node->spread, ns->topology.spread[n], sizeof node->spread);
    if (n == 0)
      continue;
    pci_bus_init(&ns->chain[n], &m->bus, (uint8_t)(n * BOARD_CHAIN_BUSES), (uint8_t)n);
    ns->chain[n].transfer = fabric_transfer;
    ns->chain[n].direct = fabric_direct;
    ns->chain[n].fabric = &m->fabric;
  }
  if (ns->count > 1)
    join_interrupts(m);
  for (unsigned n = 0; n < ns->count; n++) {
    nb_init(&ns->northbridge[n], &m->pc.pci, map, (uint8_t)n);
    nb_set_router(&ns->northbridge[n], &(struct nb_router){.set = set_route, .opaque = m});
  }
}

struct pci_bus *nodes_chain(struct machine *m, unsigned node, struct err *e)
{
  struct nodes *ns = &m->nodes;
  unsigned chains = 0;
  if (node == 0)
    return &m->pc.pci;
  if (node >= ns->count) {
    err_set(e, "node=%u: the last node is %u; -smp nodes=N gives more", node, ns->count - 1);
    return NULL;
  }
  if (ns->map.node[node].chain.present)
    return &ns->chain[node];
  for (unsigned n = 0; n < ns->count; n++)
    chains += ns->map.node[n].chain.present;
  if (ns->map.family == NB_K8 && chains == NB_CHAINS_K8) {
    err_set(e, "node=%u: this processor routes to %d I/O chains; choose a node that has devices", node,
            NB_CHAINS_K8);
    return NULL;
  }
  ns->map.node[node].chain.present = true;
  struct pci_bus **end = &m->pc.pci.next; // in the order of their numbers
  while (*end && (*end)->number < ns->chain[node].number)
    end = &(*end)->next;
  ns->chain[node].next = *end;
  *end = &ns->chain[node];
  return &ns->chain[node];
}

static void windows(struct machine *m)
{
  struct nb_map *map = &m->nodes.map;
  bool more = m->pc.pci.next != NULL;
  uint64_t low = more ? BOARD_CHAIN_MEM_END : m->low_size & ~0xffffull;
  map->node[0].chain = (struct nb_chain){.present = true,
                                         .last_bus = more ? BOARD_CHAIN_BUSES - 1 : 0xff,
                                         .mem_base = low,
                                         .mem_size = GB4 - low,
                                         .io_base = more ? BOARD_CHAIN_IO_END : 0,
                                         .io_size = 0x2000000 - (more ? BOARD_CHAIN_IO_END : 0)};
  for (unsigned n = 1; n < map->nodes; n++) {
    if (!map->node[n].chain.present)
      continue;
    struct board_chain c = board_chain(n);
    map->node[n].chain = (struct nb_chain){.present = true,
                                           .first_bus = c.first_bus,
                                           .last_bus = c.last_bus,
                                           .mem_base = c.mem_base,
                                           .mem_size = c.mem_size,
                                           .io_base = c.io_base,
                                           .io_size = c.io_size};
  }
}

static bool owners(struct machine *m)
{
  bool ok = true;
  for (unsigned n = 0; n < m->nodes.count; n++) {
    struct board_range r[2];
    unsigned count = pieces(m, n, r);
    for (unsigned i = 0; i < count; i++)
      ok &= fabric_add_range(&m->fabric, &(struct fabric_range){.first = r[i].base,
                                                                .last = r[i].base + r[i].size - 1,
                                                                .space = TXN_MEM,
                                                                .node = (uint8_t)n,
                                                                .dram = true});
    const struct nb_chain *c = &m->nodes.map.node[n].chain;
    if (n == 0 || !c->present)
      continue; // what is nobody's is node 0's
    ok &= fabric_add_range(&m->fabric, &(struct fabric_range){.first = c->mem_base,
                                                              .last = c->mem_base + c->mem_size - 1,
                                                              .space = TXN_MEM,
                                                              .node = (uint8_t)n});
    ok &= fabric_add_range(&m->fabric, &(struct fabric_range){.first = c->io_base,
                                                              .last = c->io_base + c->io_size - 1,
                                                              .space = TXN_IO,
                                                              .node = (uint8_t)n});
  }
  return ok;
}

bool nodes_settle(struct machine *m, struct err *e)
{
  struct nodes *ns = &m->nodes;
  struct board b = {.ram_above_4g = m->high_size};
  board_default_pci64(&b);
  windows(m);
  ns->map.mem64_base = b.pci64_base;
  ns->map.mem64_size = b.pci64_size;
  for (unsigned n = 0; n < ns->count; n++)
    nb_set_map(&ns->northbridge[n], &ns->map);
  return owners(m) || err_set(e, "too many ranges of addresses"); // cannot be: FABRIC_RANGES is enough
}

void nodes_reset(struct machine *m)
{
  for (unsigned n = 0; n < m->nodes.count; n++)
    nb_reset(&m->nodes.northbridge[n]);
}

void nodes_describe(const struct machine *m, struct board *b)
{
  const struct nodes *ns = &m->nodes;
  enum { LOCAL = 10, HOP = 10 };
  b->nodes = ns->count;
  for (unsigned i = 0; i < m->cpus; i++) {
    b->cpu[i].apic_id = (uint8_t)m->cpu[i]->apic_id;
    b->cpu[i].node = m->cpu[i]->node;
  }
  for (unsigned n = 0; n < ns->count; n++) {
    struct board_range r[2];
    unsigned count = pieces(m, n, r);
    for (unsigned i = 0; i < count; i++)
      b->range[b->ranges++] = r[i];
    for (unsigned to = 0; to < ns->count; to++)
      b->distance[n][to] = (uint8_t)(LOCAL + HOP * ns->topology.hops[n][to]);
    if (n && ns->map.node[n].chain.present)
      b->chain[b->chains++] = board_chain(n);
  }
}
