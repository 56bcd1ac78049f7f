// The TLB tagged by ASID: what a world switch keeps, and what each flush removes, and nothing else.
// APM2 15.16, 15.25.4.
#include <string.h>

#include "nest.h"

#define GPA 0x40800000u
#define LA  0xc0800000u
#define OLD (BED_DATA + 0x1000)
#define NEW (BED_DATA + 0x2000)

static struct bed *mapped(void)
{
  struct bed *b = nest_new(PAGING_4LEVEL, PAGING_4LEVEL);
  bed_map(b, b->c->cr3, LA, GPA, 12, W | U);
  nest_map(b, GPA, OLD, 12, W | U);
  return b;
}

// What a fill costs is how a test sees whether something was kept.
static uint64_t fills(struct bed *b)
{
  return tlb_stats(b->c).fills;
}
static uint64_t walks(struct bed *b)
{
  return tlb_stats(b->c).walks;
}

static void a_world_switch_keeps_the_entries_of_both_worlds(void **state)
{
  struct bed *b = mapped();
  struct cpu *c = b->c;
  uint64_t guest_cr3 = c->cr3, host_cr3 = bed_space(b), host_key = 0, guest_key = 0, ram;
  bed_map(b, host_cr3, LA, NEW, 12, W | U);
  for (unsigned i = 0; i < 10; i++) {
    uint64_t before = fills(b);
    c->guest = false; // both worlds' registers differ in all that rights depend on
    c->cr0 |= CR0_WP;
    c->cr4 |= CR4_SMEP | CR4_SMAP | CR4_PKE;
    c->efer |= EFER_NXE;
    c->cr3 = host_cr3;
    nest_leave(b);
    c->sysflags |= FL_AC;
    bed_mode(b);
    assert_int_equal(nest_access(b, 'w', LA + 8), 0);
    assert_reads(b, LA, NEW);
    c->sysflags &= ~FL_AC;
    assert_true(i == 0 || c->jump_key == host_key);
    host_key = c->jump_key;
    c->cr0 &= ~(uint64_t)CR0_WP;
    c->cr4 &= ~(uint64_t)(CR4_SMEP | CR4_SMAP | CR4_PKE);
    c->efer &= ~(uint64_t)EFER_NXE;
    c->cr3 = guest_cr3;
    nest_enter(b, 1);
    assert_reads(b, LA, OLD);
    assert_true(bed_write(b, LA + 8, 1));
    assert_true(bed_fetch(b, LA, &ram));
    assert_int_equal(ram, OLD);
    assert_true(i == 0 || c->jump_key == guest_key);
    guest_key = c->jump_key;
    if (i)
      assert_int_equal(fills(b), before);
  }
  assert_int_not_equal(host_key, guest_key);
  nest_free(b);
}

static void two_asids_have_their_own_nested_tables(void **state)
{
  struct bed *b = mapped();
  uint64_t first = b->ncr3, second = nest_space(b);
  b->ncr3 = second;
  nest_map(b, GPA, NEW, 12, W | U);
  for (unsigned i = 0; i < 4; i++) {
    uint64_t before = fills(b);
    b->c->svm->ncr3 = first;
    nest_enter(b, 1);
    assert_reads(b, LA, OLD);
    b->c->svm->ncr3 = second;
    nest_enter(b, 2);
    assert_reads(b, LA, NEW);
    if (i)
      assert_int_equal(fills(b), before);
  }
  nest_free(b);
}

static void more_asids_than_contexts_lose_nothing(void **state)
{
  struct bed *b = mapped(); // which has 4 contexts
  for (unsigned round = 0; round < 3; round++) {
    uint64_t before = walks(b);
    for (unsigned asid = 1; asid <= 20; asid++) {
      nest_enter(b, asid);
      assert_reads(b, LA, OLD);
    }
    if (round)
      assert_int_equal(walks(b), before);
  }
  nest_free(b);
}

// ---- stale nested entries ----

