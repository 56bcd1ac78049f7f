// Accesses off the fast path: page crossings, devices, ROM, code pages, watchpoints, alignment; segment
// checks; what control registers accept.
#include <string.h>

#include "bed.h"

static const struct op op_ds = {.seg = SEG_DS}, op_ss = {.seg = SEG_SS};

static bool raised(struct bed *b, unsigned vector)
{
  bool f = b->c->faulted && b->c->fault.vector == vector;
  b->c->faulted = false;
  return f;
}

// ---- crossings ----

static void an_access_across_pages_goes_to_both(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  bed_map(b, b->c->cr3, 0x5000, BED_DATA, 12, W);
  bed_map(b, b->c->cr3, 0x6000, BED_DATA + 0x9000, 12, W);
  for (unsigned at = 1; at < 8; at++) {
    uint64_t v, want = 0x0102030405060708ull * at;
    assert_true(bed_write(b, 0x6000 - at, want));
    assert_memory_equal(b->ram.mem + BED_DATA + 0x1000 - at, &want, at);
    assert_memory_equal(b->ram.mem + BED_DATA + 0x9000, (uint8_t *)&want + at, 8 - at);
    assert_true(bed_read(b, 0x6000 - at, &v));
    assert_int_equal(v, want);
  }
  bed_free(b);
}

static void nothing_is_written_if_the_second_page_faults(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  bed_map(b, b->c->cr3, 0x5000, BED_DATA, 12, W);
  bed_map(b, b->c->cr3, 0x6000, BED_DATA + 0x9000, 12, 0);
  assert_false(bed_write(b, 0x5ffc, ~0ull));
  assert_int_equal(b->c->fault.address, 0x6000);
  assert_int_equal(b->c->fault.error, PF_P | PF_WRITE);
  assert_int_equal(*(uint32_t *)(b->ram.mem + BED_DATA + 0xffc), 0);
  uint8_t buf[600];
  memset(buf, 1, sizeof buf);
  assert_false(mem_write(b->c, &op_ds, 0x5f00, buf, sizeof buf));
  b->c->faulted = false;
  assert_int_equal(b->ram.mem[BED_DATA + 0xf00], 0);
  assert_false(mem_probe_write(b->c, &op_ds, 0x5fff, 2));
  b->c->faulted = false;
  assert_true(mem_probe_write(b->c, &op_ds, 0x5fff, 1));
  assert_true(mem_probe_read(b->c, &op_ds, 0x5fff, 2));
  bed_free(b);
}

static void addresses_wrap_at_4_gb_in_legacy_mode(void **state)
{
  struct bed *b = bed_new(PAGING_2LEVEL);
  bed_map(b, b->c->cr3, 0xfffff000, BED_DATA, 12, W);
  bed_map(b, b->c->cr3, 0, BED_DATA + 0x9000, 12, W);
  assert_true(bed_write(b, 0xfffffffc, 0x1122334455667788));
  assert_int_equal(*(uint32_t *)(b->ram.mem + BED_DATA + 0xffc), 0x55667788);
  assert_int_equal(*(uint32_t *)(b->ram.mem + BED_DATA + 0x9000), 0x11223344);
  bed_free(b);
}

static void instructions_are_fetched_across_pages(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  bed_map(b, b->c->cr3, 0x5000, BED_DATA, 12, 0);
  bed_map(b, b->c->cr3, 0x6000, BED_DATA + 0x9000, 12, 0);
  bed_map(b, b->c->cr3, 0x7000, BED_DATA, 12, NX);
  uint8_t buf[15];
  assert_int_equal(mem_fetch_bytes(b->c, 0x5ffa, buf, 15), 15);
  assert_memory_equal(buf + 6, b->ram.mem + BED_DATA + 0x9000, 9);
  assert_int_equal(mem_fetch_bytes(b->c, 0x6ffa, buf, 15), 6);
  assert_int_equal(b->c->fault.error, PF_P | PF_FETCH);
  assert_int_equal(b->c->fault.address, 0x7000);
  bed_free(b);
}

// ---- what is not RAM ----

