// Far JMP, CALL, RET and IRET, and the instructions that raise interrupts. APM2 4.11, 8.8, 12.3; APM3.
//
// All of them work on copies (struct stack, descriptors) and change registers last, so that a fault leaves
// the instruction restartable.
#include "cpu/insn/transfer.h"

#include "cpu/debug.h"
#include "cpu/event.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/seg.h"
#include "cpu/svm/svm.h"

// With operand size 64 a far pointer in memory has a 64-bit offset. (AMD's processors leave that form
// out and take REX.W as 32 bits; software that uses it expects the wide form.)
static bool far_pointer(struct cpu *c, const struct op *op, uint16_t *sel, uint64_t *off)
{
  unsigned size = 1u << op->osz;
  if (!(op->flags & OPF_MEM)) {
    *sel = (uint64_t)op->imm >> 32;
    *off = (uint64_t)op->imm & (op->osz == 1 ? 0xffff : 0xffffffff);
    return true;
  }
  uint8_t b[10];
  uint64_t la = op_ea(c, op, size + 2, ACC_READ);
  if (c->faulted || !mem_read(c, op, la, b, size + 2))
    return false;
  *off = 0;
  memcpy(off, b, size);
  memcpy(sel, b + size, 2);
  return true;
}

static bool branch_to(struct cpu *c, uint64_t ip)
{
  debug_branch(c, c->ip, ip);
  c->next_ip = ip;
  return true;
}

static bool push_return(struct cpu *c, struct stack *st, unsigned size)
{
  return seg_push(c, st, size, c->seg[SEG_CS].sel) && seg_push(c, st, size, c->next_ip);
}

// ---- real and virtual-8086 mode ----

static void set_cs_real(struct cpu *c, uint16_t sel)
{
  if (cpu_v86(c))
    seg_load_v86(c, SEG_CS, sel);
  else
    seg_load_real(c, SEG_CS, sel);
}

static bool far_real(struct cpu *c, const struct op *op, uint16_t sel, uint64_t off, bool call)
{
  struct stack st = seg_stack(c);
  if (off > c->seg[SEG_CS].limit)
    return raise_gp(c, 0);
  if (call && !push_return(c, &st, 1u << op->osz))
    return false;
  seg_stack_commit(c, &st);
  set_cs_real(c, sel);
  return branch_to(c, off);
}

// ---- JMP and CALL ----

static bool far_code(struct cpu *c, const struct op *op, uint16_t sel, uint64_t d, uint64_t off, bool call)
{
  struct stack st = seg_stack(c);
  if (!seg_check_code(c, sel, d) || (call && !push_return(c, &st, 1u << op->osz)) ||
      !seg_check_ip(c, d, off) || !desc_accessed(c, sel, &d))
    return false;
  seg_stack_commit(c, &st);
  seg_set_cs(c, sel, d, c->cpl);
  return branch_to(c, off);
}

// CALL through a gate to an inner level. size: 2, 4 or 8 bytes per item.
static bool call_inner(struct cpu *c, uint64_t gate, uint16_t sel, uint64_t cs, uint64_t off, unsigned size)
{
  unsigned cpl = desc_dpl(cs), params = gate >> 32 & 31;
  struct stack st, from = seg_stack(c);
  struct seg ss = {.sel = cpl};
  if (cpu_long(c)) {
    uint64_t rsp;
    if (!task_inner_rsp(c, cpl, &rsp))
      return false;
    st = seg_stack_wide(rsp, cpl);
    params = 0;
  } else {
    uint64_t d;
    uint16_t ss_sel;
    uint32_t sp;
    if (!task_inner_stack(c, cpl, &ss_sel, &sp) || !seg_check_stack(c, ss_sel, cpl, VEC_TS, &d))
      return false;
    ss = seg_from_desc(ss_sel, d);
    st = seg_stack_in(&ss, sp, cpl, ss_sel & 0xfffc);
  }
  uint64_t arg[31];
  for (unsigned i = 0; i < params; i++)
    if (!seg_pop(c, &from, size, &arg[i]))
      return false;
  if (!seg_push(c, &st, size, c->seg[SEG_SS].sel) || !seg_push(c, &st, size, c->r[RSP]))
    return false;
  for (unsigned i = params; i-- > 0;)
    if (!seg_push(c, &st, size, arg[i]))
      return false;
  if (!push_return(c, &st, size) || !seg_check_ip(c, cs, off) || !desc_accessed(c, sel, &cs))
    return false;
  if (cpu_long(c))
    seg_load_null(c, SEG_SS, cpl);
  else
    c->seg[SEG_SS] = ss;
  seg_stack_commit(c, &st);
  seg_set_cs(c, sel, cs, cpl);
  return branch_to(c, off);
}

