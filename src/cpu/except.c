// Exceptions, interrupts and INT n: from event to handler. APM2 chapter 8.
//
// Invariant: delivery changes no architectural state before its last possible fault, except stack memory
// below the stack pointer, accessed bits, and what a task switch has saved. So a nested fault finds the
// state of the interrupted instruction.
#include "cpu/event.h"

#include "cpu/mem.h"
#include "cpu/seg.h"
#include "cpu/svm/svm.h"

// ---- raising ----

// An access may be tried twice, as a whole and then in parts; what was raised last counts, also if there was
// a #VMEXIT on its way before.
static bool raise_fault(struct cpu *c, struct fault f)
{
  c->fault = f;
  c->faulted = true;
  if (unlikely(c->guest))
    c->svm->exiting = false;
  return false;
}

bool raise_vec(struct cpu *c, uint8_t vector)
{
  return raise_fault(c, (struct fault){.vector = vector});
}

bool raise_error(struct cpu *c, uint8_t vector, uint32_t error)
{
  return raise_fault(c, (struct fault){.vector = vector, .has_error = true, .error = error});
}

bool raise_pf(struct cpu *c, uint64_t address, uint32_t error)
{
  return raise_fault(c,
                     (struct fault){.vector = VEC_PF, .has_error = true, .error = error, .address = address});
}

bool raise_db(struct cpu *c, uint64_t dr6_bits)
{
  return raise_fault(c, (struct fault){.vector = VEC_DB, .address = dr6_bits});
}

void cpu_shutdown(struct cpu *c)
{
  if (SVM_INTERCEPTED(c, VMEXIT_SHUTDOWN)) {
    svm_exit(c, VMEXIT_SHUTDOWN, 0, 0);
    c->delivering = false;
    svm_vmexit(c);
    return;
  }
  c->faulted = false;
  c->delivering = false;
  c->db_bits = 0; // of the deliveries that failed: there is nobody to tell
  c->run = RUN_SHUTDOWN;
  log_line(c->log, LOG_INT, "cpu%u: shutdown at %04x:%016llx\n", c->index, c->seg[SEG_CS].sel,
           (unsigned long long)c->ip);
  cpu_kick(c);
}

// ---- what all ways share ----

// The RFLAGS image to save. Exceptions that are faults set RF in it, so that an instruction breakpoint
// does not fire again when the instruction is restarted (APM2 3.1.6).
static uint32_t saved_flags(const struct cpu *c, const struct event *e)
{
  uint32_t f = cpu_flags(c);
  bool fault = e->type == EVENT_EXCEPTION && !e->soft && e->vector != VEC_DB && e->vector != VEC_DF &&
               e->vector != VEC_MC;
  if (e->type == EVENT_EXCEPTION && e->vector == VEC_DB)
    f &= ~(uint32_t)FL_RF;
  return fault ? f | FL_RF : f;
}

static void entered(struct cpu *c, uint64_t ip, uint32_t clear)
{
  if (unlikely(c->debugctl & 1)) {
    c->last_int_from = c->ip;
    c->last_int_to = ip;
  }
  c->sysflags &= ~clear;
  c->ip = c->next_ip = ip;
  c->delivering = false;
  c->shadow = c->shadow_next = SHADOW_NONE;
  c->trap_tf = false;
  if (c->run == RUN_HALTED || c->run == RUN_MWAIT) // a single-step trap ends HLT too
    c->run = RUN_ON;
  cpu_changed(c);
}

// ---- real mode, and redirected interrupts of virtual-8086 mode ----

static bool push_frame16(struct cpu *c, struct stack *st, uint32_t flags, uint64_t ip)
{
  return seg_push(c, st, 2, flags) && seg_push(c, st, 2, c->seg[SEG_CS].sel) && seg_push(c, st, 2, ip);
}

