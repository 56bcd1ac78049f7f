// Nested paging: translation in every pair of modes and sizes, rights of both stages, accessed and dirty
// bits. APM2 15.25.
#include <string.h>

#include "nest.h"

struct size_row {
  unsigned mode, shift;
};
static const struct size_row guests[] = {
    {UNPAGED, 12},    {PAGING_2LEVEL, 12}, {PAGING_2LEVEL, 22}, {PAGING_PAE, 12},
    {PAGING_PAE, 21}, {PAGING_4LEVEL, 12}, {PAGING_4LEVEL, 21}, {PAGING_4LEVEL, 30},
};
static const struct size_row hosts[] = {
    {PAGING_2LEVEL, 12}, {PAGING_2LEVEL, 22}, {PAGING_PAE, 12},    {PAGING_PAE, 21},
    {PAGING_4LEVEL, 12}, {PAGING_4LEVEL, 21}, {PAGING_4LEVEL, 30},
};
enum { SPAN = 4 * MB }; // what the tests map: a multiple of every size but the largest

#define GPA 0x40800000u // of BED_DATA, 8 MB
#define LA  0xc0800000u

struct seen {
  uint64_t la, size, guest_size;
};

static void keep(void *arg, const struct tlb_info *i)
{
  struct seen *s = arg;
  if (i->asid == 1 && s->la >= i->la && s->la - i->la < i->size) {
    s->size = i->size;
    s->guest_size = i->guest_size;
  }
}

// Pages of 4 KB are mapped out of order, so that each must be looked up.
static void each_pair_of_modes_and_sizes_translates(void **state)
{
  for (unsigned g = 0; g < sizeof guests / sizeof guests[0]; g++)
    for (unsigned h = 0; h < sizeof hosts / sizeof hosts[0]; h++) {
      unsigned gshift = guests[g].shift, hshift = hosts[h].shift;
      bool unpaged = guests[g].mode == UNPAGED;
      uint64_t la = unpaged ? GPA : LA, gswap = gshift == 12 && !unpaged ? 0x2000 : 0,
               hswap = hshift == 12 ? 0x1000 : 0;
      struct bed *b = nest_new(guests[g].mode, hosts[h].mode);
      struct cpu *c = b->c;
      if (gshift == 30)
        bed_map(b, c->cr3, LA - 8 * MB, GPA - 8 * MB, 30, W | U);
      for (uint64_t off = 0; off < SPAN && gshift < 30 && !unpaged; off += 1ull << gshift)
        bed_map(b, c->cr3, la + off, GPA + (off ^ gswap), gshift, W | U);
      if (hshift == 30)
        nest_map(b, GPA - 8 * MB, 0, 30, W | U);
      for (uint64_t off = 0; off < SPAN && hshift < 30; off += 1ull << hshift)
        nest_map(b, GPA + off, BED_DATA + (off ^ hswap), hshift, W | U);
      for (unsigned round = 0; round < 2; round++)
        for (uint64_t off = 0; off < SPAN; off += 5 * 4096)
          assert_reads(b, la + off, BED_DATA + (off ^ gswap ^ hswap));
      uint64_t off = 0x203008, pa = BED_DATA + (off ^ gswap ^ hswap);
      assert_true(bed_write(b, la + off, 0x1122334455667788));
      assert_int_equal(*(uint64_t *)(b->ram.mem + pa), 0x1122334455667788);
      uint64_t ram;
      assert_true(bed_fetch(b, la + off, &ram));
      assert_int_equal(ram, pa);
      if (!unpaged) {
        struct seen s = {.la = la + off};
        tlb_each(c, keep, &s);
        assert_int_equal(s.size, 1ull << (gshift < hshift ? gshift : hshift));
        assert_int_equal(s.guest_size, 1ull << gshift);
      }
      assert_int_equal(b->npfs, 0);
      nest_free(b);
    }
}

static void the_tables_of_the_guest_lie_in_guest_physical_memory(void **state)
{
  for (unsigned guest = PAGING_2LEVEL; guest <= PAGING_4LEVEL; guest++)
    for (unsigned host = PAGING_2LEVEL; host <= PAGING_4LEVEL; host++) {
      struct bed *b = nest_new(guest, host);
      bed_map(b, b->c->cr3, LA, GPA, 12, W | U);
      nest_map(b, GPA, BED_DATA + 0x5000, 12, W | U);
      uint64_t table[4]; // are moved, and what the guest calls them leads to the new place
      for (unsigned i = 0; i < bed_levels(b); i++)
        table[i] = bed_entry(b, b->c->cr3, LA, i + 1) & ~0xfffull;
      for (unsigned i = 0; i < bed_levels(b); i++) {
        memcpy(b->ram.mem + 32 * MB + table[i], b->ram.mem + table[i], 4096);
        memset(b->ram.mem + table[i], 0xff, 4096);
        nest_map(b, table[i], 32 * MB + table[i], 12, W | U);
      }
      assert_reads(b, LA, BED_DATA + 0x5000);
      nest_free(b);
    }
}

