// Inside the TLB: the tagged store, contexts and their views. For tlb*.c, mem.c and tests.
//
// Time here is a counter that a flush advances. An entry remembers when it was born; a flush of a scope (all,
// an ASID, a PCID) notes the time, and entries of the scope that were born before it are dead. So a flush
// costs the same whatever it removes.
//
// A view is a cache of what the store and the tables allow: it can be dropped at any time, and it never
// holds what the store's flush rules would have removed.
#ifndef CPU_TLB_STORE_H
#define CPU_TLB_STORE_H

#include "cpu/mmu.h"

#define STORE_SETS  512u
#define STORE_WAYS  4u
#define ASID_SLOTS  65536u     // one for each ASID
#define PCID_SLOTS  (1u << 20) // PCIDs that share a slot are flushed together
#define NEST_SETS   512u
#define NEST_WAYS   4u
#define FRACTURES   4096u // bits of a filter
#define VIEWS       3     // VIEW_SUPER, VIEW_USER, VIEW_SUPER_AC
#define VIEW_FILTER 256u  // bits of a filter
#define CODE_FILTER 2048u

_Static_assert(VIEW_SLOW == VIEWS, "the view that is never filled comes last");

// The sizes of pages: an index of 2 bits.
static const uint8_t tlb_shifts[4] = {12, 21, 22, 30};

struct tlb_entry {
  uint64_t key; // page number, ASID, size class; 0: empty
  uint64_t born;
  uint64_t pa; // aligned to the size
  uint16_t pcid;
  uint16_t perm; // enum mmu_perm
  uint8_t pkey, pat;
  uint8_t gshift; // size by the guest's own tables
};
_Static_assert(sizeof(struct tlb_entry) == 32, "two to a line of the cache");

// A guest-physical page; see tlb_nested.c.
struct nest_entry {
  uint64_t key; // page number, ASID, size; 0: empty
  uint64_t born;
  uint64_t pa;   // aligned to the size
  uint16_t perm; // PERM_NESTED_..., PERM_DIRTY
  uint8_t shift, pat;
  uint8_t refs; // references to tables that the walk took
};

// What does not fit into struct tlbe: for the slow path.
struct tlb_cold {
  uint64_t la; // page address, or TLB_NONE: the slot is empty
  uint64_t pa;
  uint64_t ram;   // RAM offset of the page, or RAM_NONE
  uint8_t rights; // enum mmu_right; MMU_W only if the dirty bit is set too
  uint8_t shift;  // what INVLPG of any address in it removes
  bool global, rom, watched;
  bool logged; // in the log
};

struct view {
  struct tlbe hot[TLB_SIZE];
  struct tlb_cold cold[TLB_SIZE];
  bool ready;
  bool local_code;                       // code was fetched from a page that is not global, in this epoch
  uint64_t epoch;                        // a number that no other state of any view has
  uint64_t large[VIEW_FILTER / 64];      // filter: pages above 4 KB of which there are pieces
  uint64_t code[CODE_FILTER / 64];       // filter: pages that code was fetched from
  uint64_t large_code[VIEW_FILTER / 64]; // filter: those above 4 KB among them
  uint64_t write[VIEW_FILTER / 64];      // filter: RAM pages with a write tag
  unsigned count;                        // slots in the log
  uint16_t log[TLB_SIZE];
};

enum tlb_drop { DROP_NOTHING, DROP_LOCAL, DROP_ALL }; // local: what is not global

struct tlb_context {
  uint16_t asid, pcid;
  uint8_t drop;          // enum tlb_drop: what the views lose when next selected
  uint16_t next;         // in its bucket, plus 1
  uint16_t newer, older; // the list of contexts by use, plus 1
  uint64_t rights;       // the control bits under which the views were filled
  struct view *view;     // VIEWS of them, elsewhere: a flush looks at all contexts
};

#define CONTEXT_BUCKETS 256u

