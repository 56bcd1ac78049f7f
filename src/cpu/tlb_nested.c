// What the TLB keeps of nested tables: guest-physical pages with their physical ones, tagged by ASID.
// APM2 15.25.4.
//
// So a walk in a guest costs as many references as one outside of it, mostly. An entry lives until its ASID
// is flushed from outside of the guest: what a guest flushes are linear addresses, and so does INVLPGA.
#include "cpu/tlb_store.h"

#define KEY_USED (1ull << 63)

static uint64_t key_of(uint64_t gpa, uint16_t asid, unsigned order)
{
  uint64_t page = (gpa & 0xfffffffffffffull) >> tlb_shifts[order] << (tlb_shifts[order] - 12);
  return page | (uint64_t)asid << 40 | (uint64_t)order << 56 | KEY_USED;
}

static struct nest_entry *set_of(const struct tlb *t, uint64_t gpa, unsigned order)
{
  uint64_t page = gpa >> tlb_shifts[order];
  unsigned i = (page ^ page >> 9 ^ t->asid * 37u ^ order * 129u) & (NEST_SETS - 1);
  return &t->nest[i * NEST_WAYS];
}

static bool alive(const struct tlb *t, const struct nest_entry *n, uint16_t asid)
{
  const struct tlb_asid *a = &t->asid_time[asid & (ASID_SLOTS - 1)];
  return n->key && n->born >= t->all_time && n->born >= a->nested;
}

struct nest_entry *tlb_nest_find(struct tlb *t, uint64_t gpa)
{
  for (unsigned order = 0; order < 4; order++) {
    if (!(t->nest_orders >> order & 1))
      continue;
    uint64_t key = key_of(gpa, t->asid, order);
    struct nest_entry *n = set_of(t, gpa, order);
    for (unsigned i = 0; i < NEST_WAYS; i++, n++)
      if (n->key == key && alive(t, n, t->asid))
        return n;
  }
  return NULL;
}

// A walk replaces what was known of the page, in whatever size.
void tlb_nest_insert(struct tlb *t, uint64_t gpa, const struct nest_entry *found)
{
  struct nest_entry *old;
  while ((old = tlb_nest_find(t, gpa)))
    old->key = 0;
  unsigned order = tlb_order(found->shift);
  struct nest_entry *set = set_of(t, gpa, order), *n = set;
  for (unsigned i = 0; i < NEST_WAYS && n->key; i++)
    if (!set[i].key || set[i].born < n->born)
      n = &set[i];
  *n = *found;
  n->key = key_of(gpa, t->asid, order);
  n->born = t->time;
  t->nest_orders |= 1u << order;
}

void tlb_nest_forget(struct tlb *t, int asid)
{
  for (struct nest_entry *n = t->nest; n < t->nest + NEST_SETS * NEST_WAYS; n++)
    if (asid < 0 || (uint16_t)(n->key >> 40) == asid)
      n->key = 0;
}

uint64_t tlb_nest_count(const struct tlb *t, uint16_t asid)
{
  uint64_t count = 0;
  for (const struct nest_entry *n = t->nest; n < t->nest + NEST_SETS * NEST_WAYS; n++)
    count += (uint16_t)(n->key >> 40) == asid && alive(t, n, asid);
  return count;
}