static bool far_call_gate(struct cpu *c, uint16_t gate_sel, uint64_t gate, bool call)
{
  uint64_t cs, upper = 0;
  bool wide = cpu_long(c);
  unsigned size = wide ? 8 : desc_type(gate) & 8 ? 4 : 2;
  uint16_t sel = gate >> 16;
  if (wide && !desc_fetch_upper(c, gate_sel, VEC_GP, &upper))
    return false;
  uint64_t off = (gate & 0xffff) | (size > 2 ? gate >> 48 << 16 : 0) | upper << 32;
  if (sel_null(sel))
    return raise_gp(c, 0);
  if (!desc_fetch(c, sel, VEC_GP, &cs))
    return false;
  if (!desc_code(cs) || desc_dpl(cs) > c->cpl || (wide && (!desc_l(cs) || desc_db(cs))) ||
      (!call && !desc_conforming(cs) && desc_dpl(cs) != c->cpl))
    return raise_gp(c, sel & 0xfffc);
  if (!desc_present(cs))
    return raise_error(c, VEC_NP, sel & 0xfffc);
  if (call && !desc_conforming(cs) && desc_dpl(cs) < c->cpl)
    return call_inner(c, gate, sel, cs, off, size);
  struct stack st = seg_stack(c);
  if ((call && !push_return(c, &st, size)) || !seg_check_ip(c, cs, off) || !desc_accessed(c, sel, &cs))
    return false;
  seg_stack_commit(c, &st);
  seg_set_cs(c, sel, cs, c->cpl);
  return branch_to(c, off);
}

static bool far_system(struct cpu *c, uint16_t sel, uint64_t d, bool call)
{
  unsigned type = desc_type(d);
  bool tss = type == SYS_TSS16 || type == SYS_TSS32;
  bool gate = type == SYS_CALL16 || type == SYS_CALL32 || type == SYS_TASK;
  if (cpu_long(c)) {
    tss = false;
    gate = type == SYS_CALL32;
  }
  if ((!tss && !gate) || desc_dpl(d) < c->cpl || desc_dpl(d) < (sel & 3u))
    return raise_gp(c, sel & 0xfffc);
  if (!desc_present(d))
    return raise_error(c, VEC_NP, sel & 0xfffc);
  if (tss)
    return task_switch(c, sel, call ? TASK_CALL : TASK_JMP, c->next_ip, false, 0);
  if (type == SYS_TASK)
    return task_gate(c, d, call ? TASK_CALL : TASK_JMP, c->next_ip, false, 0);
  return far_call_gate(c, sel, d, call);
}

static bool far_transfer(struct cpu *c, const struct op *op, bool call)
{
  uint16_t sel;
  uint64_t off, d;
  if (!far_pointer(c, op, &sel, &off))
    return false;
  if (!cpu_protected(c))
    return far_real(c, op, sel, off, call);
  if (sel_null(sel))
    return raise_gp(c, 0);
  if (!desc_fetch(c, sel, VEC_GP, &d))
    return false;
  return desc_s(d) ? far_code(c, op, sel, d, off, call) : far_system(c, sel, d, call);
}

bool x_jmp_far(struct cpu *c, const struct op *op)
{
  return far_transfer(c, op, false);
}

bool x_call_far(struct cpu *c, const struct op *op)
{
  return far_transfer(c, op, true);
}

// ---- RET and IRET ----