static bool deliver_real(struct cpu *c, const struct event *e, uint64_t ip)
{
  uint32_t entry;
  if (e->vector * 4u + 3 > c->idtr.limit)
    return raise_error(c, VEC_GP, e->vector * 8u + 2);
  if (!sys_read(c, seg_wrap(c, c->idtr.base + e->vector * 4u), &entry, 4))
    return false;
  struct stack st = seg_stack(c);
  if (!push_frame16(c, &st, saved_flags(c, e), ip))
    return false;
  seg_stack_commit(c, &st);
  seg_load_real(c, SEG_CS, entry >> 16);
  entered(c, entry & 0xffff, FL_TF | FL_IF | FL_RF | FL_AC);
  return true;
}

bool event_vme_int(struct cpu *c, uint8_t vector, bool *done)
{
  bool redirected;
  uint32_t entry;
  *done = false;
  if (!task_vme_redirects(c, vector, &redirected))
    return false;
  if (!redirected)
    return cpu_iopl(c) == 3 || raise_gp(c, 0);
  if (!sys_read(c, vector * 4u, &entry, 4))
    return false;
  uint32_t flags = cpu_flags(c);
  bool virtual_if = cpu_iopl(c) < 3;
  if (virtual_if)
    flags = (flags & ~(uint32_t)FL_IF) | FL_IOPL | (flags & FL_VIF ? FL_IF : 0);
  struct stack st = seg_stack(c);
  if (!push_frame16(c, &st, flags, c->next_ip))
    return false;
  seg_stack_commit(c, &st);
  seg_load_v86(c, SEG_CS, entry >> 16);
  entered(c, entry & 0xffff, FL_TF | FL_NT | FL_RF | (virtual_if ? FL_VIF : FL_IF));
  *done = true;
  return true;
}

// ---- protected mode ----

// The target segment of a gate. On success *cpl is the privilege level of the handler.
static bool gate_code(struct cpu *c, uint16_t sel, bool wide, uint64_t *d, unsigned *cpl)
{
  if (sel_null(sel))
    return raise_gp(c, 0);
  if (!desc_fetch(c, sel, VEC_GP, d))
    return false;
  if (!desc_code(*d) || desc_dpl(*d) > c->cpl || (wide && (!desc_l(*d) || desc_db(*d))))
    return raise_gp(c, sel & 0xfffc);
  if (!desc_present(*d))
    return raise_error(c, VEC_NP, sel & 0xfffc);
  *cpl = desc_conforming(*d) ? c->cpl : desc_dpl(*d);
  if (cpu_v86(c) && *cpl != 0)
    return raise_gp(c, sel & 0xfffc);
  return desc_accessed(c, sel, d);
}

static bool push_frame(struct cpu *c, struct stack *st, const struct event *e, unsigned size, bool inner,
                       uint64_t ip)
{
  static const uint8_t v86_order[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};
  if (inner && cpu_v86(c))
    for (unsigned i = 0; i < 4; i++)
      if (!seg_push(c, st, size, c->seg[v86_order[i]].sel))
        return false;
  if (inner && (!seg_push(c, st, size, c->seg[SEG_SS].sel) || !seg_push(c, st, size, c->r[RSP])))
    return false;
  return seg_push(c, st, size, saved_flags(c, e)) && seg_push(c, st, size, c->seg[SEG_CS].sel) &&
         seg_push(c, st, size, ip) && (!e->has_error || seg_push(c, st, size, e->error));
}

