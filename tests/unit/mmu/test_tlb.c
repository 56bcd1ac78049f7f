// The tagged TLB: what each flush removes and what it must leave, contexts, large pages, jump keys.
// APM2 5.5, 15.16.
#include "bed.h"

#define LA  0x00007f0000005000ull
#define OLD (BED_DATA + 0x1000)
#define NEW (BED_DATA + 0x2000)

// Maps la to another page behind the TLB's back.
static void remap(struct bed *b, uint64_t cr3, uint64_t la, uint64_t pa, uint64_t flags)
{
  bed_map(b, cr3, la, pa, 12, flags);
}

// A TLB that holds la as OLD while the tables say NEW.
static struct bed *stale_bed(uint64_t flags)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  b->c->cr4 |= CR4_PGE;
  bed_mode(b);
  remap(b, b->c->cr3, LA, OLD, flags);
  assert_reads(b, LA, OLD);
  remap(b, b->c->cr3, LA, NEW, flags);
  assert_reads(b, LA, OLD);
  return b;
}

static void an_entry_stays_until_it_is_flushed(void **state)
{
  struct bed *b = stale_bed(W);
  bed_set(b, bed_entry(b, b->c->cr3, LA, 1), 0); // not present any more
  assert_reads(b, LA, OLD);
  for (unsigned i = 0; i < 10; i++) { // the views come and go, the entry stays
    tlb_drop_views(b->c);
    assert_reads(b, LA, OLD);
  }
  tlb_flush_page(b->c, LA + 0x123);
  assert_fault(b, LA, 0);
  bed_free(b);
}

static void an_entry_survives_the_eviction_of_its_slot(void **state)
{
  struct bed *b = stale_bed(W);
  uint64_t other = LA + TLB_SIZE * 4096ull; // the same slot of the view
  bed_map(b, b->c->cr3, other, BED_DATA + 0x9000, 12, W);
  assert_reads(b, other, BED_DATA + 0x9000);
  assert_reads(b, LA, OLD);
  bed_free(b);
}

static void more_rights_need_no_flush(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  assert_fault(b, LA, 0);
  remap(b, b->c->cr3, LA, OLD, 0);
  assert_reads(b, LA, OLD);
  assert_false(bed_write(b, LA + 8, 1));
  remap(b, b->c->cr3, LA, OLD, W | NX);
  assert_true(bed_write(b, LA + 8, 1));
  uint64_t ram;
  assert_false(bed_fetch(b, LA, &ram));
  remap(b, b->c->cr3, LA, OLD, W);
  assert_true(bed_fetch(b, LA, &ram));
  bed_cpl(b, 3);
  uint64_t v;
  assert_false(bed_read(b, LA, &v));
  remap(b, b->c->cr3, LA, OLD, W | U);
  assert_reads(b, LA, OLD);
  bed_free(b);
}

static void fewer_rights_need_one(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  remap(b, b->c->cr3, LA, OLD, W);
  assert_true(bed_write(b, LA + 8, 1));
  remap(b, b->c->cr3, LA, OLD, 0);
  assert_true(bed_write(b, LA + 8, 1));
  tlb_flush_page(b->c, LA);
  assert_false(bed_write(b, LA + 8, 1));
  bed_free(b);
}

static void a_fault_removes_the_entry(void **state)
{
  struct bed *b = stale_bed(0);
  bed_set(b, bed_entry(b, b->c->cr3, LA, 1), NEW | P);
  assert_false(bed_write(b, LA, 1)); // walks, and faults
  assert_reads(b, LA, NEW);
  bed_free(b);
}

// The entry is one for all privileges: a walk that replaces it is seen from each.
static void a_walk_replaces_the_entry_for_all_privileges(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  remap(b, b->c->cr3, LA, OLD, U);
  bed_cpl(b, 3);
  assert_reads(b, LA, OLD);
  bed_cpl(b, 0);
  assert_reads(b, LA, OLD);
  remap(b, b->c->cr3, LA, NEW, W | U);
  assert_true(bed_write(b, LA + 8, 1)); // has to walk
  assert_reads(b, LA, NEW);
  bed_cpl(b, 3);
  assert_reads(b, LA, NEW);
  bed_free(b);
}

// ---- MOV CR3 and global pages ----