static void devices_are_reached_over_the_bus(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  bed_map(b, b->c->cr3, 0x5000, BED_DEVICE, 12, W);
  uint64_t v, ram;
  assert_true(bed_read(b, 0x5020, &v));
  assert_int_equal(v, 0xd0 + 0x20);
  assert_int_equal(b->device_reads, 1);
  assert_int_equal(b->stops, 1);
  assert_true(bed_write(b, 0x5008, 77));
  assert_int_equal(b->device_writes, 1);
  assert_int_equal(b->device_value, 77);
  assert_int_equal(b->stops, 2);
  assert_true(bed_read(b, 0x5020, &v)); // never from the TLB
  assert_int_equal(b->device_reads, 2);
  assert_null(mem_ptr(b->c, &op_ds, 0x5000, 4, false));
  assert_true(mem_probe_read(b->c, &op_ds, 0x5000, 4));
  assert_true(mem_probe_write(b->c, &op_ds, 0x5000, 4));
  assert_int_equal(b->device_reads, 2);
  // Code there has no RAM offset, but bytes.
  assert_true(bed_fetch(b, 0x5000, &ram));
  assert_int_equal(ram, RAM_NONE);
  uint8_t code[3];
  assert_int_equal(mem_fetch_bytes(b->c, 0x5000, code, 3), 3);
  assert_int_equal(code[0], 0xd0);
  bed_free(b);
}

// The device drops all TLB views in the middle of an access that goes on in RAM.
static void a_device_may_change_the_map_during_an_access(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  bed_map(b, b->c->cr3, 0x5000, BED_DEVICE, 12, W);
  bed_map(b, b->c->cr3, 0x6000, BED_DATA, 12, W);
  b->device_drops = true;
  assert_true(bed_write(b, 0x5ffc, 0x1122334455667788));
  assert_int_equal(b->device_value, 0x55667788);
  assert_int_equal(*(uint32_t *)(b->ram.mem + BED_DATA), 0x11223344);
  assert_int_equal(tlb_slot(b->c, 0x6000)->wtag, TLB_NONE); // and leaves no tag in the emptied view
  bed_free(b);
}

static void rom_is_read_and_run_but_not_written(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  memset(b->ram.mem + BED_RAM, 0x5a, 4096);
  bed_map(b, b->c->cr3, 0x5000, BED_ROM, 12, W);
  uint64_t v, ram;
  assert_true(bed_write(b, 0x5000, 0));
  assert_true(bed_write(b, 0x5000, 0));
  assert_true(bed_read(b, 0x5000, &v));
  assert_int_equal(v, 0x5a5a5a5a5a5a5a5aull);
  assert_true(bed_fetch(b, 0x5010, &ram));
  assert_int_equal(ram, BED_RAM + 0x10);
  bed_free(b);
}

static void what_is_nowhere_reads_all_ones(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  bed_map(b, b->c->cr3, 0x5000, 0x123456789000, 12, W);
  uint64_t v;
  assert_true(bed_read(b, 0x5000, &v));
  assert_int_equal(v, ~0ull);
  assert_true(bed_write(b, 0x5000, 1));
  assert_int_equal(phys_read(b->c, 0x123456789000, 4), 0xffffffff);
  // Tables that are nowhere: all ones has reserved bits set.
  bed_set(b, bed_entry(b, b->c->cr3, 0x5000, 4), 0x123456789000 | P | W);
  tlb_flush_all(b->c);
  assert_fault(b, 0x5000, PF_P | PF_RSVD);
  bed_free(b);
}

static void tables_in_rom_keep_their_bits(void **state)
{
  struct bed *b = bed_new(PAGING_2LEVEL);
  uint32_t pte = BED_DATA | P | W;
  memcpy(b->ram.mem + BED_RAM + 5 * 4, &pte, 4);
  bed_set(b, b->c->cr3, (uint64_t)BED_ROM | P | W);
  assert_reads(b, 0x5000, BED_DATA);
  assert_true(bed_write(b, 0x5008, 1));
  assert_memory_equal(b->ram.mem + BED_RAM + 5 * 4, &pte, 4);
  bed_free(b);
}