static bool deliver_protected(struct cpu *c, const struct event *e, uint64_t ip)
{
  uint64_t gate, cs, ss = 0;
  uint16_t ss_sel = 0;
  uint32_t sp;
  unsigned cpl;
  uint32_t idt_error = e->vector * 8u + 2;

  if (e->vector * 8u + 7 > c->idtr.limit)
    return raise_gp(c, idt_error);
  if (!sys_read(c, seg_wrap(c, c->idtr.base + e->vector * 8u), &gate, 8))
    return false;
  unsigned type = desc_type(gate);
  if (desc_s(gate) || (type != SYS_TASK && type != SYS_INT16 && type != SYS_TRAP16 && type != SYS_INT32 &&
                       type != SYS_TRAP32))
    return raise_gp(c, idt_error);
  if (e->soft && desc_dpl(gate) < c->cpl)
    return raise_gp(c, idt_error);
  if (!desc_present(gate))
    return raise_error(c, VEC_NP, idt_error);
  if (type == SYS_TASK)
    return task_gate(c, gate, TASK_INT, ip, e->has_error, e->error);

  bool wide = type & 8;
  unsigned size = wide ? 4 : 2;
  uint16_t sel = gate >> 16;
  uint64_t target = (gate & 0xffff) | (wide ? gate >> 48 << 16 : 0);
  if (!gate_code(c, sel, false, &cs, &cpl))
    return false;

  bool inner = cpl < c->cpl;
  struct stack st;
  struct seg new_ss;
  if (inner) {
    if (!task_inner_stack(c, cpl, &ss_sel, &sp) || !seg_check_stack(c, ss_sel, cpl, VEC_TS, &ss))
      return false;
    new_ss = seg_from_desc(ss_sel, ss);
    st = seg_stack_in(&new_ss, sp, cpl, ss_sel & 0xfffc);
  } else {
    st = seg_stack(c);
  }
  if (!seg_check_ip(c, cs, target) || !push_frame(c, &st, e, size, inner, ip))
    return false;

  if (cpu_v86(c)) {
    seg_load_null(c, SEG_ES, 0);
    seg_load_null(c, SEG_DS, 0);
    seg_load_null(c, SEG_FS, 0);
    seg_load_null(c, SEG_GS, 0);
  }
  if (inner)
    c->seg[SEG_SS] = new_ss;
  seg_stack_commit(c, &st);
  seg_set_cs(c, sel, cs, cpl);
  entered(c, target, FL_TF | FL_NT | FL_RF | FL_VM | (type & 1 ? 0 : FL_IF));
  return true;
}

// ---- long mode ----

// The frame is written at once; a fault is where it would be if it were pushed word by word from the top.
static bool write_frame(struct cpu *c, unsigned cpl, uint64_t rsp, const uint64_t *frame, unsigned n)
{
  if (likely(cpl_write(c, cpl, rsp, frame, n * 8)))
    return true;
  c->faulted = false;
  while (n-- > 0)
    if (!cpl_write(c, cpl, rsp + n * 8, &frame[n], 8))
      return false;
  return true;
}

static bool deliver_long(struct cpu *c, const struct event *e, uint64_t ip)
{
  uint64_t gate[2], cs, rsp = c->r[RSP], frame[6];
  unsigned cpl, n = 0;
  uint32_t idt_error = e->vector * 8u + 2;

  if (e->vector * 16u + 15 > c->idtr.limit)
    return raise_gp(c, idt_error);
  if (!sys_read(c, c->idtr.base + e->vector * 16u, gate, 16))
    return false;
  unsigned type = desc_type(gate[0]);
  if (desc_s(gate[0]) || (type != SYS_INT32 && type != SYS_TRAP32))
    return raise_gp(c, idt_error);
  if (e->soft && desc_dpl(gate[0]) < c->cpl)
    return raise_gp(c, idt_error);
  if (!desc_present(gate[0]))
    return raise_error(c, VEC_NP, idt_error);

  uint16_t sel = gate[0] >> 16;
  unsigned ist = gate[0] >> 32 & 7;
  uint64_t target = (gate[0] & 0xffff) | (gate[0] >> 48 << 16) | gate[1] << 32;
  if (!gate_code(c, sel, true, &cs, &cpl))
    return false;
  bool inner = cpl < c->cpl;
  if (ist || inner) {
    if (!task_inner_rsp(c, ist ? 3 + ist : cpl, &rsp))
      return false;
  }
  rsp &= ~15ull;
  if (!canonical(target))
    return raise_gp(c, 0);

  if (e->has_error)
    frame[n++] = e->error;
  frame[n++] = ip;
  frame[n++] = c->seg[SEG_CS].sel;
  frame[n++] = saved_flags(c, e);
  frame[n++] = c->r[RSP];
  frame[n++] = c->seg[SEG_SS].sel;
  rsp -= n * 8;
  if (!canonical(rsp) || !canonical(rsp + n * 8 - 1))
    return raise_error(c, VEC_SS, 0);
  if (unlikely(c->efer & EFER_LMSLE) && cpl && !inner && !seg_within64(&c->seg[SEG_SS], rsp, n * 8))
    return raise_error(c, VEC_SS, 0);
  if (!write_frame(c, cpl, rsp, frame, n))
    return false;

  if (inner)
    seg_load_null(c, SEG_SS, cpl);
  c->r[RSP] = rsp;
  seg_set_cs(c, sel, cs, cpl);
  entered(c, target, FL_TF | FL_NT | FL_RF | FL_VM | (type & 1 ? 0 : FL_IF));
  return true;
}

