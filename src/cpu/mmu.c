// The page walker; see mmu.h.
//
// Invariant: the accessed bit of an entry is set before the next level is read, that of the last level (with
// the dirty bit) only when the access is allowed. Every reference to a table goes through table_read, which
// is where a second stage of translation belongs.
#include "cpu/mmu.h"

#include "cpu/model.h"

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
  r->ram = bus_ram_page(c->bus, r->pa, &r->rom);
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
  bus_access(c->bus, &t, &v);
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
  bus_access(c->bus, &t, &v);
}

// ---- rights ----

unsigned mmu_rights(const struct cpu *c, enum tlb_view view, unsigned perm, unsigned pkey, unsigned *pk)
{
  unsigned rights = 0, denied = 0;
  if (pk)
    *pk = 0;
  if (!(c->cr0 & CR0_PG))
    return MMU_R | MMU_W | MMU_X;
  bool wp = c->cr0 & CR0_WP;
  if (view == VIEW_USER) {
    if (!(perm & PERM_USER))
      return 0;
    rights = MMU_R | (perm & PERM_WRITE ? MMU_W : 0) | MMU_X;
  } else {
    if (!(perm & PERM_USER) || !(c->cr4 & CR4_SMAP) || view == VIEW_SUPER_AC)
      rights = MMU_R | (perm & PERM_WRITE || !wp ? MMU_W : 0);
    if (!(perm & PERM_USER) || !(c->cr4 & CR4_SMEP))
      rights |= MMU_X;
  }
  if (perm & PERM_NX)
    rights &= ~MMU_X;
  if ((c->cr4 & CR4_PKE) && (c->efer & EFER_LMA) && (perm & PERM_USER)) {
    unsigned key = c->pkru >> (2 * pkey) & 3;
    if (key & 1)
      denied = MMU_R | MMU_W;
    else if ((key & 2) && (view == VIEW_USER || wp))
      denied = MMU_W;
    if (pk)
      *pk = denied;
  }
  return rights & ~denied;
}

uint32_t mmu_error(const struct cpu *c, enum tlb_view view, unsigned need)
{
  uint32_t e = view == VIEW_USER ? PF_USER : 0;
  if (need & MMU_W)
    e |= PF_WRITE;
  if ((need & MMU_X) && (((c->efer & EFER_NXE) && (c->cr4 & CR4_PAE)) || (c->cr4 & CR4_SMEP)))
    e |= PF_FETCH;
  return e;
}

// ---- the walk ----

struct format {
  uint8_t size;     // bytes of an entry
  uint8_t index;    // bits of the address that a level translates
  uint8_t top;      // level at which the walk begins
  uint64_t address; // mask of an entry's table address
};

