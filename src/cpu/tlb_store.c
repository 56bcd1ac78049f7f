// The tagged store: set-associative, one entry per page of any size. See tlb_store.h; APM2 5.5, 15.16.
//
// Invariant: an address has at most one entry alive per {ASID, PCID} and size, global ones counted for every
// PCID.
#include "cpu/tlb_store.h"

#include "cpu/msr.h"

#define KEY_USED (1ull << 54)

static uint64_t key_of(uint64_t la, uint16_t asid, unsigned order)
{
  uint64_t page = (la & 0xffffffffffffull) >> tlb_shifts[order] << (tlb_shifts[order] - 12);
  return page | (uint64_t)asid << 36 | (uint64_t)order << 52 | KEY_USED;
}

// The set does not depend on the PCID: a global entry must be found from each.
static struct tlb_entry *set_of(const struct tlb *t, uint64_t la, uint16_t asid, unsigned order)
{
  uint64_t page = la >> tlb_shifts[order];
  unsigned i = (page ^ page >> 9 ^ asid * 37u ^ order * 129u) & (STORE_SETS - 1);
  return &t->store[i * STORE_WAYS];
}

bool tlb_store_alive(const struct tlb *t, const struct tlb_entry *e)
{
  if (!e->key || e->born < t->all_time)
    return false;
  uint16_t asid = tlb_entry_asid(e);
  const struct tlb_asid *a = &t->asid_time[asid & (ASID_SLOTS - 1)];
  if (e->born < a->all)
    return false;
  if (e->perm & PERM_GLOBAL)
    return true;
  return e->born >= a->nonglobal && e->born >= t->pcid_time[tlb_pcid_slot(asid, e->pcid)];
}

struct tlb_entry *tlb_store_find(struct tlb *t, uint64_t la)
{
  for (unsigned order = 0; order < 4; order++) {
    if (!(t->classes >> order & 1))
      continue;
    uint64_t key = key_of(la, t->asid, order);
    struct tlb_entry *e = set_of(t, la, t->asid, order);
    for (unsigned i = 0; i < STORE_WAYS; i++, e++)
      if (e->key == key && (e->pcid == t->pcid || (e->perm & PERM_GLOBAL)) && tlb_store_alive(t, e))
        return e;
  }
  return NULL;
}

static bool matches(const struct tlb_entry *e, uint16_t pcid, enum kill how)
{
  switch (how) {
  case KILL_CONTEXT:
    return e->pcid == pcid || (e->perm & PERM_GLOBAL);
  case KILL_NONGLOBAL:
    return e->pcid == pcid && !(e->perm & PERM_GLOBAL);
  default:
    return true;
  }
}

static void kill_page(struct tlb *t, uint64_t la, uint16_t asid, uint16_t pcid, enum kill how)
{
  for (unsigned order = 0; order < 4; order++) {
    if (!(t->classes >> order & 1))
      continue;
    uint64_t key = key_of(la, asid, order);
    struct tlb_entry *e = set_of(t, la, asid, order);
    for (unsigned i = 0; i < STORE_WAYS; i++, e++)
      if (e->key == key && matches(e, pcid, how))
        e->key = 0;
  }
}

static unsigned fracture_bit(uint64_t la, uint16_t asid, unsigned gshift)
{
  uint64_t n = (la & 0xffffffffffffull) >> gshift;
  return (n ^ n >> 12 ^ asid * 61u ^ gshift * 5u) & (FRACTURES - 1);
}

static bool may_be_fractured(const struct tlb *t, uint64_t la, uint16_t asid)
{
  for (unsigned i = 1; i < 4; i++) {
    unsigned bit = fracture_bit(la, asid, tlb_shifts[i]);
    if (t->fractures[bit >> 6] >> (bit & 63) & 1)
      return true;
  }
  return false;
}

