// Far transfers, returns, system calls, task switches. APM2 4.11, 6.1, 12.3.
#include "rig.h"

#include "cpu/insn/portio.h"
#include "cpu/insn/system.h"
#include "cpu/insn/transfer.h"

static struct op far_op(uint16_t sel, uint32_t off)
{
  return (struct op){.imm = (int64_t)((uint64_t)sel << 32 | off), .osz = 2, .flags = OPF_FAR};
}

static void push32(struct rig *r, uint32_t v)
{
  r->c->r[RSP] -= 4;
  put(r, (uint32_t)r->c->r[RSP], v, 4);
}

static void a_far_call_pushes_cs_and_eip(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  struct op op = far_op(K_CODE, 0x7000);
  rig_protected(r, 0);
  assert_true(x_call_far(c, &op));
  assert_int_equal(c->next_ip, 0x7000);
  assert_int_equal(get(r, STACK0 - 4, 4), K_CODE);
  assert_int_equal(get(r, STACK0 - 8, 4), 0x6002);
}

static void a_far_jump_checks_its_target_by_the_table(void **state)
{
  const struct {
    const char *why;
    uint16_t sel;
    uint32_t off;
    unsigned attr, cpl;
    uint8_t vector;
    uint32_t error;
  } rows[] = {
      {"null", 0, 0, 0, 0, VEC_GP, 0},
      {"data", K_FREE, 0, 0xc92, 0, VEC_GP, K_FREE},
      {"outer level", K_FREE, 0, 0xcfa, 0, VEC_GP, K_FREE},
      {"inner level", K_FREE, 0, 0xc9a, 3, VEC_GP, K_FREE},
      {"RPL above CPL", K_FREE | 3, 0, 0xc9a, 0, VEC_GP, K_FREE},
      {"conforming of an outer level", K_FREE, 0, 0xcfe, 0, VEC_GP, K_FREE},
      {"absent", K_FREE, 0, 0xc1a, 0, VEC_NP, K_FREE},
      {"offset beyond the limit", K_FREE, 0x1000, 0x09a, 0, VEC_GP, 0},
      {"LDT descriptor", K_FREE, 0, 0x082, 0, VEC_GP, K_FREE},
      {"busy TSS", K_FREE, 0, 0x08b, 0, VEC_GP, K_FREE},
      {"absent call gate", K_FREE, 0, 0x00c, 0, VEC_NP, K_FREE},
      {"call gate of an inner level", K_FREE, 0, 0x08c, 3, VEC_GP, K_FREE},
  };
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    rig_teardown(state);
    rig_setup(state);
    struct rig *r = *state;
    struct op op = far_op(rows[i].sel, rows[i].off);
    rig_protected(r, rows[i].cpl);
    set_desc(r, K_FREE, desc(0, 0xfff, rows[i].attr));
    bool ok = x_jmp_far(r->c, &op);
    if (ok || r->c->fault.vector != rows[i].vector || r->c->fault.error != rows[i].error)
      fail_msg("%s: vector %u error %x", rows[i].why, r->c->fault.vector, r->c->fault.error);
  }
}