// ---- rights ----

static void rights_are_those_of_both_stages(void **state)
{
  struct bed *b = nest_new(PAGING_4LEVEL, PAGING_4LEVEL);
  struct cpu *c = b->c;
  for (unsigned i = 0; i < 1u << 8; i++) {
    bool gu = i & 1, gw = i & 2, gx = i & 4, hu = i & 8, hw = i & 16, hx = i & 32, user = i & 64,
         wp = i & 128;
    c->cr0 = (c->cr0 & ~(uint64_t)CR0_WP) | (wp ? CR0_WP : 0);
    bed_cpl(b, user ? 3 : 0);
    bed_map(b, c->cr3, LA, GPA, 12, (gu ? U : 0) | (gw ? W : 0) | (gx ? 0 : NX));
    nest_map(b, GPA, BED_DATA, 12, (hu ? U : 0) | (hw ? W : 0) | (hx ? 0 : NX));
    for (unsigned order = 0; order < 3; order++) { // each kind of access comes first once
      tlb_flush_asid(c, 1);
      for (unsigned k = 0; k < 6; k++) {
        char access = "rwx"[(k + order) % 3];
        unsigned kind = access == 'w' ? PF_WRITE : access == 'x' ? PF_FETCH : 0;
        bool guest_ok = (gu || !user) && (access == 'r' || (access == 'w' ? gw || (!user && !wp) : gx));
        bool host_ok = hu && (access == 'r' || (access == 'w' ? hw : hx));
        if (!guest_ok)
          assert_pf(b, access, LA, PF_P | kind | (user ? PF_USER : 0));
        else if (!host_ok)
          assert_npf(b, access, LA + 0x18, NPF_FINAL | PF_P | PF_USER | kind, GPA + 0x18);
        else
          assert_int_equal(nest_access(b, access, LA), 0);
      }
    }
  }
  nest_free(b);
}

static void a_guest_without_paging_has_the_rights_of_the_nested_tables(void **state)
{
  struct bed *b = nest_new(UNPAGED, PAGING_PAE);
  nest_map(b, GPA, BED_DATA, 12, U | NX);
  for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
    bed_cpl(b, cpl);
    assert_reads(b, GPA, BED_DATA);
    assert_npf(b, 'w', GPA + 8, NPF_FINAL | PF_P | PF_USER | PF_WRITE, GPA + 8);
    assert_npf(b, 'x', GPA, NPF_FINAL | PF_P | PF_USER | PF_FETCH, GPA);
    assert_npf(b, 'r', GPA + 0x1010, NPF_FINAL | PF_USER, GPA + 0x1010);
  }
  nest_free(b);
}

static void nested_no_execute_is_the_hosts(void **state)
{
  struct bed *b = nest_new(PAGING_4LEVEL, PAGING_4LEVEL);
  b->c->efer &= ~(uint64_t)EFER_NXE; // the guest's has no say
  bed_map(b, b->c->cr3, LA, GPA, 12, W | U);
  nest_map(b, GPA, BED_DATA, 12, W | U | NX);
  bed_mode(b);
  assert_npf(b, 'x', LA, NPF_FINAL | PF_P | PF_USER | PF_FETCH, GPA);
  b->c->svm->host_efer &= ~(uint64_t)EFER_NXE; // now the bit is reserved
  assert_npf(b, 'x', LA, NPF_FINAL | PF_P | PF_USER | PF_RSVD, GPA);
  b->c->svm->host_cr4 |= CR4_SMEP;
  assert_npf(b, 'x', LA, NPF_FINAL | PF_P | PF_USER | PF_RSVD | PF_FETCH, GPA);
  nest_free(b);
}