struct tlb_entry *tlb_store_insert(struct tlb *t, uint64_t la, const struct walk *w)
{
  // A walk replaces what was known of the page, in whatever size.
  kill_page(t, la, t->asid, t->pcid, KILL_CONTEXT);
  unsigned order = tlb_order(w->shift);
  struct tlb_entry *set = set_of(t, la, t->asid, order), *e = set;
  for (unsigned i = 0; i < STORE_WAYS; i++) {
    if (!tlb_store_alive(t, &set[i])) {
      e = &set[i];
      break;
    }
    if (set[i].born < e->born)
      e = &set[i];
  }
  *e = (struct tlb_entry){.key = key_of(la, t->asid, order),
                          .born = t->time,
                          .pa = w->pa,
                          .pcid = t->pcid,
                          .perm = w->perm,
                          .pkey = w->pkey,
                          .pat = w->pat,
                          .gshift = w->gshift};
  t->classes |= 1u << order;
  if (w->gshift > w->shift) {
    t->fractured = true;
    unsigned bit = fracture_bit(la, t->asid, w->gshift);
    t->fractures[bit >> 6] |= 1ull << (bit & 63);
  }
  return e;
}

// Pieces of a page that is larger in the guest's tables may be anywhere. The filter is made anew from those
// that stay.
static void kill_fractured(struct tlb *t, uint64_t la, uint16_t asid, uint16_t pcid, enum kill how)
{
  memset(t->fractures, 0, sizeof t->fractures);
  t->fractured = false;
  for (struct tlb_entry *e = t->store; e < t->store + STORE_SETS * STORE_WAYS; e++) {
    if (!e->key || e->gshift <= tlb_entry_shift(e) || !tlb_store_alive(t, e))
      continue;
    uint64_t page = (e->key & 0xfffffffffull) << 12;
    if (tlb_entry_asid(e) == asid && !((page ^ (la & 0xffffffffffffull)) >> e->gshift) &&
        matches(e, pcid, how)) {
      e->key = 0;
      continue;
    }
    unsigned bit = fracture_bit(page, tlb_entry_asid(e), e->gshift);
    t->fractures[bit >> 6] |= 1ull << (bit & 63);
    t->fractured = true;
  }
}

void tlb_store_kill(struct tlb *t, uint64_t la, uint16_t asid, uint16_t pcid, enum kill how)
{
  kill_page(t, la, asid, pcid, how);
  if (t->fractured && may_be_fractured(t, la, asid))
    kill_fractured(t, la, asid, pcid, how);
}

// Looks at every entry, which takes as long as a few walks.
void tlb_store_match(struct tlb *t, const struct tlb_match *m)
{
  for (struct tlb_entry *e = t->store; e < t->store + STORE_SETS * STORE_WAYS; e++) {
    bool global = e->perm & PERM_GLOBAL;
    uint8_t own = tlb_entry_shift(e), shift = e->gshift > own ? e->gshift : own;
    uint64_t page = (e->key & 0xfffffffffull) << 12;
    if (!e->key || (global && !m->global) || (m->by_asid && tlb_entry_asid(e) != m->asid) ||
        (m->by_pcid && !global && e->pcid != m->pcid) ||
        (m->by_page && (page ^ (m->la & 0xffffffffffffull)) >> shift))
      continue;
    e->key = 0;
  }
}

void tlb_each(struct cpu *c, void (*fn)(void *arg, const struct tlb_info *i), void *arg)
{
  const struct tlb *t = c->tlbs;
  for (const struct tlb_entry *e = t->store; e < t->store + STORE_SETS * STORE_WAYS; e++) {
    if (!tlb_store_alive(t, e))
      continue;
    uint64_t la = (e->key & 0xfffffffffull) << 12;
    struct tlb_info i = {.la = (uint64_t)((int64_t)(la << 16) >> 16),
                         .pa = e->pa,
                         .size = 1ull << tlb_entry_shift(e),
                         .asid = tlb_entry_asid(e),
                         .pcid = e->pcid,
                         .global = e->perm & PERM_GLOBAL,
                         .user = e->perm & PERM_USER,
                         .write = (e->perm & PERM_WRITE) && !(e->perm & PERM_NESTED_RO),
                         .nx = e->perm & (PERM_NX | PERM_NESTED_NX),
                         .dirty = e->perm & PERM_DIRTY,
                         .memtype = memtype_combine(mtrr_type(c, e->pa), e->pat),
                         .guest_size = 1ull << e->gshift,
                         .pkey = e->pkey};
    fn(arg, &i);
  }
}
