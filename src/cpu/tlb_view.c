// Views: what makes an access fast, filled from the store and the walker. See tlb.h and tlb_store.h.
//
// Invariants: a slot's hot tags name the page of its cold part or nothing; a write tag is only on plain RAM
// pages without decoded code and without a waiting monitor, and their RAM_WTLB flag is set; watched pages
// have no data tags.
#include "cpu/except.h"
#include "cpu/lapic.h"
#include "cpu/smm.h"
#include "cpu/tlb_store.h"

static unsigned hash(uint64_t n)
{
  return (n ^ n >> 8 ^ n >> 16) & (VIEW_FILTER - 1);
}
static void filter_add(uint64_t *f, unsigned h)
{
  f[h >> 6] |= 1ull << (h & 63);
}
static bool filter_has(const uint64_t *f, unsigned h)
{
  return f[h >> 6] >> (h & 63) & 1;
}
// Of the upper and of the lower half of the address space by turns: a page of a program is no page of the
// kernel.
static unsigned code_hash(uint64_t la)
{
  return ((la >> 12 ^ la >> 23) << 1 & (CODE_FILTER - 1)) | la >> 63;
}
static unsigned large_hash(uint64_t la, unsigned shift)
{
  return (hash(la >> shift ^ shift * 5u) << 1 & (VIEW_FILTER - 1)) | la >> 63;
}

static bool large_has(const uint64_t *f, uint64_t la)
{
  for (unsigned i = 1; i < 4; i++)
    if (filter_has(f, large_hash(la, tlb_shifts[i])))
      return true;
  return false;
}

static void slot_clear(struct view *v, unsigned slot)
{
  v->hot[slot].rtag = v->hot[slot].wtag = v->hot[slot].xtag = TLB_NONE;
  v->cold[slot].la = TLB_NONE;
}

static void code_add(struct view *v, const struct tlb_cold *k)
{
  filter_add(v->code, code_hash(k->la));
  if (k->shift > 12)
    filter_add(v->large_code, large_hash(k->la, k->shift));
  if (!k->global)
    v->local_code = true;
}

// Pages with a tag for fetching count as fetched from: nobody asks again before they are. The filters for
// code and large pages speak of all that was in the view during the epoch, because the jump cache remembers
// it.
static void new_epoch(struct tlb *t, struct view *v)
{
  v->epoch = ++t->epochs;
  v->local_code = false;
  memset(v->code, 0, sizeof v->code);
  memset(v->large, 0, sizeof v->large);
  memset(v->large_code, 0, sizeof v->large_code);
  for (unsigned i = 0; i < v->count; i++) {
    unsigned slot = v->log[i];
    if (v->hot[slot].xtag != TLB_NONE)
      code_add(v, &v->cold[slot]);
    if (v->cold[slot].la != TLB_NONE && v->cold[slot].shift > 12)
      filter_add(v->large, large_hash(v->cold[slot].la, v->cold[slot].shift));
  }
}

// What stays is entered anew into log and filters. The epoch, and with it what the jump cache knows, outlives
// the loss of pages that no code came from: the kernel's code survives a switch of processes.
void tlb_view_clear(struct tlb *t, struct view *v, enum tlb_drop what)
{
  unsigned count = v->count;
  v->count = 0;
  memset(v->write, 0, sizeof v->write);
  for (unsigned i = 0; i < count; i++) {
    unsigned slot = v->log[i];
    struct tlb_cold *k = &v->cold[slot];
    if (what == DROP_LOCAL && k->global && k->la != TLB_NONE) {
      v->log[v->count++] = slot;
      if (v->hot[slot].wtag != TLB_NONE)
        filter_add(v->write, hash(k->ram >> 12));
    } else {
      slot_clear(v, slot);
      k->logged = false;
    }
  }
  if (what == DROP_ALL || v->local_code)
    new_epoch(t, v);
}

struct view *tlb_view_ready(struct tlb *t, struct tlb_context *x, unsigned view)
{
  struct view *v = &x->view[view];
  if (unlikely(!v->ready)) {
    for (unsigned i = 0; i < TLB_SIZE; i++)
      slot_clear(v, i);
    new_epoch(t, v);
    v->ready = true;
  }
  return v;
}

void tlb_view_kill(struct tlb *t, struct view *v, uint64_t la, bool global_only)
{
  if (!v->ready)
    return;
  unsigned slot = la >> 12 & (TLB_SIZE - 1);
  struct tlb_cold *k = &v->cold[slot];
  if (k->la == (la & ~0xfffull) && (!global_only || k->global))
    slot_clear(v, slot);
  // Code of this page may still be known to the jump cache although the slot went to another page since.
  bool code = filter_has(v->code, code_hash(la)) || large_has(v->large_code, la);
  if (large_has(v->large, la)) {
    for (unsigned i = 0; i < v->count; i++) {
      k = &v->cold[v->log[i]];
      if (k->la != TLB_NONE && k->shift > 12 && !((k->la ^ la) >> k->shift) && (!global_only || k->global))
        slot_clear(v, v->log[i]);
    }
  }
  if (code)
    new_epoch(t, v);
}