static void a_call_gate_copies_parameters_to_the_inner_stack(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  struct op op = far_op(K_FREE | 3, 0), ret = {.osz = 2, .imm = 8, .flags = OPF_FAR};
  rig_protected(r, 3);
  set_desc(r, K_FREE, gate(K_CODE, 0x7100, 0xec, 2));
  push32(r, 0x11111111);
  push32(r, 0x22222222);
  assert_true(x_call_far(c, &op));
  assert_int_equal(c->cpl, 0);
  assert_int_equal(c->seg[SEG_CS].sel, K_CODE);
  assert_int_equal(c->seg[SEG_SS].sel, K_DATA);
  assert_int_equal(c->next_ip, 0x7100);
  assert_int_equal(c->r[RSP], STACK0 - 24);
  assert_int_equal(get(r, STACK0 - 4, 4), U_DATA);
  assert_int_equal(get(r, STACK0 - 8, 4), STACK3 - 8);
  assert_int_equal(get(r, STACK0 - 12, 4), 0x11111111);
  assert_int_equal(get(r, STACK0 - 16, 4), 0x22222222);
  assert_int_equal(get(r, STACK0 - 20, 4), U_CODE);
  assert_int_equal(get(r, STACK0 - 24, 4), 0x6002);
  // And back: both stacks lose the parameters, DS of level 0 becomes null.
  cpu_mode_update(c);
  assert_true(seg_load(c, SEG_DS, K_DATA));
  assert_true(x_ret_far(c, &ret));
  assert_int_equal(c->cpl, 3);
  assert_int_equal(c->next_ip, 0x6002);
  assert_int_equal(c->r[RSP], STACK3);
  assert_int_equal(c->seg[SEG_SS].sel, U_DATA);
  assert_int_equal(c->seg[SEG_DS].attr, 0);
  assert_int_equal(c->seg[SEG_ES].sel, U_DATA);
}

static void a_64_bit_call_gate_pushes_quadwords_and_takes_rsp0(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  struct op op = {.osz = 2, .imm = (int64_t)((uint64_t)(K_FREE | 3) << 32), .flags = OPF_FAR};
  rig_long(r, 3);
  set_desc(r, K_FREE, gate(K_CODE64, 0x7200, 0xec, 2));
  put(r, AT_GDT + K_FREE + 8, 0xffff8000, 8);
  assert_true(x_call_far(c, &op));
  assert_int_equal(c->next_ip, 0xffff800000007200);
  assert_int_equal(c->r[RSP], STACK0 - 32);
  assert_int_equal(c->seg[SEG_SS].sel, 0);
  assert_int_equal(get(r, STACK0 - 16, 8), STACK3);
  put(r, AT_GDT + K_FREE + 8, 0x0100ffff8000, 8); // type of the upper half must be 0
  c->cpl = 3;
  expect_fault(c, x_call_far(c, &op), VEC_GP, K_FREE);
}

static void iret_returns_to_an_outer_level_and_cannot_raise_iopl_there(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  struct op op = {.osz = 2};
  rig_protected(r, 0);
  push32(r, U_DATA);
  push32(r, STACK3);
  push32(r, FL_IF | FL_IOPL | FL_CF | 2);
  push32(r, U_CODE);
  push32(r, 0x123);
  assert_true(x_iret(c, &op));
  assert_int_equal(c->cpl, 3);
  assert_int_equal(c->next_ip, 0x123);
  assert_int_equal(c->r[RSP], STACK3);
  assert_int_equal(cpu_flags(c), FL_IF | FL_IOPL | FL_CF | 2);
  assert_int_equal(c->seg[SEG_DS].attr, 0);
  c->sysflags &= ~(uint32_t)(FL_IOPL | FL_IF);
  cpu_mode_update(c);
  push32(r, FL_IF | FL_IOPL | 2);
  push32(r, U_CODE);
  push32(r, 0x456);
  assert_true(x_iret(c, &op));
  assert_int_equal(cpu_flags(c) & (FL_IOPL | FL_IF), 0);
}

static void iret_to_an_inner_level_is_gp(void **state)
{
  struct rig *r = *state;
  struct op op = {.osz = 2};
  rig_protected(r, 3);
  push32(r, 2);
  push32(r, K_CODE);
  push32(r, 0x123);
  expect_fault(r->c, x_iret(r->c, &op), VEC_GP, K_CODE);
  assert_int_equal(r->c->r[RSP], STACK3 - 12);
}