static void a_stale_nested_entry_stays_until_its_asid_is_flushed(void **state)
{
  struct bed *b = mapped();
  struct cpu *c = b->c;
  assert_reads(b, LA, OLD);
  nest_map(b, GPA, NEW, 12, W | U);
  assert_reads(b, LA, OLD);
  // Of what a guest does, and of INVLPGA, the linear entry dies, the guest-physical one stays.
  tlb_flush_page(c, LA);
  assert_reads(b, LA, OLD);
  assert_true(cr3_write(c, c->cr3));
  assert_reads(b, LA, OLD);
  assert_true(cr4_write(c, c->cr4 ^ CR4_PGE));
  assert_reads(b, LA, OLD);
  tlb_flush_linear(c, false);
  assert_reads(b, LA, OLD);
  nest_leave(b);
  tlb_flush_page_asid(c, LA, 1);
  tlb_flush_asid(c, 2); // another's
  tlb_flush_asid(c, 0); // the host's
  assert_true(cr3_write(c, c->cr3));
  nest_enter(b, 1);
  assert_reads(b, LA, OLD);
  nest_leave(b);
  tlb_flush_asid(c, 1);
  nest_enter(b, 1);
  assert_reads(b, LA, NEW);
  nest_map(b, GPA, OLD, 12, W | U);
  nest_leave(b);
  tlb_flush_all(c);
  nest_enter(b, 1);
  assert_reads(b, LA, OLD);
  nest_free(b);
}

static void flushing_all_but_global_pages_keeps_those(void **state)
{
  struct bed *b = mapped();
  struct cpu *c = b->c;
  assert_true(cr4_write(c, c->cr4 | CR4_PGE));
  bed_map(b, c->cr3, LA + 0x5000, GPA, 12, W | U | G);
  assert_reads(b, LA, OLD);
  assert_reads(b, LA + 0x5000, OLD);
  nest_map(b, GPA, NEW, 12, W | U);
  nest_leave(b);
  tlb_flush_asid_nonglobal(c, 1);
  nest_enter(b, 1);
  assert_reads(b, LA, NEW);
  assert_reads(b, LA + 0x5000, OLD);
  nest_leave(b);
  tlb_flush_asid(c, 1);
  nest_enter(b, 1);
  assert_reads(b, LA + 0x5000, NEW);
  // The global bit of a nested entry means nothing.
  nest_map(b, GPA + 0x7000, OLD, 12, W | U | G);
  bed_map(b, c->cr3, LA + 0x7000, GPA + 0x7000, 12, W | U);
  assert_reads(b, LA + 0x7000, OLD);
  bed_map(b, c->cr3, LA + 0x7000, GPA, 12, W | U);
  assert_true(cr3_write(c, c->cr3));
  assert_reads(b, LA + 0x7000, NEW);
  nest_free(b);
}

static void a_linear_entry_of_the_guest_dies_by_what_removes_it(void **state)
{
  struct bed *b = mapped();
  struct cpu *c = b->c;
  nest_map(b, GPA + 4096, NEW, 12, W | U);
  for (unsigned how = 0; how < 7; how++) {
    bed_map(b, c->cr3, LA, GPA, 12, W | U);
    tlb_flush_all(c);
    bed_mode(b);
    assert_reads(b, LA, OLD);
    bed_map(b, c->cr3, LA, GPA + 4096, 12, W | U);
    assert_reads(b, LA, OLD);
    bool dies = true;
    nest_leave(b);
    switch (how) {
    case 0:
      tlb_flush_page_asid(c, LA, 1);
      break;
    case 1:
      tlb_flush_asid(c, 1);
      break;
    case 2:
      tlb_flush_asid_nonglobal(c, 1);
      break;
    case 3:
      tlb_flush_page(c, LA); // the host's own
      dies = false;
      break;
    case 4:
      tlb_flush_page_asid(c, LA, 2);
      dies = false;
      break;
    case 5:
      tlb_flush_page_asid(c, LA + 4096, 1);
      dies = false;
      break;
    case 6:
      tlb_flush_linear(c, true);
      dies = false;
      break;
    }
    nest_enter(b, 1);
    assert_reads(b, LA, dies ? NEW : OLD);
  }
  nest_free(b);
}

static void more_nested_rights_need_no_flush(void **state)
{
  for (unsigned guest = PAGING_4LEVEL; guest <= UNPAGED; guest++) {
    struct bed *b = nest_new(guest, PAGING_4LEVEL);
    uint64_t la = guest == UNPAGED ? GPA : LA;
    if (guest != UNPAGED)
      bed_map(b, b->c->cr3, LA, GPA, 12, W | U);
    nest_map(b, GPA, OLD, 12, U | NX);
    assert_reads(b, la, OLD);
    assert_npf(b, 'w', la, NPF_FINAL | PF_P | PF_USER | PF_WRITE, GPA);
    nest_map(b, GPA, OLD, 12, W | U | NX);
    assert_true(bed_write(b, la + 8, 1));
    assert_npf(b, 'x', la, NPF_FINAL | PF_P | PF_USER | PF_FETCH, GPA);
    nest_map(b, GPA, OLD, 12, W | U);
    assert_int_equal(nest_access(b, 'x', la), 0);
    assert_true(bed_write(b, la + 8, 1));
    // Fewer do: until then the page can be written.
    nest_map(b, GPA, OLD, 12, U);
    assert_true(bed_write(b, la + 8, 1));
    tlb_flush_asid(b->c, 1);
    assert_npf(b, 'w', la, NPF_FINAL | PF_P | PF_USER | PF_WRITE, GPA);
    nest_free(b);
  }
}

