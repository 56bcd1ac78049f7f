// Debug registers: what breakpoints match, and what MOV DR lets through. APM2 13.1.
#include "rig.h"

#include "cpu/debug.h"
#include "cpu/insn/system.h"

static void arm(struct cpu *c, unsigned n, uint64_t address, unsigned kind, unsigned len)
{
  c->dr[n] = address;
  debug_set_dr7(c, c->dr7 | 2ull << (n * 2) | (uint64_t)(len << 2 | kind) << (16 + n * 4));
}

static void data_breakpoints_match_by_kind_and_overlap(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  rig_protected(r, 0);
  arm(c, 0, 0x20004, 1, 3); // writes, 4 bytes
  arm(c, 2, 0x20010, 3, 0); // any access, 1 byte
  assert_true(debug_page_watched(c, 0x20fff));
  assert_false(debug_page_watched(c, 0x21000));
  debug_check_data(c, 0x20004, 4, false);
  debug_check_data(c, 0x20000, 4, true);
  debug_check_data(c, 0x20008, 8, true);
  assert_int_equal(c->db_bits, 0);
  debug_check_data(c, 0x20000, 8, true);
  assert_int_equal(c->db_bits, 1);
  debug_check_data(c, 0x2000e, 4, false);
  assert_int_equal(c->db_bits, 5);
}

static void a_store_through_the_tlb_meets_its_breakpoint(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  struct op op[2] = {{.seg = SEG_DS}};
  rig_protected(r, 0);
  mem_store(c, op, 0x20004, 4, 1);
  arm(c, 1, 0x20004, 1, 3);
  cpu_mode_update(c);
  assert_true(op_store(c, op, 0x20008, 4, 5));
  assert_int_equal(c->db_bits, 0);
  assert_true(op_store(c, op, 0x20006, 1, 5));
  assert_int_equal(c->db_bits, 2);
}

static void fetch_breakpoints_fault_unless_rf_is_set(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  rig_protected(r, 0);
  assert_false(debug_has_fetch_breakpoints(c));
  arm(c, 3, 0x6000, 0, 0);
  assert_true(debug_has_fetch_breakpoints(c));
  expect_fault(c, debug_check_fetch(c), VEC_DB, 0);
  assert_int_equal(c->fault.address, 8);
  c->sysflags |= FL_RF;
  assert_true(debug_check_fetch(c));
  c->sysflags &= ~(uint32_t)FL_RF;
  c->ip++;
  assert_true(debug_check_fetch(c));
}

static void io_breakpoints_need_cr4_de(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  rig_protected(r, 0);
  arm(c, 0, 0x60, 2, 0);
  debug_check_io(c, 0x60, 1);
  assert_int_equal(c->db_bits, 0);
  c->cr4 |= CR4_DE;
  debug_check_io(c, 0x61, 1);
  assert_int_equal(c->db_bits, 0);
  debug_check_io(c, 0x5f, 2);
  assert_int_equal(c->db_bits, 1);
}

static void mov_dr_keeps_the_fixed_bits_and_honours_de_and_gd(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  struct op op = {.reg = 7, .rm = RAX * 8, .osz = 2};
  rig_protected(r, 0);
  c->r[RAX] = 0xffffffff & ~(1u << 13);
  assert_true(x_mov_to_dr(c, &op));
  assert_int_equal(c->dr7, 0xffff07ff);
  op.reg = 6;
  c->r[RAX] = 0;
  assert_true(x_mov_to_dr(c, &op));
  assert_int_equal(c->dr6, 0xffff0ff0);
  op.reg = 4; // an alias of DR6, until CR4.DE
  assert_true(x_mov_from_dr(c, &op));
  assert_int_equal(c->r[RAX], 0xffff0ff0);
  c->cr4 |= CR4_DE;
  expect_fault(c, x_mov_from_dr(c, &op), VEC_UD, 0);
  op.reg = 0;
  c->dr7 |= 1u << 13;
  expect_fault(c, x_mov_from_dr(c, &op), VEC_DB, 0);
  assert_int_equal(c->fault.address, 1u << 13);
}

static void upper_halves_of_dr6_and_dr7_must_be_zero_in_64_bit_mode(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  struct op op = {.reg = 7, .rm = RAX * 8, .osz = 3};
  rig_long(r, 0);
  c->r[RAX] = 1ull << 32;
  expect_fault(c, x_mov_to_dr(c, &op), VEC_GP, 0);
  op.reg = 1;
  assert_true(x_mov_to_dr(c, &op));
  assert_int_equal(c->dr[1], 1ull << 32);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      T(data_breakpoints_match_by_kind_and_overlap),
      T(a_store_through_the_tlb_meets_its_breakpoint),
      T(fetch_breakpoints_fault_unless_rf_is_set),
      T(io_breakpoints_need_cr4_de),
      T(mov_dr_keeps_the_fixed_bits_and_honours_de_and_gd),
      T(upper_halves_of_dr6_and_dr7_must_be_zero_in_64_bit_mode),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
