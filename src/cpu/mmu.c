// The page walker; see mmu.h.
//
// A stage is a set of tables with the mode in which they are walked: CR3's, or under nested paging also
// nCR3's, in the host's mode. descend() goes through the tables of either. Where CR3's tables lie in
// guest-physical memory, each reference to them goes through the nested stage first, and so does the address
// that they give.
//
// Invariant: the accessed bit of an entry is set before the next level is read, that of the last level (with
// the dirty bit) only when the access is allowed, by both stages.
#include "cpu/mmu.h"

#include "cpu/model.h"
#include "cpu/msr.h"
#include "cpu/smm.h"
#include "cpu/svm/svm.h"
#include "cpu/tlb_store.h"

enum {
  PTE_P = 1 << 0,
  PTE_W = 1 << 1,
  PTE_U = 1 << 2,
  PTE_PWT = 1 << 3,
  PTE_PCD = 1 << 4,
  PTE_A = 1 << 5,
  PTE_D = 1 << 6,
  PTE_PS = 1 << 7,
  PTE_G = 1 << 8,
  PTE_PAT_4K = 1 << 7,
  PTE_PAT_LARGE = 1 << 12,
};
#define PTE_NX   (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

static uint64_t bits(unsigned high, unsigned low)
{
  return (~0ull >> (63 - high)) & (~0ull << low);
}

// ---- references to tables ----

struct table_ref {
  uint64_t gpa; // address as the tables above say
  uint64_t pa;
  uint64_t ram; // offset, or RAM_NONE: over the bus
  bool rom;
  uint8_t size; // of an entry: 4 or 8
};

static struct txn table_txn(const struct cpu *c, const struct table_ref *r, enum txn_kind kind, bool debug)
{
  return (struct txn){.addr = r->pa,
                      .size = r->size,
                      .requester = TXN_FROM_CPU + c->index,
                      .kind = kind,
                      .space = TXN_MEM,
                      .node = c->node,
                      .walk = true,
                      .debug = debug};
}

// Finds and reads the entry at a physical address. A table that is nowhere reads all ones.
static uint64_t table_read(struct cpu *c, struct table_ref *r, uint64_t pa, unsigned size, bool debug)
{
  r->pa = pa & c->a20_mask;
  r->size = size;
  r->ram = cpu_ram_page(c, r->pa, &r->rom);
  uint64_t v = 0;
  if (likely(r->ram != RAM_NONE)) {
    r->ram += r->pa & 0xfff;
    if (likely(size == 8))
      memcpy(&v, c->ram->mem + r->ram, 8);
    else
      memcpy(&v, c->ram->mem + r->ram, 4);
    return v;
  }
  struct txn t = table_txn(c, r, TXN_READ, debug);
  cpu_bus_access(c, &t, &v);
  return v;
}

// Sets accessed and dirty bits in the low byte of an entry.
static void table_mark(struct cpu *c, const struct table_ref *r, uint64_t entry, unsigned mark)
{
  if (likely(r->ram != RAM_NONE)) {
    if (r->rom)
      return;
    c->ram->mem[r->ram] |= mark;
    ram_touched(c->ram, r->ram, 1);
    return;
  }
  uint64_t v = entry | mark;
  struct txn t = table_txn(c, r, TXN_WRITE, false);
  cpu_bus_access(c, &t, &v);
}

// ---- what entries mean ----

struct stage {
  uint64_t cr4, efer; // of the mode in which the tables are walked
  uint64_t root;      // CR3 or nCR3
  uint64_t pat;
  bool nested; // these are the nested tables
  bool guest;  // these tables are reached through the nested ones
  bool debug;  // leave no traces
};

struct format {
  uint8_t size;     // bytes of an entry
  uint8_t index;    // bits of the address that a level translates
  uint8_t top;      // level at which the walk begins
  uint64_t address; // mask of an entry's table address
};

// The bits that must be zero in an entry. APM2 5.2 to 5.4; figures 5-9 to 5-27.
static uint64_t reserved_bits(const struct cpu *c, const struct stage *s, unsigned level, bool leaf)
{
  if (!(s->cr4 & CR4_PAE)) {
    if (level != 2 || !leaf)
      return 0;
    if (!model_has(c->model, FEAT_PSE36))
      return bits(21, 13);
    return bits(21, 21) | (~c->phys_mask >> 32 & 0xff) << 13;
  }
  uint64_t r = ~c->phys_mask & bits(51, 12);
  if (!(s->efer & EFER_NXE))
    r |= PTE_NX;
  if (!(s->efer & EFER_LMA))
    r |= bits(62, 52);
  switch (level) {
  case 4:
    return r | bits(8, 7);
  case 3:
    if (!leaf)
      return r | bits(8, 8);
    return model_has(c->model, FEAT_PDPE1GB) ? r | bits(29, 13) : r | PTE_PS;
  case 2:
    return leaf ? r | bits(20, 13) : r;
  default:
    return r;
  }
}

