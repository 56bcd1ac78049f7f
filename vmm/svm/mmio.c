// See mmio.h.
#include "svm/mmio.h"

#include "svm/svm.h"
#include "svm/vcpu.h"
#include "svm/walk.h"

static uint64_t mask(unsigned size)
{
  return size == 8 ? UINT64_MAX : (1ull << 8 * size) - 1;
}

unsigned vcpu_bits(const struct vcpu *v)
{
  const struct vmcb_save *s = &v->vmcb->save;
  if (vcpu_long(v))
    return 64;
  return vcpu_cr0(v) & CR0_PE && !(s->rflags & RFLAGS_VM) && s->cs.attrib & 0x400 ? 32 : 16;
}

bool vcpu_decode(struct vcpu *v, struct insn *i)
{
  const struct vmcb_control *c = &v->vmcb->control;
  uint8_t bytes[15];
  unsigned n = walk_fetch(v, bytes);
  (void)c;
  return n && insn_decode(bytes, n, vcpu_bits(v), i);
}

void vcpu_finish(struct vcpu *v, uint64_t rip)
{
  struct vmcb_save *s = &v->vmcb->save;
  s->rip = rip;
  v->vmcb->control.interrupt_shadow = 0;
  if (s->rflags & RFLAGS_TF) { // as after any other instruction
    s->dr6 |= DR6_BS;
    vcpu_fault(v, V_DB);
  }
}

void vcpu_advance(struct vcpu *v, unsigned length)
{
  uint64_t rip = v->vmcb->save.rip + length;
  vcpu_finish(v, vcpu_long(v) ? rip : rip & UINT32_MAX);
}

void vcpu_skip(struct vcpu *v)
{
  struct insn i;
  if (svm_features.nrip && v->vmcb->control.nrip)
    vcpu_advance(v, (unsigned)(v->vmcb->control.nrip - v->vmcb->save.rip));
  else if (vcpu_decode(v, &i))
    vcpu_advance(v, i.length);
  else
    guest_stop(v, "an instruction at %lx that caused an exit cannot be read", v->vmcb->save.rip);
}

static uint64_t segment_base(const struct vcpu *v, unsigned seg)
{
  const struct vmcb_save *s = &v->vmcb->save;
  const struct vmcb_seg *segs[] = {&s->es, &s->cs, &s->ss, &s->ds, &s->fs, &s->gs};
  return vcpu_long(v) && seg < SEG_FS ? 0 : segs[seg]->base;
}

uint64_t vcpu_operand(const struct vcpu *v, const struct insn *i)
{
  uint64_t a = (uint64_t)i->disp;
  if (i->base == 16)
    a += v->vmcb->save.rip + i->length;
  else if (i->base >= 0)
    a += v->reg[i->base];
  if (i->index >= 0)
    a += v->reg[i->index] * i->scale;
  a = segment_base(v, i->seg) + (a & mask(i->address_size));
  return vcpu_long(v) ? a : a & UINT32_MAX;
}

static uint64_t device_read(struct vcpu *v, uint64_t gpa, unsigned size)
{
  if (size == 4 && vlapic_here(v, gpa))
    return vlapic_read(v, gpa & 0xfff);
  if (size == 4 && gpa - IOAPIC_BASE < PAGE_SIZE)
    return vioapic_read(v->guest, gpa & 0xfff);
  return mask(size); // nobody answers
}

static void device_write(struct vcpu *v, uint64_t gpa, unsigned size, uint64_t value)
{
  if (size == 4 && vlapic_here(v, gpa))
    vlapic_write(v, gpa & 0xfff, (uint32_t)value);
  else if (size == 4 && gpa - IOAPIC_BASE < PAGE_SIZE)
    vioapic_write(v->guest, gpa & 0xfff, (uint32_t)value);
}

static uint64_t reg_read(const struct vcpu *v, const struct insn *i)
{
  return (i->high ? v->reg[i->reg] >> 8 : v->reg[i->reg]) & mask(i->size);
}

static void reg_write(struct vcpu *v, const struct insn *i, uint64_t value)
{
  uint64_t *r = &v->reg[i->reg];
  if (i->high)
    *r = (*r & ~0xff00ull) | (value & 0xff) << 8;
  else if (i->dest_size < 4)
    *r = (*r & ~mask(i->dest_size)) | (value & mask(i->dest_size));
  else
    *r = value & mask(i->dest_size); // 32 bits clear the upper half
}

static uint64_t sign_extend(uint64_t v, unsigned size)
{
  unsigned shift = 64 - 8 * size;
  return (uint64_t)((int64_t)(v << shift) >> shift);
}