struct tlb {
  uint64_t time;
  uint64_t all_time;
  struct tlb_asid {
    uint64_t all, nonglobal, nested;
    uint64_t fills, flushes; // counted
  } * asid_time;
  uint64_t *pcid_time;
  struct tlb_entry *store;            // STORE_SETS * STORE_WAYS
  uint8_t classes;                    // sizes that the store may hold
  bool fractured;                     // it may hold pages that are smaller than the guest's tables say
  uint64_t fractures[FRACTURES / 64]; // filter: what the guest's tables say of them
  struct nest_entry *nest;            // NEST_SETS * NEST_WAYS
  uint8_t nest_orders;                // sizes that it may hold

  uint16_t asid, pcid;
  struct tlb_context *current;
  struct tlb_context *before; // the one before it: worlds take turns. NULL: none
  struct tlb_context *context;
  struct view *views;               // of all contexts; untouched ones cost no memory
  unsigned contexts, contexts_used; // the used ones come first
  uint16_t newest, oldest;          // used contexts, plus 1; current and before may have changed places
  uint16_t bucket[CONTEXT_BUCKETS]; // contexts by ASID and PCID, plus 1
  uint8_t view;                     // the view that fills go to now
  bool checked;                     // VIEW_SLOW is selected: alignment is checked
  uint64_t epochs;
  struct tlbe *slow; // all TLB_NONE
  // Jump keys outside of flat modes: the instruction pointer is an offset in CS.
  struct tlb_cs {
    uint64_t epoch, base, number;
    uint32_t limit;
  } cs[16];

  // Counted.
  uint64_t fills, flushes;
  struct tlb_walks walks[WALK_KINDS];
};

// ---- the store (tlb_store.c) ----

struct tlb_entry *tlb_store_find(struct tlb *t, uint64_t la);
struct tlb_entry *tlb_store_insert(struct tlb *t, uint64_t la, const struct walk *w);
enum kill { KILL_CONTEXT, KILL_NONGLOBAL, KILL_ANY }; // of the PCID and global; of the PCID; all
void tlb_store_kill(struct tlb *t, uint64_t la, uint16_t asid, uint16_t pcid, enum kill how);
void tlb_store_match(struct tlb *t, const struct tlb_match *m);
bool tlb_store_alive(const struct tlb *t, const struct tlb_entry *e);

static inline unsigned tlb_order(unsigned shift)
{
  return shift == 12 ? 0 : shift == 21 ? 1 : shift == 22 ? 2 : 3;
}
// No two for up to 256 ASIDs, nor for the PCID 0 of any.
static inline unsigned tlb_pcid_slot(uint16_t asid, uint16_t pcid)
{
  return ((asid << 12) + pcid + (asid >> 8) * 61u) & (PCID_SLOTS - 1);
}
static inline uint16_t tlb_entry_asid(const struct tlb_entry *e)
{
  return e->key >> 36;
}
static inline uint8_t tlb_entry_shift(const struct tlb_entry *e)
{
  return tlb_shifts[e->key >> 52 & 3];
}

// ---- guest-physical pages of the current ASID (tlb_nested.c) ----

struct nest_entry *tlb_nest_find(struct tlb *t, uint64_t gpa);
uint64_t tlb_nest_count(const struct tlb *t, uint16_t asid); // those that are alive
void tlb_nest_forget(struct tlb *t, int asid);               // of all ASIDs if -1
void tlb_nest_insert(struct tlb *t, uint64_t gpa, const struct nest_entry *found);

// ---- views (tlb_view.c) ----

struct view *tlb_view_ready(struct tlb *t, struct tlb_context *x, unsigned view);
void tlb_view_clear(struct tlb *t, struct view *v, enum tlb_drop what);
// Drops what the view has of the page of la, of whatever size; only global ones if so asked.
void tlb_view_kill(struct tlb *t, struct view *v, uint64_t la, bool global_only);
void tlb_view_protect(struct view *v, uint64_t ram);

// Fills the view's slot for la so that the access can be made. NULL: a fault, for mmu_raise in w.
struct tlb_cold *tlb_fill(struct cpu *c, unsigned view, uint64_t la, unsigned need, struct walk *w);
// Gives the slot a tag for fetching (its page is RAM or ROM and may be executed), or for writing, if its page
// allows that now.
void tlb_allow_fetch(struct view *v, const struct tlb_cold *k);
void tlb_allow_write(struct cpu *c, struct view *v, const struct tlb_cold *k);

#endif