// ---- the ways in ----

static void log_event(struct cpu *c, const struct event *e, uint64_t ip)
{
  log_line(c->log, LOG_INT,
           "cpu%u: type %u vector %02x error %04x at %04x:%016llx cpl %u sp %016llx cr2 %016llx\n", c->index,
           e->type, e->vector, e->has_error ? e->error : 0, c->seg[SEG_CS].sel, (unsigned long long)ip,
           c->cpl, (unsigned long long)c->r[RSP], (unsigned long long)c->cr2);
}

bool event_deliver(struct cpu *c, const struct event *e, uint64_t ip)
{
  struct event ev = *e; // e may be c->event
  c->event = ev;
  c->delivering = true;
  c->faulted = false;
  if (log_on(c->log, LOG_INT))
    log_event(c, &ev, ip);
  if (!(c->cr0 & CR0_PE))
    return deliver_real(c, &ev, ip);
  if (cpu_long(c))
    return deliver_long(c, &ev, ip);
  return deliver_protected(c, &ev, ip);
}

// APM2 8.2.9, table 8-4: which pairs of exceptions make a double fault.
enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static enum fault_class fault_class(uint8_t vector)
{
  switch (vector) {
  case VEC_DE:
  case VEC_TS:
  case VEC_NP:
  case VEC_SS:
  case VEC_GP:
    return CONTRIBUTORY;
  case VEC_PF:
    return PAGE_FAULT;
  case VEC_DF:
    return DOUBLE_FAULT;
  default:
    return BENIGN;
  }
}

static bool combines(enum fault_class first, enum fault_class second)
{
  return (first == CONTRIBUTORY && second == CONTRIBUTORY) ||
         (first == PAGE_FAULT && (second == CONTRIBUTORY || second == PAGE_FAULT));
}

// Side effects of an exception that is about to be taken: CR2, DR6, DR7.
static void fault_registers(struct cpu *c, const struct fault *f)
{
  if (f->vector == VEC_PF) {
    c->cr2 = f->address;
  } else if (f->vector == VEC_DB && !f->icebp) {
    c->dr6 = (c->dr6 & ~0xfull) | f->address;
    c->dr7 &= ~(1ull << 13); // GD
    c->debugctl &= ~3ull;    // BTF, LBR
  }
}

// EXT of an error code: the fault is not the program's, but of the event that was being delivered.
static void set_ext(struct fault *f, const struct event *first)
{
  if (first && f->has_error && f->vector != VEC_PF && !first->soft)
    f->error |= 1;
}

// SVM: an exception that is intercepted never becomes an event; nor is it combined with what was being
// delivered (APM2 15.12). #PF leaves CR2 alone, #DB has set DR6. True if the exit was raised.
static bool fault_intercepted(struct cpu *c, uint8_t vector)
{
  struct fault *f = &c->fault;
  if (!(c->svm->exception_intercepts >> vector & 1))
    return false;
  set_ext(f, c->delivering ? &c->event : NULL);
  if (vector == VEC_DB)
    fault_registers(c, f);
  svm_exit(c, VMEXIT_EXCP0 + vector, f->has_error ? f->error : 0, vector == VEC_PF ? f->address : 0);
  return true;
}