// The code segment that a return names.
static bool check_return_cs(struct cpu *c, uint16_t sel, uint64_t *d)
{
  if (sel_null(sel))
    return raise_gp(c, 0);
  if (!desc_fetch(c, sel, VEC_GP, d))
    return false;
  unsigned rpl = sel & 3;
  if (!desc_code(*d) || rpl < c->cpl || (desc_conforming(*d) ? desc_dpl(*d) > rpl : desc_dpl(*d) != rpl) ||
      (cpu_long(c) && desc_l(*d) && desc_db(*d)))
    return raise_gp(c, sel & 0xfffc);
  if (!desc_present(*d))
    return raise_error(c, VEC_NP, sel & 0xfffc);
  return desc_accessed(c, sel, d);
}

// The stack segment that it names; *ss becomes what SS will hold.
static bool check_return_ss(struct cpu *c, uint16_t sel, uint64_t cs, unsigned cpl, struct seg *ss)
{
  uint64_t d;
  if (sel_null(sel) && cpu_long(c) && desc_l(cs) && cpl < 3 && (sel & 3) == cpl) {
    *ss = c->seg[SEG_SS];
    ss->sel = sel;
    ss->attr = 0;
    return true;
  }
  if (!seg_check_stack(c, sel, cpl, VEC_GP, &d))
    return false;
  *ss = seg_from_desc(sel, d);
  return true;
}

// Sets a stack pointer that was popped, after CS and SS are in place. With a 16-bit stack the upper part
// stays.
static void set_outer_sp(struct cpu *c, uint64_t sp)
{
  if (cpu_long(c) && (c->seg[SEG_CS].attr & SEGA_L))
    c->r[RSP] = sp;
  else if (c->seg[SEG_SS].attr & SEGA_DB)
    c->r[RSP] = (uint32_t)sp;
  else
    REG16(c, RSP * 8) = sp;
}

static bool ret_real(struct cpu *c, const struct op *op)
{
  uint64_t ip, sel;
  struct stack st = seg_stack(c);
  if (!seg_pop(c, &st, 1u << op->osz, &ip) || !seg_pop(c, &st, 1u << op->osz, &sel))
    return false;
  if (ip > c->seg[SEG_CS].limit)
    return raise_gp(c, 0);
  seg_stack_skip(&st, op->imm & 0xffff);
  seg_stack_commit(c, &st);
  set_cs_real(c, sel);
  return branch_to(c, ip);
}

bool x_ret_far(struct cpu *c, const struct op *op)
{
  uint64_t ip, sel, cs = 0, sp = 0, ss_sel = 0;
  struct seg ss;
  unsigned size = 1u << op->osz;
  if (!cpu_protected(c))
    return ret_real(c, op);
  struct stack st = seg_stack(c);
  if (!seg_pop(c, &st, size, &ip) || !seg_pop(c, &st, size, &sel) || !check_return_cs(c, sel, &cs))
    return false;
  unsigned cpl = sel & 3;
  bool outer = cpl > c->cpl;
  seg_stack_skip(&st, op->imm & 0xffff);
  if (outer && (!seg_pop(c, &st, size, &sp) || !seg_pop(c, &st, size, &ss_sel) ||
                !check_return_ss(c, ss_sel, cs, cpl, &ss)))
    return false;
  if (!seg_check_ip(c, cs, ip))
    return false;
  seg_set_cs(c, sel, cs, cpl);
  if (outer) {
    c->seg[SEG_SS] = ss;
    set_outer_sp(c, sp);
    struct stack out = seg_stack_in(&c->seg[SEG_SS], c->r[RSP], cpl, 0);
    if (cpu_long(c) && desc_l(cs))
      out.mask = UINT64_MAX;
    seg_stack_skip(&out, op->imm & 0xffff);
    seg_stack_commit(c, &out);
    seg_drop_inner(c);
  } else {
    seg_stack_commit(c, &st);
  }
  return branch_to(c, ip);
}

// Flags that IRET may change at the current privilege level.
static uint32_t iret_flags(const struct cpu *c, unsigned osz)
{
  uint32_t may = FL_ARITH | FL_TF | FL_DF | FL_NT;
  if (osz > 1)
    may |= FL_RF | FL_AC | FL_ID;
  if (!(c->cr0 & CR0_PE))
    return may | FL_IF | FL_IOPL;
  if (c->cpl <= cpu_iopl(c))
    may |= FL_IF;
  if (c->cpl == 0)
    may |= FL_IOPL | (osz > 1 ? FL_VIF | FL_VIP : 0);
  return may;
}