static void watched_pages_are_never_fast(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  bed_map(b, b->c->cr3, 0x5000, BED_DATA, 12, W);
  b->watched = 0x5000;
  uint64_t v;
  for (unsigned i = 0; i < 2; i++) {
    b->c->db_bits = 0;
    assert_true(bed_read(b, 0x5000, &v));
    assert_int_equal(b->c->db_bits, 1);
    b->c->db_bits = 0;
    assert_true(bed_write(b, 0x5000, v));
    assert_int_equal(b->c->db_bits, 1);
  }
  assert_int_equal(b->stops, 4);
  bed_free(b);
}

static void pointers_are_given_to_plain_ram_only(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  bed_map(b, b->c->cr3, 0x5000, BED_DATA, 12, W);
  bed_map(b, b->c->cr3, 0x6000, BED_DATA + 4096, 12, 0);
  assert_ptr_equal(mem_ptr(b->c, &op_ds, 0x5100, 64, true), b->ram.mem + BED_DATA + 0x100);
  assert_ptr_equal(mem_ptr(b->c, &op_ds, 0x5000, 4096, false), b->ram.mem + BED_DATA);
  assert_null(mem_ptr(b->c, &op_ds, 0x5ff0, 32, false));
  assert_false(b->c->faulted);
  assert_null(mem_ptr(b->c, &op_ds, 0x6000, 4, true));
  assert_true(raised(b, VEC_PF));
  b->ram.flags[(BED_DATA + 4096) >> 12] |= RAM_CODE;
  bed_map(b, b->c->cr3, 0x6000, BED_DATA + 4096, 12, W);
  assert_null(mem_ptr(b->c, &op_ds, 0x6000, 4, true));
  assert_false(b->c->faulted);
  bed_free(b);
}

static void the_read_of_a_read_modify_write_faults_as_a_write(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  bed_map(b, b->c->cr3, 0x5000, BED_DATA, 12, 0);
  mem_load_rmw(b->c, &op_ds, 0x5000, 4);
  assert_true(raised(b, VEC_PF));
  assert_int_equal(b->c->fault.error, PF_P | PF_WRITE);
  assert_ptr_equal(b->c->at, &op_ds);
  bed_map(b, b->c->cr3, 0x5000, BED_DATA, 12, W);
  assert_int_equal(mem_load_rmw(b->c, &op_ds, 0x5000, 4), BED_DATA);
  assert_int_equal(bed_get(b, bed_entry(b, b->c->cr3, 0x5000, 1)) & D, D);
  bed_free(b);
}

// ---- addresses ----

static void non_canonical_addresses_give_gp_or_ss(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  bed_map(b, b->c->cr3, 0x00007ffffffff000, BED_DATA, 12, W);
  mem_load(b->c, &op_ds, 0x0000800000000000, 1);
  assert_true(raised(b, VEC_GP));
  mem_store(b->c, &op_ss, 0xffff7fffffffffff, 1, 0);
  assert_true(raised(b, VEC_SS));
  mem_load(b->c, &op_ds, 0x00007ffffffffffc, 8);
  assert_true(raised(b, VEC_GP));
  mem_load(b->c, &op_ds, 0x00007ffffffffff8, 8);
  assert_false(b->c->faulted);
  mem_fetch(b->c, 0x0000800000000000);
  assert_true(raised(b, VEC_GP));
  bed_free(b);
}

static void alignment_is_checked_for_users_who_ask(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  struct cpu *c = b->c;
  bed_map(b, c->cr3, 0x5000, BED_DATA, 12, W | U);
  for (unsigned on = 0; on < 8; on++) {
    c->cr0 = CR0_PE | CR0_PG | (on & 1 ? CR0_AM : 0);
    c->sysflags = on & 2 ? FL_AC : 0;
    bed_cpl(b, on & 4 ? 3 : 0);
    for (unsigned warm = 0; warm < 2; warm++) {
      uint64_t v;
      op_load(c, &op_ds, 0x5002, 4, &v);
      assert_int_equal(raised(b, VEC_AC), on == 7);
      op_load(c, &op_ds, 0x5002, 2, &v);
      assert_false(c->faulted);
      op_store(c, &op_ds, 0x5002, 8, 0);
      assert_int_equal(raised(b, VEC_AC), on == 7);
      op_store(c, &op_ds, 0x5003, 1, 0);
      assert_false(c->faulted);
      assert_true(sys_read(c, 0x5003, &v, 8));
    }
  }
  bed_free(b);
}

