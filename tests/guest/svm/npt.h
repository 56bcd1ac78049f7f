// Paging structures of every format, for guests and as nested tables. For images of 64 and of 32 bits.
#ifndef GUEST_SVM_NPT_H
#define GUEST_SVM_NPT_H

#include "rt.h"
#include "vmcb.h"

#define NPF_FINAL (1ull << 32) // EXITINFO1 of a nested page fault: at the address of the access itself
#define NPF_TABLE (1ull << 33) // at an entry of the guest's tables

struct tables {
  unsigned levels; // 2: 4-byte entries; 3: PAE; 4
  word root;
  uint64_t bias; // tables are at this distance from where the host has them: guest-physical addresses
};

static inline struct tables tables_new(unsigned levels, uint64_t bias)
{
  return (struct tables){levels, (word)page_new(), bias};
}
static inline uint64_t tables_cr3(const struct tables *t)
{
  return t->root + t->bias;
}

static inline uint64_t entry_get(const struct tables *t, const void *e)
{
  return t->levels == 2 ? *(const volatile uint32_t *)e : *(const volatile uint64_t *)e;
}
static inline void entry_set(const struct tables *t, void *e, uint64_t v)
{
  if (t->levels == 2)
    *(volatile uint32_t *)e = (uint32_t)v;
  else
    *(volatile uint64_t *)e = v;
}

static inline unsigned level_shift(const struct tables *t, unsigned level)
{
  return 12 + (level - 1) * (t->levels == 2 ? 10 : 9);
}

// Where the entry for an address is; tables above it are made, with every right.
static inline void *tables_entry(const struct tables *t, uint64_t address, unsigned level)
{
  word table = t->root;
  for (unsigned l = t->levels;; l--) {
    unsigned index = address >> level_shift(t, l) & (t->levels == 2             ? 1023
                                                     : l == 3 && t->levels == 3 ? 3
                                                                                : 511);
    void *e = (void *)(table + index * (t->levels == 2 ? 4 : 8));
    if (l == level)
      return e;
    if (!(entry_get(t, e) & PT_P))
      entry_set(t, e, ((word)page_new() + t->bias) | PT_P | (l == 3 && t->levels == 3 ? 0 : PT_W | PT_U));
    table = (word)((entry_get(t, e) & 0xffffffffff000) - t->bias);
  }
}

static inline void tables_map(const struct tables *t, uint64_t address, unsigned level, uint64_t entry)
{
  entry_set(t, tables_entry(t, address, level), entry);
}

#define PT_ALL (PT_P | PT_W | PT_U)

#endif