static void loading_cr3_flushes_all_but_global_pages(void **state)
{
  struct bed *b = stale_bed(W);
  assert_true(cr3_write(b->c, b->c->cr3));
  assert_reads(b, LA, NEW);
  bed_free(b);

  b = stale_bed(W | G);
  assert_true(cr3_write(b->c, b->c->cr3));
  assert_reads(b, LA, OLD);
  tlb_flush_page(b->c, LA);
  assert_reads(b, LA, NEW);
  bed_free(b);
}

static void the_global_bit_means_nothing_without_pge(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  remap(b, b->c->cr3, LA, OLD, W | G);
  assert_reads(b, LA, OLD);
  remap(b, b->c->cr3, LA, NEW, W | G);
  assert_true(cr3_write(b->c, b->c->cr3));
  assert_reads(b, LA, NEW);
  bed_free(b);
}

static void toggling_pge_flushes_global_pages(void **state)
{
  struct bed *b = stale_bed(W | G);
  assert_true(cr4_write(b->c, b->c->cr4 & ~(uint64_t)CR4_PGE));
  assert_reads(b, LA, NEW);
  bed_free(b);
}

static void changes_of_rights_bits_flush_nothing(void **state)
{
  struct bed *b = stale_bed(W);
  assert_true(cr0_write(b->c, b->c->cr0 & ~(uint64_t)CR0_WP));
  bed_mode(b);
  assert_reads(b, LA, OLD);
  assert_true(cr4_write(b->c, b->c->cr4 | CR4_SMEP | CR4_SMAP));
  bed_mode(b);
  assert_reads(b, LA, OLD);
  bed_free(b);
}

// ---- PCIDs ----

static struct bed *pcid_bed(uint64_t flags, uint64_t *other)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  assert_true(cr4_write(b->c, b->c->cr4 | CR4_PCIDE | CR4_PGE));
  *other = bed_space(b);
  remap(b, b->c->cr3, LA, OLD, flags);
  remap(b, *other, LA, NEW, flags);
  return b;
}

static void each_pcid_has_its_own_entries(void **state)
{
  uint64_t other;
  struct bed *b = pcid_bed(W, &other);
  uint64_t one = b->c->cr3 | 1, two = other | 2, keep = 1ull << 63;
  assert_true(cr3_write(b->c, one | keep));
  assert_reads(b, LA, OLD);
  assert_true(cr3_write(b->c, two | keep));
  assert_reads(b, LA, NEW);
  remap(b, b->c->cr3 & ~0xfffull, LA, OLD, W);
  remap(b, one & ~0xfffull, LA, NEW, W);
  for (unsigned i = 0; i < 3; i++) { // both are stale now, and stay so
    assert_true(cr3_write(b->c, one | keep));
    assert_int_equal(b->c->cr3, one);
    assert_reads(b, LA, OLD);
    assert_true(cr3_write(b->c, two | keep));
    assert_reads(b, LA, NEW);
  }
  // Without bit 63 only the PCID that is loaded is emptied.
  assert_true(cr3_write(b->c, two));
  assert_reads(b, LA, OLD);
  assert_true(cr3_write(b->c, one | keep));
  assert_reads(b, LA, OLD);
  bed_free(b);
}

static void more_pcids_than_contexts_lose_nothing(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL); // 4 contexts
  assert_true(cr4_write(b->c, b->c->cr4 | CR4_PCIDE));
  uint64_t cr3 = b->c->cr3;
  for (unsigned pcid = 1; pcid <= 12; pcid++) {
    remap(b, cr3, LA, BED_DATA + pcid * 4096, W);
    assert_true(cr3_write(b->c, cr3 | pcid | 1ull << 63));
    assert_reads(b, LA, BED_DATA + pcid * 4096);
  }
  // One set has few ways: the latest ones at least are there still.
  for (unsigned pcid = 10; pcid <= 12; pcid++) {
    assert_true(cr3_write(b->c, cr3 | pcid | 1ull << 63));
    assert_reads(b, LA, BED_DATA + pcid * 4096);
  }
  bed_free(b);
}