// With GMET the U bit decides which privilege may execute, and nothing else.
static void gmet_tells_code_of_user_and_supervisor_apart(void **state)
{
  for (unsigned guest = PAGING_4LEVEL; guest <= UNPAGED; guest++) {
    struct bed *b = nest_new(guest == PAGING_4LEVEL ? PAGING_4LEVEL : UNPAGED, PAGING_4LEVEL);
    uint64_t la = guest == UNPAGED ? GPA : LA;
    b->c->svm->np_gmet = true;
    for (unsigned i = 0; i < 8; i++) {
      bool user = i & 1, hu = i & 2, table = i & 4;
      bed_cpl(b, user ? 3 : 0);
      if (guest == PAGING_4LEVEL) {
        bed_map(b, b->c->cr3, la, GPA, 12, W | U);
        uint64_t page =
            bed_entry(b, b->c->cr3, la, 1) & ~0xfffull; // the guest's tables may lie in either kind of page
        nest_map(b, page, page, 12, W | (table ? U : 0));
      }
      nest_map(b, GPA, BED_DATA, 12, W | (hu ? U : 0));
      tlb_flush_asid(b->c, 1);
      for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(nest_access(b, 'r', la), 0);
        assert_int_equal(nest_access(b, 'w', la), 0);
        if (hu == user)
          assert_int_equal(nest_access(b, 'x', la), 0);
        else
          assert_npf(b, 'x', la, NPF_FINAL | PF_P | PF_FETCH | (user ? PF_USER : 0), GPA);
      }
    }
    nest_free(b);
  }
}

// ---- accessed and dirty bits ----

static void accessed_and_dirty_bits_are_set_in_both_stages(void **state)
{
  for (unsigned host = PAGING_2LEVEL; host <= PAGING_4LEVEL; host++) {
    struct bed *b = nest_new(PAGING_4LEVEL, host);
    uint64_t cr3 = b->c->cr3;
    bed_map(b, cr3, LA, GPA, 12, W | U);
    nest_map(b, GPA, BED_DATA, 12, W | U);
    assert_reads(b, LA, BED_DATA);
    for (unsigned level = 1; level <= 4; level++) {
      uint64_t at = bed_entry(b, cr3, LA, level);
      assert_int_equal(bed_get(b, at) & (A | D), A);
      assert_int_equal(nest_get(b, at, 1) & (A | D), A | D); // references to tables are writes
      assert_int_equal(nest_get(b, at, 2) & A, A);
    }
    assert_int_equal(nest_get(b, GPA, 1) & (A | D), A);
    assert_true(bed_write(b, LA + 8, 1));
    assert_int_equal(bed_get(b, bed_entry(b, cr3, LA, 1)) & (A | D), A | D);
    assert_int_equal(nest_get(b, GPA, 1) & (A | D), A | D);
    nest_free(b);
  }
}

static void a_dirty_bit_in_one_stage_alone_is_not_enough(void **state)
{
  struct bed *b = nest_new(PAGING_4LEVEL, PAGING_4LEVEL);
  bed_map(b, b->c->cr3, LA, GPA, 12, W | U | A | D);
  nest_map(b, GPA, BED_DATA, 12, W | U);
  assert_reads(b, LA, BED_DATA);
  assert_true(bed_write(b, LA + 8, 1));
  assert_int_equal(nest_get(b, GPA, 1) & D, D);
  bed_map(b, b->c->cr3, LA + 4096, GPA + 4096, 12, W | U);
  nest_map(b, GPA + 4096, BED_DATA, 12, W | U | A | D);
  assert_reads(b, LA + 4096, BED_DATA);
  assert_true(bed_write(b, LA + 4096 + 8, 1));
  assert_int_equal(bed_get(b, bed_entry(b, b->c->cr3, LA + 4096, 1)) & D, D);
  nest_free(b);
}

static void the_guests_page_is_not_dirty_if_the_nested_page_refuses_the_write(void **state)
{
  struct bed *b = nest_new(PAGING_4LEVEL, PAGING_4LEVEL);
  bed_map(b, b->c->cr3, LA, GPA, 12, W | U);
  nest_map(b, GPA, BED_DATA, 12, U);
  assert_npf(b, 'w', LA, NPF_FINAL | PF_P | PF_USER | PF_WRITE, GPA);
  assert_int_equal(bed_get(b, bed_entry(b, b->c->cr3, LA, 1)) & (A | D), 0);
  assert_int_equal(nest_get(b, GPA, 1) & (A | D), 0);
  nest_free(b);
}

