// Delivery of exceptions and interrupts: frames, privilege changes, error codes, double faults. APM2
// chapter 8.
#include "rig.h"

static void real_mode_pushes_three_words_and_clears_if(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  put(r, 0x21 * 4, 0x12345678, 4);
  seg_load_real(c, SEG_CS, 0x100);
  c->sysflags = FL_IF | FL_TF;
  c->ip = 0x50;
  c->next_ip = 0x52;
  assert_true(except_software(c, 0x21));
  assert_int_equal(c->ip, 0x5678);
  assert_int_equal(c->seg[SEG_CS].base, 0x12340);
  assert_int_equal(c->r[RSP], STACK0 - 6);
  assert_int_equal(get(r, STACK0 - 2, 2), FL_IF | FL_TF | 2);
  assert_int_equal(get(r, STACK0 - 4, 2), 0x100);
  assert_int_equal(get(r, STACK0 - 6, 2), 0x52);
  assert_int_equal(c->sysflags & (FL_IF | FL_TF), 0);
}

static void real_mode_exceptions_push_no_error_code(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  put(r, VEC_GP * 4, 0x00001000, 4);
  c->ip = 0x77;
  raise_gp(c, 0);
  except_deliver(c);
  assert_int_equal(c->r[RSP], STACK0 - 6);
  assert_int_equal(get(r, STACK0 - 6, 2), 0x77);
  assert_false(c->faulted);
}

static void an_idt_too_short_for_real_mode_ends_in_shutdown(void **state)
{
  struct rig *r = *state;
  r->c->idtr.limit = 3;
  raise_ud(r->c);
  except_deliver(r->c);
  assert_int_equal(r->c->run, RUN_SHUTDOWN);
}

static void a_gate_to_an_inner_level_switches_to_the_stack_of_the_tss(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  rig_protected(r, 3);
  c->sysflags |= FL_IF;
  set_gate(r, VEC_GP, gate(K_CODE, 0x12345, 0x8e, 0));
  raise_gp(c, 0x1234);
  except_deliver(c);
  assert_int_equal(c->ip, 0x12345);
  assert_int_equal(c->cpl, 0);
  assert_int_equal(c->seg[SEG_CS].sel, K_CODE);
  assert_int_equal(c->seg[SEG_SS].sel, K_DATA);
  assert_int_equal(c->r[RSP], STACK0 - 24);
  assert_int_equal(get(r, STACK0 - 4, 4), U_DATA);
  assert_int_equal(get(r, STACK0 - 8, 4), STACK3);
  assert_int_equal(get(r, STACK0 - 12, 4), FL_IF | FL_RF | 2);
  assert_int_equal(get(r, STACK0 - 16, 4), U_CODE);
  assert_int_equal(get(r, STACK0 - 20, 4), 0x6000);
  assert_int_equal(get(r, STACK0 - 24, 4), 0x1234);
  assert_int_equal(c->sysflags & FL_IF, 0);
}

static void a_trap_gate_leaves_if_and_a_16_bit_gate_pushes_words(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  rig_protected(r, 0);
  c->sysflags |= FL_IF;
  set_gate(r, 0x40, gate(K_CODE16, 0x4321, 0x87, 0));
  except_interrupt(c, 0x40);
  assert_int_equal(c->ip, 0x4321);
  assert_int_equal(c->r[RSP], STACK0 - 6);
  assert_int_equal(c->sysflags & FL_IF, FL_IF);
}

struct bad_gate {
  const char *why;
  uint64_t gate;
  unsigned cpl;
  uint8_t vector;
  uint32_t error;
};

