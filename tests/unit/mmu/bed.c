// The bed of bed.h, and doubles for the parts of cpu/ that it goes without.
#include "bed.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/insn.h"
#include "cpu/lapic.h"
#include "cpu/msr.h"
#include "cpu/smm.h"
#include "cpu/svm/svm.h"

static struct bed *bed_of(const struct cpu *c)
{
  return c->engine;
}

// ---- doubles ----

bool raise_error(struct cpu *c, uint8_t vector, uint32_t error)
{
  c->fault = (struct fault){.vector = vector, .has_error = true, .error = error};
  c->faulted = true;
  return false;
}
bool raise_pf(struct cpu *c, uint64_t address, uint32_t error)
{
  raise_error(c, VEC_PF, error);
  c->fault.address = address;
  return false;
}
bool svm_exit_npf(struct cpu *c, uint64_t gpa, uint64_t error)
{
  bed_of(c)->npfs++;
  bed_of(c)->npf_gpa = gpa;
  bed_of(c)->npf_error = error;
  c->fault = (struct fault){.vector = BED_NPF};
  c->faulted = true;
  return false;
}
bool debug_page_watched(const struct cpu *c, uint64_t la)
{
  return bed_of(c)->watched && (la & ~0xfffull) == bed_of(c)->watched;
}
void debug_check_data(struct cpu *c, uint64_t la, unsigned len, bool write)
{
  c->db_bits |= 1;
}
bool debug_has_fetch_breakpoints(const struct cpu *c)
{
  return false;
}
void cpu_stop_block(struct cpu *c, const struct op *op)
{
  bed_of(c)->stops++;
}
bool lapic_mmio_hit(const struct cpu *c, uint64_t pa)
{
  return false;
}
uint64_t lapic_mmio_read(struct cpu *c, uint64_t off, unsigned size)
{
  return 0;
}
void lapic_mmio_write(struct cpu *c, uint64_t off, unsigned size, uint64_t v)
{
}
uint64_t smm_ram_page(struct cpu *c, uint64_t pa, bool *rom)
{
  return RAM_NONE;
}
bool smm_access(struct cpu *c, const struct txn *t, uint64_t *v)
{
  return false;
}
void lapic_set_tpr(struct cpu *c, uint8_t tpr)
{
}
uint8_t mtrr_type(const struct cpu *c, uint64_t pa)
{
  return MEM_WB;
}
uint8_t memtype_combine(uint8_t mtrr, uint8_t pat)
{
  return mtrr == MEM_UC ? MEM_UC : pat;
}

static uint64_t device_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct bed *b = dev;
  b->device_reads++;
  assert_int_equal(t->requester, TXN_FROM_CPU);
  return 0xd0 + off;
}
static void device_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct bed *b = dev;
  b->device_writes++;
  b->device_value = value;
  if (b->device_drops)
    tlb_map_changed(b->c);
}
static const struct bus_ops device_ops = {.read = device_read, .write = device_write, .max_size = 8};

static void ram_written(void *arg, uint64_t off, uint64_t len)
{
  struct bed *b = arg;
  b->written++;
  b->written_off = off;
  b->written_len = len;
}

// ---- the bed ----

static void set_model(struct model *m)
{
  m->name = "test";
  m->phys_bits = 48;
  m->linear_bits = 48;
  m->asids = 64;
  memset(m->word, 0xff, sizeof m->word);
}

struct bed *bed_new(enum paging paging)
{
  struct bed *b = calloc(1, sizeof *b);
  assert_non_null(b);
  assert_true(ram_init(&b->ram, BED_RAM + MB, NULL));
  b->ram.written = ram_written;
  b->ram.written_arg = b;
  assert_true(bus_init(&b->bus, &b->ram, &b->log));
  uint64_t low = ram_alloc(&b->ram, BED_RAM), rom = ram_alloc(&b->ram, MB);
  bus_map_ram(&b->bus, &b->low, "ram", 0, BED_RAM, low, 0, false);
  bus_map_ram(&b->bus, &b->rom, "rom", BED_ROM, MB, rom, 0, true);
  bus_map_io(&b->bus, &b->device, "device", BED_DEVICE, 0x10000, &device_ops, b);
  for (uint64_t pa = BED_DATA; pa < BED_RAM; pa += 4096)
    memcpy(b->ram.mem + pa, &pa, 8);
  set_model(&b->model);

  struct cpu *c = aligned_alloc(64, (sizeof *c + 63) & ~63ul);
  assert_non_null(c);
  memset(c, 0, sizeof *c);
  b->c = c;
  c->engine = b;
  c->bus = &b->bus;
  c->ram = &b->ram;
  c->log = &b->log;
  c->model = &b->model;
  c->phys_mask = (1ull << 48) - 1;
  c->a20_mask = ~0ull;
  c->pat = 0x0007040600070406ull;
  c->fx.mxcsr = 0x1f80;
  c->fx.fcw = 0x37f;
  assert_true(tlb_init(c, 4));
  for (unsigned i = 0; i < SEG_COUNT; i++)
    c->seg[i] = (struct seg){.limit = 0xffffffff,
                             .attr = SEGA_P | SEGA_S | SEGA_DB | SEGA_G | (i == SEG_CS ? 0xb : 3)};

