// The flattened map: what bus.c looks up and map.c makes.
//
// Invariant: flat[space] covers the whole space without gaps, sorted; what nobody answers for is a piece
// whose region is NULL. So every lookup has an answer.
#ifndef BUS_MAP_H
#define BUS_MAP_H

#include "bus/bus.h"

struct flat *map_search(struct bus *b, unsigned space, uint64_t addr);

static inline struct flat *map_find(struct bus *b, unsigned space, uint64_t addr)
{
  struct flat *f = b->last[space];
  if (__builtin_expect(addr >= f->first && addr <= f->last, 1))
    return f;
  return map_search(b, space, addr);
}

#endif
