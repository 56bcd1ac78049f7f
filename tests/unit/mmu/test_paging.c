// Page walks: every mode and size, rights, reserved bits, accessed and dirty bits. APM2 chapter 5.
#include "bed.h"

// ---- modes and sizes ----

struct size_row {
  enum paging paging;
  unsigned shift;
  uint64_t la, pa;
};
static const struct size_row sizes[] = {
    {PAGING_2LEVEL, 12, 0xc0123000, BED_DATA + 0x5000}, {PAGING_2LEVEL, 22, 0xc0400000, 8 * MB},
    {PAGING_PAE, 12, 0xc0123000, BED_DATA + 0x5000},    {PAGING_PAE, 21, 0x80200000, 10 * MB},
    {PAGING_4LEVEL, 12, 0xffff888000123000, BED_DATA},  {PAGING_4LEVEL, 21, 0x00007fff00200000, 12 * MB},
    {PAGING_4LEVEL, 30, 0xffffffff80000000, 0},
};

static unsigned leaf_level(unsigned shift)
{
  return shift == 12 ? 1 : shift == 30 ? 3 : 2;
}

static void each_mode_and_page_size_translates(void **state)
{
  for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    const struct size_row *r = &sizes[i];
    struct bed *b = bed_new(r->paging);
    bed_map(b, b->c->cr3, r->la, r->pa, r->shift, W);
    uint64_t size = 1ull << r->shift, first = r->shift == 30 ? BED_DATA : 0,
             last = r->shift == 30 ? 32 * MB : size;
    for (uint64_t off = first; off < last; off += 4096)
      assert_reads(b, r->la + off, r->pa + off);
    // The neighbours are not mapped.
    assert_fault(b, r->la - 4096, 0);
    if (r->la + size)
      assert_fault(b, r->la + size, 0);
    // A write arrives, and nowhere else.
    uint64_t at = r->la + (r->shift == 30 ? BED_DATA : 0) + 8, pa = r->pa + (at - r->la);
    assert_true(bed_write(b, at, 0x1122334455667788));
    assert_int_equal(*(uint64_t *)(b->ram.mem + pa), 0x1122334455667788);
    bed_free(b);
  }
}

static void pse36_reaches_above_4_gb(void **state)
{
  struct bed *b = bed_new(PAGING_2LEVEL);
  struct region high;
  memset(&high, 0, sizeof high);
  bus_map_ram(&b->bus, &high, "high", 0x2340000000, 4 * MB, 8 * MB, 0, false);
  bed_map(b, b->c->cr3, 0x400000, 0x2340000000, 22, W);
  assert_reads(b, 0x400000 + 0x3000, 8 * MB + 0x3000);
  b->c->phys_mask = (1ull << 37) - 1; // 2340000000h needs 38 bits
  tlb_flush_all(b->c);
  assert_fault(b, 0x400000, PF_P | PF_RSVD);
  bed_free(b);
}

static void ps_bit_means_nothing_without_pse(void **state)
{
  struct bed *b = bed_new(PAGING_2LEVEL);
  b->c->cr4 = 0;
  bed_map(b, b->c->cr3, 0x5000, BED_DATA, 12, W);
  uint64_t pde = bed_entry(b, b->c->cr3, 0x5000, 2);
  bed_set(b, pde, bed_get(b, pde) | PS);
  assert_reads(b, 0x5000, BED_DATA);
  bed_free(b);
}

static void without_paging_linear_is_physical(void **state)
{
  struct bed *b = bed_new(PAGING_2LEVEL);
  b->c->cr0 = CR0_PE;
  bed_mode(b);
  assert_reads(b, BED_DATA + 0x7000, BED_DATA + 0x7000);
  assert_true(bed_write(b, BED_DATA, 5));
  uint64_t ram;
  assert_true(bed_fetch(b, BED_DATA + 12, &ram));
  assert_int_equal(ram, BED_DATA + 12);
  // A20 masked: bit 20 is not there.
  b->c->a20_mask = ~(1ull << 20);
  tlb_map_changed(b->c);
  assert_reads(b, BED_DATA + 0x107000, BED_DATA + 0x7000);
  bed_free(b);
}

// ---- rights ----