static void a_nested_fault_removes_the_entry(void **state)
{
  struct bed *b = mapped();
  assert_reads(b, LA, OLD); // not dirty: a write has to walk
  nest_set(b, GPA, 1, 0);
  assert_reads(b, LA, OLD);
  assert_npf(b, 'w', LA, NPF_FINAL | PF_USER | PF_WRITE, GPA);
  assert_npf(b, 'r', LA, NPF_FINAL | PF_USER, GPA);
  nest_free(b);
}

static void asids_are_told_apart_by_all_their_bits(void **state)
{
  struct bed *b = mapped();
  assert_reads(b, LA, OLD);
  nest_map(b, GPA, NEW, 12, W | U);
  for (unsigned bit = 1; bit < 16; bit++) {
    nest_enter(b, 1 | 1u << bit);
    assert_reads(b, LA, NEW);
    nest_enter(b, 1);
    assert_reads(b, LA, OLD);
  }
  nest_free(b);
}

// Of one ASID: software that changes these in the VMCB without a flush.
static void modes_of_one_guest_do_not_share_views(void **state)
{
  struct bed *b = nest_new(PAGING_4LEVEL, PAGING_4LEVEL);
  struct cpu *c = b->c;
  // A guest without paging does not use what one with paging left.
  bed_map(b, c->cr3, GPA, GPA + 0x5000, 12, W | U);
  nest_map(b, GPA, OLD, 12, W | U);
  nest_map(b, GPA + 0x5000, NEW, 12, W | U);
  assert_reads(b, GPA, NEW);
  c->cr0 &= ~(uint64_t)CR0_PG;
  nest_enter(b, 1);
  assert_reads(b, GPA, OLD);
  c->cr0 |= CR0_PG;
  nest_enter(b, 1);
  assert_reads(b, GPA, NEW);
  // GMET.
  nest_map(b, GPA + 0x5000, NEW, 12, W);
  tlb_flush_asid(c, 1);
  c->svm->np_gmet = true;
  nest_enter(b, 1);
  assert_reads(b, GPA, NEW);
  c->svm->np_gmet = false;
  nest_enter(b, 1);
  assert_npf(b, 'r', GPA, NPF_FINAL | PF_P | PF_USER, GPA + 0x5000);
  nest_free(b);
}

// ---- pages of two sizes ----

static void invlpg_removes_all_pieces_of_the_guests_page(void **state)
{
  for (unsigned how = 0; how < 2; how++) {
    struct bed *b = nest_new(PAGING_4LEVEL, PAGING_4LEVEL);
    struct cpu *c = b->c;
    for (unsigned i = 0; i < 1024; i++)
      nest_map(b, GPA + i * 4096, BED_DATA + i * 4096, 12, W | U);
    for (unsigned i = 0; i < 4; i++) {
      bed_map(b, c->cr3, LA + i * 2 * MB, GPA, 21, W | U);
      for (unsigned k = 0; k < 8; k++)
        assert_reads(b, LA + i * 2 * MB + k * 0x9000, BED_DATA + k * 0x9000);
      bed_map(b, c->cr3, LA + i * 2 * MB, GPA + 2 * MB, 21, W | U);
    }
    for (unsigned i = 0; i < 4; i += 2)
      if (how == 0)
        tlb_flush_page(c, LA + i * 2 * MB + 0x1ff000);
      else
        tlb_flush_page_asid(c, LA + i * 2 * MB + 0x1ff000, 1);
    for (unsigned round = 0; round < 2; round++) // from the views, and without them
      for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < 8; k++)
          assert_reads(b, LA + i * 2 * MB + k * 0x9000, BED_DATA + (i & 1 ? 0 : 2 * MB) + k * 0x9000);
        if (i == 3)
          tlb_drop_views(c);
      }
    nest_free(b);
  }
}

// ---- references ----

