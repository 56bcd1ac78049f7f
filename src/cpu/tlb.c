// The TLB as the rest of the processor sees it: contexts, and the flushes of the architecture. See tlb.h.
//
// Invariant: after every function here c->tlb and c->jump_key belong to the current context, privilege and
// control bits, and no jump key stands for two different sets of translations.
#include "cpu/tlb.h"

#include <stdlib.h>

#include "cpu/svm/svm.h"
#include "cpu/tlb_store.h"

// ---- contexts ----

static uint16_t *bucket(struct tlb *t, uint16_t asid, uint16_t pcid)
{
  return &t->bucket[(asid * 61u ^ pcid ^ pcid >> 8) & (CONTEXT_BUCKETS - 1)];
}

// The used contexts form a list, the one that was used last in front: whatever their number, a change of
// context takes a few steps.
static void context_unlink(struct tlb *t, struct tlb_context *x)
{
  *(x->newer ? &t->context[x->newer - 1].older : &t->newest) = x->older;
  *(x->older ? &t->context[x->older - 1].newer : &t->oldest) = x->newer;
}

static void context_link(struct tlb *t, struct tlb_context *x)
{
  uint16_t number = x - t->context + 1;
  x->newer = 0;
  x->older = t->newest;
  *(t->newest ? &t->context[t->newest - 1].newer : &t->oldest) = number;
  t->newest = number;
}

// Takes the context that was not used for the longest time.
static struct tlb_context *context_make(struct tlb *t, uint16_t asid, uint16_t pcid)
{
  bool fresh = t->contexts_used < t->contexts;
  struct tlb_context *x = &t->context[fresh ? t->contexts_used++ : t->oldest - 1u];
  uint16_t number = x - t->context + 1;
  if (!fresh) {
    context_unlink(t, x);
    uint16_t *link = bucket(t, x->asid, x->pcid);
    while (*link != number)
      link = &t->context[*link - 1].next;
    *link = x->next;
  }
  uint16_t *head = bucket(t, asid, pcid);
  x->next = *head;
  *head = number;
  context_link(t, x);
  x->drop = DROP_ALL;
  x->asid = asid;
  x->pcid = pcid;
  return x;
}

static struct tlb_context *context_for(struct tlb *t, uint16_t asid, uint16_t pcid)
{
  for (uint16_t i = *bucket(t, asid, pcid); i; i = t->context[i - 1].next) {
    struct tlb_context *x = &t->context[i - 1];
    if (x->asid == asid && x->pcid == pcid) {
      context_unlink(t, x);
      context_link(t, x);
      return x;
    }
  }
  return context_make(t, asid, pcid);
}

// Between two contexts that take turns the list is left alone; this puts the current one in front.
static void context_renew(struct tlb *t)
{
  if (t->newest == t->current - t->context + 1)
    return;
  context_unlink(t, t->current);
  context_link(t, t->current);
}

bool tlb_init(struct cpu *c, unsigned contexts)
{
  struct tlb *t = calloc(1, sizeof *t);
  if (!t)
    return false;
  c->tlbs = t;
  // Large and zero: pages that are never used cost nothing.
  t->contexts = contexts ? contexts : TLB_CONTEXTS;
  if (t->contexts > UINT16_MAX - 1)
    t->contexts = UINT16_MAX - 1;
  t->context = calloc(t->contexts, sizeof *t->context);
  t->views = calloc(t->contexts, VIEWS * sizeof *t->views);
  t->nest = calloc(NEST_SETS * NEST_WAYS, sizeof *t->nest);
  t->store = calloc(STORE_SETS * STORE_WAYS, sizeof *t->store);
  t->asid_time = calloc(ASID_SLOTS, sizeof *t->asid_time);
  t->pcid_time = calloc(PCID_SLOTS, sizeof *t->pcid_time);
  t->slow = malloc(TLB_SIZE * sizeof *t->slow);
  if (!t->context || !t->views || !t->nest || !t->store || !t->asid_time || !t->pcid_time || !t->slow) {
    tlb_free(c);
    return false;
  }
  for (unsigned i = 0; i < TLB_SIZE; i++)
    t->slow[i] = (struct tlbe){TLB_NONE, TLB_NONE, TLB_NONE, 0};
  for (unsigned i = 0; i < t->contexts; i++)
    t->context[i].view = &t->views[i * VIEWS];
  t->current = context_for(t, 0, 0);
  c->tlb = t->slow;
  return true;
}

