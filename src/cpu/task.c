// Task state segments: task switches, inner stacks, the I/O and interrupt bitmaps. APM2 chapter 12.
//
// A task switch has a point of no return: before it a fault leaves the old task untouched, after it the
// fault is the new task's, at its first instruction, and is delivered before task_switch returns.
#include "cpu/cr.h"
#include "cpu/event.h"
#include "cpu/mem.h"
#include "cpu/seg.h"
#include "cpu/svm/svm.h"
#include "cpu/tlb.h"

enum { TSS16_SIZE = 0x2c, TSS32_SIZE = 0x68, TSS32_TRAP = 0x64, TSS32_IOMAP = 0x66 };

// Reads len bytes at off of the TSS; *ok is false if the limit does not reach that far.
static bool tss_read(struct cpu *c, uint32_t off, void *buf, unsigned len, bool *ok)
{
  *ok = off + len - 1 <= c->tr.limit;
  return !*ok || sys_read(c, seg_wrap(c, c->tr.base + off), buf, len);
}

static bool tr_is_32(const struct cpu *c)
{
  return c->tr.attr & 8;
}

// ---- fields for others ----

bool task_inner_stack(struct cpu *c, unsigned dpl, uint16_t *ss, uint32_t *sp)
{
  bool ok;
  uint8_t b[6] = {0};
  *sp = 0;
  if (tr_is_32(c)) {
    if (!tss_read(c, 4 + dpl * 8, b, 6, &ok))
      return false;
    memcpy(sp, b, 4);
    memcpy(ss, b + 4, 2);
  } else {
    if (!tss_read(c, 2 + dpl * 4, b, 4, &ok))
      return false;
    memcpy(sp, b, 2);
    memcpy(ss, b + 2, 2);
  }
  return ok || raise_error(c, VEC_TS, c->tr.sel & 0xfffc);
}

bool task_inner_rsp(struct cpu *c, unsigned index, uint64_t *rsp)
{
  bool ok;
  if (!tss_read(c, 4 + index * 8, rsp, 8, &ok))
    return false;
  return ok || raise_error(c, VEC_TS, c->tr.sel & 0xfffc);
}

bool task_io_allowed(struct cpu *c, uint16_t port, unsigned size, bool *allowed)
{
  bool ok;
  uint16_t base, bits;
  *allowed = false;
  if (!tr_is_32(c) || !(c->tr.attr & SEGA_P))
    return true;
  if (!tss_read(c, TSS32_IOMAP, &base, 2, &ok))
    return false;
  if (!ok)
    return true;
  // Two bytes are always read, so that the last byte of the map must be followed by one more.
  if (!tss_read(c, base + port / 8u, &bits, 2, &ok))
    return false;
  *allowed = ok && !(bits >> (port & 7) & ((1u << size) - 1));
  return true;
}

bool task_vme_redirects(struct cpu *c, uint8_t vector, bool *redirected)
{
  bool ok;
  uint16_t base;
  uint8_t bits;
  *redirected = false;
  if (!tr_is_32(c))
    return true;
  if (!tss_read(c, TSS32_IOMAP, &base, 2, &ok))
    return false;
  if (!ok || base < 32)
    return true;
  if (!tss_read(c, base - 32u + vector / 8u, &bits, 1, &ok))
    return false;
  *redirected = ok && !(bits >> (vector & 7) & 1);
  return true;
}

// ---- the image of a task ----

struct image {
  uint32_t eip, eflags, cr3;
  uint32_t r[8];
  uint16_t seg[SEG_COUNT];
  uint16_t ldt;
  bool trap;
};

static void image_read(struct image *m, const uint8_t *b, bool wide)
{
  *m = (struct image){0};
  if (wide) {
    memcpy(&m->cr3, b + 0x1c, 4);
    memcpy(&m->eip, b + 0x20, 4);
    memcpy(&m->eflags, b + 0x24, 4);
    memcpy(m->r, b + 0x28, 32);
    for (unsigned i = 0; i < SEG_COUNT; i++)
      memcpy(&m->seg[i], b + 0x48 + i * 4, 2);
    memcpy(&m->ldt, b + 0x60, 2);
    m->trap = b[TSS32_TRAP] & 1;
    return;
  }
  memcpy(&m->eip, b + 0x0e, 2);
  memcpy(&m->eflags, b + 0x10, 2);
  for (unsigned i = 0; i < 8; i++) {
    memcpy(&m->r[i], b + 0x12 + i * 2, 2);
    m->r[i] |= 0xffff0000u;
  }
  for (unsigned i = 0; i < 4; i++)
    memcpy(&m->seg[i], b + 0x22 + i * 2, 2);
  memcpy(&m->ldt, b + 0x2a, 2);
}