static void software_interrupts_fault_by_the_table(void **state)
{
  const struct bad_gate rows[] = {
      {"DPL 0 gate from CPL 3", gate(K_CODE, 0, 0x8e, 0), 3, VEC_GP, 0x30 * 8 + 2},
      {"not a gate", gate(K_CODE, 0, 0x8c, 0), 0, VEC_GP, 0x30 * 8 + 2},
      {"absent gate", gate(K_CODE, 0, 0x0e, 0), 0, VEC_NP, 0x30 * 8 + 2},
      {"DPL is checked before presence", gate(K_CODE, 0, 0x0e, 0), 3, VEC_GP, 0x30 * 8 + 2},
      {"null code selector", gate(3, 0, 0xee, 0), 3, VEC_GP, 0},
      {"data selector", gate(K_DATA, 0, 0xee, 0), 3, VEC_GP, K_DATA},
      {"outer code segment", gate(U_CODE, 0, 0x8e, 0), 0, VEC_GP, U_CODE & 0xfffc},
      {"selector beyond the GDT", gate(0x200, 0, 0x8e, 0), 0, VEC_GP, 0x200},
      {"offset beyond the code segment", gate(K_CODE16, 0x10000, 0x8e, 0), 0, VEC_GP, 0},
  };
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    rig_teardown(state);
    rig_setup(state);
    struct rig *r = *state;
    struct cpu *c = r->c;
    rig_protected(r, rows[i].cpl);
    set_gate(r, 0x30, rows[i].gate);
    uint64_t sp = c->r[RSP];
    bool ok = except_software(c, 0x30);
    if (ok || c->fault.vector != rows[i].vector || c->fault.error != rows[i].error)
      fail_msg("%s: %u error %x", rows[i].why, c->fault.vector, c->fault.error);
    assert_int_equal(c->r[RSP], sp);
    assert_int_equal(c->cpl, rows[i].cpl);
    assert_int_equal(c->ip, 0x6000);
  }
}

static void a_fault_in_delivery_of_an_interrupt_has_ext_and_of_int_n_has_not(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  rig_protected(r, 0);
  set_gate(r, VEC_GP, gate(K_CODE, 0x500, 0x8e, 0));
  except_interrupt(c, 0x80); // an empty gate
  assert_int_equal(c->ip, 0x500);
  assert_int_equal(get(r, STACK0 - 16, 4), 0x80 * 8 + 3);
  c->r[RSP] = STACK0;
  c->ip = 0x6000;
  assert_false(except_software(c, 0x80));
  except_deliver(c);
  assert_int_equal(get(r, STACK0 - 16, 4), 0x80 * 8 + 2);
  assert_int_equal(get(r, STACK0 - 12, 4), 0x6000);
}

static void pairs_of_faults_combine_by_the_table(void **state)
{
  // The handler of `first` lies behind an absent code segment, so that delivering it gives #NP.
  const struct {
    uint8_t first, then;
  } rows[] = {
      {VEC_DE, VEC_DF}, {VEC_TS, VEC_DF}, {VEC_SS, VEC_DF}, {VEC_GP, VEC_DF}, {VEC_PF, VEC_DF},
      {VEC_UD, VEC_NP}, {VEC_DB, VEC_NP}, {VEC_NM, VEC_NP}, {VEC_AC, VEC_NP}, {VEC_MF, VEC_NP},
  };
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    rig_teardown(state);
    rig_setup(state);
    struct rig *r = *state;
    struct cpu *c = r->c;
    rig_protected(r, 0);
    set_desc(r, K_FREE, desc(0, 0xfffff, 0xc1a));
    set_gate(r, rows[i].first, gate(K_FREE, 0x100, 0x8e, 0));
    set_gate(r, VEC_NP, gate(K_CODE, VEC_NP, 0x8e, 0));
    set_gate(r, VEC_DF, gate(K_CODE, VEC_DF, 0x8e, 0));
    raise_vec(c, rows[i].first);
    except_deliver(c);
    if (c->ip != rows[i].then)
      fail_msg("vector %u, then #NP: handler of %u runs", rows[i].first, (unsigned)c->ip);
    assert_int_equal(get(r, (uint32_t)c->r[RSP], 4), rows[i].then == VEC_DF ? 0 : (K_FREE | 1));
  }
}

static void a_fault_in_delivery_of_a_double_fault_is_shutdown(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  rig_protected(r, 0);
  raise_gp(c, 0); // no gate at all
  except_deliver(c);
  assert_int_equal(c->run, RUN_SHUTDOWN);
  assert_false(c->faulted);
}

