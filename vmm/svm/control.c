// Exits of shadow paging: the guest's control registers and INVLPG. APM2 15.8.
#include "svm/exit.h"
#include "svm/mmio.h"
#include "svm/svm.h"
#include "svm/vcpu.h"
#include "svm/walk.h"

static uint64_t read(const struct vcpu *v, unsigned cr)
{
  return cr == 0 ? v->cr0 : cr == 3 ? v->cr3 : v->cr4;
}

// Values that the CPU would refuse with #GP. APM2 3.1.1, 3.1.3
static bool refused(const struct vcpu *v, unsigned cr, uint64_t value)
{
  switch (cr) {
  case 0:
    if (value >> 32 || (value & CR0_PG && !(value & CR0_PE)) || (value & CR0_NW && !(value & CR0_CD)))
      return true;
    if (!(value & CR0_PG) || v->cr0 & CR0_PG)
      return !(value & CR0_PG) && vcpu_long(v);
    return v->efer & EFER_LME && (!(v->cr4 & CR4_PAE) || v->vmcb->save.cs.attrib & 0x200);
  case 3:
    return v->efer & EFER_LMA && value >> 52;
  default:
    if (value & ~svm_features.cr4)
      return true;
    return v->efer & EFER_LMA && !(value & CR4_PAE);
  }
}

static void write(struct vcpu *v, unsigned cr, uint64_t value, unsigned length)
{
  if (refused(v, cr, value)) {
    vcpu_fault_error(v, V_GP, 0);
    return;
  }
  vcpu_advance(v, length);
  if (cr == 0)
    vcpu_set_cr0(v, value);
  else if (cr == 3)
    vcpu_set_cr3(v, value);
  else
    vcpu_set_cr4(v, value);
}

// LMSW and SMSW with an operand in memory.
static bool word(struct vcpu *v, const struct insn *i, uint16_t *value, uint32_t access)
{
  uint64_t fault;
  uint32_t error;
  if (v->vmcb->save.cpl == 3)
    access |= PF_U;
  if (walk_copy(v, vcpu_operand(v, i), value, 2, access, &fault, &error))
    return true;
  if (error == UINT32_MAX)
    guest_stop(v, "LMSW or SMSW at %lx with an operand that is not memory", v->vmcb->save.rip);
  else
    vcpu_page_fault(v, fault, error);
  return false;
}

void exit_cr(struct vcpu *v)
{
  struct insn i;
  unsigned cr = v->vmcb->control.exitcode & 0xf;
  uint16_t w = (uint16_t)v->cr0;
  if (!vcpu_decode(v, &i)) {
    guest_stop(v, "the access to CR%u at %lx cannot be read", cr, v->vmcb->save.rip);
    return;
  }
  switch (i.op) {
  case INSN_MOV_FROM_CR:
    v->reg[i.base] = read(v, cr);
    vcpu_advance(v, i.length);
    break;
  case INSN_MOV_TO_CR:
    write(v, cr, i.size == 4 ? v->reg[i.base] & UINT32_MAX : v->reg[i.base], i.length);
    break;
  case INSN_CLTS:
    write(v, 0, v->cr0 & ~CR0_TS, i.length);
    break;
  case INSN_SMSW:
    if (!i.memory)
      v->reg[i.base] = i.size == 2 ? (v->reg[i.base] & ~0xffffull) | w : v->cr0;
    else if (!word(v, &i, &w, PF_W))
      break;
    vcpu_advance(v, i.length);
    break;
  case INSN_LMSW: // sets PE, but does not clear it
    w = (uint16_t)(i.memory ? 0 : v->reg[i.base]);
    if (!i.memory || word(v, &i, &w, 0))
      write(v, 0, (v->cr0 & ~0xeull) | (w & 0xf), i.length);
    break;
  default:
    guest_stop(v, "the access to CR%u at %lx is none that is known", cr, v->vmcb->save.rip);
  }
}

void exit_invlpg(struct vcpu *v)
{
  struct insn i;
  if (!vcpu_decode(v, &i) || i.op != INSN_INVLPG) {
    guest_stop(v, "INVLPG at %lx cannot be read", v->vmcb->save.rip);
    return;
  }
  shadow_drop(v, vcpu_operand(v, &i));
  vcpu_advance(v, i.length);
}
