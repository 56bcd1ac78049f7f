// Instructions on segment registers, descriptor tables, the interrupt flag and system flags. APM3 chapter 4.
#include "cpu/insn/system.h"

#include "cpu/mem.h"
#include "cpu/seg.h"
#include "cpu/svm/svm.h"

// ---- segment registers ----

// After a load of SS interrupts and data breakpoints wait for one instruction; a single-step trap is not held
// back but lost.
static void shadow_after_ss(struct cpu *c, unsigned seg)
{
  if (seg != SEG_SS)
    return;
  c->shadow_next = SHADOW_MOV_SS;
  c->trap_tf = false;
}

bool x_mov_to_seg(struct cpu *c, const struct op *op)
{
  uint64_t sel;
  if (op->reg == SEG_CS || op->reg >= SEG_COUNT)
    return raise_ud(c);
  if (!rm_get(c, op, 1, &sel) || !seg_load(c, op->reg, sel))
    return false;
  shadow_after_ss(c, op->reg);
  return true;
}

bool x_mov_from_seg(struct cpu *c, const struct op *op)
{
  if (op->reg >= SEG_COUNT)
    return raise_ud(c);
  return rm_set(c, op, op->flags & OPF_MEM ? 1 : op->osz, c->seg[op->reg].sel);
}

bool x_push_seg(struct cpu *c, const struct op *op)
{
  struct stack st = seg_stack(c);
  if (!seg_push(c, &st, 1u << op->osz, c->seg[op->reg].sel))
    return false;
  seg_stack_commit(c, &st);
  return true;
}

bool x_pop_seg(struct cpu *c, const struct op *op)
{
  uint64_t sel;
  struct stack st = seg_stack(c);
  if (!seg_pop(c, &st, 1u << op->osz, &sel) || !seg_load(c, op->reg, sel))
    return false;
  seg_stack_commit(c, &st);
  shadow_after_ss(c, op->reg);
  return true;
}

static bool load_far_pointer(struct cpu *c, const struct op *op, unsigned seg)
{
  unsigned size = 1u << op->osz;
  uint64_t offset = 0;
  uint16_t sel;
  uint8_t b[10];
  uint64_t la = op_ea(c, op, size + 2, ACC_READ);
  if (c->faulted || !mem_read(c, op, la, b, size + 2))
    return false;
  memcpy(&offset, b, size);
  memcpy(&sel, b + size, 2);
  if (!seg_load(c, seg, sel))
    return false;
  reg_set(c, op->reg, op->osz, offset);
  return true;
}

bool x_lds(struct cpu *c, const struct op *op)
{
  return load_far_pointer(c, op, SEG_DS);
}
bool x_les(struct cpu *c, const struct op *op)
{
  return load_far_pointer(c, op, SEG_ES);
}
bool x_lfs(struct cpu *c, const struct op *op)
{
  return load_far_pointer(c, op, SEG_FS);
}
bool x_lgs(struct cpu *c, const struct op *op)
{
  return load_far_pointer(c, op, SEG_GS);
}
bool x_lss(struct cpu *c, const struct op *op)
{
  return load_far_pointer(c, op, SEG_SS);
}

// ---- descriptor tables ----

static bool load_table(struct cpu *c, const struct op *op, struct dtable *t)
{
  unsigned size = cpu_code64(c) ? 10 : 6;
  uint64_t base = 0;
  uint8_t b[10];
  uint64_t la = op_ea(c, op, size, ACC_READ);
  if (c->faulted || !mem_read(c, op, la, b, size))
    return false;
  memcpy(&base, b + 2, size - 2);
  if (size == 6 && op->osz == 1)
    base &= 0xffffff;
  if (!canonical(base))
    return raise_gp(c, 0);
  memcpy(&t->limit, b, 2);
  t->base = base;
  return true;
}