void tlb_free(struct cpu *c)
{
  struct tlb *t = c->tlbs;
  if (!t)
    return;
  free(t->context);
  free(t->views);
  free(t->nest);
  free(t->store);
  free(t->asid_time);
  free(t->pcid_time);
  free(t->slow);
  free(t);
  c->tlbs = NULL;
  c->tlb = NULL;
}

// ---- selection ----

// The control bits that decide what a view of the context may do. A world switch brings its own.
static uint64_t rights_key(const struct cpu *c)
{
  uint64_t k = (c->cr0 & (CR0_PG | CR0_WP)) | (c->cr4 & (CR4_SMEP | CR4_SMAP | CR4_PKE)) >> 1 |
               (c->dr7 & 0xff) << 2 | (c->efer & EFER_NXE) >> 1;
  if ((c->cr4 & CR4_PKE) && (c->efer & EFER_LMA))
    k |= (uint64_t)c->pkru << 32;
  if (unlikely(mmu_two_stages(c)))
    k |= c->svm->np_gmet ? 3 << 11 : 1 << 11;
  return k;
}

// Outside of flat modes one instruction pointer means another address after each change of CS.
static uint64_t key_number(struct cpu *c, const struct view *v)
{
  const struct seg *cs = &c->seg[SEG_CS];
  if (c->mode & MODE_FLAT)
    return v->epoch;
  struct tlb *t = c->tlbs;
  struct tlb_cs *k = &t->cs[(uint32_t)(cs->base >> 4) * 0x9e3779b1u >> 28];
  if (k->epoch != v->epoch || k->base != cs->base || k->limit != cs->limit)
    *k = (struct tlb_cs){v->epoch, cs->base, ++t->epochs, cs->limit};
  return k->number;
}

void tlb_select(struct cpu *c)
{
  struct tlb *t = c->tlbs;
  struct tlb_context *x = t->current;
  uint64_t rights = rights_key(c);
  if (unlikely(x->drop || x->rights != rights)) {
    enum tlb_drop what = x->rights != rights ? DROP_ALL : x->drop;
    for (unsigned i = 0; i < VIEWS; i++)
      if (x->view[i].ready)
        tlb_view_clear(t, &x->view[i], what);
    x->drop = DROP_NOTHING;
    x->rights = rights;
  }
  bool ac = c->sysflags & FL_AC;
  t->checked = false;
  if (c->cpl == 3) {
    t->view = VIEW_USER;
    t->checked = ac && (c->cr0 & CR0_AM);
  } else {
    t->view = ac && (c->cr4 & CR4_SMAP) ? VIEW_SUPER_AC : VIEW_SUPER;
  }
  struct view *v = tlb_view_ready(t, x, t->view);
  c->tlb = t->checked ? t->slow : v->hot;
  c->jump_key = key_number(c, v) << 16 | c->mode;
}

void tlb_switch(struct cpu *c, uint16_t asid, uint16_t pcid)
{
  struct tlb *t = c->tlbs;
  if (t->asid == asid && t->pcid == pcid)
    return;
  t->asid = asid;
  t->pcid = pcid;
  c->jump_salt = asid * 1445u; // 5A5h: far from 0 and from its multiples in the jump cache
  struct tlb_context *was = t->current, *x = t->before;
  if (unlikely(!x || x->asid != asid || x->pcid != pcid)) {
    context_renew(t);
    x = context_for(t, asid, pcid);
    if (was == x) // it was the oldest of too few
      was = NULL;
  }
  t->before = was;
  t->current = x;
}

void tlb_set_context(struct cpu *c, uint16_t asid, uint16_t pcid, bool keep)
{
  tlb_switch(c, asid, pcid);
  if (keep)
    tlb_select(c);
  else
    tlb_flush_pcid(c, pcid);
}

// ---- flushes ----

static void drop(struct tlb *t, int asid, int pcid, enum tlb_drop what)
{
  for (unsigned i = 0; i < t->contexts_used; i++) {
    struct tlb_context *x = &t->context[i];
    if ((asid < 0 || x->asid == asid) && (pcid < 0 || x->pcid == pcid))
      x->drop = what > x->drop ? what : x->drop;
  }
}