// Page bits U W N (user, writable, no-execute), all levels together; CPU bits 3 P E A C: CPL 3, CR0.WP,
// CR4.SMEP, CR4.SMAP, RFLAGS.AC. A dot matches both. The first row that matches decides; APM2 5.6.
struct rule {
  const char *page, *cpu;
  char access;
  bool ok;
};
static const struct rule rules[] = {
    {"0..", "1....", '*', false}, // user access to a supervisor page
    {"1..", "1....", 'r', true},  {".0.", "1....", 'w', false},
    {"11.", "1....", 'w', true},  {"..1", ".....", 'x', false}, // no-execute holds for all
    {"1.0", "1....", 'x', true},  {"1..", "0..10", 'r', false}, // SMAP
    {"1..", "0..10", 'w', false}, {"...", "0....", 'r', true},
    {".1.", "0....", 'w', true},  {".0.", "01...", 'w', false}, // supervisor under WP
    {".0.", "00...", 'w', true},  {"1.0", "0.1..", 'x', false}, // SMEP
    {"..0", "0....", 'x', true},
};

static bool matches(const char *pattern, unsigned bits, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    if (pattern[i] != '.' && pattern[i] - '0' != (int)(bits >> (n - 1 - i) & 1))
      return false;
  return true;
}

static bool allowed(unsigned page, unsigned cpu, char access)
{
  for (unsigned i = 0; i < sizeof rules / sizeof rules[0]; i++) {
    const struct rule *r = &rules[i];
    if ((r->access == access || r->access == '*') && matches(r->page, page, 3) && matches(r->cpu, cpu, 5))
      return r->ok;
  }
  fail_msg("no rule for page %u cpu %u %c", page, cpu, access);
  return false;
}

static void set_cpu(struct bed *b, unsigned cpu)
{
  struct cpu *c = b->c;
  c->cpl = cpu & 16 ? 3 : 0;
  c->cr0 = (c->cr0 & ~(uint64_t)CR0_WP) | (cpu & 8 ? CR0_WP : 0);
  c->cr4 = (c->cr4 & ~(uint64_t)(CR4_SMEP | CR4_SMAP)) | (cpu & 4 ? CR4_SMEP : 0) | (cpu & 2 ? CR4_SMAP : 0);
  c->sysflags = cpu & 1 ? FL_AC : 0;
  bed_mode(b);
}

static uint32_t expected_error(unsigned cpu, char access)
{
  return PF_P | (access == 'w' ? PF_WRITE : 0) | (cpu & 16 ? PF_USER : 0) | (access == 'x' ? PF_FETCH : 0);
}

static bool try_access(struct bed *b, uint64_t la, char access)
{
  uint64_t v;
  return access == 'r' ? bed_read(b, la, &v) : access == 'w' ? bed_write(b, la, 1) : bed_fetch(b, la, &v);
}

// level: at which the page's bits are taken away; the others allow all.
static void check_rights(enum paging paging, unsigned level, bool warm)
{
  for (unsigned page = 0; page < 8; page++) {
    struct bed *b = bed_new(paging);
    bed_map(b, b->c->cr3, 0x5000, BED_DATA, 12, W | U);
    uint64_t at = bed_entry(b, b->c->cr3, 0x5000, level), e = bed_get(b, at) & ~(uint64_t)(W | U);
    bed_set(b, at, e | (page & 4 ? U : 0) | (page & 2 ? W : 0) | (page & 1 ? NX : 0));
    for (unsigned cpu = 0; cpu < 32; cpu++) {
      set_cpu(b, cpu);
      for (const char *access = "rwx"; *access; access++) {
        if (!warm)
          tlb_flush_all(b->c);
        bool ok = try_access(b, 0x5000, *access);
        if (ok != allowed(page, cpu, *access))
          fail_msg("page %u cpu %u %c: %d (level %u)", page, cpu, *access, ok, level);
        if (!ok)
          assert_int_equal(b->c->fault.error, expected_error(cpu, *access));
      }
    }
    bed_free(b);
  }
}

static void rights_are_those_of_the_manual_at_each_level(void **state)
{
  for (unsigned level = 1; level <= 4; level++)
    check_rights(PAGING_4LEVEL, level, false);
  for (unsigned level = 1; level <= 2; level++)
    check_rights(PAGING_PAE, level, false);
}