static void read_only_guest_tables_are_written_only_for_accessed_and_dirty_bits(void **state)
{
  struct bed *b = nest_new(PAGING_4LEVEL, PAGING_4LEVEL);
  uint64_t cr3 = b->c->cr3;
  b->c->svm->np_rogpt = true;
  bed_map(b, cr3, LA, GPA, 12, W | U);
  nest_map(b, GPA, BED_DATA, 12, W | U);
  for (unsigned level = 1; level <= 4; level++) {
    uint64_t at = bed_entry(b, cr3, LA, level);
    nest_map(b, at & ~0xfffull, at & ~0xfffull, 12, U);
  }
  tlb_flush_asid(b->c, 1);
  for (unsigned level = 4; level >= 1; level--) { // from the top each A bit is a write that is refused
    uint64_t at = bed_entry(b, cr3, LA, level);
    assert_npf(b, 'r', LA, NPF_TABLE | PF_P | PF_USER | PF_WRITE, at);
    bed_set(b, at, bed_get(b, at) | A);
  }
  assert_reads(b, LA, BED_DATA);
  for (unsigned level = 1; level <= 4; level++)
    assert_int_equal(nest_get(b, bed_entry(b, cr3, LA, level), 1) & D, 0);
  uint64_t leaf = bed_entry(b, cr3, LA, 1);
  assert_npf(b, 'w', LA, NPF_TABLE | PF_P | PF_USER | PF_WRITE, leaf);
  nest_map(b, leaf & ~0xfffull, leaf & ~0xfffull, 12, W | U);
  assert_true(bed_write(b, LA, 1)); // more rights need no flush
  assert_int_equal(bed_get(b, leaf) & D, D);
  assert_int_equal(nest_get(b, leaf, 1) & D, D);
  nest_free(b);
}

static void type(void *arg, const struct tlb_info *i)
{
  *(uint8_t *)arg = i->memtype;
}

static void the_memory_type_is_of_both_stages(void **state)
{
  struct bed *b = nest_new(PAGING_4LEVEL, PAGING_4LEVEL);
  uint8_t t = 0xff;
  b->c->pat = 0x0600;        // 0: UC, 1: WB; the host's, for the nested tables
  b->c->svm->g_pat = 0x0104; // 0: WT, 1: WC; the guest's
  enum { PWT = 8 };
  static const struct {
    unsigned guest, host, type;
  } rows[] = {{0, PWT, 4}, {PWT, PWT, 1}, {0, 0, 0}, {PWT, 0, 0}};
  for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    bed_map(b, b->c->cr3, LA, GPA, 12, W | U | rows[i].guest);
    nest_map(b, GPA, BED_DATA, 12, W | U | rows[i].host);
    tlb_flush_asid(b->c, 1);
    assert_reads(b, LA, BED_DATA);
    tlb_each(b->c, type, &t);
    assert_int_equal(t, rows[i].type);
  }
  nest_free(b);
}

// ---- the debugger ----

static void the_debugger_sees_through_both_stages_and_leaves_no_trace(void **state)
{
  struct bed *b = nest_new(PAGING_PAE, PAGING_4LEVEL);
  uint64_t pa, v = 0;
  bed_map(b, b->c->cr3, LA, GPA, 12, 0);
  assert_false(mem_debug_translate(b->c, LA, &pa));
  nest_map(b, GPA, BED_DATA + 0x3000, 12, 0);
  assert_true(mem_debug_translate(b->c, LA + 0x123, &pa));
  assert_int_equal(pa, BED_DATA + 0x3123);
  assert_true(mem_debug_read(b->c, LA, &v, 8));
  assert_int_equal(v, BED_DATA + 0x3000);
  assert_int_equal(b->npfs, 0);
  assert_int_equal(nest_get(b, GPA, 1) & A, 0);
  assert_int_equal(nest_get(b, b->c->cr3, 1) & A, 0);
  assert_int_equal(bed_get(b, bed_entry(b, b->c->cr3, LA, 1)) & A, 0);
  assert_int_equal(tlb_stats(b->c).kind[WALK_NESTED].nested_walks, 0);
  nest_free(b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_pair_of_modes_and_sizes_translates),
      cmocka_unit_test(the_tables_of_the_guest_lie_in_guest_physical_memory),
      cmocka_unit_test(rights_are_those_of_both_stages),
      cmocka_unit_test(a_guest_without_paging_has_the_rights_of_the_nested_tables),
      cmocka_unit_test(nested_no_execute_is_the_hosts),
      cmocka_unit_test(gmet_tells_code_of_user_and_supervisor_apart),
      cmocka_unit_test(accessed_and_dirty_bits_are_set_in_both_stages),
      cmocka_unit_test(a_dirty_bit_in_one_stage_alone_is_not_enough),
      cmocka_unit_test(the_guests_page_is_not_dirty_if_the_nested_page_refuses_the_write),
      cmocka_unit_test(read_only_guest_tables_are_written_only_for_accessed_and_dirty_bits),
      cmocka_unit_test(the_memory_type_is_of_both_stages),
      cmocka_unit_test(the_debugger_sees_through_both_stages_and_leaves_no_trace),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