static void what_is_kept_of_nested_tables_spares_references(void **state)
{
  struct bed *b = mapped();
  struct cpu *c = b->c;
  for (unsigned i = 0; i < 16; i++) {
    bed_map(b, c->cr3, LA + i * 4096, GPA + i * 4096, 12, W | U);
    nest_map(b, GPA + i * 4096, OLD, 12, W | U);
  }
  assert_reads(b, LA, OLD);
  struct tlb_stats s = tlb_stats(c);
  struct tlb_walks first = s.kind[WALK_NESTED];
  assert_int_equal(first.walks, 1);
  assert_int_equal(first.table_refs, 4);
  assert_int_equal(first.nested_walks + first.nested_hits, 5);
  assert_int_equal(first.nested_refs + first.nested_saved, 20); // 4 tables and the page, 4 levels each
  for (unsigned i = 1; i < 16; i++)
    assert_reads(b, LA + i * 4096, OLD);
  struct tlb_walks all = tlb_stats(c).kind[WALK_NESTED];
  assert_int_equal(all.walks, 16);
  assert_int_equal(all.table_refs - first.table_refs, 15 * 4);
  assert_int_equal(all.nested_walks - first.nested_walks, 15); // only the pages themselves
  assert_int_equal(all.nested_refs - first.nested_refs, 15 * 4);
  assert_int_equal(all.nested_hits - first.nested_hits, 15 * 4);
  assert_int_equal(all.nested_saved - first.nested_saved, 15 * 16);
  struct tlb_asid_stats a = tlb_asid_stats(c, 1);
  assert_int_equal(a.fills, 16);
  assert_int_equal(a.kept, 16);
  assert_int_equal(a.nested_kept, 16 + 4);
  assert_int_equal(tlb_asid_stats(c, 2).kept, 0);
  assert_int_equal(tlb_asid_stats(c, 2).nested_kept, 0);
  // A host's walk is another kind, and what the debugger looks at is none.
  uint64_t pa;
  assert_true(mem_debug_translate(c, LA, &pa));
  assert_memory_equal(&tlb_stats(c).kind[WALK_NESTED], &all, sizeof all);
  tlb_flush_asid(c, 1);
  a = tlb_asid_stats(c, 1);
  assert_int_equal(a.flushes, 1);
  assert_int_equal(a.kept + a.nested_kept, 0);
  nest_free(b);
}

static void walks_count_by_whose_tables_they_go_through(void **state)
{
  struct bed *b = mapped();
  struct cpu *c = b->c;
  assert_reads(b, LA, OLD);
  nest_leave(b);
  bed_map(b, c->cr3, LA, BED_DATA, 12, W | U);
  uint64_t v;
  for (unsigned i = 0; i < 3; i++) {
    tlb_flush_all(c);
    bed_read(b, LA, &v);
  }
  nest_enter(b, 2);
  c->svm->np = false;
  tlb_flush_all(c);
  bed_read(b, LA, &v);
  struct tlb_stats s = tlb_stats(c);
  assert_int_equal(s.kind[WALK_NESTED].walks, 1);
  assert_int_equal(s.kind[WALK_HOST].walks, 3);
  assert_int_equal(s.kind[WALK_HOST].table_refs, 12);
  assert_int_equal(s.kind[WALK_SHADOW].walks, 1);
  assert_int_equal(s.kind[WALK_SHADOW].table_refs, 4);
  assert_int_equal(s.kind[WALK_SHADOW].nested_refs + s.kind[WALK_HOST].nested_refs, 0);
  assert_int_equal(s.walks, 5);
  nest_free(b);
}

// ---- at random ----

// Reference: the guest frames that the guest's tables have named for a page since a flush of it, and the
// frames that the nested tables have named for a guest frame since a flush of the ASID. A read must give one
// of the second kind of one of the first kind.
enum { R_PAGES = 5, R_GUEST = 5, R_FRAMES = 20, R_ASIDS = 3 };
static uint64_t rng = 88172645463325252ull;
static unsigned below(unsigned n)
{
  rng ^= rng << 13;
  rng ^= rng >> 7;
  rng ^= rng << 17;
  return (rng >> 20) % n;
}

struct world {
  uint64_t cr3, ncr3;
  unsigned guest[R_PAGES], host[R_GUEST];
  uint32_t may_guest[R_PAGES], may_host[R_GUEST];
};

static void linear_flushed(struct world *w, unsigned page)
{
  w->may_guest[page] = 1u << w->guest[page];
}
static void all_flushed(struct world *w)
{
  for (unsigned i = 0; i < R_PAGES; i++)
    linear_flushed(w, i);
  for (unsigned i = 0; i < R_GUEST; i++)
    w->may_host[i] = 1u << w->host[i];
}
static void map_guest(struct bed *b, struct world *w, unsigned page, unsigned gframe)
{
  w->guest[page] = gframe;
  w->may_guest[page] |= 1u << gframe;
  bed_map(b, w->cr3, LA + page * 4096, GPA + gframe * 4096, 12, W | U);
}
static void map_host(struct bed *b, struct world *w, unsigned gframe, unsigned frame)
{
  w->host[gframe] = frame;
  w->may_host[gframe] |= 1u << frame;
  b->ncr3 = w->ncr3;
  nest_map(b, GPA + gframe * 4096, BED_DATA + frame * 4096, 12, W | U);
}
static void enter(struct bed *b, const struct world *w, unsigned asid)
{
  b->c->cr3 = w->cr3;
  b->c->svm->ncr3 = w->ncr3;
  nest_enter(b, asid);
}