// With entries and views left from the accesses before under other rights.
static void rights_are_the_same_with_a_warm_tlb(void **state)
{
  check_rights(PAGING_4LEVEL, 1, true);
  check_rights(PAGING_PAE, 2, true);
}

static void fetch_bit_of_the_error_code_needs_nx_or_smep(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  uint64_t ram;
  assert_false(bed_fetch(b, 0x5000, &ram));
  assert_int_equal(b->c->fault.error, PF_FETCH);
  b->c->efer &= ~(uint64_t)EFER_NXE;
  bed_mode(b);
  assert_false(bed_fetch(b, 0x5000, &ram));
  assert_int_equal(b->c->fault.error, 0);
  b->c->cr4 |= CR4_SMEP;
  bed_mode(b);
  assert_false(bed_fetch(b, 0x5000, &ram));
  assert_int_equal(b->c->fault.error, PF_FETCH);
  bed_free(b);
}

static void the_processors_own_accesses_have_supervisor_rights(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  bed_map(b, b->c->cr3, 0x5000, BED_DATA, 12, W);
  bed_map(b, b->c->cr3, 0x6000, BED_DATA + 4096, 12, W | U);
  bed_cpl(b, 3);
  uint64_t v;
  assert_false(bed_read(b, 0x5000, &v));
  assert_true(sys_read(b->c, 0x5000, &v, 8));
  assert_int_equal(v, BED_DATA);
  assert_true(sys_write(b->c, 0x5008, &v, 8));
  assert_true(cpl_read(b->c, 0, 0x5000, &v, 8));
  assert_false(cpl_read(b->c, 3, 0x5000, &v, 8));
  assert_int_equal(b->c->fault.error, PF_P | PF_USER);
  b->c->faulted = false;
  // SMAP stops them at user pages, AC or not.
  b->c->cr4 |= CR4_SMAP;
  b->c->sysflags = FL_AC;
  bed_mode(b);
  assert_false(sys_read(b->c, 0x6000, &v, 8));
  assert_int_equal(b->c->fault.error, PF_P);
  b->c->faulted = false;
  assert_true(cpl_read(b->c, 0, 0x6000, &v, 8));
  bed_free(b);
}

// APM2 5.6.7: access and write disable by key; only user pages; writes of the supervisor only under WP.
static void protection_keys_take_rights_away(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  struct cpu *c = b->c;
  bed_map(b, c->cr3, 0x5000, BED_DATA, 12, W | U | 5ull << 59);
  bed_map(b, c->cr3, 0x6000, BED_DATA, 12, W | 5ull << 59);
  c->cr4 |= CR4_PKE;
  for (unsigned cpl = 0; cpl <= 3; cpl += 3)
    for (unsigned key = 0; key < 4; key++)
      for (unsigned wp = 0; wp < 2; wp++) {
        c->pkru = key << 10;
        c->cr0 = CR0_PE | CR0_PG | (wp ? CR0_WP : 0);
        bed_cpl(b, cpl);
        uint32_t user = cpl ? PF_USER : 0;
        bool read = try_access(b, 0x5000, 'r');
        assert_int_equal(read, !(key & 1));
        if (!read)
          assert_int_equal(c->fault.error, PF_P | PF_PK | user);
        bool write = try_access(b, 0x5000, 'w');
        assert_int_equal(write, !(key & 1) && !((key & 2) && (cpl || wp)));
        if (!write)
          assert_int_equal(c->fault.error, PF_P | PF_PK | PF_WRITE | user);
        assert_true(try_access(b, 0x5000, 'x'));
        assert_int_equal(try_access(b, 0x6000, 'w'), cpl == 0);
      }
  // Other keys and CR4.PKE clear: no matter.
  c->pkru = 3u << 12;
  bed_mode(b);
  assert_true(try_access(b, 0x5000, 'w'));
  c->pkru = ~0u;
  c->cr4 &= ~(uint64_t)CR4_PKE;
  bed_mode(b);
  assert_true(try_access(b, 0x5000, 'w'));
  bed_free(b);
}

// ---- reserved bits ----