// Flushing another ASID changes nothing for whoever runs, and may come amid a world switch.
static void flushed(struct cpu *c, const char *what, unsigned asid, unsigned pcid)
{
  struct tlb *t = c->tlbs;
  t->flushes++;
  t->asid_time[asid & (ASID_SLOTS - 1)].flushes++;
  if (log_on(c->log, LOG_MMU))
    log_line(c->log, LOG_MMU, "cpu%u: TLB flush %s, ASID %u, PCID %u\n", c->index, what, asid, pcid);
  if (asid == t->asid)
    tlb_select(c);
}

void tlb_flush_all(struct cpu *c)
{
  struct tlb *t = c->tlbs;
  t->all_time = ++t->time;
  t->classes = t->nest_orders = 0;
  t->fractured = false;
  memset(t->fractures, 0, sizeof t->fractures);
  drop(t, -1, -1, DROP_ALL);
  flushed(c, "all", t->asid, t->pcid);
}

static void flush_asid(struct cpu *c, uint16_t asid, bool global)
{
  struct tlb *t = c->tlbs;
  struct tlb_asid *a = &t->asid_time[asid & (ASID_SLOTS - 1)];
  if (global)
    a->all = ++t->time;
  else
    a->nonglobal = ++t->time;
  drop(t, asid, -1, global ? DROP_ALL : DROP_LOCAL);
  flushed(c, global ? "of an ASID" : "of an ASID but global pages", asid, t->pcid);
}

void tlb_flush_linear(struct cpu *c, bool global)
{
  flush_asid(c, c->tlbs->asid, global);
}

void tlb_flush_asid(struct cpu *c, uint16_t asid)
{
  struct tlb *t = c->tlbs;
  t->asid_time[asid & (ASID_SLOTS - 1)].nested = ++t->time;
  flush_asid(c, asid, true);
}

void tlb_flush_asid_nonglobal(struct cpu *c, uint16_t asid)
{
  struct tlb *t = c->tlbs;
  t->asid_time[asid & (ASID_SLOTS - 1)].nested = ++t->time;
  flush_asid(c, asid, false);
}

void tlb_flush_pcid(struct cpu *c, uint16_t pcid)
{
  struct tlb *t = c->tlbs;
  t->pcid_time[tlb_pcid_slot(t->asid, pcid)] = ++t->time;
  drop(t, t->asid, pcid, DROP_LOCAL);
  flushed(c, "of a PCID", t->asid, pcid);
}

static void page_flushed(struct cpu *c, const char *what, uint64_t la, unsigned asid)
{
  struct tlb *t = c->tlbs;
  t->flushes++;
  t->asid_time[asid & (ASID_SLOTS - 1)].flushes++;
  if (log_on(c->log, LOG_MMU))
    log_line(c->log, LOG_MMU, "cpu%u: TLB flush %s of %016llx, ASID %u\n", c->index, what,
             (unsigned long long)la, asid);
  if (asid == t->asid)
    tlb_select(c);
}

void tlb_flush_page(struct cpu *c, uint64_t la)
{
  struct tlb *t = c->tlbs;
  tlb_store_kill(t, la, t->asid, t->pcid, KILL_CONTEXT);
  for (unsigned i = 0; i < t->contexts_used; i++) {
    struct tlb_context *x = &t->context[i];
    if (x->asid == t->asid && x->drop != DROP_ALL)
      for (unsigned v = 0; v < VIEWS; v++)
        tlb_view_kill(t, &x->view[v], la, x != t->current);
  }
  page_flushed(c, "INVLPG", la, t->asid);
}

void tlb_flush_page_pcid(struct cpu *c, uint64_t la, uint16_t pcid)
{
  struct tlb *t = c->tlbs;
  tlb_store_kill(t, la, t->asid, pcid, KILL_NONGLOBAL);
  for (unsigned i = 0; i < t->contexts_used; i++) {
    struct tlb_context *x = &t->context[i];
    if (x->asid == t->asid && x->pcid == pcid && x->drop != DROP_ALL)
      for (unsigned v = 0; v < VIEWS; v++)
        tlb_view_kill(t, &x->view[v], la, false);
  }
  page_flushed(c, "INVPCID", la, t->asid);
}