static void iret_enters_virtual_8086_mode(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  struct op op = {.osz = 2};
  rig_protected(r, 0);
  static const uint8_t order[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES, SEG_SS};
  for (unsigned i = 0; i < 4; i++)
    push32(r, 0x100 + order[i]);
  push32(r, 0x100 + SEG_SS);
  push32(r, 0x400);
  push32(r, FL_VM | FL_IF | 2);
  push32(r, 0x200);
  push32(r, 0x77);
  assert_true(x_iret(c, &op));
  assert_true(cpu_v86(c));
  assert_int_equal(c->cpl, 3);
  assert_int_equal(c->next_ip, 0x77);
  assert_int_equal(c->r[RSP], 0x400);
  for (unsigned i = 0; i < 5; i++)
    assert_int_equal(c->seg[order[i]].base, (0x100 + order[i]) * 16);
  // There, with IOPL 0, IRET, PUSHF, CLI and INT n are #GP.
  cpu_mode_update(c);
  struct op in = {.osz = 1, .imm = 0x21};
  expect_fault(c, x_iret(c, &in), VEC_GP, 0);
  expect_fault(c, x_pushf(c, &in), VEC_GP, 0);
  expect_fault(c, x_cli(c, &in), VEC_GP, 0);
  expect_fault(c, x_int(c, &in), VEC_GP, 0);
}

static void iretq_takes_null_ss_at_level_0_only(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  struct op op = {.osz = 3};
  rig_long(r, 0);
  uint64_t frame[5] = {0xffff800000000010, K_CODE64, 2, 0x5555, 0};
  c->r[RSP] = STACK0 - 40;
  memcpy(r->ram.mem + STACK0 - 40, frame, 40);
  assert_true(x_iret(c, &op));
  assert_int_equal(c->next_ip, 0xffff800000000010);
  assert_int_equal(c->r[RSP], 0x5555);
  assert_int_equal(c->seg[SEG_SS].sel, 0);
  c->r[RSP] = STACK0 - 40;
  put(r, STACK0 - 32, U_CODE64, 8);
  put(r, STACK0 - 8, 3, 8);
  expect_fault(c, x_iret(c, &op), VEC_GP, 0);
  put(r, STACK0 - 8, U_DATA, 8);
  put(r, STACK0 - 40, 0x800000000000, 8);
  expect_fault(c, x_iret(c, &op), VEC_GP, 0);
  c->sysflags |= FL_NT;
  expect_fault(c, x_iret(c, &op), VEC_GP, 0);
}

static void iret_to_a_16_bit_stack_leaves_the_upper_part_of_rsp(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  struct op op = {.osz = 2};
  rig_protected(r, 0);
  set_desc(r, K_FREE, desc(0, 0xffff, 0x0f2));
  push32(r, K_FREE | 3);
  push32(r, 0xabcd1234);
  push32(r, 2);
  push32(r, U_CODE);
  push32(r, 0x123);
  c->r[RSP] |= 0;
  assert_true(x_iret(c, &op));
  assert_int_equal(c->r[RSP], 0x1234);
  assert_int_equal(c->seg[SEG_SS].sel, K_FREE | 3);
}

static void syscall_and_sysret_follow_star(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  struct op op = {.osz = 3};
  rig_long(r, 3);
  c->star = (uint64_t)0x23 << 48 | (uint64_t)K_CODE << 32;
  c->lstar = 0xffffffff81000000;
  c->sfmask = FL_IF | FL_TF;
  cpu_set_flags(c, FL_IF | FL_CF | 2);
  assert_true(x_syscall(c, &op));
  assert_int_equal(c->cpl, 0);
  assert_int_equal(c->r[RCX], 0x6002);
  assert_int_equal(c->r[R11], FL_IF | FL_CF | 2);
  assert_int_equal(c->next_ip, 0xffffffff81000000);
  assert_int_equal(c->seg[SEG_CS].sel, K_CODE);
  assert_int_equal(c->seg[SEG_CS].attr, 0xa9b);
  assert_int_equal(c->seg[SEG_SS].sel, K_CODE + 8);
  assert_int_equal(c->seg[SEG_SS].attr, 0xc93);
  assert_int_equal(cpu_flags(c), FL_CF | 2);
  cpu_mode_update(c);
  c->r[RCX] = 0x123456789;
  c->r[R11] = FL_IF | FL_RF | 2;
  assert_true(x_sysret(c, &op));
  assert_int_equal(c->cpl, 3);
  assert_int_equal(c->next_ip, 0x123456789);
  assert_int_equal(c->seg[SEG_CS].sel, 0x33);
  assert_int_equal(c->seg[SEG_CS].attr, 0xafb);
  assert_int_equal(c->seg[SEG_SS].sel, 0x2b);
  assert_int_equal(c->seg[SEG_SS].attr, 0xc93); // AMD: the hidden part stays
  assert_int_equal(cpu_flags(c), FL_IF | 2);
  cpu_mode_update(c);
  expect_fault(c, x_sysret(c, &op), VEC_GP, 0);
  c->efer &= ~(uint64_t)EFER_SCE;
  expect_fault(c, x_syscall(c, &op), VEC_UD, 0);
}

