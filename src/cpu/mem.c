// Memory accesses that the fast path of a TLB view cannot make; see mem.h.
//
// Invariant: every page of an access is translated, with the rights it needs, before a byte moves. A slot of
// a view stays valid while the other page of the same access is filled: neighbours have different slots.
#include "cpu/mem.h"

#include "cpu/except.h"
#include "cpu/insn.h"
#include "cpu/lapic.h"
#include "cpu/smm.h"
#include "cpu/tlb_store.h"

// One access, as far as it is the same for all its bytes.
struct access_path {
  const struct op *op; // NULL: the processor's own
  uint8_t view;        // whose rights
  uint8_t need;        // enum mmu_right
};

// ---- translation ----

static struct tlb_cold *translate(struct cpu *c, unsigned view, unsigned need, uint64_t la)
{
  struct view *v = tlb_view_ready(c->tlbs, c->tlbs->current, view);
  struct tlb_cold *k = &v->cold[la >> 12 & (TLB_SIZE - 1)];
  if (likely(k->la == (la & ~0xfffull) && (k->rights & need) == need))
    return k;
  struct walk w;
  k = tlb_fill(c, view, la, need, &w);
  if (unlikely(!k))
    mmu_raise(c, la, &w);
  return k;
}

// Where an access that crosses a page goes on. Outside of long mode addresses wrap at 4 GB.
static uint64_t next_page(const struct cpu *c, uint64_t la)
{
  la = (la & ~0xfffull) + 0x1000;
  return cpu_long(c) ? la : (uint32_t)la;
}

// What #AC asks of an operand. APM2 8.2.18
static unsigned alignment(unsigned len)
{
  switch (len) {
  case 2:
  case 4:
  case 8:
  case 16:
  case 32:
    return len;
  case 6:
    return 4;
  case 10:
    return 8;
  case 28:
  case 108:
    return 4;
  case 14:
  case 94:
    return 2;
  default:
    return 1;
  }
}

static bool check_address(struct cpu *c, const struct access_path *a, uint64_t la, unsigned len)
{
  if (unlikely(!canonical(la) || !canonical(la + len - 1))) {
    raise_error(c, a->op && a->op->seg == SEG_SS ? VEC_SS : VEC_GP, 0);
    return false;
  }
  if (unlikely(c->tlbs->checked && a->op && (la & (alignment(len) - 1)))) {
    raise_error(c, VEC_AC, 0);
    return false;
  }
  return true;
}

// ---- devices ----

static struct txn device_txn(const struct cpu *c, uint64_t pa, unsigned size, enum txn_kind kind)
{
  return (struct txn){.addr = pa,
                      .size = size,
                      .requester = TXN_FROM_CPU + c->index,
                      .kind = kind,
                      .space = TXN_MEM,
                      .node = c->node};
}

static uint64_t device_read(struct cpu *c, uint64_t pa, unsigned size, enum txn_kind kind)
{
  if (c->lapic && lapic_mmio_hit(c, pa))
    return lapic_mmio_read(c, pa & 0xfff, size);
  uint64_t v = 0;
  struct txn t = device_txn(c, pa, size, kind);
  cpu_bus_access(c, &t, &v);
  return v;
}

static void device_write(struct cpu *c, uint64_t pa, unsigned size, uint64_t v)
{
  if (c->lapic && lapic_mmio_hit(c, pa)) {
    lapic_mmio_write(c, pa & 0xfff, size, v);
    return;
  }
  struct txn t = device_txn(c, pa, size, TXN_WRITE);
  cpu_bus_access(c, &t, &v);
}

// The bytes of an access as a bus moves them: naturally aligned pieces of up to 8.
static unsigned piece(uint64_t pa, unsigned len)
{
  unsigned n = 8;
  while (n > len || (pa & (n - 1)))
    n >>= 1;
  return n;
}

// ---- moving bytes within one page ----

// Most accesses are of a size that needs no call.
static inline void copy(void *to, const void *from, unsigned len)
{
  switch (len) {
  case 1:
    memcpy(to, from, 1);
    break;
  case 2:
    memcpy(to, from, 2);
    break;
  case 4:
    memcpy(to, from, 4);
    break;
  case 8:
    memcpy(to, from, 8);
    break;
  default:
    memcpy(to, from, len);
  }
}