static void a_bad_inner_stack_gives_ts_with_its_selector(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  rig_protected(r, 3);
  set_gate(r, 0x30, gate(K_CODE, 0, 0xee, 0));
  put(r, AT_TSS + 8, U_DATA, 4);
  expect_fault(c, except_software(c, 0x30), VEC_TS, U_DATA & 0xfffc);
  put(r, AT_TSS + 8, 0, 4);
  expect_fault(c, except_software(c, 0x30), VEC_TS, 0);
  c->tr.limit = 8;
  expect_fault(c, except_software(c, 0x30), VEC_TS, K_TSS);
}

static void v86_events_push_and_clear_the_data_segments(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  rig_protected(r, 3);
  c->sysflags |= FL_VM | FL_IF;
  for (unsigned i = 0; i < SEG_COUNT; i++)
    seg_load_v86(c, i, 0x100 + i);
  c->r[RSP] = 0x1000;
  cpu_mode_update(c);
  set_gate(r, 0x30, gate(K_CODE, 0x700, 0x8e, 0));
  except_interrupt(c, 0x30);
  assert_int_equal(c->ip, 0x700);
  assert_false(c->sysflags & FL_VM);
  assert_int_equal(c->r[RSP], STACK0 - 36);
  assert_int_equal(get(r, STACK0 - 4, 4), 0x100 + SEG_GS);
  assert_int_equal(get(r, STACK0 - 8, 4), 0x100 + SEG_FS);
  assert_int_equal(get(r, STACK0 - 12, 4), 0x100 + SEG_DS);
  assert_int_equal(get(r, STACK0 - 16, 4), 0x100 + SEG_ES);
  assert_int_equal(get(r, STACK0 - 20, 4), 0x100 + SEG_SS);
  assert_int_equal(get(r, STACK0 - 24, 4), 0x1000);
  assert_int_equal(get(r, STACK0 - 28, 4), FL_VM | FL_IF | 2);
  assert_int_equal(c->seg[SEG_DS].sel, 0);
  assert_int_equal(c->seg[SEG_DS].attr, 0);
}

static void v86_events_to_a_handler_above_level_0_are_gp(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  rig_protected(r, 3);
  c->sysflags |= FL_VM;
  set_gate(r, 0x30, gate(K_CODE1, 0x700, 0xee, 0));
  expect_fault(c, except_software(c, 0x30), VEC_GP, K_CODE1 & 0xfffc);
}

static void vme_redirects_int_n_by_the_bitmap(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  bool done;
  rig_protected(r, 3);
  c->cr4 |= CR4_VME;
  c->sysflags |= FL_VM | FL_VIF;
  for (unsigned i = 0; i < SEG_COUNT; i++)
    seg_load_v86(c, i, 0x100);
  c->r[RSP] = 0x800;
  cpu_mode_update(c);
  put(r, AT_TSS + 0x66, 0x88, 2);
  put(r, AT_TSS + 0x68 + 0x21 / 8, 0, 1);
  put(r, 0x21 * 4, 0x20005555, 4);
  assert_true(event_vme_int(c, 0x21, &done));
  assert_true(done);
  assert_int_equal(c->next_ip, 0x5555);
  assert_int_equal(c->seg[SEG_CS].sel, 0x2000);
  assert_true(c->sysflags & FL_VM);
  assert_false(c->sysflags & FL_VIF);
  assert_int_equal(get(r, 0x1000 + 0x800 - 2, 2), FL_IF | FL_IOPL | 2); // VIF shows as IF, IOPL as 3
  put(r, AT_TSS + 0x68 + 0x21 / 8, 2, 1);
  expect_fault(c, event_vme_int(c, 0x21, &done), VEC_GP, 0);
}

static void long_mode_aligns_the_stack_and_always_pushes_ss_and_rsp(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  rig_long(r, 0);
  c->r[RSP] = STACK0 - 4;
  set_gate64(r, VEC_PF, K_CODE64, 0xffff800000001234, 0x8e, 0);
  raise_pf(c, 0xdeadbeef, 2);
  except_deliver(c);
  assert_int_equal(c->ip, 0xffff800000001234);
  assert_int_equal(c->cr2, 0xdeadbeef);
  uint32_t top = STACK0 - 16;
  assert_int_equal(c->r[RSP], top - 48);
  assert_int_equal(get(r, top - 8, 8), K_DATA);
  assert_int_equal(get(r, top - 16, 8), STACK0 - 4);
  assert_int_equal(get(r, top - 32, 8), K_CODE64);
  assert_int_equal(get(r, top - 40, 8), 0x6000);
  assert_int_equal(get(r, top - 48, 8), 2);
}