struct segment_row {
  uint64_t base;
  uint32_t limit;
  uint16_t attr;
  uint64_t offset;
  unsigned size;
  enum access acc;
  bool ok;
};
enum { DATA_RO = 0x91, DATA_RW = 0x93, DOWN_RW = 0x97, CODE_X = 0x99, CODE_RX = 0x9b, DB = SEGA_DB };
static const struct segment_row segments[] = {
    {0x1000, 0xfff, DATA_RW, 0xffc, 4, ACC_RW, true},
    {0x1000, 0xfff, DATA_RW, 0xffd, 4, ACC_READ, false},
    {0x1000, 0xfff, DATA_RW, 0x1000, 1, ACC_READ, false},
    {0x1000, 0xfff, DATA_RW, 0xffffffff, 2, ACC_READ, false},
    {0x1000, 0xfff, DATA_RO, 0, 4, ACC_READ, true},
    {0x1000, 0xfff, DATA_RO, 0, 4, ACC_WRITE, false},
    {0x1000, 0xfff, DATA_RO, 0, 4, ACC_RW, false},
    {0x1000, 0xfff, CODE_RX, 0, 4, ACC_READ, true},
    {0x1000, 0xfff, CODE_X, 0, 4, ACC_READ, false},
    {0x1000, 0xfff, CODE_RX, 0, 4, ACC_WRITE, false},
    {0x1000, 0xfff, DATA_RW & ~SEGA_P, 0, 4, ACC_READ, false},
    {0x1000, 0xfff, DOWN_RW | DB, 0xfff, 1, ACC_READ, false},
    {0x1000, 0xfff, DOWN_RW | DB, 0x1000, 1, ACC_WRITE, true},
    {0x1000, 0xfff, DOWN_RW | DB, 0xfffffffc, 4, ACC_WRITE, true},
    {0x1000, 0xfff, DOWN_RW | DB, 0xfffffffd, 4, ACC_WRITE, false},
    {0x1000, 0xfff, DOWN_RW, 0xfffc, 4, ACC_WRITE, true},
    {0x1000, 0xfff, DOWN_RW, 0xfffd, 4, ACC_WRITE, false},
    {0x1000, 0xffffffff, DATA_RW | DB, 0xfffffffe, 4, ACC_WRITE, true},
    {0x1000, 0xffffffff, DOWN_RW | DB, 0xffffffff, 1, ACC_WRITE, false},
};

static void segments_are_checked_in_protected_mode(void **state)
{
  struct bed *b = bed_new(PAGING_2LEVEL);
  for (unsigned i = 0; i < sizeof segments / sizeof segments[0]; i++)
    for (unsigned seg = SEG_SS; seg <= SEG_DS; seg++) {
      const struct segment_row *r = &segments[i];
      b->c->seg[seg] = (struct seg){.base = r->base, .limit = r->limit, .attr = r->attr};
      bed_mode(b);
      uint64_t la = seg_linear(b->c, seg, r->offset, r->size, r->acc);
      if (b->c->faulted == r->ok)
        fail_msg("row %u", i);
      if (r->ok)
        assert_int_equal(la, (uint32_t)(r->base + r->offset));
      else
        assert_true(raised(b, seg == SEG_SS ? VEC_SS : VEC_GP));
    }
  bed_free(b);
}

static void only_limits_are_checked_in_real_mode(void **state)
{
  struct bed *b = bed_new(PAGING_2LEVEL);
  b->c->cr0 = 0;
  b->c->seg[SEG_DS] = (struct seg){.base = 0xffff0, .limit = 0xffff, .attr = CODE_RX};
  bed_mode(b);
  assert_int_equal(seg_linear(b->c, SEG_DS, 0xffff, 1, ACC_WRITE), 0x10ffef);
  assert_false(b->c->faulted);
  seg_linear(b->c, SEG_DS, 0xffff, 2, ACC_READ);
  assert_true(raised(b, VEC_GP));
  bed_free(b);
}