// Makes an event of c->fault, which came while `first` was being delivered (NULL: nothing was).
// Returns false if that means shutdown.
static bool fault_event(struct cpu *c, const struct event *first, struct event *e)
{
  struct fault *f = &c->fault;
  set_ext(f, first);
  *e = (struct event){.type = EVENT_EXCEPTION,
                      .vector = f->vector,
                      .has_error = f->has_error,
                      .soft = f->soft,
                      .error = f->error};
  fault_registers(c, f);
  if (!first)
    return true;
  if (first->type != EVENT_EXCEPTION)
    return true;
  enum fault_class a = fault_class(first->vector), b = fault_class(f->vector);
  if (a == DOUBLE_FAULT && b != BENIGN)
    return false;
  if (combines(a, b))
    *e = (struct event){.type = EVENT_EXCEPTION, .vector = VEC_DF, .has_error = true};
  return true;
}

// A handler whose delivery raises benign faults for ever (#AC on its own stack) would hold real hardware for
// good; here it becomes a shutdown.
#define NESTED_MAX 16

// c->fault is to be delivered, and what comes of that.
static void dispatch_faults(struct cpu *c)
{
  for (unsigned i = 0; i < NESTED_MAX; i++) {
    struct event first = c->event, e;
    if (unlikely(c->guest) &&
        (c->svm->exiting || (!c->fault.icebp && fault_intercepted(c, c->fault.vector)))) {
      svm_vmexit(c);
      return;
    }
    if (!fault_event(c, c->delivering ? &first : NULL, &e))
      break;
    if (unlikely(c->guest) && e.vector == VEC_DF && c->fault.vector != VEC_DF &&
        (c->svm->exception_intercepts >> VEC_DF & 1)) {
      svm_exit(c, VMEXIT_EXCP0 + VEC_DF, 0, 0);
      svm_vmexit(c);
      return;
    }
    uint64_t ip = c->fault.soft || c->fault.icebp ? c->next_ip : c->ip;
    if (!(c->cr0 & CR0_PE))
      e.has_error = false;
    c->stat_exceptions++;
    c->db_bits = 0; // of the instruction that did not complete
    if (event_deliver(c, &e, ip))
      return;
  }
  cpu_shutdown(c);
}

// APM2 15.14.2. The interrupt's handler comes back to the instruction that waits.
static void freeze(struct cpu *c)
{
  c->fault.freeze = false;
  c->faulted = false;
  if (SVM_INTERCEPTED(c, VMEXIT_FERR_FREEZE)) {
    svm_exit(c, VMEXIT_FERR_FREEZE, 0, 0);
    svm_vmexit(c);
    return;
  }
  c->run = RUN_HALTED;
}

void except_deliver(struct cpu *c)
{
  if (unlikely(c->fault.freeze) && !(c->guest && c->svm->exiting)) {
    freeze(c);
    return;
  }
  dispatch_faults(c);
}

void event_dispatch(struct cpu *c, const struct event *e, uint64_t ip)
{
  if (!event_deliver(c, e, ip))
    dispatch_faults(c);
}

void except_interrupt(struct cpu *c, uint8_t vector)
{
  struct event e = {.type = EVENT_INTR, .vector = vector};
  c->stat_interrupts++;
  event_dispatch(c, &e, c->ip);
}

void except_nmi(struct cpu *c)
{
  struct event e = {.type = EVENT_NMI, .vector = VEC_NMI};
  c->stat_interrupts++;
  c->nmi_blocked = true;
  event_dispatch(c, &e, c->ip);
}

bool except_software(struct cpu *c, uint8_t vector)
{
  struct event e = {.type = EVENT_SOFT, .vector = vector, .soft = true};
  return event_deliver(c, &e, c->next_ip);
}

void except_debug_trap(struct cpu *c, uint64_t dr6_bits)
{
  c->fault = (struct fault){.vector = VEC_DB, .address = dr6_bits};
  dispatch_faults(c);
}