static void no_read_sees_what_a_flush_has_removed(void **state)
{
  struct bed *b = nest_new(PAGING_4LEVEL, PAGING_4LEVEL);
  struct cpu *c = b->c;
  struct world world[R_ASIDS];
  unsigned stale = 0, now = 0;
  memset(world, 0, sizeof world);
  for (unsigned i = 0; i < R_ASIDS; i++) {
    struct world *w = &world[i];
    w->cr3 = i ? bed_space(b) : c->cr3;
    w->ncr3 = i ? nest_space(b) : b->ncr3;
    for (unsigned k = 0; k < R_PAGES; k++)
      map_guest(b, w, k, below(R_GUEST));
    for (unsigned k = 0; k < R_GUEST; k++)
      map_host(b, w, k, below(R_FRAMES));
  }
  enter(b, &world[0], 1);
  for (unsigned step = 0; step < 60000; step++) {
    unsigned i = below(R_ASIDS), page = below(R_PAGES);
    struct world *w = &world[now];
    switch (below(20)) {
    case 0:
      map_guest(b, &world[i], page, below(R_GUEST));
      break;
    case 1:
      map_host(b, &world[i], below(R_GUEST), below(R_FRAMES));
      break;
    case 2:
      tlb_flush_page(c, LA + page * 4096);
      linear_flushed(w, page);
      break;
    case 3:
      tlb_flush_page_asid(c, LA + page * 4096, i + 1);
      linear_flushed(&world[i], page);
      break;
    case 4:
      assert_true(cr3_write(c, c->cr3));
      for (unsigned k = 0; k < R_PAGES; k++)
        linear_flushed(w, k);
      break;
    case 5:
      if (below(4))
        break;
      tlb_flush_asid(c, i + 1);
      all_flushed(&world[i]);
      break;
    case 6:
      if (below(4))
        break;
      tlb_flush_asid_nonglobal(c, i + 1);
      all_flushed(&world[i]);
      break;
    case 7:
      if (below(20))
        break;
      tlb_flush_all(c);
      for (unsigned k = 0; k < R_ASIDS; k++)
        all_flushed(&world[k]);
      break;
    case 8:
    case 9:
      if (below(2))
        nest_leave(b);
      enter(b, &world[i], i + 1);
      now = i;
      break;
    case 10:
      if (!below(10))
        tlb_drop_views(c);
      break;
    default: {
      uint64_t v;
      assert_true(bed_read(b, LA + page * 4096, &v));
      uint32_t may = 0;
      for (unsigned k = 0; k < R_GUEST; k++)
        if (w->may_guest[page] >> k & 1)
          may |= w->may_host[k];
      unsigned f = (v - BED_DATA) / 4096;
      if (f >= R_FRAMES || !(may >> f & 1))
        fail_msg("step %u: ASID %u page %u gives frame %u, may be %x", step, now + 1, page, f, may);
      stale += f != w->host[w->guest[page]];
    }
    }
  }
  assert_true(stale > 1000); // the TLB is one that keeps things
  nest_free(b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_world_switch_keeps_the_entries_of_both_worlds),
      cmocka_unit_test(two_asids_have_their_own_nested_tables),
      cmocka_unit_test(more_asids_than_contexts_lose_nothing),
      cmocka_unit_test(a_stale_nested_entry_stays_until_its_asid_is_flushed),
      cmocka_unit_test(flushing_all_but_global_pages_keeps_those),
      cmocka_unit_test(a_linear_entry_of_the_guest_dies_by_what_removes_it),
      cmocka_unit_test(more_nested_rights_need_no_flush),
      cmocka_unit_test(a_nested_fault_removes_the_entry),
      cmocka_unit_test(asids_are_told_apart_by_all_their_bits),
      cmocka_unit_test(modes_of_one_guest_do_not_share_views),
      cmocka_unit_test(invlpg_removes_all_pieces_of_the_guests_page),
      cmocka_unit_test(what_is_kept_of_nested_tables_spares_references),
      cmocka_unit_test(walks_count_by_whose_tables_they_go_through),
      cmocka_unit_test(no_read_sees_what_a_flush_has_removed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
