// Nested page faults: what EXITINFO1 and 2 say, and which fault comes first. APM2 15.25.6.
#include <string.h>

#include "nest.h"

#define GPA 0x40800000u
#define LA  0xc0800000u

static struct bed *mapped(unsigned guest, enum paging host)
{
  struct bed *b = nest_new(guest, host);
  if (guest != UNPAGED)
    bed_map(b, b->c->cr3, LA, GPA, 12, W | U);
  nest_map(b, GPA, BED_DATA, 12, W | U);
  return b;
}

static unsigned levels(enum paging mode)
{
  return mode == PAGING_2LEVEL ? 2 : mode == PAGING_PAE ? 3 : 4;
}

// What an entry of nested tables can have against an access.
struct flaw {
  uint64_t clear, set;
  unsigned code;
};
static const struct flaw flaws[] = {
    {P, 0, 0},
    {W, 0, PF_P | PF_WRITE},
    {U, 0, PF_P},
    {0, NX, PF_P | PF_FETCH},
    {0, 1ull << 50, PF_P | PF_RSVD}, // above the processor's physical addresses
};

// A directory pointer of PAE paging has only the present bit and reserved bits.
static bool has(enum paging host, unsigned level, const struct flaw *f)
{
  if (host == PAGING_2LEVEL)
    return !(f->set >> 32);
  return host != PAGING_PAE || level != 3 || f->clear == P || f->code & PF_RSVD;
}

static void each_flaw_of_each_nested_level_is_told_in(unsigned guest, enum paging host)
{
  struct bed *b = mapped(guest, host);
  uint64_t la = guest == UNPAGED ? GPA : LA;
  for (unsigned level = 1; level <= levels(host); level++)
    for (unsigned i = 0; i < sizeof flaws / sizeof flaws[0]; i++) {
      const struct flaw *f = &flaws[i];
      if (!has(host, level, f) ||
          (level == 4 && guest != UNPAGED)) // that one has the guest's tables in it too
        continue;
      uint64_t good = nest_get(b, GPA, level), at = nest_entry(b, GPA, level),
               bad = (good & ~f->clear) | f->set;
      for (unsigned k = 0; k < 3; k++) {
        char access = "rwx"[k];
        unsigned kind = access == 'w' ? PF_WRITE : access == 'x' && host != PAGING_2LEVEL ? PF_FETCH : 0;
        memcpy(b->ram.mem + at, &bad, host == PAGING_2LEVEL ? 4 : 8);
        // Write and execute are refused only to those who ask for them.
        if ((f->code & PF_WRITE && access != 'w') || (f->code & PF_FETCH && access != 'x'))
          assert_int_equal(nest_access(b, access, la), 0);
        else
          assert_npf(b, access, la + 0x7f8, NPF_FINAL | PF_USER | kind | (f->code & (PF_P | PF_RSVD)),
                     GPA + 0x7f8);
        memcpy(b->ram.mem + at, &good, host == PAGING_2LEVEL ? 4 : 8); // no flush: a fault is not kept
        assert_int_equal(nest_access(b, access, la), 0);
        tlb_flush_asid(b->c, 1);
      }
    }
  nest_free(b);
}

static void each_flaw_of_each_nested_level_is_told(void **state)
{
  for (unsigned guest = PAGING_2LEVEL; guest <= UNPAGED; guest++)
    for (unsigned host = PAGING_2LEVEL; host <= PAGING_4LEVEL; host++)
      each_flaw_of_each_nested_level_is_told_in(guest, host);
}

// Every reference is a user's write, whatever the access is.
static void a_flaw_below_a_table_is_told_in(unsigned guest, enum paging host)
{
  struct bed *b = mapped(guest, host);
  for (unsigned level = 1; level <= levels(guest); level++)
    for (unsigned i = 0; i < sizeof flaws / sizeof flaws[0]; i++) {
      const struct flaw *f = &flaws[i];
      if (!has(host, 1, f))
        continue;
      uint64_t entry = bed_entry(b, b->c->cr3, LA, level), good = nest_get(b, entry, 1);
      nest_set(b, entry, 1, (good & ~f->clear) | f->set);
      tlb_flush_asid(b->c, 1);
      for (unsigned k = 0; k < 3; k++)
        if (f->code & PF_FETCH)
          assert_int_equal(nest_access(b, "rwx"[k], LA + 8), 0);
        else
          assert_npf(b, "rwx"[k], LA + 0x100, NPF_TABLE | PF_USER | PF_WRITE | (f->code & (PF_P | PF_RSVD)),
                     entry);
      nest_set(b, entry, 1, good);
      assert_reads(b, LA, BED_DATA);
    }
  nest_free(b);
}