static void sysenter_is_ud_in_long_mode(void **state)
{
  struct rig *r = *state;
  struct op op = {.osz = 2};
  rig_long(r, 0);
  r->c->sysenter_cs = K_CODE;
  expect_fault(r->c, x_sysenter(r->c, &op), VEC_UD, 0);
}

// ---- tasks ----

static void new_task(struct rig *r, uint16_t cs, uint16_t ss, uint32_t eflags)
{
  put(r, AT_TSS2 + 0x20, 0x7777, 4);
  put(r, AT_TSS2 + 0x24, eflags, 4);
  put(r, AT_TSS2 + 0x28, 0xaaaa, 4);
  put(r, AT_TSS2 + 0x38, 0x9800, 4); // ESP
  put(r, AT_TSS2 + 0x48, ss, 2);
  put(r, AT_TSS2 + 0x4c, cs, 2);
  put(r, AT_TSS2 + 0x50, ss, 2);
  put(r, AT_TSS2 + 0x54, ss, 2);
}

static void a_call_to_a_tss_switches_and_iret_comes_back(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  struct op op = far_op(K_TSS2, 0), ret = {.osz = 2};
  rig_protected(r, 0);
  new_task(r, K_CODE, K_DATA, FL_CF | 2);
  c->r[RAX] = 0x5a5a;
  c->r[RBX] = 0xb0b;
  assert_true(x_call_far(c, &op));
  assert_int_equal(c->next_ip, 0x7777);
  assert_int_equal(c->r[RAX], 0xaaaa);
  assert_int_equal(c->r[RSP], 0x9800);
  assert_int_equal(c->tr.sel, K_TSS2);
  assert_int_equal(cpu_flags(c), FL_NT | FL_CF | 2);
  assert_true(c->cr0 & CR0_TS);
  assert_int_equal(get(r, AT_TSS2, 2), K_TSS);
  assert_int_equal(get(r, AT_TSS + 0x20, 4), 0x6002);
  assert_int_equal(get(r, AT_TSS + 0x28, 4), 0x5a5a);
  assert_int_equal(get(r, AT_GDT + K_TSS + 5, 1), 0x8b);
  assert_int_equal(get(r, AT_GDT + K_TSS2 + 5, 1), 0x8b);

  c->ip = 0x7777;
  c->next_ip = 0x7778;
  c->r[RAX] = 0xbbbb;
  cpu_mode_update(c);
  assert_true(x_iret(c, &ret));
  assert_int_equal(c->next_ip, 0x6002);
  assert_int_equal(c->r[RAX], 0x5a5a);
  assert_int_equal(c->r[RBX], 0xb0b);
  assert_int_equal(c->tr.sel, K_TSS);
  assert_false(c->sysflags & FL_NT);
  assert_int_equal(get(r, AT_GDT + K_TSS2 + 5, 1), 0x89);
  assert_int_equal(get(r, AT_TSS2 + 0x28, 4), 0xbbbb);
  assert_int_equal(get(r, AT_TSS2 + 0x24, 4) & FL_NT, 0);
}