void tlb_flush_page_asid(struct cpu *c, uint64_t la, uint16_t asid)
{
  struct tlb *t = c->tlbs;
  tlb_store_kill(t, la, asid, 0, KILL_ANY);
  for (unsigned i = 0; i < t->contexts_used; i++) {
    struct tlb_context *x = &t->context[i];
    if (x->asid == asid && x->drop != DROP_ALL)
      for (unsigned v = 0; v < VIEWS; v++)
        tlb_view_kill(t, &x->view[v], la, false);
  }
  page_flushed(c, "INVLPGA", la, asid);
}

// Views go whole, or lose the page, without a look at what is global or not: they are filled again from what
// stays in the store.
void tlb_flush_match(struct cpu *c, const struct tlb_match *m)
{
  struct tlb *t = c->tlbs;
  if (m->global && !m->by_page && !m->by_pcid && !m->by_asid) {
    tlb_flush_all(c);
    return;
  }
  tlb_store_match(t, m);
  if (!m->by_page && !m->by_pcid)
    tlb_nest_forget(t, m->by_asid ? m->asid : -1);
  for (unsigned i = 0; i < t->contexts_used; i++) {
    struct tlb_context *x = &t->context[i];
    if ((m->by_asid && x->asid != m->asid) || (m->by_pcid && !m->global && x->pcid != m->pcid) ||
        x->drop == DROP_ALL)
      continue;
    if (!m->by_page)
      x->drop = DROP_ALL;
    else
      for (unsigned v = 0; v < VIEWS; v++)
        tlb_view_kill(t, &x->view[v], m->la, false);
  }
  t->flushes++;
  if (m->by_asid)
    t->asid_time[m->asid].flushes++;
  if (log_on(c->log, LOG_MMU))
    log_line(c->log, LOG_MMU, "cpu%u: TLB flush INVLPGB of %016llx, ASID %d, PCID %d%s\n", c->index,
             (unsigned long long)(m->by_page ? m->la : 0), m->by_asid ? m->asid : -1,
             m->by_pcid ? m->pcid : -1, m->global ? ", global" : "");
  if (!m->by_asid || m->asid == t->asid)
    tlb_select(c);
}

// ---- what is not architectural ----

void tlb_drop_views(struct cpu *c)
{
  drop(c->tlbs, -1, -1, DROP_ALL);
  tlb_select(c);
}

void tlb_map_changed(struct cpu *c)
{
  svm_map_changed(c);
  tlb_drop_views(c);
}

void tlb_protect_ram(struct cpu *c, uint64_t ram_off)
{
  struct tlb *t = c->tlbs;
  uint64_t page = ram_off & ~0xfffull;
  if (!(c->ram->flags[page >> 12] & RAM_WTLB))
    return;
  for (unsigned i = 0; i < t->contexts_used; i++)
    if (t->context[i].drop != DROP_ALL)
      for (unsigned v = 0; v < VIEWS; v++)
        tlb_view_protect(&t->context[i].view[v], page);
}

uint16_t tlb_asid(const struct cpu *c)
{
  return c->tlbs->asid;
}

struct tlb_stats tlb_stats(const struct cpu *c)
{
  const struct tlb *t = c->tlbs;
  struct tlb_stats s = {.fills = t->fills, .flushes = t->flushes};
  for (unsigned i = 0; i < WALK_KINDS; i++) {
    s.kind[i] = t->walks[i];
    s.walks += t->walks[i].walks;
  }
  return s;
}

struct tlb_asid_stats tlb_asid_stats(const struct cpu *c, uint16_t asid)
{
  const struct tlb *t = c->tlbs;
  const struct tlb_asid *a = &t->asid_time[asid & (ASID_SLOTS - 1)];
  struct tlb_asid_stats s = {.fills = a->fills, .flushes = a->flushes};
  for (const struct tlb_entry *e = t->store; e < t->store + STORE_SETS * STORE_WAYS; e++)
    s.kept += tlb_store_alive(t, e) && tlb_entry_asid(e) == asid;
  s.nested_kept = tlb_nest_count(t, asid);
  return s;
}