static void invpcid_removes_what_its_type_says(void **state)
{
  for (unsigned global = 0; global < 2; global++)
    for (unsigned type = 0; type < 4; type++) {
      uint64_t other;
      struct bed *b = pcid_bed(W | (global ? G : 0), &other);
      uint64_t cr3 = b->c->cr3, keep = 1ull << 63;
      // Entries of PCID 1 and 2 that have become stale.
      assert_true(cr3_write(b->c, cr3 | 1 | keep));
      assert_reads(b, LA, OLD);
      if (!global) {
        assert_true(cr3_write(b->c, other | 2 | keep));
        assert_reads(b, LA, NEW);
      }
      remap(b, cr3, LA, BED_DATA + 0x7000, W | (global ? G : 0));
      remap(b, other, LA, BED_DATA + 0x8000, W | (global ? G : 0));
      switch (type) { // as seen from PCID 2
      case 0:
        tlb_flush_page_pcid(b->c, LA, 1);
        break;
      case 1:
        tlb_flush_pcid(b->c, 1);
        break;
      case 2:
        tlb_flush_asid(b->c, 0);
        break;
      default:
        tlb_flush_asid_nonglobal(b->c, 0);
      }
      assert_true(cr3_write(b->c, cr3 | 1 | keep));
      bool gone = type == 2 || !global;
      assert_reads(b, LA, gone ? BED_DATA + 0x7000 : OLD);
      if (!global) {
        assert_true(cr3_write(b->c, other | 2 | keep));
        assert_reads(b, LA, type >= 2 ? BED_DATA + 0x8000 : NEW);
      }
      bed_free(b);
    }
}

static void invlpg_removes_global_entries_from_all_pcids(void **state)
{
  uint64_t other;
  struct bed *b = pcid_bed(W | G, &other);
  uint64_t cr3 = b->c->cr3, keep = 1ull << 63;
  assert_true(cr3_write(b->c, cr3 | 1 | keep));
  assert_reads(b, LA, OLD);
  assert_true(cr3_write(b->c, other | 2 | keep));
  assert_reads(b, LA, OLD); // it is global
  tlb_flush_page(b->c, LA);
  assert_reads(b, LA, NEW);
  bed_free(b);
}

static void invlpg_leaves_other_pcids_alone(void **state)
{
  uint64_t other;
  struct bed *b = pcid_bed(W, &other);
  uint64_t cr3 = b->c->cr3, keep = 1ull << 63;
  assert_true(cr3_write(b->c, cr3 | 1 | keep));
  assert_reads(b, LA, OLD);
  assert_true(cr3_write(b->c, other | 2 | keep));
  remap(b, cr3, LA, BED_DATA + 0x7000, W);
  tlb_flush_page(b->c, LA);
  assert_true(cr3_write(b->c, cr3 | 1 | keep));
  assert_reads(b, LA, OLD);
  bed_free(b);
}

static void clearing_pcide_flushes_everything(void **state)
{
  uint64_t other;
  struct bed *b = pcid_bed(W, &other);
  assert_reads(b, LA, OLD);
  remap(b, b->c->cr3, LA, NEW, W);
  assert_true(cr4_write(b->c, b->c->cr4 & ~(uint64_t)CR4_PCIDE));
  assert_reads(b, LA, NEW);
  bed_free(b);
}

// ---- ASIDs ----

static void two_asids_map_one_address_to_two_pages(void **state)
{
  for (unsigned global = 0; global < 2; global++) {
    struct bed *b = stale_bed(W | (global ? G : 0));
    tlb_set_context(b->c, 5, 0, true);
    assert_reads(b, LA, NEW);
    tlb_set_context(b->c, 0, 0, true);
    assert_reads(b, LA, OLD);
    // Flushes of one leave the other.
    remap(b, b->c->cr3, LA, BED_DATA + 0x7000, W);
    tlb_flush_asid(b->c, 0);
    assert_reads(b, LA, BED_DATA + 0x7000);
    tlb_set_context(b->c, 5, 0, true);
    assert_reads(b, LA, NEW);
    tlb_flush_page(b->c, LA + 4096);
    assert_reads(b, LA, NEW);
    tlb_set_context(b->c, 0, 0, true);
    tlb_flush_page(b->c, LA);
    tlb_flush_page_asid(b->c, LA, 6);
    tlb_set_context(b->c, 5, 0, true);
    assert_reads(b, LA, NEW);
    tlb_set_context(b->c, 0, 0, true);
    tlb_flush_page_asid(b->c, LA, 5);
    tlb_set_context(b->c, 5, 0, true);
    assert_reads(b, LA, BED_DATA + 0x7000);
    remap(b, b->c->cr3, LA, OLD, W);
    tlb_set_context(b->c, 0, 0, true);
    tlb_flush_all(b->c);
    tlb_set_context(b->c, 5, 0, true);
    assert_reads(b, LA, OLD);
    bed_free(b);
  }
}