static void in_64_bit_mode_only_fs_and_gs_have_bases(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  for (unsigned seg = 0; seg < SEG_COUNT; seg++) {
    b->c->seg[seg].base = 0x10000;
    b->c->seg[seg].limit = 0;
    if (seg != SEG_CS)
      b->c->seg[seg].attr = 0;
  }
  bed_mode(b);
  for (unsigned seg = 0; seg < SEG_COUNT; seg++) {
    assert_int_equal(seg_linear(b->c, seg, 0x7000, 8, ACC_WRITE), seg >= SEG_FS ? 0x17000 : 0x7000);
    assert_false(b->c->faulted);
    seg_linear(b->c, seg, 0x7fffffffffff, 8, ACC_READ);
    assert_true(raised(b, seg == SEG_SS ? VEC_SS : VEC_GP));
  }
  bed_free(b);
}

static void offsets_are_cut_to_the_address_size(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  struct cpu *c = b->c;
  c->r[RBX] = 0x123456789abcdef0;
  c->r[RSI] = 0x20000;
  struct op op = {.base = RBX * 8, .idx = RSI * 8, .shift = 2, .disp = -0x10, .asz = 3};
  assert_int_equal(op_offset(c, &op), 0x123456789abcdef0 + 0x80000 - 0x10);
  op.asz = 2;
  assert_int_equal(op_offset(c, &op), 0x9abcdef0u + 0x80000 - 0x10);
  op.asz = 1;
  assert_int_equal(op_offset(c, &op), 0xdee0);
  c->r[REG_IP] = 0x400000;
  op = (struct op){.base = REG_IP * 8,
                   .idx = REG_ZERO * 8,
                   .asz = 3,
                   .disp = 0x7fffffff,
                   .off = 5,
                   .len = 7,
                   .flags = OPF_RIP};
  assert_int_equal(op_offset(c, &op), 0x40000c + 0x7fffffffull);
  bed_free(b);
}

// ---- control registers ----

struct cr_row {
  const char *what;
  enum paging paging;
  char reg;            // 0 3 4 8, e: EFER
  uint64_t set, clear; // on top of what the bed has
  bool ok;
};
static const struct cr_row cr_rows[] = {
    {"PG without PE", PAGING_2LEVEL, '0', 0, CR0_PE, false},
    {"NW without CD", PAGING_2LEVEL, '0', CR0_NW, 0, false},
    {"NW and CD", PAGING_2LEVEL, '0', CR0_NW | CR0_CD, 0, true},
    {"upper half of CR0", PAGING_4LEVEL, '0', 1ull << 32, 0, false},
    {"PG cleared in 64-bit code", PAGING_4LEVEL, '0', 0, CR0_PG, false},
    {"PG cleared", PAGING_PAE, '0', 0, CR0_PG, true},
    {"reserved bit of CR4", PAGING_4LEVEL, '4', 1u << 31, 0, false},
    {"VMXE", PAGING_4LEVEL, '4', 1u << 13, 0, false},
    {"PAE cleared in long mode", PAGING_4LEVEL, '4', 0, CR4_PAE, false},
    {"PCIDE in long mode", PAGING_4LEVEL, '4', CR4_PCIDE, 0, true},
    {"PCIDE outside of it", PAGING_PAE, '4', CR4_PCIDE, 0, false},
    {"bit 63 of CR3 without PCIDE", PAGING_4LEVEL, '3', 1ull << 63, 0, false},
    {"CR3 above the physical space", PAGING_4LEVEL, '3', 1ull << 48, 0, false},
    {"CR3 with a low bit", PAGING_4LEVEL, '3', 1, 0, true},
    {"CR8 of 15", PAGING_4LEVEL, '8', 15, 0, true},
    {"CR8 of 16", PAGING_4LEVEL, '8', 16, 0, false},
    {"LME changed under paging", PAGING_4LEVEL, 'e', 0, EFER_LME, false},
    {"LMA changed", PAGING_PAE, 'e', EFER_LMA, 0, false},
    {"SCE", PAGING_4LEVEL, 'e', EFER_SCE, 0, true},
    {"reserved bit of EFER", PAGING_4LEVEL, 'e', 1u << 9, 0, false},
};