static void a_flaw_below_a_table_of_the_guest_is_told_with_the_address_of_the_entry(void **state)
{
  for (unsigned guest = PAGING_2LEVEL; guest <= PAGING_4LEVEL; guest++)
    for (unsigned host = PAGING_2LEVEL; host <= PAGING_4LEVEL; host++)
      a_flaw_below_a_table_is_told_in(guest, host);
}

static void the_guest_walk_finds_faults_from_the_top(void **state)
{
  for (unsigned level = 1; level <= 4; level++) {
    struct bed *b = mapped(PAGING_4LEVEL, PAGING_4LEVEL);
    uint64_t cr3 = b->c->cr3, entry = bed_entry(b, cr3, LA, level);
    uint64_t below = level > 1 ? bed_entry(b, cr3, LA, level - 1) : 0, good = bed_get(b, entry);
    // An entry that is not present is found before what lies below it is asked for.
    nest_set(b, GPA, 1, 0);
    if (below)
      nest_set(b, below, 1, 0);
    bed_set(b, entry, good & ~(uint64_t)P);
    assert_pf(b, 'r', LA, 0);
    bed_set(b, entry, good | 1ull << 50);
    assert_pf(b, 'r', LA, PF_P | PF_RSVD);
    bed_set(b, entry, good);
    if (below)
      assert_npf(b, 'r', LA, NPF_TABLE | PF_USER | PF_WRITE, below);
    else
      assert_npf(b, 'r', LA, NPF_FINAL | PF_USER, GPA);
    // And a table that is not there before the entry in it is looked at.
    bed_set(b, entry, 0);
    nest_set(b, entry, 1, 0);
    tlb_flush_asid(b->c, 1);
    assert_npf(b, 'r', LA, NPF_TABLE | PF_USER | PF_WRITE, entry);
    nest_free(b);
  }
}

static void the_guests_rights_come_before_the_nested_page(void **state)
{
  struct bed *b = mapped(PAGING_4LEVEL, PAGING_4LEVEL);
  nest_set(b, GPA, 1, 0);
  bed_map(b, b->c->cr3, LA, GPA, 12, NX);
  assert_pf(b, 'w', LA, PF_P | PF_WRITE);
  assert_pf(b, 'x', LA, PF_P | PF_FETCH);
  assert_npf(b, 'r', LA, NPF_FINAL | PF_USER, GPA);
  bed_cpl(b, 3);
  assert_pf(b, 'r', LA, PF_P | PF_USER);
  nest_free(b);
}

static void an_access_across_pages_names_the_page_that_fails(void **state)
{
  struct bed *b = mapped(PAGING_4LEVEL, PAGING_4LEVEL);
  bed_map(b, b->c->cr3, LA + 4096, GPA + 0x9000, 12, W | U);
  assert_npf(b, 'r', LA + 0xffc, NPF_FINAL | PF_USER, GPA + 0x9000);
  nest_map(b, GPA + 0x9000, BED_DATA + 4096, 12, W | U);
  assert_int_equal(nest_access(b, 'r', LA + 0xffc), 0);
  nest_free(b);
}

// ---- what a guest-physical address can be ----

static void addresses_that_the_hosts_mode_cannot_reach_are_not_present(void **state)
{
  for (unsigned host = PAGING_2LEVEL; host <= PAGING_4LEVEL; host++) {
    struct bed *b = mapped(PAGING_4LEVEL, host);
    uint64_t far = 0x100000000ull + GPA;
    bed_map(b, b->c->cr3, LA, far, 12, W | U);
    assert_npf(b, 'w', LA + 0x10, NPF_FINAL | PF_USER | PF_WRITE, far + 0x10);
    if (host == PAGING_4LEVEL) {
      nest_map(b, far, BED_DATA, 12, W | U);
      assert_reads(b, LA, BED_DATA);
    }
    nest_free(b);
  }
}