static void flushing_an_asid_but_global_pages_keeps_those(void **state)
{
  for (unsigned global = 0; global < 2; global++) {
    struct bed *b = stale_bed(W | (global ? G : 0));
    tlb_flush_asid_nonglobal(b->c, 0);
    assert_reads(b, LA, global ? OLD : NEW);
    bed_free(b);
  }
}

// ---- large pages ----

static void invlpg_anywhere_removes_the_whole_large_page(void **state)
{
  static const struct {
    enum paging paging;
    unsigned shift;
    uint64_t la, old, new, reach;
  } rows[] = {{PAGING_4LEVEL, 21, 0x7f0000200000, 8 * MB, 16 * MB, 2 * MB},
              {PAGING_PAE, 21, 0x80200000, 8 * MB, 16 * MB, 2 * MB},
              {PAGING_2LEVEL, 22, 0x80400000, 8 * MB, 16 * MB, 4 * MB}};
  for (unsigned i = 0; i < 3; i++)
    for (unsigned dropped = 0; dropped < 2; dropped++) {
      struct bed *b = bed_new(rows[i].paging);
      uint64_t la = rows[i].la, cr3 = b->c->cr3;
      bed_map(b, cr3, la, rows[i].old, rows[i].shift, W);
      for (uint64_t off = 0; off < rows[i].reach; off += 0x11000)
        assert_reads(b, la + off, rows[i].old + off);
      bed_map(b, cr3, la, rows[i].new, rows[i].shift, W);
      for (uint64_t off = 0; off < rows[i].reach; off += 0x11000)
        assert_reads(b, la + off, rows[i].old + off);
      // One entry: addresses not touched before are stale too.
      assert_reads(b, la + 0x1000, rows[i].old + 0x1000);
      if (dropped)
        tlb_drop_views(b->c);
      tlb_flush_page(b->c, la + rows[i].reach); // the neighbour
      assert_reads(b, la, rows[i].old);
      tlb_flush_page(b->c, la + rows[i].reach - 1);
      for (uint64_t off = 0; off < rows[i].reach; off += 0x11000)
        assert_reads(b, la + off, rows[i].new + off);
      bed_free(b);
    }
}

static void a_page_of_1_gb_is_one_entry(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  uint64_t la = 0xffffc00000000000ull;
  bed_map(b, b->c->cr3, la, 0, 30, W);
  assert_reads(b, la + 8 * MB, 8 * MB);
  assert_int_equal(tlb_stats(b->c).walks, 1);
  for (uint64_t off = 8 * MB; off < 60 * MB; off += MB)
    assert_reads(b, la + off, off);
  assert_int_equal(tlb_stats(b->c).walks, 1);
  bed_set(b, bed_entry(b, b->c->cr3, la, 3), 0);
  tlb_flush_page(b->c, la + 900 * MB);
  for (uint64_t off = 8 * MB; off < 60 * MB; off += MB)
    assert_fault(b, la + off, 0);
  bed_free(b);
}

static void count(void *arg, const struct tlb_info *i)
{
  struct tlb_info *found = arg;
  if (i->la == found->la)
    *found = *i;
}

static void the_entries_can_be_listed(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  b->c->cr4 |= CR4_PGE;
  bed_map(b, b->c->cr3, 0xffff888000200000, 8 * MB, 21, W | G | NX | D);
  bed_map(b, b->c->cr3, 0x5000, BED_DATA, 12, U);
  assert_reads(b, 0xffff888000207000, 8 * MB + 0x7000);
  assert_reads(b, 0x5000, BED_DATA);
  struct tlb_info big = {.la = 0xffff888000200000}, small = {.la = 0x5000}, gone = {.la = 0x5000};
  tlb_each(b->c, count, &big);
  assert_int_equal(big.size, 2 * MB);
  assert_int_equal(big.pa, 8 * MB);
  assert_true(big.global && big.write && big.nx && big.dirty && !big.user);
  assert_int_equal(big.memtype, 6);
  tlb_each(b->c, count, &small);
  assert_int_equal(small.size, 4096);
  assert_true(small.user && !small.write && !small.global && !small.nx && !small.dirty);
  tlb_flush_page(b->c, 0x5000);
  tlb_each(b->c, count, &gone);
  assert_int_equal(gone.size, 0);
  bed_free(b);
}