static void control_registers_refuse_what_the_manual_forbids(void **state)
{
  for (unsigned i = 0; i < sizeof cr_rows / sizeof cr_rows[0]; i++) {
    const struct cr_row *r = &cr_rows[i];
    struct bed *b = bed_new(r->paging);
    struct cpu *c = b->c;
    uint64_t *reg = r->reg == '0'   ? &c->cr0
                    : r->reg == '3' ? &c->cr3
                    : r->reg == '4' ? &c->cr4
                    : r->reg == '8' ? &c->cr8
                                    : &c->efer;
    uint64_t before = *reg, v = (before | r->set) & ~r->clear;
    bool (*write)(struct cpu *, uint64_t) = r->reg == '0'   ? cr0_write
                                            : r->reg == '3' ? cr3_write
                                            : r->reg == '4' ? cr4_write
                                            : r->reg == '8' ? cr8_write
                                                            : efer_write;
    bool ok = write(c, v);
    if (ok != r->ok)
      fail_msg("%s", r->what);
    assert_int_equal(*reg, ok ? v : before);
    assert_int_equal(raised(b, VEC_GP), !ok);
    bed_free(b);
  }
}

static void cr4_bits_need_their_feature(void **state)
{
  struct bed *b = bed_new(PAGING_4LEVEL);
  b->model.word[FEAT_SMEP >> 5] &= ~(1u << (FEAT_SMEP & 31));
  assert_false(cr4_write(b->c, b->c->cr4 | CR4_SMEP));
  b->c->faulted = false;
  assert_true(cr4_write(b->c, b->c->cr4 | CR4_SMAP));
  b->model.word[FEAT_SVM >> 5] &= ~(1u << (FEAT_SVM & 31));
  assert_false(efer_write(b->c, b->c->efer | EFER_SVME));
  bed_free(b);
}

static void long_mode_begins_and_ends_with_paging(void **state)
{
  struct bed *b = bed_new(PAGING_PAE);
  struct cpu *c = b->c;
  assert_true(cr0_write(c, CR0_PE));
  assert_true(efer_write(c, EFER_LME));
  assert_int_equal(c->efer, EFER_LME);
  assert_true(cr4_write(c, 0));
  assert_false(cr0_write(c, CR0_PE | CR0_PG)); // without PAE
  c->faulted = false;
  assert_true(cr4_write(c, CR4_PAE));
  c->seg[SEG_CS].attr |= SEGA_L;
  assert_false(cr0_write(c, CR0_PE | CR0_PG)); // CS.L set
  c->faulted = false;
  c->seg[SEG_CS].attr &= ~SEGA_L;
  assert_true(cr0_write(c, CR0_PE | CR0_PG));
  assert_int_equal(c->efer, EFER_LME | EFER_LMA);
  bed_mode(b);
  assert_int_equal(c->mode & MODE_CS64, 0);
  assert_true(cr0_write(c, CR0_PE));
  assert_int_equal(c->efer, EFER_LME);
  bed_free(b);
}