static void a_jump_to_a_tss_frees_the_old_one(void **state)
{
  struct rig *r = *state;
  struct op op = far_op(K_TSS2, 0);
  rig_protected(r, 0);
  new_task(r, K_CODE, K_DATA, 2);
  assert_true(x_jmp_far(r->c, &op));
  assert_int_equal(get(r, AT_GDT + K_TSS + 5, 1), 0x89);
  assert_int_equal(get(r, AT_GDT + K_TSS2 + 5, 1), 0x8b);
  assert_false(r->c->sysflags & FL_NT);
}

static void an_exception_through_a_task_gate_pushes_its_error_there(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  rig_protected(r, 3);
  new_task(r, K_CODE, K_DATA, 2);
  set_gate(r, VEC_GP, gate(K_TSS2, 0, 0x85, 0));
  raise_gp(c, 0x88);
  except_deliver(c);
  assert_int_equal(c->ip, 0x7777);
  assert_int_equal(c->cpl, 0);
  assert_int_equal(c->r[RSP], 0x9800 - 4);
  assert_int_equal(get(r, 0x9800 - 4, 4), 0x88);
  assert_int_equal(get(r, AT_TSS + 0x20, 4), 0x6000);
  assert_true(get(r, AT_TSS + 0x24, 4) & FL_RF);
}

static void a_bad_segment_of_the_new_task_faults_in_the_new_task(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  struct op op = far_op(K_TSS2, 0);
  rig_protected(r, 0);
  new_task(r, K_CODE, K_DATA, 2);
  put(r, AT_TSS2 + 0x54, K_CODE16 + 0x100, 2); // DS
  set_gate(r, VEC_TS, gate(K_CODE, 0x8888, 0x8e, 0));
  assert_true(x_jmp_far(c, &op));
  assert_int_equal(c->next_ip, 0x8888);
  assert_int_equal(c->tr.sel, K_TSS2);
  assert_int_equal(get(r, 0x9800 - 12, 4), 0x7777);
  assert_int_equal(get(r, 0x9800 - 16, 4), K_CODE16 + 0x100);
}

static void task_switches_check_the_tss_by_the_table(void **state)
{
  const struct {
    unsigned attr, limit;
    uint8_t vector;
  } rows[] = {{0x08b, 0x67, VEC_GP}, {0x009, 0x67, VEC_NP}, {0x089, 0x66, VEC_TS}, {0x081, 0x2a, VEC_TS}};
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
    rig_teardown(state);
    rig_setup(state);
    struct rig *r = *state;
    struct op op = far_op(K_TSS2, 0);
    rig_protected(r, 0);
    set_desc(r, K_TSS2, desc(AT_TSS2, rows[i].limit, rows[i].attr));
    expect_fault(r->c, x_jmp_far(r->c, &op), rows[i].vector, K_TSS2);
    assert_int_equal(r->c->tr.sel, K_TSS);
  }
}

static void a_16_bit_task_saves_and_loads_words(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  struct op op = far_op(K_TSS2, 0);
  rig_protected(r, 0);
  set_desc(r, K_TSS2, desc(AT_TSS2, 0x2b, 0x081));
  put(r, AT_TSS2 + 0x0e, 0x4444, 2);
  put(r, AT_TSS2 + 0x10, FL_ZF | 2, 2);
  put(r, AT_TSS2 + 0x12, 0x1111, 2);
  put(r, AT_TSS2 + 0x1a, 0x9700, 2);
  put(r, AT_TSS2 + 0x24, K_CODE16, 2);
  put(r, AT_TSS2 + 0x26, K_DATA, 2);
  assert_true(x_call_far(c, &op));
  assert_int_equal(c->next_ip, 0x4444);
  assert_int_equal(c->r[RAX] & 0xffff, 0x1111);
  assert_int_equal(c->seg[SEG_CS].sel, K_CODE16);
  assert_int_equal(c->seg[SEG_FS].sel, 0);
  assert_int_equal(cpu_flags(c), FL_NT | FL_ZF | 2);
  assert_int_equal(get(r, AT_TSS + 0x20, 4), 0x6002);
}