// The bits that must be zero in an entry. APM2 5.2 to 5.4; figures 5-9 to 5-27.
static uint64_t reserved_bits(const struct cpu *c, unsigned level, bool leaf)
{
  if (!(c->cr4 & CR4_PAE)) {
    if (level != 2 || !leaf)
      return 0;
    if (!model_has(c->model, FEAT_PSE36))
      return bits(21, 13);
    return bits(21, 21) | (~c->phys_mask >> 32 & 0xff) << 13;
  }
  uint64_t r = ~c->phys_mask & bits(51, 12);
  if (!(c->efer & EFER_NXE))
    r |= PTE_NX;
  if (!(c->efer & EFER_LMA))
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

static bool is_leaf(const struct cpu *c, unsigned level, uint64_t entry)
{
  if (level == 1)
    return true;
  if (!(entry & PTE_PS) || level == 4)
    return false;
  return (c->cr4 & (CR4_PAE | CR4_PSE)) != 0;
}

// Physical address of the page that a last-level entry of size 1 << shift names.
static uint64_t page_address(uint64_t entry, unsigned shift)
{
  if (shift == 22) // PSE-36: bits 39:32 in 20:13
    return (entry & bits(31, 22)) | (entry >> 13 & 0xff) << 32;
  return entry & PTE_ADDR & ~bits(shift - 1, 0);
}

static uint8_t pat_type(const struct cpu *c, uint64_t entry, unsigned level)
{
  unsigned i = (entry & PTE_PWT ? 1 : 0) | (entry & PTE_PCD ? 2 : 0);
  if (entry & (level == 1 ? PTE_PAT_4K : PTE_PAT_LARGE))
    i |= 4;
  return c->pat >> (8 * i) & 7;
}

static bool fault(struct walk *w, uint32_t error)
{
  w->error |= error;
  return false;
}

static bool walk(struct cpu *c, uint64_t la, enum tlb_view view, unsigned need, struct walk *w)
{
  bool debug = need == 0;
  struct format f = {.size = 8, .index = 9, .top = 4, .address = PTE_ADDR & c->phys_mask};
  uint64_t table = c->cr3 & f.address;
  unsigned perm = PERM_USER | PERM_WRITE;
  if (!(c->cr4 & CR4_PAE)) {
    f = (struct format){.size = 4, .index = 10, .top = 2, .address = bits(31, 12)};
    table = c->cr3 & f.address;
  } else if (!(c->efer & EFER_LMA)) {
    uint64_t pdpte = c->pdpte[la >> 30 & 3];
    if (!(pdpte & PTE_P))
      return fault(w, 0);
    f.top = 2;
    table = pdpte & f.address;
  }
  for (unsigned level = f.top;; level--) {
    unsigned shift = 12 + (level - 1) * f.index;
    struct table_ref ref;
    uint64_t entry =
        table_read(c, &ref, table + (la >> shift & bits(f.index - 1, 0)) * f.size, f.size, debug);
    if (!(entry & PTE_P))
      return fault(w, 0);
    bool leaf = is_leaf(c, level, entry);
    if (entry & reserved_bits(c, level, leaf))
      return fault(w, PF_P | PF_RSVD);
    if (!(entry & PTE_U))
      perm &= ~PERM_USER;
    if (!(entry & PTE_W))
      perm &= ~PERM_WRITE;
    if (entry & PTE_NX)
      perm |= PERM_NX;
    if (!leaf) {
      if (!(entry & PTE_A) && !debug)
        table_mark(c, &ref, entry, PTE_A);
      table = entry & f.address;
      continue;
    }
    if ((entry & PTE_G) && (c->cr4 & CR4_PGE))
      perm |= PERM_GLOBAL;
    w->pkey = c->efer & EFER_LMA ? entry >> 59 & 15 : 0;
    unsigned pk, mark = need & MMU_W ? PTE_A | PTE_D : PTE_A;
    if (!debug) {
      if (~mmu_rights(c, view, perm, w->pkey, &pk) & need)
        return fault(w, pk & need ? PF_P | PF_PK : PF_P);
      if (mark & ~entry)
        table_mark(c, &ref, entry, mark);
      entry |= mark;
    }
    if (entry & PTE_D)
      perm |= PERM_DIRTY;
    w->shift = w->gshift = shift;
    w->pa = page_address(entry, shift);
    w->pat = pat_type(c, entry, level);
    w->perm = perm;
    return true;
  }
}

static bool unpaged(uint64_t la, struct walk *w)
{
  *w = (struct walk){
      .pa = la & ~0xfffull, .shift = 12, .gshift = 12, .perm = PERM_USER | PERM_WRITE | PERM_DIRTY, .pat = 6};
  return true;
}

bool mmu_walk(struct cpu *c, uint64_t la, enum tlb_view view, unsigned need, struct walk *w)
{
  if (!(c->cr0 & CR0_PG))
    return unpaged(la, w);
  w->error = mmu_error(c, view, need);
  return walk(c, la, view, need, w);
}

bool mmu_peek(struct cpu *c, uint64_t la, struct walk *w)
{
  if (!(c->cr0 & CR0_PG))
    return unpaged(la, w);
  w->error = 0;
  return walk(c, la, VIEW_SUPER, 0, w);
}