static void pdptes_are_loaded_with_cr3_and_checked(void **state)
{
  struct bed *b = bed_new(PAGING_PAE);
  struct cpu *c = b->c;
  bed_map(b, c->cr3, 0x5000, BED_DATA, 12, W);
  assert_reads(b, 0x5000, BED_DATA);
  // A change in memory is not seen before CR3 is loaded again.
  uint64_t e = bed_get(b, c->cr3);
  bed_set(b, c->cr3, 0);
  tlb_flush_all(c);
  assert_reads(b, 0x5000, BED_DATA);
  assert_true(cr3_write(c, c->cr3));
  assert_fault(b, 0x5000, 0);
  static const struct {
    unsigned bit;
    bool ok;
  } bits[] = {{1, false}, {2, false}, {3, true},  {4, true},   {5, false}, {8, false},
              {9, true},  {11, true}, {47, true}, {48, false}, {63, false}};
  for (unsigned i = 0; i < sizeof bits / sizeof bits[0]; i++) {
    bed_set(b, c->cr3, e | 1ull << bits[i].bit);
    assert_int_equal(cr3_write(c, c->cr3), bits[i].ok);
    assert_int_equal(raised(b, VEC_GP), !bits[i].ok);
    bed_set(b, c->cr3, 1ull << bits[i].bit); // not present: not checked
    assert_true(cr3_write(c, c->cr3));
  }
  bed_free(b);
}

// ---- modes ----

static void mode_bits_follow_the_registers(void **state)
{
  struct bed *b = bed_new(PAGING_2LEVEL);
  struct cpu *c = b->c;
  c->cr4 |= CR4_OSFXSR;
  bed_mode(b);
  assert_int_equal(c->mode, MODE_CS32 | MODE_SS32 | MODE_FLAT | MODE_NO_AVX);
  struct seg ds = c->seg[SEG_DS];
  c->seg[SEG_DS].base = 1;
  bed_mode(b);
  assert_false(c->mode & MODE_FLAT);
  c->seg[SEG_DS] = ds;
  c->seg[SEG_DS].attr = 0x91; // read-only
  bed_mode(b);
  assert_false(c->mode & MODE_FLAT);
  c->seg[SEG_DS].attr = 0x97; // expand-down
  bed_mode(b);
  assert_false(c->mode & MODE_FLAT);
  c->seg[SEG_DS] = ds;
  c->seg[SEG_CS].attr = 0x99; // not readable
  bed_mode(b);
  assert_false(c->mode & MODE_FLAT);
  c->seg[SEG_CS].attr = 0x9b;
  c->cr0 |= CR0_TS | CR0_EM;
  c->fx.mxcsr = 0x1f00;
  c->fx.fcw = 0x37e;
  c->sysflags = FL_TF;
  bed_mode(b);
  assert_int_equal(c->mode, MODE_SS32 | MODE_FLAT | MODE_NO_AVX | MODE_TS | MODE_NO_X87 | MODE_NO_SSE |
                                MODE_XMASK | MODE_FMASK | MODE_STEP);
  bed_free(b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_access_across_pages_goes_to_both),
      cmocka_unit_test(nothing_is_written_if_the_second_page_faults),
      cmocka_unit_test(addresses_wrap_at_4_gb_in_legacy_mode),
      cmocka_unit_test(instructions_are_fetched_across_pages),
      cmocka_unit_test(devices_are_reached_over_the_bus),
      cmocka_unit_test(a_device_may_change_the_map_during_an_access),
      cmocka_unit_test(rom_is_read_and_run_but_not_written),
      cmocka_unit_test(what_is_nowhere_reads_all_ones),
      cmocka_unit_test(tables_in_rom_keep_their_bits),
      cmocka_unit_test(watched_pages_are_never_fast),
      cmocka_unit_test(pointers_are_given_to_plain_ram_only),
      cmocka_unit_test(the_read_of_a_read_modify_write_faults_as_a_write),
      cmocka_unit_test(non_canonical_addresses_give_gp_or_ss),
      cmocka_unit_test(alignment_is_checked_for_users_who_ask),
      cmocka_unit_test(segments_are_checked_in_protected_mode),
      cmocka_unit_test(only_limits_are_checked_in_real_mode),
      cmocka_unit_test(in_64_bit_mode_only_fs_and_gs_have_bases),
      cmocka_unit_test(offsets_are_cut_to_the_address_size),
      cmocka_unit_test(control_registers_refuse_what_the_manual_forbids),
      cmocka_unit_test(cr4_bits_need_their_feature),
      cmocka_unit_test(long_mode_begins_and_ends_with_paging),
      cmocka_unit_test(pdptes_are_loaded_with_cr3_and_checked),
      cmocka_unit_test(mode_bits_follow_the_registers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