void tlb_view_protect(struct view *v, uint64_t ram)
{
  if (!v->ready || !filter_has(v->write, hash(ram >> 12)))
    return;
  for (unsigned i = 0; i < v->count; i++) {
    unsigned slot = v->log[i];
    if (v->cold[slot].la != TLB_NONE && v->cold[slot].ram == ram)
      v->hot[slot].wtag = TLB_NONE;
  }
}

void tlb_allow_write(struct cpu *c, struct view *v, const struct tlb_cold *k)
{
  unsigned slot = k->la >> 12 & (TLB_SIZE - 1);
  if (!(k->rights & MMU_W) || k->watched || k->rom || k->ram == RAM_NONE || v->cold[slot].la != k->la)
    return;
  uint8_t *flags = &c->ram->flags[k->ram >> 12];
  if (*flags & (RAM_CODE | RAM_MONITOR))
    return;
  *flags |= RAM_WTLB | RAM_DIRTY;
  filter_add(v->write, hash(k->ram >> 12));
  v->hot[slot].wtag = k->la;
}

void tlb_allow_fetch(struct view *v, const struct tlb_cold *k)
{
  v->hot[k - v->cold].xtag = k->la;
  code_add(v, k);
}

// What the store or a walk says of a 4 KB page.
struct page {
  uint64_t pa;
  uint16_t perm;
  uint8_t pkey, shift;
};

static uint64_t page_address(uint64_t pa, unsigned shift, uint64_t page)
{
  return pa | (page & ((1ull << shift) - 1));
}

static bool look_up(struct cpu *c, unsigned view, uint64_t la, unsigned need, struct page *p, struct walk *w)
{
  struct tlb *t = c->tlbs;
  struct tlb_entry *e = c->cr0 & CR0_PG ? tlb_store_find(t, la) : NULL;
  uint64_t old = e ? page_address(e->pa, tlb_entry_shift(e), la & ~0xfffull) : 0;
  // An entry that forbids the access is no reason for a fault: the tables may allow more by now.
  if (e && !(~mmu_rights(c, view, e->perm, e->pkey) & need) && (!(need & MMU_W) || (e->perm & PERM_DIRTY))) {
    *p = (struct page){old, e->perm, e->pkey, e->gshift};
    return true;
  }
  struct tlb_walks *walks = &t->walks[mmu_walk_kind(c)];
  if (c->cr0 & CR0_PG)
    walks->walks++;
  if (!mmu_walk(c, la, view, need, w)) {
    if (e) // a fault removes what was kept of the page
      tlb_flush_page(c, la);
    return false;
  }
  *p = (struct page){page_address(w->pa, w->shift, la & ~0xfffull), w->perm, w->pkey, w->gshift};
  if (e && old != p->pa) // the other views must not keep what the walk has found out to be wrong
    tlb_flush_page(c, la);
  if (c->cr0 & CR0_PG) {
    walks->fills++;
    tlb_store_insert(t, la, w);
  }
  return true;
}

static struct tlb_cold *slot_fill(struct cpu *c, unsigned view, struct view *v, uint64_t la,
                                  const struct page *p)
{
  unsigned slot = la >> 12 & (TLB_SIZE - 1);
  struct tlb_cold *k = &v->cold[slot];
  struct tlbe *e = &v->hot[slot];
  if (!k->logged)
    v->log[v->count++] = slot;
  k->logged = true;
  k->la = la & ~0xfffull;
  k->pa = p->pa & c->a20_mask;
  k->rights = mmu_rights(c, view, p->perm, p->pkey) & (p->perm & PERM_DIRTY ? ~0 : ~MMU_W);
  k->shift = p->shift;
  k->global = p->perm & PERM_GLOBAL;
  k->watched = debug_page_watched(c, k->la);
  k->rom = false;
  k->ram = c->lapic && lapic_mmio_hit(c, k->pa) ? RAM_NONE : cpu_ram_page(c, k->pa, &k->rom);
  if (k->shift > 12)
    filter_add(v->large, large_hash(k->la, k->shift));
  e->rtag = e->wtag = e->xtag = TLB_NONE;
  if (k->ram == RAM_NONE)
    return k;
  e->add = (uintptr_t)(c->ram->mem + k->ram) - k->la;
  if ((k->rights & MMU_R) && !k->watched)
    e->rtag = k->la;
  return k;
}

struct tlb_cold *tlb_fill(struct cpu *c, unsigned view, uint64_t la, unsigned need, struct walk *w)
{
  struct tlb *t = c->tlbs;
  struct page p;
  t->fills++;
  t->asid_time[t->asid & (ASID_SLOTS - 1)].fills++;
  if (!look_up(c, view, la, need, &p, w))
    return NULL;
  return slot_fill(c, view, tlb_view_ready(t, t->current, view), la, &p);
}