// The host's ALU gives result and flags. The operands stand at the top of 64 bits, so the flags are those of
// the size.
static uint64_t alu(struct vcpu *v, unsigned op, uint64_t a, uint64_t b, unsigned size)
{
  enum { ADD, OR, ADC, SBB, AND, SUB, XOR, CMP };
  const uint64_t flags_mask = 0x8d5;
  unsigned shift = 64 - 8 * size;
  uint64_t flags, carry = v->vmcb->save.rflags & RFLAGS_CF;
  if (op == ADC || op == SBB) {
    b += carry; // the corner of an operand of all ones with carry sets CF wrongly; nobody asks devices for
                // that
    op = op == ADC ? ADD : SUB;
  }
  a <<= shift;
  b <<= shift;
  uint64_t r = a;
  switch (op) {
  case ADD:
    __asm__("add %2, %0; pushf; pop %1" : "+r"(r), "=r"(flags) : "r"(b) : "cc");
    break;
  case OR:
    __asm__("or %2, %0; pushf; pop %1" : "+r"(r), "=r"(flags) : "r"(b) : "cc");
    break;
  case AND:
    __asm__("and %2, %0; pushf; pop %1" : "+r"(r), "=r"(flags) : "r"(b) : "cc");
    break;
  case XOR:
    __asm__("xor %2, %0; pushf; pop %1" : "+r"(r), "=r"(flags) : "r"(b) : "cc");
    break;
  default:
    __asm__("sub %2, %0; pushf; pop %1" : "+r"(r), "=r"(flags) : "r"(b) : "cc");
  }
  v->vmcb->save.rflags = (v->vmcb->save.rflags & ~flags_mask) | (flags & flags_mask);
  return op == CMP ? a >> shift : r >> shift;
}

// One round of MOVS or STOS, whose device operand is at gpa; the other one is memory.
static bool string(struct vcpu *v, const struct insn *i, uint64_t gpa, bool write)
{
  uint64_t limit = mask(i->address_size), value = v->reg[RAX] & mask(i->size), fault;
  uint64_t step = v->vmcb->save.rflags & (1 << 10) ? -(uint64_t)i->size : i->size;
  uint32_t error;
  if (i->rep && !(v->reg[RCX] & limit))
    return true;
  if (i->op == INSN_MOVS) {
    unsigned seg = write ? i->seg : (unsigned)SEG_ES;
    uint64_t at = segment_base(v, seg) + (v->reg[write ? RSI : RDI] & limit);
    uint32_t user = v->vmcb->save.cpl == 3 ? PF_U : 0;
    value = write ? 0 : device_read(v, gpa, i->size);
    if (!walk_copy(v, at, &value, i->size, user | (write ? 0 : PF_W), &fault, &error)) {
      if (error == UINT32_MAX)
        guest_stop(v, "MOVS at %lx between two devices", v->vmcb->save.rip);
      else
        vcpu_page_fault(v, fault, error);
      return false;
    }
    v->reg[RSI] = (v->reg[RSI] & ~limit) | ((v->reg[RSI] + step) & limit);
  }
  if (write)
    device_write(v, gpa, i->size, value);
  v->reg[RDI] = (v->reg[RDI] & ~limit) | ((v->reg[RDI] + step) & limit);
  if (i->rep) {
    v->reg[RCX] = (v->reg[RCX] & ~limit) | ((v->reg[RCX] - 1) & limit);
    return !(v->reg[RCX] & limit); // the rest comes with the next exit
  }
  return true;
}

void mmio_access(struct vcpu *v, uint64_t gpa, uint32_t access)
{
  struct insn i;
  if (v->vmcb->control.eventinj & EVENTINJ_VALID) {
    guest_stop(v, "an event is delivered to a stack or table at %lx, which is not memory", gpa);
    return;
  }
  if (access & PF_ID) { // code where nobody answers is FF FF
    vcpu_fault(v, V_UD);
    return;
  }
  if (!vcpu_decode(v, &i)) {
    guest_stop(v, "the instruction at %lx accesses %lx, which is not memory, in a way that is not emulated",
               v->vmcb->save.rip, gpa);
    return;
  }
  uint64_t other = i.has_imm ? i.imm & mask(i.size) : reg_read(v, &i), value;
  switch (i.op) {
  case INSN_LOAD:
    reg_write(v, &i, device_read(v, gpa, i.size));
    break;
  case INSN_LOAD_ZERO:
    reg_write(v, &i, device_read(v, gpa, i.size));
    break;
  case INSN_LOAD_SIGN:
    reg_write(v, &i, sign_extend(device_read(v, gpa, i.size), i.size));
    break;
  case INSN_STORE:
  case INSN_STORE_IMM:
    device_write(v, gpa, i.size, other);
    break;
  case INSN_XCHG:
    value = device_read(v, gpa, i.size);
    device_write(v, gpa, i.size, other);
    reg_write(v, &i, value);
    break;
  case INSN_ALU:
    value = alu(v, i.alu, device_read(v, gpa, i.size), other, i.size);
    if (i.alu != 7)
      device_write(v, gpa, i.size, value);
    break;
  case INSN_ALU_LOAD:
    value = alu(v, i.alu, other, device_read(v, gpa, i.size), i.size);
    if (i.alu != 7)
      reg_write(v, &i, value);
    break;
  case INSN_TEST:
    alu(v, 4, device_read(v, gpa, i.size), other, i.size);
    break;
  case INSN_STOS:
  case INSN_MOVS:
    if (!string(v, &i, gpa, access & PF_W))
      return;
    break;
  default:
    guest_stop(v, "the instruction at %lx accesses %lx, which is not memory, in a way that is not emulated",
               v->vmcb->save.rip, gpa);
    return;
  }
  vcpu_advance(v, i.length);
}