// ---- views ----

static void a_change_of_the_map_keeps_translations(void **state)
{
  struct bed *b = stale_bed(W);
  struct region over;
  memset(&over, 0, sizeof over);
  bus_map_ram(&b->bus, &over, "over", OLD, 4096, BED_DATA + 0x9000, 5, false);
  tlb_map_changed(b->c);
  assert_reads(b, LA, BED_DATA + 0x9000); // what lies at OLD now, not at NEW
  bed_free(b);
}

static void no_fast_write_reaches_a_protected_page(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  uint8_t *flags = &b->ram.flags[OLD >> 12];
  bed_map(b, b->c->cr3, LA, OLD, 12, W | U);
  bed_map(b, b->c->cr3, LA + 0x100000, OLD, 12, W | U); // an alias
  assert_true(bed_write(b, LA, 1));
  assert_true(bed_write(b, LA + 0x100000, 1));
  bed_cpl(b, 3);
  assert_true(bed_write(b, LA, 1));
  assert_true(*flags & RAM_WTLB);
  assert_true(*flags & RAM_DIRTY);
  assert_int_equal(b->written, 0);
  tlb_protect_ram(b->c, OLD);
  *flags = (*flags & ~RAM_WTLB) | RAM_CODE;
  assert_true(bed_write(b, LA + 16, 2));
  assert_int_equal(b->written, 1);
  assert_int_equal(b->written_off, OLD + 16);
  assert_int_equal(b->written_len, 8);
  bed_cpl(b, 0);
  assert_true(bed_write(b, LA, 2));
  assert_true(bed_write(b, LA + 0x100000, 2));
  assert_true(bed_write(b, LA, 2));
  assert_int_equal(b->written, 4);
  // The code is gone: fast again after the next write.
  *flags &= ~RAM_CODE;
  assert_true(bed_write(b, LA, 2));
  assert_int_equal(tlb_slot(b->c, LA)->wtag, LA & ~0xfffull);
  assert_int_equal(b->written, 4);
  bed_free(b);
}

static void jump_keys_change_with_what_they_stand_for(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  struct cpu *c = b->c;
  uint64_t ram;
  bed_map(b, c->cr3, LA, OLD, 12, W | U);
  bed_map(b, c->cr3, LA + 4096, NEW, 12, W | U);
  assert_true(bed_fetch(b, LA, &ram));
  assert_reads(b, LA + 4096, NEW);
  uint64_t key = c->jump_key;
  assert_int_not_equal(key, 0);
  bed_mode(b);
  assert_int_equal(c->jump_key, key);
  bed_cpl(b, 3);
  assert_int_not_equal(c->jump_key, key);
  bed_cpl(b, 0);
  assert_int_equal(c->jump_key, key); // nothing was flushed meanwhile
  tlb_flush_page(c, LA + 4096);       // never fetched from
  assert_int_equal(c->jump_key, key);
  tlb_flush_page(c, LA);
  assert_int_not_equal(c->jump_key, key);
  uint64_t keys[8];
  unsigned n = 0;
  keys[n++] = key;
  keys[n++] = c->jump_key;
  assert_true(bed_fetch(b, LA, &ram));
  assert_true(cr3_write(c, c->cr3));
  keys[n++] = c->jump_key;
  tlb_set_context(c, 1, 0, true);
  keys[n++] = c->jump_key;
  tlb_map_changed(c);
  keys[n++] = c->jump_key;
  c->cr4 |= CR4_SMEP;
  bed_mode(b);
  keys[n++] = c->jump_key;
  for (unsigned i = 0; i < n; i++)
    for (unsigned j = 0; j < i; j++)
      assert_int_not_equal(keys[i], keys[j]);
  bed_free(b);
}