static void set_flags(struct cpu *c, uint32_t v, uint32_t may)
{
  uint32_t old = cpu_flags(c) & ~(uint32_t)FL_RF;
  cpu_set_flags(c, (old & ~may) | (v & may));
  c->rf_clear = false; // an RF that IRET sets is for the next instruction
}

// Real mode, and virtual-8086 mode with IOPL 3 or VME.
static bool iret_real(struct cpu *c, const struct op *op)
{
  uint64_t ip, sel, f;
  unsigned size = 1u << op->osz;
  bool vme = false;
  uint32_t may = iret_flags(c, op->osz);
  if (cpu_v86(c) && cpu_iopl(c) < 3) {
    if (!(c->cr4 & CR4_VME) || op->osz != 1)
      return raise_gp(c, 0);
    vme = true;
  }
  struct stack st = seg_stack(c);
  if (!seg_pop(c, &st, size, &ip) || !seg_pop(c, &st, size, &sel) || !seg_pop(c, &st, size, &f))
    return false;
  if (ip > c->seg[SEG_CS].limit)
    return raise_gp(c, 0);
  if (vme) {
    if ((f & FL_TF) || ((f & FL_IF) && (c->sysflags & FL_VIP)))
      return raise_gp(c, 0);
    f = (f & ~(uint64_t)FL_VIF) | (f & FL_IF ? FL_VIF : 0);
    may |= FL_VIF;
  }
  seg_stack_commit(c, &st);
  set_cs_real(c, sel);
  set_flags(c, f, may);
  return branch_to(c, ip);
}

// From CPL 0 in legacy mode to a virtual-8086 program; EIP, CS and EFLAGS are popped already.
static bool iret_to_v86(struct cpu *c, struct stack *st, uint64_t ip, uint16_t cs, uint32_t f)
{
  static const uint8_t order[] = {SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS};
  uint64_t sp, sel[5];
  if (!seg_pop(c, st, 4, &sp))
    return false;
  for (unsigned i = 0; i < 5; i++)
    if (!seg_pop(c, st, 4, &sel[i]))
      return false;
  if (ip > 0xffff)
    return raise_gp(c, 0);
  uint32_t may = FL_ALL;
  c->cpl = 3;
  set_flags(c, f, may);
  seg_load_v86(c, SEG_CS, cs);
  for (unsigned i = 0; i < 5; i++)
    seg_load_v86(c, order[i], sel[i]);
  c->r[RSP] = (uint32_t)sp;
  return branch_to(c, ip);
}

static bool iret_task(struct cpu *c)
{
  uint16_t link;
  return sys_read(c, seg_wrap(c, c->tr.base), &link, 2) &&
         task_switch(c, link, TASK_IRET, c->next_ip, false, 0);
}

// What IRET pops: IP, CS, FLAGS, and SP, SS if it came that far.
enum { F_IP, F_CS, F_FLAGS, F_SP, F_SS };

static bool pop_frame(struct cpu *c, struct stack *st, uint64_t f[5], unsigned first, unsigned end,
                      unsigned size)
{
  if (st->wide && !st->limited && size == 8 && canonical(st->sp) && canonical(st->sp + 39)) { // all at once
    if (!cpl_read(c, st->cpl, st->sp, f + first, (end - first) * 8))
      return false;
    st->sp += (end - first) * 8;
    return true;
  }
  for (unsigned i = first; i < end; i++)
    if (!seg_pop(c, st, size, &f[i]))
      return false;
  return true;
}