static void long_mode_uses_rsp0_and_the_ist(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  rig_long(r, 3);
  set_gate64(r, 0x40, K_CODE64, 0x100, 0x8e, 0);
  set_gate64(r, 0x41, K_CODE64, 0x200, 0x8e, 1);
  except_interrupt(c, 0x40);
  assert_int_equal(c->r[RSP], STACK0 - 40);
  assert_int_equal(c->seg[SEG_SS].sel, 0);
  assert_int_equal(c->cpl, 0);
  assert_int_equal(get(r, STACK0 - 8, 8), U_DATA);
  except_interrupt(c, 0x41);
  assert_int_equal(c->r[RSP], STACK1 - 40);
  assert_int_equal(get(r, STACK1 - 16, 8), STACK0 - 40);
}

static void long_mode_refuses_other_gates_and_code(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  rig_long(r, 0);
  set_gate64(r, 0x30, K_CODE, 0, 0x8e, 0); // not a 64-bit segment
  expect_fault(c, except_software(c, 0x30), VEC_GP, K_CODE);
  set_gate64(r, 0x30, K_CODE64, 0, 0x85, 0); // task gate
  expect_fault(c, except_software(c, 0x30), VEC_GP, 0x30 * 8 + 2);
  set_gate64(r, 0x30, K_CODE64, 0x800000000000, 0x8e, 0);
  expect_fault(c, except_software(c, 0x30), VEC_GP, 0);
  set_gate64(r, 0x30, K_CODE64, 0, 0x8e, 1);
  put(r, AT_TSS + 0x24, 0x900000000000, 8);
  expect_fault(c, except_software(c, 0x30), VEC_SS, 0);
}

static void a_debug_trap_sets_dr6_and_clears_gd_and_rf(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  rig_protected(r, 0);
  set_gate(r, VEC_DB, gate(K_CODE, 0x900, 0x8e, 0));
  c->dr6 = 0xffff0ff8;
  c->dr7 |= 1u << 13;
  c->sysflags |= FL_TF;
  except_debug_trap(c, 1u << 14 | 1);
  assert_int_equal(c->ip, 0x900);
  assert_int_equal(c->dr6, 0xffff4ff1);
  assert_false(c->dr7 & 1u << 13);
  assert_false(c->sysflags & FL_TF);
  assert_int_equal(get(r, STACK0 - 4, 4), FL_TF | 2);
}

static void an_nmi_blocks_the_next(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  rig_protected(r, 0);
  set_gate(r, VEC_NMI, gate(K_CODE, 0x300, 0x8e, 0));
  except_nmi(c);
  assert_int_equal(c->ip, 0x300);
  assert_true(c->nmi_blocked);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      T(real_mode_pushes_three_words_and_clears_if),
      T(real_mode_exceptions_push_no_error_code),
      T(an_idt_too_short_for_real_mode_ends_in_shutdown),
      T(a_gate_to_an_inner_level_switches_to_the_stack_of_the_tss),
      T(a_trap_gate_leaves_if_and_a_16_bit_gate_pushes_words),
      T(software_interrupts_fault_by_the_table),
      T(a_fault_in_delivery_of_an_interrupt_has_ext_and_of_int_n_has_not),
      T(pairs_of_faults_combine_by_the_table),
      T(a_fault_in_delivery_of_a_double_fault_is_shutdown),
      T(a_bad_inner_stack_gives_ts_with_its_selector),
      T(v86_events_push_and_clear_the_data_segments),
      T(v86_events_to_a_handler_above_level_0_are_gp),
      T(vme_redirects_int_n_by_the_bitmap),
      T(long_mode_aligns_the_stack_and_always_pushes_ss_and_rsp),
      T(long_mode_uses_rsp0_and_the_ist),
      T(long_mode_refuses_other_gates_and_code),
      T(a_debug_trap_sets_dr6_and_clears_gd_and_rf),
      T(an_nmi_blocks_the_next),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