static bool is_leaf(const struct stage *s, unsigned level, uint64_t entry)
{
  if (level == 1)
    return true;
  if (!(entry & PTE_PS) || level == 4)
    return false;
  return (s->cr4 & (CR4_PAE | CR4_PSE)) != 0;
}

// Physical address of the page that a last-level entry of size 1 << shift names.
static uint64_t page_address(uint64_t entry, unsigned shift)
{
  if (shift == 22) // PSE-36: bits 39:32 in 20:13
    return (entry & bits(31, 22)) | (entry >> 13 & 0xff) << 32;
  return entry & PTE_ADDR & ~bits(shift - 1, 0);
}

static uint8_t pat_type(const struct stage *s, uint64_t entry, unsigned level)
{
  unsigned i = (entry & PTE_PWT ? 1 : 0) | (entry & PTE_PCD ? 2 : 0);
  if (entry & (level == 1 ? PTE_PAT_4K : PTE_PAT_LARGE))
    i |= 4;
  return s->pat >> (8 * i) & 7;
}

// ---- through the tables of one stage ----

struct leaf {
  struct table_ref ref;
  uint64_t entry;
  uint64_t pa;   // of the page
  uint8_t level; // of the entry
  uint8_t shift;
  uint8_t perm; // of all levels: PERM_USER, PERM_WRITE, PERM_NX
  uint8_t refs; // references that it took
};

enum outcome { FOUND, ABSENT, RESERVED, NESTED_FAULT };

static bool nested(struct cpu *c, uint64_t gpa, enum tlb_view view, unsigned need, uint64_t which,
                   struct nest_entry *n, struct walk *w);

static bool entry_read(struct cpu *c, const struct stage *s, uint64_t pa, unsigned size, struct leaf *l,
                       struct walk *w)
{
  l->ref.gpa = pa;
  if (unlikely(s->guest)) {
    struct nest_entry n;
    unsigned need = s->debug ? 0 : c->svm->np_rogpt ? MMU_R : MMU_W;
    if (!nested(c, pa, VIEW_SUPER, need, NPF_TABLE, &n, w))
      return false;
    pa = n.pa | (pa & bits(n.shift - 1, 0));
  }
  l->refs++;
  l->entry = table_read(c, &l->ref, pa, size, s->debug);
  return true;
}

// Read-only guest tables are written only here.
static bool entry_mark(struct cpu *c, const struct stage *s, const struct leaf *l, unsigned mark,
                       struct walk *w)
{
  struct nest_entry n;
  if (unlikely(s->guest) && c->svm->np_rogpt && !nested(c, l->ref.gpa, VIEW_SUPER, MMU_W, NPF_TABLE, &n, w))
    return false;
  table_mark(c, &l->ref, l->entry, mark);
  return true;
}

// A page-directory-pointer entry of PAE paging. A processor without nested paging has them in registers;
// under nested paging those of the guest and those of the nested tables are read as they are needed.
// APM2 5.2.3, 15.25.10
static enum outcome pae_top(struct cpu *c, const struct stage *s, uint64_t addr, struct leaf *l,
                            struct walk *w)
{
  if (!s->guest && !s->nested) {
    l->entry = c->pdpte[addr >> 30 & 3];
    return l->entry & PTE_P ? FOUND : ABSENT;
  }
  if (!entry_read(c, s, (s->root & bits(31, 5)) + (addr >> 30 & 3) * 8, 8, l, w))
    return NESTED_FAULT;
  if (!(l->entry & PTE_P))
    return ABSENT;
  return l->entry & ~((c->phys_mask & PTE_ADDR) | 0xe19) ? RESERVED : FOUND;
}

// Goes down to the entry of the page; its own accessed and dirty bits are left to the caller.
static enum outcome descend(struct cpu *c, const struct stage *s, uint64_t addr, struct leaf *l,
                            struct walk *w)
{
  struct format f = {.size = 8, .index = 9, .top = 4, .address = PTE_ADDR & c->phys_mask};
  uint64_t table = s->root & f.address;
  l->perm = PERM_USER | PERM_WRITE;
  l->refs = 0;
  if (!(s->cr4 & CR4_PAE)) {
    f = (struct format){.size = 4, .index = 10, .top = 2, .address = bits(31, 12)};
    table = s->root & f.address;
  } else if (!(s->efer & EFER_LMA)) {
    enum outcome o = pae_top(c, s, addr, l, w);
    if (o != FOUND)
      return o;
    f.top = 2;
    table = l->entry & f.address;
  }
  for (unsigned level = f.top;; level--) {
    unsigned shift = 12 + (level - 1) * f.index;
    if (!entry_read(c, s, table + (addr >> shift & bits(f.index - 1, 0)) * f.size, f.size, l, w))
      return NESTED_FAULT;
    uint64_t entry = l->entry;
    if (!(entry & PTE_P))
      return ABSENT;
    bool leaf = is_leaf(s, level, entry);
    if (entry & reserved_bits(c, s, level, leaf))
      return RESERVED;
    if (!(entry & PTE_U))
      l->perm &= ~PERM_USER;
    if (!(entry & PTE_W))
      l->perm &= ~PERM_WRITE;
    if (entry & PTE_NX)
      l->perm |= PERM_NX;
    if (leaf) {
      l->level = level;
      l->shift = shift;
      l->pa = page_address(entry, shift);
      return FOUND;
    }
    if (!(entry & PTE_A) && !s->debug && !entry_mark(c, s, l, PTE_A, w))
      return NESTED_FAULT;
    table = entry & f.address;
  }
}