// UMIP's #GP, then the intercept, both before memory is accessed.
static bool may_store(struct cpu *c, enum vmexit code)
{
  if (c->cpl != 0 && (c->cr4 & CR4_UMIP))
    return raise_gp(c, 0);
  return !SVM_INTERCEPTED(c, code) || svm_exit(c, code, 0, 0);
}

static bool store_table(struct cpu *c, const struct op *op, const struct dtable *t, enum vmexit code)
{
  unsigned size = cpu_code64(c) ? 10 : 6;
  uint8_t b[10];
  if (!may_store(c, code))
    return false;
  memcpy(b, &t->limit, 2);
  memcpy(b + 2, &t->base, 8);
  uint64_t la = op_ea(c, op, size, ACC_WRITE);
  return !c->faulted && mem_write(c, op, la, b, size);
}

bool x_lgdt(struct cpu *c, const struct op *op)
{
  return load_table(c, op, &c->gdtr);
}
bool x_lidt(struct cpu *c, const struct op *op)
{
  return load_table(c, op, &c->idtr);
}
bool x_sgdt(struct cpu *c, const struct op *op)
{
  return store_table(c, op, &c->gdtr, VMEXIT_GDTR_READ);
}
bool x_sidt(struct cpu *c, const struct op *op)
{
  return store_table(c, op, &c->idtr, VMEXIT_IDTR_READ);
}

bool x_lldt(struct cpu *c, const struct op *op)
{
  uint64_t sel;
  return rm_get(c, op, 1, &sel) && seg_load_ldt(c, sel, VEC_GP);
}

bool x_ltr(struct cpu *c, const struct op *op)
{
  uint64_t sel;
  return rm_get(c, op, 1, &sel) && seg_load_tr(c, sel);
}

bool x_sldt(struct cpu *c, const struct op *op)
{
  return may_store(c, VMEXIT_LDTR_READ) && rm_set(c, op, op->flags & OPF_MEM ? 1 : op->osz, c->ldtr.sel);
}

bool x_str(struct cpu *c, const struct op *op)
{
  return may_store(c, VMEXIT_TR_READ) && rm_set(c, op, op->flags & OPF_MEM ? 1 : op->osz, c->tr.sel);
}

// ---- looking at descriptors ----

static void set_zf(struct cpu *c, bool zf)
{
  c->lah = (c->lah & ~FL_ZF) | (zf ? FL_ZF : 0);
}

// DPL against CPL and RPL; conforming code is visible to all.
static bool visible(const struct cpu *c, uint16_t sel, uint64_t d)
{
  if (desc_code(d) && desc_conforming(d))
    return true;
  return desc_dpl(d) >= c->cpl && desc_dpl(d) >= (sel & 3u);
}

// Fetches for VERR, VERW, LAR and LSL. false: a page fault; *ok: there is such a descriptor.
static bool look(struct cpu *c, const struct op *op, uint16_t *sel, uint64_t *d, bool *ok)
{
  uint64_t v;
  if (!rm_get(c, op, 1, &v))
    return false;
  *sel = v;
  *d = 0;
  *ok = false;
  return sel_null(v) || desc_peek(c, v, d, ok);
}

bool x_verr(struct cpu *c, const struct op *op)
{
  uint16_t sel;
  uint64_t d;
  bool ok;
  if (!look(c, op, &sel, &d, &ok))
    return false;
  bool readable = desc_s(d) && (desc_type(d) & (TYPE_CODE | TYPE_R)) != TYPE_CODE;
  set_zf(c, ok && readable && visible(c, sel, d));
  return true;
}

bool x_verw(struct cpu *c, const struct op *op)
{
  uint16_t sel;
  uint64_t d;
  bool ok;
  if (!look(c, op, &sel, &d, &ok))
    return false;
  set_zf(c, ok && desc_writable(d) && visible(c, sel, d));
  return true;
}