// The dynamic part of the outgoing task, in one piece: from EIP to GS, or IP to DS.
static bool image_save(struct cpu *c, uint32_t eip, uint32_t eflags, bool wide)
{
  uint8_t b[0x60];
  uint64_t base = c->tr.base;
  if (wide) {
    memset(b, 0, sizeof b);
    memcpy(b + 0x20, &eip, 4);
    memcpy(b + 0x24, &eflags, 4);
    for (unsigned i = 0; i < 8; i++)
      memcpy(b + 0x28 + i * 4, &c->r[i], 4);
    for (unsigned i = 0; i < SEG_COUNT; i++)
      memcpy(b + 0x48 + i * 4, &c->seg[i].sel, 2);
    return sys_write(c, seg_wrap(c, base + 0x20), b + 0x20, 0x40);
  }
  memcpy(b + 0x0e, &eip, 2);
  memcpy(b + 0x10, &eflags, 2);
  for (unsigned i = 0; i < 8; i++)
    memcpy(b + 0x12 + i * 2, &c->r[i], 2);
  for (unsigned i = 0; i < 4; i++)
    memcpy(b + 0x22 + i * 2, &c->seg[i].sel, 2);
  return sys_write(c, seg_wrap(c, base + 0x0e), b + 0x0e, 0x1c);
}

// ---- segments of the incoming task ----

static bool load_cs(struct cpu *c, uint16_t sel)
{
  uint64_t d;
  if (sel_null(sel))
    return raise_error(c, VEC_TS, 0);
  if (!desc_fetch(c, sel, VEC_TS, &d))
    return false;
  unsigned rpl = sel & 3;
  if (!desc_code(d) || (desc_conforming(d) ? desc_dpl(d) > rpl : desc_dpl(d) != rpl))
    return raise_error(c, VEC_TS, sel & 0xfffc);
  if (!desc_present(d))
    return raise_error(c, VEC_NP, sel & 0xfffc);
  if (!desc_accessed(c, sel, &d))
    return false;
  seg_set_cs(c, sel, d, rpl);
  return true;
}

static bool load_segments(struct cpu *c, const struct image *m)
{
  static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
  uint64_t ss;
  if (!seg_load_ldt(c, m->ldt, VEC_TS))
    return false;
  if (cpu_v86(c)) {
    for (unsigned i = 0; i < SEG_COUNT; i++)
      seg_load_v86(c, i, m->seg[i]);
    return true;
  }
  if (!load_cs(c, m->seg[SEG_CS]) || !seg_check_stack(c, m->seg[SEG_SS], c->cpl, VEC_TS, &ss))
    return false;
  c->seg[SEG_SS] = seg_from_desc(m->seg[SEG_SS], ss);
  for (unsigned i = 0; i < 4; i++)
    if (!seg_load_task(c, data[i], m->seg[data[i]]))
      return false;
  return true;
}

// ---- the switch ----

static bool check_target(struct cpu *c, uint16_t sel, uint64_t d, enum task_reason why)
{
  unsigned type = desc_type(d);
  uint8_t bad = why == TASK_IRET ? VEC_TS : VEC_GP;
  bool busy = type == SYS_TSS16_BUSY || type == SYS_TSS32_BUSY;
  bool free_ = type == SYS_TSS16 || type == SYS_TSS32;
  if (desc_s(d) || !(why == TASK_IRET ? busy : free_))
    return raise_error(c, bad, sel & 0xfffc);
  if (!desc_present(d))
    return raise_error(c, VEC_NP, sel & 0xfffc);
  if (desc_limit(d) < (type & 8 ? TSS32_SIZE : TSS16_SIZE) - 1u)
    return raise_error(c, VEC_TS, sel & 0xfffc);
  return true;
}