  b->paging = paging;
  b->next = BED_TABLES;
  c->cr3 = bed_space(b);
  c->cr0 = CR0_PE | CR0_PG | CR0_WP | CR0_ET;
  c->cr4 = paging == PAGING_2LEVEL ? CR4_PSE : CR4_PAE;
  if (paging == PAGING_4LEVEL) {
    c->efer = EFER_LME | EFER_LMA;
    c->seg[SEG_CS].attr = (c->seg[SEG_CS].attr & ~SEGA_DB) | SEGA_L;
  }
  if (paging != PAGING_2LEVEL)
    c->efer |= EFER_NXE;
  bed_mode(b);
  return b;
}

void bed_free(struct bed *b)
{
  tlb_free(b->c);
  free(b->c);
  bus_free(&b->bus);
  ram_free(&b->ram);
  free(b);
}

void bed_mode(struct bed *b)
{
  cpu_mode_update(b->c);
}

void bed_cpl(struct bed *b, unsigned cpl)
{
  b->c->cpl = cpl;
  bed_mode(b);
}

// ---- tables ----

static uint64_t new_table(struct bed *b)
{
  uint64_t pa = b->next;
  b->next += 4096;
  assert_true(b->next <= 4 * MB);
  return pa;
}

uint64_t bed_space(struct bed *b)
{
  uint64_t cr3 = new_table(b);
  if (b->paging == PAGING_PAE) {
    for (unsigned i = 0; i < 4; i++) {
      uint64_t e = new_table(b) | P;
      memcpy(b->ram.mem + cr3 + 8 * i, &e, 8);
      if (!b->c->cr3)
        b->c->pdpte[i] = e;
    }
  }
  return cr3;
}

unsigned bed_levels(const struct bed *b)
{
  return b->paging == PAGING_2LEVEL ? 2 : b->paging == PAGING_PAE ? 3 : 4;
}

static unsigned entry_size(const struct bed *b)
{
  return b->paging == PAGING_2LEVEL ? 4 : 8;
}

uint64_t bed_get(struct bed *b, uint64_t pa)
{
  uint64_t v = 0;
  memcpy(&v, b->ram.mem + pa, entry_size(b));
  return v;
}

void bed_set(struct bed *b, uint64_t pa, uint64_t entry)
{
  memcpy(b->ram.mem + pa, &entry, entry_size(b));
}

static uint64_t entry_at(struct bed *b, uint64_t table, uint64_t la, unsigned level)
{
  unsigned bits = b->paging == PAGING_2LEVEL ? 10 : 9;
  return table + (la >> (12 + (level - 1) * bits) & ((1u << bits) - 1)) * entry_size(b);
}

uint64_t bed_entry(struct bed *b, uint64_t cr3, uint64_t la, unsigned level)
{
  uint64_t table = cr3 & ~0xfffull;
  for (unsigned l = bed_levels(b);; l--) {
    uint64_t at = entry_at(b, table, b->paging == PAGING_PAE ? la & 0xffffffff : la, l), e = bed_get(b, at);
    if (l == level)
      return at;
    if (!(e & P) || (e & PS))
      return 0;
    table = e & 0x000ffffffffff000ull;
  }
}

void bed_map(struct bed *b, uint64_t cr3, uint64_t la, uint64_t pa, unsigned shift, uint64_t flags)
{
  unsigned leaf = shift == 12 ? 1 : shift == 30 ? 3 : 2;
  for (unsigned l = bed_levels(b); l > leaf; l--) {
    uint64_t at = bed_entry(b, cr3, la, l);
    if (!(bed_get(b, at) & P))
      bed_set(b, at, new_table(b) | P | W | U);
  }
  uint64_t e = (pa & 0x000ffffffffff000ull) | flags | P | (leaf > 1 ? PS : 0);
  if (shift == 22)
    e = (pa & 0xffc00000) | (pa >> 32 & 0xff) << 13 | flags | P | PS;
  bed_set(b, bed_entry(b, cr3, la, leaf), e);
}

// ---- accesses ----

static bool done(struct bed *b)
{
  bool ok = !b->c->faulted;
  b->c->faulted = false;
  return ok;
}

bool bed_read(struct bed *b, uint64_t la, uint64_t *v)
{
  static const struct op op = {.seg = SEG_DS};
  op_load(b->c, &op, la, 8, v);
  return done(b);
}

bool bed_write(struct bed *b, uint64_t la, uint64_t v)
{
  static const struct op op = {.seg = SEG_DS};
  op_store(b->c, &op, la, 8, v);
  return done(b);
}

bool bed_fetch(struct bed *b, uint64_t la, uint64_t *ram)
{
  *ram = mem_fetch(b->c, la);
  return done(b);
}