// Ends the running block after this instruction. Accesses that the processor makes on its own do not say for
// which instruction: c->at does, unless they belong to a delivery between blocks.
static void stop(struct cpu *c, const struct op *op)
{
  if (!op && c->block)
    op = c->at;
  if (op)
    cpu_stop_block(c, op);
}

// The same if the instruction wrote over its own block. The last one of a block needs no stop, and must not
// have any: a repeated string instruction would end its run there, which a block of one instruction, that was
// not written to, does not.
static void leave_dead(struct cpu *c, const struct op *op)
{
  if (!op)
    op = c->at;
  if (op && op->index + 1u < c->block->count)
    cpu_stop_block(c, op);
}

static void page_read(struct cpu *c, const struct access_path *a, const struct tlb_cold *k, uint64_t la,
                      void *buf, unsigned len)
{
  if (likely(k->ram != RAM_NONE)) {
    copy(buf, c->ram->mem + k->ram + (la & 0xfff), len);
    return;
  }
  uint64_t pa = k->pa + (la & 0xfff);
  enum txn_kind kind = a->need == MMU_X ? TXN_FETCH : TXN_READ;
  uint8_t *p = buf;
  while (len) {
    unsigned n = piece(pa, len);
    uint64_t v = device_read(c, pa, n, kind);
    memcpy(p, &v, n);
    pa += n;
    p += n;
    len -= n;
  }
  stop(c, a->op);
}

static void page_write(struct cpu *c, const struct access_path *a, struct tlb_cold *k, uint64_t la,
                       const void *buf, unsigned len)
{
  if (likely(k->ram != RAM_NONE)) {
    uint64_t off = k->ram + (la & 0xfff);
    if (k->rom)
      return;
    copy(c->ram->mem + off, buf, len);
    if (c->ram->flags[off >> 12] & (RAM_CODE | RAM_MONITOR)) {
      ram_touched(c->ram, off, len);
      if (c->block && c->block->dead)
        leave_dead(c, a->op);
    } else {
      tlb_allow_write(c, &c->tlbs->current->view[a->view], k);
      c->ram->flags[off >> 12] |= RAM_DIRTY;
    }
    return;
  }
  uint64_t pa = k->pa + (la & 0xfff);
  const uint8_t *p = buf;
  while (len) {
    unsigned n = piece(pa, len);
    uint64_t v = 0;
    memcpy(&v, p, n);
    device_write(c, pa, n, v);
    pa += n;
    p += n;
    len -= n;
  }
  stop(c, a->op);
}

// ---- an access of any length up to a page ----

static void watch(struct cpu *c, const struct access_path *a, uint64_t la, unsigned len)
{
  debug_check_data(c, la, len, a->need == MMU_W);
  if (c->db_bits)
    stop(c, a->op);
}

static bool access_all(struct cpu *c, const struct access_path *a, uint64_t la, void *buf, unsigned len,
                       bool write)
{
  if (!check_address(c, a, la, len))
    return false;
  struct tlb_cold *k = translate(c, a->view, a->need, la), *k2 = NULL;
  if (!k)
    return false;
  unsigned first = 0x1000 - (la & 0xfff), second = 0;
  uint64_t la2 = 0;
  if (first < len) {
    second = len - first;
    la2 = next_page(c, la);
    k2 = translate(c, a->view, a->need, la2);
    if (!k2)
      return false;
  } else {
    first = len;
  }
  if (unlikely(k->watched || (k2 && k2->watched)))
    watch(c, a, la, len);
  // A device may change the map, and with it the slots: what is needed of the second page is taken now.
  struct tlb_cold kept;
  if (k2 && k->ram == RAM_NONE) {
    kept = *k2;
    k2 = &kept;
  }
  uint8_t *p = buf;
  if (write)
    page_write(c, a, k, la, p, first);
  else
    page_read(c, a, k, la, p, first);
  if (k2 && write)
    page_write(c, a, k2, la2, p + first, second);
  else if (k2)
    page_read(c, a, k2, la2, p + first, second);
  return true;
}

static bool probe(struct cpu *c, const struct access_path *a, uint64_t la, unsigned len)
{
  if (!check_address(c, a, la, len) || !translate(c, a->view, a->need, la))
    return false;
  return (la & 0xfff) + len <= 0x1000 || translate(c, a->view, a->need, next_page(c, la));
}