// Everything of the new task that cannot fault.
static void load_image(struct cpu *c, const struct image *m, bool wide)
{
  for (unsigned i = 0; i < 8; i++)
    c->r[i] = m->r[i];
  for (unsigned i = 0; i < SEG_COUNT; i++) {
    c->seg[i].sel = m->seg[i];
    c->seg[i].attr = 0;
  }
  c->ldtr.sel = m->ldt;
  c->ldtr.attr = 0;
  c->dr7 &= ~0x155ull; // L0..L3, LE
  tlb_drop_views(c);
  uint32_t flags = wide ? m->eflags : m->eflags & 0xffff;
  cpu_set_flags(c, (flags & FL_ALL) | 2);
  c->cpl = cpu_v86(c) ? 3 : m->seg[SEG_CS] & 3;
  c->cr0 |= CR0_TS;
  c->ip = c->next_ip = m->eip;
  c->shadow = c->shadow_next = SHADOW_NONE;
  c->trap_tf = c->rf_clear = false;
  cpu_changed(c);
}

static bool push_error(struct cpu *c, bool wide, uint32_t error)
{
  struct stack st = seg_stack_in(&c->seg[SEG_SS], c->r[RSP], c->cpl, 0);
  if (!seg_push(c, &st, wide ? 4 : 2, error))
    return false;
  seg_stack_commit(c, &st);
  return true;
}

bool task_switch(struct cpu *c, uint16_t sel, enum task_reason why, uint64_t ip, bool has_error,
                 uint32_t error)
{
  uint64_t d;
  uint8_t b[TSS32_SIZE] = {0};
  struct image m;
  uint8_t vector = why == TASK_IRET ? VEC_TS : VEC_GP;
  if (sel_null(sel) || (sel & 4))
    return raise_error(c, vector, sel & 0xfffc);
  if (!desc_fetch(c, sel, vector, &d) || !check_target(c, sel, d, why))
    return false;
  bool wide = desc_type(d) & 8, old_wide = tr_is_32(c);
  struct seg tr = seg_from_desc(sel, d | 2ull << 40);

  uint32_t eflags = cpu_flags(c);
  if (why == TASK_IRET)
    eflags &= ~(uint32_t)FL_NT;
  if (why == TASK_INT && c->event.type == EVENT_EXCEPTION && !c->event.soft && c->event.vector != VEC_DB)
    eflags |= FL_RF;
  if (SVM_INTERCEPTED(c, VMEXIT_TASK_SWITCH)) // once the TSS has been checked. APM2 15.14.1
    return svm_exit(c, VMEXIT_TASK_SWITCH, sel,
                    (uint64_t)(why == TASK_IRET) << 36 | (uint64_t)(why == TASK_JMP) << 38 |
                        (uint64_t)has_error << 44 | (uint64_t)((eflags & FL_RF) != 0) << 48 |
                        (has_error ? error : 0));
  uint16_t old_sel = c->tr.sel;
  if (c->tr.limit < (old_wide ? TSS32_SIZE : TSS16_SIZE) - 1u)
    return raise_error(c, VEC_TS, old_sel & 0xfffc);
  if (!sys_read(c, seg_wrap(c, tr.base), b, wide ? TSS32_SIZE : TSS16_SIZE))
    return false;
  bool nest = why == TASK_CALL || why == TASK_INT;
  if (nest && !sys_probe_write(c, seg_wrap(c, tr.base), 2))
    return false;
  image_read(&m, b, wide);
  if (!image_save(c, ip, eflags, old_wide))
    return false;
  if (!nest && !desc_set_busy(c, old_sel, false))
    return false;
  if (why != TASK_IRET && !desc_set_busy(c, sel, true))
    return false;
  if (nest) {
    if (!sys_write(c, seg_wrap(c, tr.base), &old_sel, 2))
      return false;
    m.eflags |= FL_NT;
  }

  // From here on the new task runs.
  c->tr = tr;
  load_image(c, &m, wide);
  c->faulted = false;
  if ((!wide || !(c->cr0 & CR0_PG) || cr3_write(c, m.cr3)) && load_segments(c, &m) &&
      (!has_error || push_error(c, wide, error)) && (m.eip <= c->seg[SEG_CS].limit || raise_gp(c, 0))) {
    c->delivering = false;
    if (m.trap) {
      c->db_bits |= 1u << 15; // BT
      cpu_kick(c);
    }
    return true;
  }
  // The caller's instruction is over, so the fault is taken here, in the new task. If an event was being
  // delivered it still counts as the first of two.
  except_deliver(c);
  c->next_ip = c->ip;
  return true;
}

bool task_gate(struct cpu *c, uint64_t gate, enum task_reason why, uint64_t ip, bool has_error,
               uint32_t error)
{
  return task_switch(c, gate >> 16, why, ip, has_error, error);
}