// System types that LAR and LSL accept, as bit masks by type.
enum {
  LAR_LEGACY = 1 << SYS_TSS16 | 1 << SYS_LDT | 1 << SYS_TSS16_BUSY | 1 << SYS_CALL16 | 1 << SYS_TASK |
               1 << SYS_TSS32 | 1 << SYS_TSS32_BUSY | 1 << SYS_CALL32,
  LAR_LONG = 1 << SYS_LDT | 1 << SYS_TSS32 | 1 << SYS_TSS32_BUSY | 1 << SYS_CALL32,
  LSL_LEGACY = 1 << SYS_TSS16 | 1 << SYS_LDT | 1 << SYS_TSS16_BUSY | 1 << SYS_TSS32 | 1 << SYS_TSS32_BUSY,
  LSL_LONG = 1 << SYS_LDT | 1 << SYS_TSS32 | 1 << SYS_TSS32_BUSY,
};

bool x_lar(struct cpu *c, const struct op *op)
{
  uint16_t sel;
  uint64_t d;
  bool ok;
  if (!look(c, op, &sel, &d, &ok))
    return false;
  unsigned types = cpu_long(c) ? LAR_LONG : LAR_LEGACY;
  ok = ok && (desc_s(d) || (types >> desc_type(d) & 1)) && visible(c, sel, d);
  if (ok)
    reg_set(c, op->reg, op->osz, d >> 32 & (op->osz == 1 ? 0xff00 : 0xffff00));
  set_zf(c, ok);
  return true;
}

bool x_lsl(struct cpu *c, const struct op *op)
{
  uint16_t sel;
  uint64_t d;
  bool ok;
  if (!look(c, op, &sel, &d, &ok))
    return false;
  unsigned types = cpu_long(c) ? LSL_LONG : LSL_LEGACY;
  ok = ok && (desc_s(d) || (types >> desc_type(d) & 1)) && visible(c, sel, d);
  if (ok)
    reg_set(c, op->reg, op->osz, desc_limit(d));
  set_zf(c, ok);
  return true;
}

bool x_arpl(struct cpu *c, const struct op *op)
{
  uint64_t dst, src = reg_get(c, op->reg, 1);
  if (op->flags & OPF_MEM) {
    uint64_t la = op_ea(c, op, 2, ACC_RW);
    if (c->faulted || !op_load(c, op, la, 2, &dst))
      return false;
    if ((dst & 3) < (src & 3)) {
      if (!op_store(c, op, la, 2, (dst & ~3ull) | (src & 3)))
        return false;
      set_zf(c, true);
      return true;
    }
    set_zf(c, false);
    return true;
  }
  dst = reg_get(c, op->rm, 1);
  bool adjust = (dst & 3) < (src & 3);
  if (adjust)
    reg_set(c, op->rm, 1, (dst & ~3ull) | (src & 3));
  set_zf(c, adjust);
  return true;
}

// ---- flags ----

bool x_pushf(struct cpu *c, const struct op *op)
{
  uint32_t f = cpu_flags(c) & ~(uint32_t)(FL_RF | FL_VM);
  if (cpu_v86(c) && cpu_iopl(c) < 3) {
    if (!(c->cr4 & CR4_VME) || op->osz != 1)
      return raise_gp(c, 0);
    f = (f & ~(uint32_t)FL_IF) | FL_IOPL | (f & FL_VIF ? FL_IF : 0);
  }
  struct stack st = seg_stack(c);
  if (!seg_push(c, &st, 1u << op->osz, f))
    return false;
  seg_stack_commit(c, &st);
  return true;
}