static struct access_path path(struct cpu *c, const struct op *op, unsigned need)
{
  if (op)
    c->at = op;
  return (struct access_path){.op = op, .view = c->tlbs->view, .need = need};
}

// ---- for instructions ----

// Where the bytes are, if a tag of the view says that the access is fast.
static void *fast(const struct cpu *c, const struct tlbe *view, uint64_t la, unsigned len, bool write)
{
  const struct tlbe *e = &view[la >> 12 & (TLB_SIZE - 1)];
  return len && tlb_hit(write ? e->wtag : e->rtag, la, len) ? (void *)(la + e->add) : NULL;
}

// Not every caller has looked at the view before.
static uint64_t load(struct cpu *c, const struct op *op, unsigned need, uint64_t la, unsigned size)
{
  const void *p = fast(c, c->tlb, la, size, need == MMU_W);
  uint64_t v = 0;
  if (p) {
    copy(&v, p, size);
    return v;
  }
  struct access_path a = path(c, op, need);
  access_all(c, &a, la, &v, size, false);
  return v;
}

uint64_t mem_load(struct cpu *c, const struct op *op, uint64_t la, unsigned size)
{
  return load(c, op, MMU_R, la, size);
}

uint64_t mem_load_rmw(struct cpu *c, const struct op *op, uint64_t la, unsigned size)
{
  return load(c, op, MMU_W, la, size);
}

void mem_store(struct cpu *c, const struct op *op, uint64_t la, unsigned size, uint64_t value)
{
  struct access_path a = path(c, op, MMU_W);
  access_all(c, &a, la, &value, size, true);
}

bool mem_read(struct cpu *c, const struct op *op, uint64_t la, void *buf, unsigned len)
{
  const void *p = fast(c, c->tlb, la, len, false);
  if (likely(p)) {
    copy(buf, p, len);
    return true;
  }
  if (!len)
    return true;
  struct access_path a = path(c, op, MMU_R);
  return access_all(c, &a, la, buf, len, false);
}

bool mem_write(struct cpu *c, const struct op *op, uint64_t la, const void *buf, unsigned len)
{
  void *p = fast(c, c->tlb, la, len, true);
  if (likely(p)) {
    copy(p, buf, len);
    return true;
  }
  if (!len)
    return true;
  struct access_path a = path(c, op, MMU_W);
  return access_all(c, &a, la, (void *)buf, len, true);
}

bool mem_probe_write(struct cpu *c, const struct op *op, uint64_t la, unsigned len)
{
  if (!len || fast(c, c->tlb, la, len, true))
    return true;
  struct access_path a = path(c, op, MMU_W);
  return probe(c, &a, la, len);
}

bool mem_probe_read(struct cpu *c, const struct op *op, uint64_t la, unsigned len)
{
  if (!len || fast(c, c->tlb, la, len, false))
    return true;
  struct access_path a = path(c, op, MMU_R);
  return probe(c, &a, la, len);
}

void *mem_ptr(struct cpu *c, const struct op *op, uint64_t la, unsigned len, bool write)
{
  void *p = fast(c, c->tlb, la, len, write);
  if (p || !len || (la & 0xfff) + len > 0x1000)
    return p;
  struct access_path a = path(c, op, write ? MMU_W : MMU_R);
  if (!check_address(c, &a, la, len))
    return NULL;
  struct tlb_cold *k = translate(c, a.view, a.need, la);
  if (!k)
    return NULL;
  if (write)
    tlb_allow_write(c, &c->tlbs->current->view[a.view], k);
  return fast(c, c->tlb, la, len, write);
}

// ---- for the processor itself ----

static unsigned view_of(const struct cpu *c, unsigned cpl)
{
  if (cpl == 3)
    return VIEW_USER;
  return (c->sysflags & FL_AC) && (c->cr4 & CR4_SMAP) ? VIEW_SUPER_AC : VIEW_SUPER;
}

static bool own_access(struct cpu *c, unsigned view, uint64_t la, void *buf, unsigned len, bool write)
{
  if (!len)
    return true;
  struct view *v = tlb_view_ready(c->tlbs, c->tlbs->current, view);
  void *p = fast(c, v->hot, la, len, write);
  if (likely(p)) {
    copy(write ? p : buf, write ? buf : p, len);
    return true;
  }
  struct access_path a = {.view = view, .need = write ? MMU_W : MMU_R};
  return access_all(c, &a, la, buf, len, write);
}

