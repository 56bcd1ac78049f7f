// The address map: regions in, sorted pieces out; see map.h for the invariant.
//
// The map changes rarely (firmware placing BARs, shadow RAM being switched), so it is made anew from the
// list of regions each time: the boundaries of all regions are sorted, and each interval between two of
// them goes to the region of the highest priority, the one mapped last among equals.
#include "bus/map.h"

#include <stdlib.h>

bool bus_init(struct bus *b, struct ram *ram, struct log *log)
{
  *b = (struct bus){.ram = ram, .log = log, .smram = {.ram_off = RAM_NONE}};
  for (unsigned s = 0; s < 2; s++) {
    b->flat[s] = malloc(sizeof *b->flat[s]);
    if (!b->flat[s]) {
      bus_free(b);
      return false;
    }
    b->flat[s][0] = (struct flat){.first = 0, .last = UINT64_MAX};
    b->flats[s] = 1;
    b->last[s] = b->flat[s];
  }
  return true;
}

void bus_free(struct bus *b)
{
  for (unsigned s = 0; s < 2; s++)
    free(b->flat[s]);
  *b = (struct bus){0};
}

static uint64_t region_last(const struct region *r)
{
  uint64_t last = r->base + (r->size - 1);
  return last < r->base ? UINT64_MAX : last; // what runs over the top of the space is cut off
}

static int by_value(const void *a, const void *b)
{
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static struct region *winner(struct region *list, uint64_t addr)
{
  struct region *best = NULL;
  for (struct region *r = list; r; r = r->next) {
    if (r->size && addr >= r->base && addr <= region_last(r) && (!best || r->prio > best->prio))
      best = r; // the list begins with the region mapped last
  }
  return best;
}

static void rebuild(struct bus *b, unsigned space)
{
  size_t n = 0, starts = 0, pieces = 0;
  for (struct region *r = b->regions[space]; r; r = r->next)
    n++;
  uint64_t *start = malloc((2 * n + 1) * sizeof *start);
  struct flat *flat = malloc((2 * n + 1) * sizeof *flat);
  if (!start || !flat)
    abort(); // a machine has a hundred regions or so: the host is out of its last kilobyte
  start[starts++] = 0;
  for (struct region *r = b->regions[space]; r; r = r->next) {
    if (!r->size)
      continue;
    start[starts++] = r->base;
    if (region_last(r) != UINT64_MAX)
      start[starts++] = region_last(r) + 1;
  }
  qsort(start, starts, sizeof *start, by_value);
  for (size_t i = 0; i < starts; i++) {
    if (i && start[i] == start[i - 1])
      continue;
    struct region *r = winner(b->regions[space], start[i]);
    if (pieces && flat[pieces - 1].region == r)
      continue;
    if (pieces)
      flat[pieces - 1].last = start[i] - 1;
    flat[pieces++] = (struct flat){.first = start[i], .last = UINT64_MAX, .region = r};
  }
  free(start);
  free(b->flat[space]);
  b->flat[space] = flat;
  b->flats[space] = pieces;
  b->last[space] = flat;
}

struct flat *map_search(struct bus *b, unsigned space, uint64_t addr)
{
  struct flat *flat = b->flat[space];
  size_t low = 0, high = b->flats[space];
  while (high - low > 1) {
    size_t middle = (low + high) / 2;
    if (flat[middle].first <= addr)
      low = middle;
    else
      high = middle;
  }
  return b->last[space] = &flat[low];
}

static void changed(struct bus *b, unsigned space)
{
  b->stale[space] = true;
  if (b->batch == 0) {
    b->batch = 1;
    bus_commit(b);
  }
}

void bus_begin(struct bus *b)
{
  b->batch++;
}

void bus_commit(struct bus *b)
{
  if (b->batch == 0 || --b->batch)
    return;
  bool memory = b->stale[TXN_MEM];
  for (unsigned s = 0; s < 2; s++) {
    if (b->stale[s])
      rebuild(b, s);
    b->stale[s] = false;
  }
  if (memory && b->map_changed)
    b->map_changed(b->map_changed_arg);
}

void bus_map(struct bus *b, struct region *r)
{
  if (r->mapped)
    return;
  r->mapped = true;
  r->next = b->regions[r->space];
  b->regions[r->space] = r;
  changed(b, r->space);
}

void bus_unmap(struct bus *b, struct region *r)
{
  if (!r->mapped || r->space > TXN_IO)
    return;
  for (struct region **p = &b->regions[r->space]; *p; p = &(*p)->next) {
    if (*p == r) {
      *p = r->next;
      break;
    }
  }
  r->mapped = false;
  r->next = NULL;
  changed(b, r->space);
}

void bus_map_io(struct bus *b, struct region *r, const char *name, uint64_t base, uint64_t size,
                const struct bus_ops *ops, void *dev)
{
  bus_unmap(b, r);
  *r = (struct region){.name = name,
                       .base = base,
                       .size = size,
                       .prio = 1,
                       .kind = REGION_IO,
                       .space = TXN_MEM,
                       .ops = ops,
                       .dev = dev};
  bus_map(b, r);
}

void bus_map_ports(struct bus *b, struct region *r, const char *name, uint16_t base, unsigned count,
                   const struct bus_ops *ops, void *dev)
{
  bus_unmap(b, r);
  *r = (struct region){.name = name,
                       .base = base,
                       .size = count,
                       .prio = 1,
                       .kind = REGION_IO,
                       .space = TXN_IO,
                       .ops = ops,
                       .dev = dev};
  bus_map(b, r);
}

void bus_map_ram(struct bus *b, struct region *r, const char *name, uint64_t base, uint64_t size,
                 uint64_t ram_off, int prio, bool rom)
{
  bus_unmap(b, r);
  *r = (struct region){.name = name,
                       .base = base,
                       .size = size,
                       .prio = prio,
                       .space = TXN_MEM,
                       .kind = rom ? REGION_ROM : REGION_RAM,
                       .ram_off = ram_off};
  bus_map(b, r);
}