static void the_trap_bit_of_a_tss_asks_for_a_debug_trap(void **state)
{
  struct rig *r = *state;
  struct op op = far_op(K_TSS2, 0);
  rig_protected(r, 0);
  new_task(r, K_CODE, K_DATA, 2);
  put(r, AT_TSS2 + 0x64, 1, 1);
  assert_true(x_jmp_far(r->c, &op));
  assert_int_equal(r->c->db_bits, 1u << 15);
}

// ---- ports ----

static void ports_follow_iopl_and_the_bitmap(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  struct op op = {.osz = 0, .reg = RDX * 8};
  rig_protected(r, 3);
  put(r, AT_TSS + 0x66, 0x68, 2);
  memset(r->ram.mem + AT_TSS + 0x68, 0xff, 0x2000);
  put(r, AT_TSS + 0x68 + 0x60 / 8, 0xfe, 1); // port 60h only
  c->r[RDX] = 0x60;
  assert_true(x_in(c, &op));
  assert_int_equal(c->r[RAX], 0xff); // nobody answers
  op.osz = 1;
  expect_fault(c, x_in(c, &op), VEC_GP, 0);
  op.osz = 0;
  c->r[RDX] = 0x61;
  expect_fault(c, x_in(c, &op), VEC_GP, 0);
  c->r[RDX] = 0xffff; // the map's last byte has no other behind it
  put(r, AT_TSS + 0x2067, 0, 1);
  expect_fault(c, x_in(c, &op), VEC_GP, 0);
  c->faulted = false;
  c->sysflags |= FL_IOPL;
  assert_true(x_in(c, &op));
}

static void rep_ins_moves_all_and_stops_at_a_fault_restartably(void **state)
{
  struct rig *r = *state;
  struct cpu *c = r->c;
  struct op op = {.osz = 1, .asz = 2, .flags = OPF_REP, .seg = SEG_DS};
  rig_protected(r, 0);
  c->r[RDX] = 0x1f0;
  c->r[RCX] = 4;
  c->r[RDI] = 0x20000;
  assert_true(x_ins(c, &op));
  assert_int_equal(c->r[RCX], 0);
  assert_int_equal(c->r[RDI], 0x20008);
  assert_int_equal(get(r, 0x20000, 8), UINT64_MAX);
  c->seg[SEG_ES].limit = 0x20003;
  cpu_mode_update(c);
  c->r[RCX] = 4;
  c->r[RDI] = 0x20000;
  expect_fault(c, x_ins(c, &op), VEC_GP, 0);
  assert_int_equal(c->r[RCX], 2);
  assert_int_equal(c->r[RDI], 0x20004);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      T(a_far_call_pushes_cs_and_eip),
      T(a_far_jump_checks_its_target_by_the_table),
      T(a_call_gate_copies_parameters_to_the_inner_stack),
      T(a_64_bit_call_gate_pushes_quadwords_and_takes_rsp0),
      T(iret_returns_to_an_outer_level_and_cannot_raise_iopl_there),
      T(iret_to_an_inner_level_is_gp),
      T(iret_enters_virtual_8086_mode),
      T(iretq_takes_null_ss_at_level_0_only),
      T(iret_to_a_16_bit_stack_leaves_the_upper_part_of_rsp),
      T(syscall_and_sysret_follow_star),
      T(sysenter_is_ud_in_long_mode),
      T(a_call_to_a_tss_switches_and_iret_comes_back),
      T(a_jump_to_a_tss_frees_the_old_one),
      T(an_exception_through_a_task_gate_pushes_its_error_there),
      T(a_bad_segment_of_the_new_task_faults_in_the_new_task),
      T(task_switches_check_the_tss_by_the_table),
      T(a_16_bit_task_saves_and_loads_words),
      T(the_trap_bit_of_a_tss_asks_for_a_debug_trap),
      T(ports_follow_iopl_and_the_bitmap),
      T(rep_ins_moves_all_and_stops_at_a_fault_restartably),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