// ---- the nested stage ----

static uint64_t nested_error(const struct cpu *c, enum tlb_view view, unsigned need, uint64_t which)
{
  const struct svm *s = c->svm;
  uint64_t e = which | PF_USER;
  if (need & MMU_W)
    e |= PF_WRITE;
  if (need & MMU_X) {
    if (((s->host_efer & EFER_NXE) && (s->host_cr4 & CR4_PAE)) || (s->host_cr4 & CR4_SMEP))
      e |= PF_FETCH;
    if (s->np_gmet && view != VIEW_USER)
      e &= ~(uint64_t)PF_USER;
  }
  return e;
}

static bool nested_allows(const struct cpu *c, const struct nest_entry *n, enum tlb_view view, unsigned need)
{
  return !(mmu_nested_denied(c, view, n->perm) & need) && (!(need & MMU_W) || (n->perm & PERM_DIRTY));
}

// The mode of the host decides how many bits of a guest-physical address can be translated.
static bool in_reach(const struct svm *s, uint64_t gpa)
{
  return !(gpa >> (s->host_efer & EFER_LMA ? 48 : 32));
}

static enum outcome nested_walk(struct cpu *c, uint64_t gpa, enum tlb_view view, unsigned need,
                                struct nest_entry *n, struct walk *w, bool *allowed)
{
  const struct svm *v = c->svm;
  struct stage s = {.cr4 = v->host_cr4,
                    .efer = v->host_efer,
                    .root = v->ncr3,
                    .pat = c->pat,
                    .nested = true,
                    .debug = need == 0};
  struct leaf l;
  enum outcome o = descend(c, &s, gpa, &l, w);
  if (!s.debug)
    c->tlbs->walks[WALK_NESTED].nested_refs += l.refs;
  if (o != FOUND)
    return o;
  *n = (struct nest_entry){.pa = l.pa,
                           .shift = l.shift,
                           .pat = memtype_combine(mtrr_type(c, l.pa), pat_type(&s, l.entry, l.level)),
                           .refs = l.refs,
                           .perm = (l.perm & PERM_WRITE ? 0 : PERM_NESTED_RO) |
                                   (l.perm & PERM_NX ? PERM_NESTED_NX : 0) |
                                   (l.perm & PERM_USER ? 0 : PERM_NESTED_SUPER)};
  *allowed = !(mmu_nested_denied(c, view, n->perm) & need);
  unsigned mark = need & MMU_W ? PTE_A | PTE_D : PTE_A;
  if (*allowed && need && (mark & ~l.entry)) {
    table_mark(c, &l.ref, l.entry, mark);
    l.entry |= mark;
  }
  if (l.entry & PTE_D)
    n->perm |= PERM_DIRTY;
  return FOUND;
}

// Translates a guest-physical address. False: a nested page fault, in w. need 0: for the debugger, from the
// tables.
static bool nested(struct cpu *c, uint64_t gpa, enum tlb_view view, unsigned need, uint64_t which,
                   struct nest_entry *n, struct walk *w)
{
  struct tlb *t = c->tlbs;
  struct nest_entry *e = need ? tlb_nest_find(t, gpa) : NULL;
  if (likely(e && nested_allows(c, e, view, need))) {
    t->walks[WALK_NESTED].nested_hits++;
    t->walks[WALK_NESTED].nested_saved += e->refs;
    *n = *e;
    return true;
  }
  bool allowed = false;
  enum outcome o = ABSENT;
  if (need)
    t->walks[WALK_NESTED].nested_walks++;
  if (in_reach(c->svm, gpa))
    o = nested_walk(c, gpa, view, need, n, w, &allowed);
  if (o == FOUND && allowed) {
    if (need)
      tlb_nest_insert(t, gpa, n);
    return true;
  }
  // A fault removes what was kept of the page.
  if (e)
    e->key = 0;
  w->nested = true;
  w->gpa = gpa;
  w->npf_error = nested_error(c, view, need, which);
  if (o != ABSENT)
    w->npf_error |= PF_P;
  if (o == RESERVED)
    w->npf_error |= PF_RSVD;
  return false;
}