bool sys_read(struct cpu *c, uint64_t la, void *buf, unsigned len)
{
  return own_access(c, VIEW_SUPER, la, buf, len, false);
}

bool sys_write(struct cpu *c, uint64_t la, const void *buf, unsigned len)
{
  return own_access(c, VIEW_SUPER, la, (void *)buf, len, true);
}

bool sys_probe_write(struct cpu *c, uint64_t la, unsigned len)
{
  struct access_path a = {.view = VIEW_SUPER, .need = MMU_W};
  return !len || probe(c, &a, la, len);
}

bool cpl_read(struct cpu *c, unsigned cpl, uint64_t la, void *buf, unsigned len)
{
  return own_access(c, view_of(c, cpl), la, buf, len, false);
}

bool cpl_write(struct cpu *c, unsigned cpl, uint64_t la, const void *buf, unsigned len)
{
  return own_access(c, view_of(c, cpl), la, (void *)buf, len, true);
}

// ---- fetching ----

static struct tlb_cold *fetch_page(struct cpu *c, uint64_t la)
{
  if (unlikely(!canonical(la))) {
    raise_gp(c, 0);
    return NULL;
  }
  struct tlb *t = c->tlbs;
  struct tlb_cold *k = translate(c, t->view, MMU_X, la);
  if (k && k->ram != RAM_NONE)
    tlb_allow_fetch(&t->current->view[t->view], k);
  return k;
}

uint64_t mem_fetch(struct cpu *c, uint64_t la)
{
  const struct tlbe *e = tlb_slot(c, la);
  if (likely(e->xtag == (la & ~0xfffull)))
    return (uintptr_t)(la + e->add) - (uintptr_t)c->ram->mem;
  const struct tlb_cold *k = fetch_page(c, la);
  return k && k->ram != RAM_NONE ? k->ram + (la & 0xfff) : RAM_NONE;
}

unsigned mem_fetch_bytes(struct cpu *c, uint64_t la, uint8_t *buf, unsigned want)
{
  struct access_path a = {.view = c->tlbs->view, .need = MMU_X};
  unsigned done = 0;
  while (done < want) {
    const struct tlb_cold *k = fetch_page(c, la);
    if (!k)
      break;
    unsigned n = 0x1000 - (la & 0xfff);
    if (n > want - done)
      n = want - done;
    page_read(c, &a, k, la, buf + done, n);
    done += n;
    la = next_page(c, la);
  }
  return done;
}

// ---- system-physical memory ----

uint64_t phys_read(struct cpu *c, uint64_t pa, unsigned size)
{
  uint64_t v = 0;
  struct txn t = device_txn(c, pa, size, TXN_READ);
  cpu_bus_access(c, &t, &v);
  return v;
}

void phys_write(struct cpu *c, uint64_t pa, unsigned size, uint64_t value)
{
  struct txn t = device_txn(c, pa, size, TXN_WRITE);
  cpu_bus_access(c, &t, &value);
}

// ---- for the debugger ----

bool mem_debug_translate(struct cpu *c, uint64_t la, uint64_t *pa)
{
  struct walk w;
  if (!canonical(la) || !mmu_peek(c, la, &w))
    return false;
  *pa = (w.pa | (la & ((1ull << w.shift) - 1))) & c->a20_mask;
  return true;
}

bool mem_debug_read(struct cpu *c, uint64_t la, void *buf, unsigned len)
{
  uint8_t *p = buf;
  while (len) {
    uint64_t pa;
    unsigned n = 0x1000 - (la & 0xfff);
    if (n > len)
      n = len;
    if (!mem_debug_translate(c, la, &pa))
      return false;
    struct txn t = device_txn(c, pa, n, TXN_READ);
    t.debug = true;
    bool rom;
    uint64_t off = cpu_ram_page(c, pa & ~0xfffull, &rom);
    if (off != RAM_NONE)
      memcpy(p, c->ram->mem + off + (pa & 0xfff), n);
    else if (bus_transfer(c->bus, &t, p, n) != TXN_OK)
      return false;
    p += n;
    la += n;
    len -= n;
  }
  return true;
}