bool x_popf(struct cpu *c, const struct op *op)
{
  uint64_t v;
  uint32_t old = cpu_flags(c);
  uint32_t may = FL_ARITH | FL_TF | FL_DF | FL_NT | FL_AC | FL_ID;
  bool vme = false;
  if (!(c->cr0 & CR0_PE)) {
    may |= FL_IOPL | FL_IF;
  } else if (cpu_v86(c) && cpu_iopl(c) < 3) {
    if (!(c->cr4 & CR4_VME) || op->osz != 1)
      return raise_gp(c, 0);
    vme = true;
  } else {
    // Virtual-8086 mode with IOPL 3 has CPL 3: IF but not IOPL.
    if (c->cpl == 0)
      may |= FL_IOPL;
    if (c->cpl <= cpu_iopl(c))
      may |= FL_IF;
  }
  struct stack st = seg_stack(c);
  if (!seg_pop(c, &st, 1u << op->osz, &v))
    return false;
  if (op->osz == 1)
    may &= 0xffff;
  uint32_t f = (old & ~may) | ((uint32_t)v & may);
  if (vme) {
    if ((v & FL_TF) || ((v & FL_IF) && (old & FL_VIP)))
      return raise_gp(c, 0);
    f = (f & ~(uint32_t)FL_VIF) | (v & FL_IF ? FL_VIF : 0);
  }
  seg_stack_commit(c, &st);
  cpu_set_flags(c, f & ~(uint32_t)FL_RF);
  return true;
}

// Which flag CLI and STI work on: FL_IF, FL_VIF, or 0: #GP.
static uint32_t interrupt_flag(const struct cpu *c)
{
  if (!(c->cr0 & CR0_PE) || c->cpl <= cpu_iopl(c))
    return FL_IF;
  if (cpu_v86(c))
    return c->cr4 & CR4_VME ? FL_VIF : 0;
  return c->cpl == 3 && (c->cr4 & CR4_PVI) ? FL_VIF : 0;
}

bool x_cli(struct cpu *c, const struct op *op)
{
  uint32_t flag = interrupt_flag(c);
  if (!flag)
    return raise_gp(c, 0);
  c->sysflags &= ~flag;
  return true;
}

bool x_sti(struct cpu *c, const struct op *op)
{
  uint32_t flag = interrupt_flag(c);
  if (!flag || (flag == FL_VIF && (c->sysflags & FL_VIP)))
    return raise_gp(c, 0);
  if (flag == FL_IF && !(c->sysflags & FL_IF))
    c->shadow_next = SHADOW_STI;
  cpu_set_flags(c, cpu_flags(c) | flag);
  return true;
}

bool x_hlt(struct cpu *c, const struct op *op)
{
  c->run = RUN_HALTED;
  cpu_kick(c);
  return true;
}

// ---- bases of FS and GS ----

bool x_swapgs(struct cpu *c, const struct op *op)
{
  if (!cpu_code64(c))
    return raise_ud(c);
  if (c->cpl != 0)
    return raise_gp(c, 0);
  uint64_t base = c->seg[SEG_GS].base;
  c->seg[SEG_GS].base = c->kernel_gs_base;
  c->kernel_gs_base = base;
  return true;
}

static bool fsgsbase(struct cpu *c)
{
  return (cpu_code64(c) && (c->cr4 & CR4_FSGSBASE)) || raise_ud(c);
}

static bool read_base(struct cpu *c, const struct op *op, unsigned seg)
{
  if (!fsgsbase(c))
    return false;
  reg_set(c, op->rm, op->osz, c->seg[seg].base);
  return true;
}

static bool write_base(struct cpu *c, const struct op *op, unsigned seg)
{
  if (!fsgsbase(c))
    return false;
  uint64_t v = reg_get(c, op->rm, op->osz);
  if (!canonical(v))
    return raise_gp(c, 0);
  c->seg[seg].base = v;
  return true;
}

bool x_rdfsbase(struct cpu *c, const struct op *op)
{
  return read_base(c, op, SEG_FS);
}
bool x_rdgsbase(struct cpu *c, const struct op *op)
{
  return read_base(c, op, SEG_GS);
}
bool x_wrfsbase(struct cpu *c, const struct op *op)
{
  return write_base(c, op, SEG_FS);
}
bool x_wrgsbase(struct cpu *c, const struct op *op)
{
  return write_base(c, op, SEG_GS);
}