bool mmu_guest_physical(struct cpu *c, uint64_t gpa, unsigned need, uint64_t *pa)
{
  struct nest_entry n;
  struct walk w = {0};
  *pa = gpa;
  if (!mmu_two_stages(c))
    return true;
  if (!nested(c, gpa, VIEW_SUPER, need, NPF_FINAL, &n, &w))
    return svm_exit_npf(c, w.gpa, w.npf_error);
  *pa = n.pa | (gpa & bits(n.shift - 1, 0));
  return true;
}

// ---- the whole walk ----

static bool fault(struct walk *w, uint32_t error)
{
  w->error |= error;
  return false;
}

// The page that the guest's tables name goes through the nested tables; the smaller of the two sizes holds.
static bool second_stage(struct cpu *c, uint64_t la, enum tlb_view view, unsigned need, struct walk *w)
{
  struct nest_entry n;
  uint64_t gpa = w->pa | (la & bits(w->gshift - 1, 0));
  if (!nested(c, gpa, view, need, NPF_FINAL, &n, w))
    return false;
  if (n.shift < w->shift)
    w->shift = n.shift;
  w->pa = (n.pa | (gpa & bits(n.shift - 1, 0))) & ~bits(w->shift - 1, 0);
  if (!(n.perm & PERM_DIRTY))
    w->perm &= ~PERM_DIRTY;
  w->perm |= n.perm & ~PERM_DIRTY;
  w->pat = memtype_combine(n.pat, w->pat);
  return true;
}

static bool walk(struct cpu *c, uint64_t la, enum tlb_view view, unsigned need, struct walk *w)
{
  bool two = mmu_two_stages(c);
  struct stage s = {.cr4 = c->cr4,
                    .efer = c->efer,
                    .root = c->cr3,
                    .pat = two ? c->svm->g_pat : c->pat,
                    .guest = two,
                    .debug = need == 0};
  struct leaf l;
  enum outcome o = descend(c, &s, la, &l, w);
  if (!s.debug)
    c->tlbs->walks[mmu_walk_kind(c)].table_refs += l.refs;
  switch (o) {
  case FOUND:
    break;
  case RESERVED:
    return fault(w, PF_P | PF_RSVD);
  default:
    return fault(w, 0);
  }
  w->pkey = c->efer & EFER_LMA ? l.entry >> 59 & 15 : 0;
  unsigned pk, mark = need & MMU_W ? PTE_A | PTE_D : PTE_A;
  if (!s.debug) {
    if (~mmu_table_rights(c, view, l.perm, w->pkey, &pk) & need)
      return fault(w, pk & need ? PF_P | PF_PK : PF_P);
  }
  w->shift = w->gshift = l.shift;
  w->pa = l.pa;
  w->pat = pat_type(&s, l.entry, l.level);
  w->perm = l.perm;
  if ((l.entry & PTE_G) && (c->cr4 & CR4_PGE))
    w->perm |= PERM_GLOBAL;
  if ((l.entry | (s.debug ? 0 : mark)) & PTE_D)
    w->perm |= PERM_DIRTY;
  if (unlikely(two) && !second_stage(c, la, view, need, w))
    return false;
  return s.debug || !(mark & ~l.entry) || entry_mark(c, &s, &l, mark, w);
}

static bool unpaged(struct cpu *c, uint64_t la, enum tlb_view view, unsigned need, struct walk *w)
{
  *w = (struct walk){
      .pa = la & ~0xfffull, .shift = 12, .gshift = 12, .perm = PERM_USER | PERM_WRITE | PERM_DIRTY, .pat = 6};
  return likely(!mmu_two_stages(c)) || second_stage(c, la, view, need, w);
}

bool mmu_walk(struct cpu *c, uint64_t la, enum tlb_view view, unsigned need, struct walk *w)
{
  if (!(c->cr0 & CR0_PG))
    return unpaged(c, la, view, need, w);
  w->error = mmu_error(c, view, need);
  w->nested = false;
  return walk(c, la, view, need, w);
}

bool mmu_peek(struct cpu *c, uint64_t la, struct walk *w)
{
  if (!(c->cr0 & CR0_PG))
    return unpaged(c, la, VIEW_SUPER, 0, w);
  w->error = 0;
  w->nested = false;
  return walk(c, la, VIEW_SUPER, 0, w);
}

void mmu_raise(struct cpu *c, uint64_t la, const struct walk *w)
{
  if (w->nested)
    svm_exit_npf(c, w->gpa, w->npf_error);
  else
    raise_pf(c, la, w->error);
}