static bool iret_protected(struct cpu *c, const struct op *op)
{
  uint64_t f[5], cs = 0;
  struct seg ss = c->seg[SEG_SS];
  unsigned size = 1u << op->osz;
  bool wide = cpu_code64(c);
  if (c->sysflags & FL_NT)
    return cpu_long(c) ? raise_gp(c, 0) : iret_task(c);
  struct stack st = seg_stack(c);
  if (!pop_frame(c, &st, f, F_IP, wide ? F_SS + 1 : F_FLAGS + 1, size))
    return false;
  if ((f[F_FLAGS] & FL_VM) && size == 4 && c->cpl == 0 && !cpu_long(c))
    return iret_to_v86(c, &st, f[F_IP], f[F_CS], f[F_FLAGS]);
  if (!check_return_cs(c, f[F_CS], &cs))
    return false;
  unsigned cpl = f[F_CS] & 3;
  bool outer = cpl > c->cpl;
  if (outer && !wide && !pop_frame(c, &st, f, F_SP, F_SS + 1, size))
    return false;
  if ((outer || wide) && !check_return_ss(c, f[F_SS], cs, cpl, &ss))
    return false;
  if (!seg_check_ip(c, cs, f[F_IP]))
    return false;
  uint32_t may = iret_flags(c, op->osz);
  seg_set_cs(c, f[F_CS], cs, cpl);
  if (outer || wide) {
    c->seg[SEG_SS] = ss;
    set_outer_sp(c, f[F_SP]);
  } else {
    seg_stack_commit(c, &st);
  }
  set_flags(c, f[F_FLAGS], may);
  if (outer)
    seg_drop_inner(c);
  return branch_to(c, f[F_IP]);
}

bool x_iret(struct cpu *c, const struct op *op)
{
  if (!(cpu_protected(c) ? iret_protected(c, op) : iret_real(c, op)))
    return false;
  if (unlikely(c->guest) && c->svm->vnmi)
    svm_iret(c);
  else
    c->nmi_blocked = false;
  return true;
}

// ---- software interrupts ----

bool x_int(struct cpu *c, const struct op *op)
{
  uint8_t vector = op->imm;
  if (SVM_INTERCEPTED(c, VMEXIT_SWINT))
    return svm_exit(c, VMEXIT_SWINT, model_has(c->model, FEAT_DECODEASSISTS) ? vector : 0, 0);
  if (cpu_v86(c)) {
    bool done = false;
    if (c->cr4 & CR4_VME) {
      if (!event_vme_int(c, vector, &done))
        return false;
    } else if (cpu_iopl(c) < 3) {
      return raise_gp(c, 0);
    }
    if (done)
      return true;
  }
  return except_software(c, vector);
}

// INT3 and INTO are exceptions in EXITINTINFO's terms, although the gate's DPL counts as for INT n.
static bool software_exception(struct cpu *c, uint8_t vector)
{
  if (unlikely(c->guest) && (c->svm->exception_intercepts >> vector & 1))
    return svm_exit(c, VMEXIT_EXCP0 + vector, 0, 0);
  struct event e = {.type = EVENT_EXCEPTION, .vector = vector, .soft = true};
  return event_deliver(c, &e, c->next_ip);
}

bool x_int3(struct cpu *c, const struct op *op)
{
  return software_exception(c, VEC_BP);
}

bool x_into(struct cpu *c, const struct op *op)
{
  return !c->of || software_exception(c, VEC_OF);
}

bool x_int1(struct cpu *c, const struct op *op)
{
  struct event e = {.type = EVENT_EXCEPTION, .vector = VEC_DB};
  if (!event_deliver(c, &e, c->next_ip))
    return false;
  c->dr6 |= c->db_bits; // breakpoints that MOV SS held back come in the same #DB
  c->db_bits = 0;
  return true;
}

bool x_bound(struct cpu *c, const struct op *op)
{
  unsigned size = 1u << op->osz;
  uint8_t b[8];
  uint64_t la = op_ea(c, op, size * 2, ACC_READ);
  if (c->faulted || !mem_read(c, op, la, b, size * 2))
    return false;
  int32_t lower, upper, index = reg_get(c, op->reg, 2);
  if (size == 4) {
    memcpy(&lower, b, 4);
    memcpy(&upper, b + 4, 4);
  } else {
    int16_t w[2];
    memcpy(w, b, 4);
    lower = w[0];
    upper = w[1];
    index = (int16_t)index;
  }
  return (index >= lower && index <= upper) || raise_vec(c, VEC_BR);
}