static void each_flush_of_fetched_code_gives_a_new_jump_key(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  struct cpu *c = b->c;
  uint64_t ram, key;
  for (unsigned i = 0; i < 4; i++)
    bed_map(b, c->cr3, LA + i * 4096, OLD, 12, W);
  for (unsigned i = 0; i < 4; i++)
    assert_true(bed_fetch(b, LA + i * 4096, &ram));
  for (unsigned i = 0; i < 4; i++) { // those after the first are in the view all the time
    for (unsigned j = i; j < 4; j++)
      assert_true(bed_fetch(b, LA + j * 4096, &ram));
    key = c->jump_key;
    tlb_flush_page(c, LA + i * 4096);
    assert_int_not_equal(c->jump_key, key);
  }
  bed_free(b);
}

static void global_code_keeps_its_jump_key_when_cr3_is_loaded(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  struct cpu *c = b->c;
  uint64_t ram, key;
  c->cr4 |= CR4_PGE;
  bed_mode(b);
  bed_map(b, c->cr3, LA, OLD, 12, W | G);
  bed_map(b, c->cr3, LA + 4096, NEW, 12, W);
  assert_true(bed_fetch(b, LA, &ram));
  assert_reads(b, LA + 4096, NEW);
  key = c->jump_key;
  uint64_t fills = tlb_stats(c).fills;
  assert_true(cr3_write(c, c->cr3));
  assert_int_equal(c->jump_key, key);
  assert_reads(b, LA, OLD);
  assert_int_equal(tlb_stats(c).fills, fills); // and its place in the view
  remap(b, c->cr3, LA + 4096, BED_DATA + 0x7000, W);
  assert_reads(b, LA + 4096, BED_DATA + 0x7000);
  // With code from another page as well all is forgotten.
  assert_true(bed_fetch(b, LA + 4096, &ram));
  assert_true(cr3_write(c, c->cr3));
  assert_int_not_equal(c->jump_key, key);
  // INVLPG and write protection reach global entries of contexts that wait for being cleared.
  assert_true(bed_write(b, LA + 8, 1));
  tlb_set_context(c, 0, 1, true);
  tlb_flush_asid_nonglobal(c, 0);
  remap(b, c->cr3, LA, NEW, W | G);
  tlb_protect_ram(c, OLD);
  tlb_set_context(c, 0, 0, true);
  assert_int_equal(tlb_slot(c, LA)->wtag, TLB_NONE);
  assert_reads(b, LA, OLD);
  tlb_set_context(c, 0, 1, true);
  tlb_flush_asid_nonglobal(c, 0);
  tlb_flush_page(c, LA);
  tlb_set_context(c, 0, 0, true);
  assert_reads(b, LA, NEW);
  bed_free(b);
}

static void jump_keys_tell_code_segments_apart(void **state)
{
  struct bed *b = bed_new(PAGING_2LEVEL);
  struct cpu *c = b->c;
  c->cr0 = 0;
  c->seg[SEG_CS] = (struct seg){.base = 0xf0000, .limit = 0xffff, .attr = SEGA_P | SEGA_S | 3};
  bed_mode(b);
  uint64_t one = c->jump_key;
  c->seg[SEG_CS].base = 0xe0000;
  bed_mode(b);
  uint64_t two = c->jump_key;
  assert_int_not_equal(one, two);
  c->seg[SEG_CS].base = 0xf0000;
  bed_mode(b);
  assert_int_equal(c->jump_key, one);
  c->seg[SEG_CS].limit = 0xfff;
  bed_mode(b);
  assert_int_not_equal(c->jump_key, one);
  bed_free(b);
}

// ---- at random ----

// Reference: for each {ASID, PCID, page} the set of frames that the tables have named since the last flush
// that covers it, as a bit mask. Every read must give one of them.
enum { R_PAGES = 6, R_SPACES = 6 };
static uint64_t rng = 88172645463325252ull;
static unsigned below(unsigned n)
{
  rng ^= rng << 13;
  rng ^= rng >> 7;
  rng ^= rng << 17;
  return (rng >> 20) % n;
}