struct reserved_row {
  enum paging paging;
  unsigned shift, level;
  unsigned bit;
  bool fault;
};
static const struct reserved_row reserved[] = {
    {PAGING_4LEVEL, 12, 4, 7, true},   {PAGING_4LEVEL, 12, 4, 8, true},   {PAGING_4LEVEL, 12, 4, 48, true},
    {PAGING_4LEVEL, 12, 4, 51, true},  {PAGING_4LEVEL, 12, 4, 52, false}, {PAGING_4LEVEL, 12, 4, 6, false},
    {PAGING_4LEVEL, 12, 3, 8, true},   {PAGING_4LEVEL, 12, 3, 50, true},  {PAGING_4LEVEL, 12, 3, 11, false},
    {PAGING_4LEVEL, 12, 2, 8, false},  {PAGING_4LEVEL, 12, 2, 49, true},  {PAGING_4LEVEL, 12, 1, 48, true},
    {PAGING_4LEVEL, 12, 1, 58, false}, {PAGING_4LEVEL, 12, 1, 62, false}, {PAGING_4LEVEL, 12, 1, 7, false},
    {PAGING_4LEVEL, 21, 2, 13, true},  {PAGING_4LEVEL, 21, 2, 20, true},  {PAGING_4LEVEL, 21, 2, 12, false},
    {PAGING_4LEVEL, 30, 3, 13, true},  {PAGING_4LEVEL, 30, 3, 29, true},  {PAGING_4LEVEL, 30, 3, 12, false},
    {PAGING_PAE, 12, 1, 52, true},     {PAGING_PAE, 12, 1, 62, true},     {PAGING_PAE, 12, 1, 48, true},
    {PAGING_PAE, 12, 2, 58, true},     {PAGING_PAE, 21, 2, 13, true},     {PAGING_PAE, 21, 2, 12, false},
    {PAGING_2LEVEL, 22, 2, 21, true},  {PAGING_2LEVEL, 22, 2, 12, false}, {PAGING_2LEVEL, 12, 1, 8, false},
};

static void reserved_bits_are_those_of_the_manual(void **state)
{
  for (unsigned i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
    const struct reserved_row *r = &reserved[i];
    struct bed *b = bed_new(r->paging);
    bed_map(b, b->c->cr3, 0x40000000, r->shift == 30 ? 0 : 8 * MB, r->shift, W | U);
    uint64_t at = bed_entry(b, b->c->cr3, 0x40000000, r->level),
             la = 0x40000000 + (r->shift == 30 ? BED_DATA : 0);
    bed_set(b, at, bed_get(b, at) | 1ull << r->bit);
    uint64_t v;
    bool ok = bed_read(b, la, &v);
    if (ok == r->fault)
      fail_msg("row %u: level %u bit %u", i, r->level, r->bit);
    if (!ok)
      assert_int_equal(b->c->fault.error, PF_P | PF_RSVD);
    bed_free(b);
  }
}

static void nx_bit_is_reserved_without_nxe(void **state)
{
  for (unsigned level = 1; level <= 4; level++) {
    struct bed *b = bed_new(PAGING_4LEVEL);
    bed_map(b, b->c->cr3, 0x5000, BED_DATA, 12, W);
    uint64_t at = bed_entry(b, b->c->cr3, 0x5000, level);
    bed_set(b, at, bed_get(b, at) | NX);
    assert_reads(b, 0x5000, BED_DATA);
    b->c->efer &= ~(uint64_t)EFER_NXE;
    tlb_flush_all(b->c);
    bed_mode(b);
    assert_fault(b, 0x5000, PF_P | PF_RSVD);
    bed_free(b);
  }
}

static void pages_of_1_gb_need_the_feature(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  bed_map(b, b->c->cr3, 0, 0, 30, W);
  assert_reads(b, BED_DATA, BED_DATA);
  b->model.word[FEAT_PDPE1GB >> 5] &= ~(1u << (FEAT_PDPE1GB & 31));
  tlb_flush_all(b->c);
  assert_fault(b, BED_DATA, PF_P | PF_RSVD);
  bed_free(b);
}

// ---- accessed and dirty ----