static void pse36_pages_of_a_guest_reach_above_4_gb(void **state)
{
  struct bed *b = nest_new(PAGING_2LEVEL, PAGING_4LEVEL);
  bed_map(b, b->c->cr3, 0xc0800000, 0x2340800000, 22, W | U);
  assert_npf(b, 'r', 0xc0801000, NPF_FINAL | PF_USER, 0x2340801000);
  nest_map(b, 0x2340800000, BED_DATA, 21, W | U);
  assert_reads(b, 0xc0801000, BED_DATA + 0x1000);
  nest_free(b);
}

// ---- page-directory pointers ----

static void directory_pointers_are_read_when_they_are_needed(void **state)
{
  struct bed *b = mapped(PAGING_PAE, PAGING_4LEVEL);
  struct cpu *c = b->c;
  uint64_t other = bed_space(b), entry = bed_entry(b, c->cr3, LA, 3), good = bed_get(b, entry);
  bed_map(b, other, LA, GPA + 0x3000, 12, W | U);
  nest_map(b, GPA + 0x3000, BED_DATA + 0x3000, 12, W | U);
  assert_reads(b, LA, BED_DATA);
  // A changed pointer is seen after a flush, without a load of CR3.
  bed_set(b, entry, bed_get(b, bed_entry(b, other, LA, 3)));
  assert_reads(b, LA, BED_DATA);
  tlb_flush_page(c, LA);
  assert_reads(b, LA, BED_DATA + 0x3000);
  // A bad one is a page fault of the access, not #GP of MOV CR3.
  bed_set(b, entry, good | 2);
  assert_true(cr3_write(c, c->cr3));
  assert_false(c->faulted);
  assert_pf(b, 'r', LA, PF_P | PF_RSVD);
  bed_set(b, entry, 0);
  assert_pf(b, 'w', LA, PF_WRITE);
  bed_set(b, entry, good);
  assert_reads(b, LA, BED_DATA);
  assert_int_equal(bed_get(b, entry), good); // they have no accessed bit
  // CR3 is aligned to 32 bytes.
  memcpy(b->ram.mem + (c->cr3 & ~0xfffull) + 0x860, b->ram.mem + c->cr3, 32);
  bed_set(b, entry, 0);
  assert_true(cr3_write(c, c->cr3 + 0x860));
  assert_reads(b, LA, BED_DATA);
  nest_free(b);
}

static void no_fault_is_nested_outside_of_a_guest(void **state)
{
  struct bed *b = mapped(PAGING_4LEVEL, PAGING_4LEVEL);
  nest_leave(b);
  assert_pf(b, 'r', LA + 4096, 0);
  bed_map(b, b->c->cr3, LA, BED_DATA + 0x7000, 12, W | U);
  assert_reads(b, LA, BED_DATA + 0x7000); // one stage
  nest_enter(b, 1);
  b->c->svm->np = false; // shadow tables
  bed_mode(b);
  assert_reads(b, LA, BED_DATA + 0x7000);
  assert_pf(b, 'r', LA + 4096, 0);
  assert_int_equal(b->npfs, 0);
  nest_free(b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_flaw_of_each_nested_level_is_told),
      cmocka_unit_test(a_flaw_below_a_table_of_the_guest_is_told_with_the_address_of_the_entry),
      cmocka_unit_test(the_guest_walk_finds_faults_from_the_top),
      cmocka_unit_test(the_guests_rights_come_before_the_nested_page),
      cmocka_unit_test(an_access_across_pages_names_the_page_that_fails),
      cmocka_unit_test(addresses_that_the_hosts_mode_cannot_reach_are_not_present),
      cmocka_unit_test(pse36_pages_of_a_guest_reach_above_4_gb),
      cmocka_unit_test(directory_pointers_are_read_when_they_are_needed),
      cmocka_unit_test(no_fault_is_nested_outside_of_a_guest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