static void no_read_sees_what_a_flush_has_removed(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  struct cpu *c = b->c;
  assert_true(cr4_write(c, c->cr4 | CR4_PCIDE));
  uint64_t cr3[R_SPACES];
  uint32_t may[R_SPACES][R_PAGES];
  unsigned frame[R_SPACES][R_PAGES], stale = 0;
  for (unsigned s = 0; s < R_SPACES; s++) {
    cr3[s] = s ? bed_space(b) : c->cr3;
    for (unsigned p = 0; p < R_PAGES; p++) {
      frame[s][p] = below(20);
      may[s][p] = 1u << frame[s][p];
      bed_map(b, cr3[s], LA + p * 4096, BED_DATA + frame[s][p] * 4096, 12, W | U);
    }
  }
  unsigned now = 0; // space s: ASID s & 1, PCID s
  for (unsigned step = 0; step < 40000; step++) {
    unsigned s = below(R_SPACES), p = below(R_PAGES);
    switch (below(16)) {
    case 0: // remap without a flush
      frame[s][p] = below(20);
      may[s][p] |= 1u << frame[s][p];
      bed_map(b, cr3[s], LA + p * 4096, BED_DATA + frame[s][p] * 4096, 12, W | U);
      break;
    case 1:
      tlb_flush_page(c, LA + p * 4096);
      may[now][p] = 1u << frame[now][p];
      break;
    case 2:
      tlb_flush_page_asid(c, LA + p * 4096, s & 1);
      for (unsigned i = s & 1; i < R_SPACES; i += 2)
        may[i][p] = 1u << frame[i][p];
      break;
    case 3:
      tlb_flush_pcid(c, now);
      for (unsigned i = 0; i < R_PAGES; i++)
        may[now][i] = 1u << frame[now][i];
      break;
    case 4:
      if (below(8))
        break;
      tlb_flush_asid(c, s & 1);
      for (unsigned k = s & 1; k < R_SPACES; k += 2)
        for (unsigned i = 0; i < R_PAGES; i++)
          may[k][i] = 1u << frame[k][i];
      break;
    case 5:
    case 6:
      c->cr3 = cr3[s] | s;
      tlb_set_context(c, s & 1, s, true);
      now = s;
      break;
    case 7:
      if (!below(10))
        tlb_drop_views(c);
      break;
    case 8:
      bed_cpl(b, below(2) * 3);
      break;
    default: {
      uint64_t v;
      assert_true(bed_read(b, LA + p * 4096, &v));
      unsigned f = (v - BED_DATA) / 4096;
      assert_true(f < 20);
      if (!(may[now][p] >> f & 1))
        fail_msg("step %u: space %u page %u gives frame %u, may be %x", step, now, p, f, may[now][p]);
      stale += f != frame[now][p];
    }
    }
  }
  assert_true(stale > 100); // the TLB is one that keeps things
  bed_free(b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_entry_stays_until_it_is_flushed),
      cmocka_unit_test(an_entry_survives_the_eviction_of_its_slot),
      cmocka_unit_test(more_rights_need_no_flush),
      cmocka_unit_test(fewer_rights_need_one),
      cmocka_unit_test(a_fault_removes_the_entry),
      cmocka_unit_test(a_walk_replaces_the_entry_for_all_privileges),
      cmocka_unit_test(loading_cr3_flushes_all_but_global_pages),
      cmocka_unit_test(the_global_bit_means_nothing_without_pge),
      cmocka_unit_test(toggling_pge_flushes_global_pages),
      cmocka_unit_test(changes_of_rights_bits_flush_nothing),
      cmocka_unit_test(each_pcid_has_its_own_entries),
      cmocka_unit_test(more_pcids_than_contexts_lose_nothing),
      cmocka_unit_test(invpcid_removes_what_its_type_says),
      cmocka_unit_test(invlpg_removes_global_entries_from_all_pcids),
      cmocka_unit_test(invlpg_leaves_other_pcids_alone),
      cmocka_unit_test(clearing_pcide_flushes_everything),
      cmocka_unit_test(two_asids_map_one_address_to_two_pages),
      cmocka_unit_test(flushing_an_asid_but_global_pages_keeps_those),
      cmocka_unit_test(invlpg_anywhere_removes_the_whole_large_page),
      cmocka_unit_test(a_page_of_1_gb_is_one_entry),
      cmocka_unit_test(the_entries_can_be_listed),
      cmocka_unit_test(a_change_of_the_map_keeps_translations),
      cmocka_unit_test(no_fast_write_reaches_a_protected_page),
      cmocka_unit_test(jump_keys_change_with_what_they_stand_for),
      cmocka_unit_test(each_flush_of_fetched_code_gives_a_new_jump_key),
      cmocka_unit_test(global_code_keeps_its_jump_key_when_cr3_is_loaded),
      cmocka_unit_test(jump_keys_tell_code_segments_apart),
      cmocka_unit_test(no_read_sees_what_a_flush_has_removed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