static void accessed_and_dirty_bits_follow_the_accesses(void **state)
{
  for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    const struct size_row *r = &sizes[i];
    struct bed *b = bed_new(r->paging);
    uint64_t la = r->la + (r->shift == 30 ? BED_DATA : 0), cr3 = b->c->cr3;
    bed_map(b, cr3, r->la, r->pa, r->shift, W);
    unsigned leaf = leaf_level(r->shift), top = r->paging == PAGING_PAE ? 2 : bed_levels(b);
    uint64_t v;
    assert_true(bed_read(b, la, &v));
    for (unsigned level = leaf; level <= top; level++)
      assert_int_equal(bed_get(b, bed_entry(b, cr3, r->la, level)) & (A | D), A);
    assert_true(bed_write(b, la, 1));
    for (unsigned level = leaf; level <= top; level++)
      assert_int_equal(bed_get(b, bed_entry(b, cr3, r->la, level)) & (A | D), level == leaf ? A | D : A);
    bed_free(b);
  }
}

static void a_refused_access_leaves_the_page_unaccessed(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  bed_map(b, b->c->cr3, 0x5000, BED_DATA, 12, 0);
  assert_false(bed_write(b, 0x5000, 1));
  assert_int_equal(bed_get(b, bed_entry(b, b->c->cr3, 0x5000, 1)) & (A | D), 0);
  assert_int_equal(bed_get(b, bed_entry(b, b->c->cr3, 0x5000, 2)) & A, A);
  bed_free(b);
}

static void a_write_after_a_read_sets_the_dirty_bit(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  bed_map(b, b->c->cr3, 0x5000, BED_DATA, 12, W | U);
  uint64_t pte = bed_entry(b, b->c->cr3, 0x5000, 1);
  assert_reads(b, 0x5000, BED_DATA);
  // Also when the read was another privilege's.
  bed_cpl(b, 3);
  assert_true(bed_write(b, 0x5008, 1));
  assert_int_equal(bed_get(b, pte) & (A | D), A | D);
  // Cleared by software without a flush: the TLB knows the page as dirty, nothing is walked.
  bed_set(b, pte, bed_get(b, pte) & ~(uint64_t)D);
  assert_true(bed_write(b, 0x5008, 2));
  assert_int_equal(bed_get(b, pte) & D, 0);
  tlb_flush_page(b->c, 0x5000);
  assert_true(bed_write(b, 0x5008, 3));
  assert_int_equal(bed_get(b, pte) & D, D);
  bed_free(b);
}

static void the_debugger_leaves_no_trace(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  bed_map(b, b->c->cr3, 0x5000, BED_DATA, 12, 0);
  bed_map(b, b->c->cr3, 0x6000, BED_DATA + 0x3000, 12, 0);
  uint64_t pa;
  assert_true(mem_debug_translate(b->c, 0x5123, &pa));
  assert_int_equal(pa, BED_DATA + 0x123);
  assert_false(mem_debug_translate(b->c, 0x7000, &pa));
  uint8_t buf[16];
  assert_true(mem_debug_read(b->c, 0x5ff8, buf, 16));
  assert_memory_equal(buf + 8, b->ram.mem + BED_DATA + 0x3000, 8);
  for (unsigned level = 1; level <= 4; level++)
    assert_int_equal(bed_get(b, bed_entry(b, b->c->cr3, 0x5000, level)) & A, 0);
  bed_free(b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_mode_and_page_size_translates),
      cmocka_unit_test(pse36_reaches_above_4_gb),
      cmocka_unit_test(ps_bit_means_nothing_without_pse),
      cmocka_unit_test(without_paging_linear_is_physical),
      cmocka_unit_test(rights_are_those_of_the_manual_at_each_level),
      cmocka_unit_test(rights_are_the_same_with_a_warm_tlb),
      cmocka_unit_test(fetch_bit_of_the_error_code_needs_nx_or_smep),
      cmocka_unit_test(the_processors_own_accesses_have_supervisor_rights),
      cmocka_unit_test(protection_keys_take_rights_away),
      cmocka_unit_test(reserved_bits_are_those_of_the_manual),
      cmocka_unit_test(nx_bit_is_reserved_without_nxe),
      cmocka_unit_test(pages_of_1_gb_need_the_feature),
      cmocka_unit_test(accessed_and_dirty_bits_follow_the_accesses),
      cmocka_unit_test(a_refused_access_leaves_the_page_unaccessed),
      cmocka_unit_test(a_write_after_a_read_sets_the_dirty_bit),
      cmocka_unit_test(the_debugger_leaves_no_trace),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
