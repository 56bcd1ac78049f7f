// SYSCALL, SYSRET, SYSENTER and SYSEXIT as AMD's processors have them. APM2 6.1, APM3.
//
// Segments are not read from a table: flat ones take their place. SYSRET changes SS's selector only.
#include "cpu/debug.h"
#include "cpu/insn/transfer.h"
#include "cpu/mem.h"
#include "cpu/seg.h"

enum {
  ATTR_CODE64 = SEGA_P | SEGA_S | TYPE_CODE | TYPE_R | TYPE_A | SEGA_L | SEGA_G,
  ATTR_CODE32 = SEGA_P | SEGA_S | TYPE_CODE | TYPE_R | TYPE_A | SEGA_DB | SEGA_G,
  ATTR_DATA = SEGA_P | SEGA_S | TYPE_W | TYPE_A | SEGA_DB | SEGA_G,
};

static void flat(struct cpu *c, unsigned seg, uint16_t sel, unsigned attr, unsigned dpl)
{
  c->seg[seg] = (struct seg){.limit = UINT32_MAX, .sel = sel, .attr = attr | dpl << SEGA_DPL_SHIFT};
}

static bool go(struct cpu *c, unsigned cpl, uint64_t ip)
{
  debug_branch(c, c->ip, ip);
  c->cpl = cpl;
  c->next_ip = ip;
  cpu_changed(c);
  // The single-step trap after these instructions goes by TF as they leave it.
  c->trap_tf = false;
  if (c->sysflags & FL_TF)
    c->db_bits |= DR6_BS;
  return true;
}

bool x_syscall(struct cpu *c, const struct op *op)
{
  if (!(c->efer & EFER_SCE))
    return raise_ud(c);
  uint16_t sel = c->star >> 32 & 0xfffc;
  uint32_t f = cpu_flags(c) & ~(uint32_t)FL_RF;
  uint64_t target;
  if (cpu_long(c)) {
    target = cpu_code64(c) ? c->lstar : c->cstar;
    c->r[RCX] = c->next_ip;
    c->r[R11] = f;
    flat(c, SEG_CS, sel, ATTR_CODE64, 0);
    f &= ~(uint32_t)c->sfmask;
  } else {
    target = (uint32_t)c->star;
    c->r[RCX] = (uint32_t)c->next_ip;
    flat(c, SEG_CS, sel, ATTR_CODE32, 0);
    f &= ~(uint32_t)(FL_VM | FL_IF);
  }
  flat(c, SEG_SS, sel + 8, ATTR_DATA, 0);
  c->cpl = 0;
  cpu_set_flags(c, f | 2);
  return go(c, 0, target);
}

bool x_sysret(struct cpu *c, const struct op *op)
{
  if (!(c->efer & EFER_SCE))
    return raise_ud(c);
  if (!cpu_protected(c) || c->cpl != 0)
    return raise_gp(c, 0);
  uint16_t sel = c->star >> 48;
  uint64_t target = (uint32_t)c->r[RCX];
  uint32_t f = cpu_flags(c);
  if (cpu_code64(c) && op->osz == 3) {
    flat(c, SEG_CS, (sel + 16) | 3, ATTR_CODE64, 3);
    target = c->r[RCX];
  } else {
    flat(c, SEG_CS, sel | 3, ATTR_CODE32, 3);
  }
  c->seg[SEG_SS].sel = sel + 8;
  f = cpu_long(c) ? (uint32_t)c->r[R11] & FL_ALL & ~(uint32_t)(FL_RF | FL_VM) : f | FL_IF;
  c->cpl = 3;
  cpu_set_flags(c, f | 2);
  return go(c, 3, target);
}

bool x_sysenter(struct cpu *c, const struct op *op)
{
  if (cpu_long(c))
    return raise_ud(c);
  uint16_t sel = c->sysenter_cs & 0xfffc;
  if (!(c->cr0 & CR0_PE) || sel == 0)
    return raise_gp(c, 0);
  flat(c, SEG_CS, sel, ATTR_CODE32, 0);
  flat(c, SEG_SS, sel + 8, ATTR_DATA, 0);
  c->r[RSP] = (uint32_t)c->sysenter_esp;
  c->cpl = 0;
  cpu_set_flags(c, cpu_flags(c) & ~(uint32_t)(FL_VM | FL_IF | FL_RF));
  return go(c, 0, (uint32_t)c->sysenter_eip);
}

bool x_sysexit(struct cpu *c, const struct op *op)
{
  if (cpu_long(c))
    return raise_ud(c);
  uint16_t sel = c->sysenter_cs & 0xfffc;
  if (!cpu_protected(c) || c->cpl != 0 || sel == 0)
    return raise_gp(c, 0);
  uint64_t target = (uint32_t)c->r[RDX];
  flat(c, SEG_CS, (sel + 16) | 3, ATTR_CODE32, 3);
  flat(c, SEG_SS, (sel + 24) | 3, ATTR_DATA, 3);
  c->r[RSP] = (uint32_t)c->r[RCX];
  return go(c, 3, target);
}
