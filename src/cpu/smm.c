// System-management mode; see smm.h.
#include "cpu/smm.h"

#include <string.h>

#include "cpu/cr.h"
#include "cpu/except.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/msr.h"
#include "cpu/svm/world.h"
#include "cpu/tlb.h"

// The state-save area from SMBASE + FE00h. APM2 table 10-1.
// clang-format off
struct __attribute__((packed)) smm_save {
  struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr; // FE00h: the layout of a VMCB's
  uint64_t io_rip, io_rcx, io_rsi, io_rdi; // FEA0h
  uint32_t io_info;                        // FEC0h
  uint32_t local_smi;                      // FEC4h
  uint8_t io_restart;                      // FEC8h
  uint8_t halt_restart;                    // FEC9h
  uint8_t nmi_mask;                        // FECAh
  uint8_t reserved_fecb[5];
  uint64_t efer;                           // FED0h
  uint64_t svm_state;                      // FED8h
  uint64_t vmcb_pa;                        // FEE0h
  uint64_t vintr;                          // FEE8h
  uint8_t reserved_fef0[12];
  uint32_t revision;                       // FEFCh
  uint32_t smbase;                         // FF00h
  uint8_t reserved_ff04[0x14];
  uint64_t ssp;                            // FF18h
  uint64_t g_pat;                          // FF20h
  uint64_t host_efer, host_cr4, host_cr3, host_cr0; // FF28h
  uint64_t cr4, cr3, cr0;                  // FF48h
  uint64_t dr7, dr6;                       // FF60h
  uint64_t rflags, rip;                    // FF70h
  uint64_t r[16];                          // FF80h: R15 first
};
// clang-format on
#define SAVE_AT(field, offset) _Static_assert(offsetof(struct smm_save, field) == (offset)-0xfe00, #field)
SAVE_AT(tr, 0xfe90);
SAVE_AT(io_info, 0xfec0);
SAVE_AT(efer, 0xfed0);
SAVE_AT(revision, 0xfefc);
SAVE_AT(smbase, 0xff00);
SAVE_AT(g_pat, 0xff20);
SAVE_AT(cr4, 0xff48);
SAVE_AT(dr7, 0xff60);
SAVE_AT(rip, 0xff78);
SAVE_AT(r, 0xff80);
_Static_assert(sizeof(struct smm_save) == 0x200, "512 bytes");

enum {
  SAVE_AREA = 0xfe00,
  ENTRY = 0x8000,
  REVISION = 0x30064,
  IO_VALID = 1 << 1,
  STATE_GUEST = 2,
  STATE_NESTED = 4,
  STATE_HOST_IF = 8,
};

// ---- who sees SMRAM ----

enum route { ROUTE_MAP, ROUTE_SMRAM, ROUTE_NOBODY };

static enum route smm_route(const struct cpu *c, uint64_t pa, bool fetch)
{
  if (pa >= 0xa0000 && pa < 0xc0000) {
    const struct smram *chip = &c->bus->smram;
    if (!c->in_smm || chip->ram_off == RAM_NONE)
      return ROUTE_MAP;
    // The processor's own register decides, if it is in use, else the chipset's.
    bool own = c->smm_mask & SMM_AVALID, closed = own ? c->smm_mask & SMM_ACLOSE : chip->closed;
    return (own || chip->on) && (fetch || !closed) ? ROUTE_SMRAM : ROUTE_MAP;
  }
  uint64_t mask = c->smm_mask & ~0x1ffffull;
  if (!(c->smm_mask & SMM_TVALID) || ((pa ^ c->smm_addr) & mask))
    return ROUTE_MAP;
  return c->in_smm && (fetch || !(c->smm_mask & SMM_TCLOSE)) ? ROUTE_MAP : ROUTE_NOBODY;
}

// A page that is seen differently by fetches goes byte by byte.
uint64_t smm_ram_page(struct cpu *c, uint64_t pa, bool *rom)
{
  enum route r = smm_route(c, pa, false);
  if (r != smm_route(c, pa, true) || r == ROUTE_NOBODY)
    return RAM_NONE;
  if (r == ROUTE_MAP)
    return bus_ram_page(c->bus, pa, rom);
  *rom = false;
  return c->bus->smram.ram_off + ((pa & ~0xfffull) - 0xa0000);
}

bool smm_access(struct cpu *c, const struct txn *t, uint64_t *v)
{
  if (t->space != TXN_MEM)
    return false;
  enum route r = smm_route(c, t->addr, t->kind == TXN_FETCH);
  if (r == ROUTE_MAP)
    return false;
  if (r == ROUTE_NOBODY) {
    if (t->kind != TXN_WRITE)
      *v = UINT64_MAX >> (64 - 8 * t->size);
    return true;
  }
  uint64_t off = c->bus->smram.ram_off + (t->addr - 0xa0000);
  if (off - c->bus->smram.ram_off + t->size > 0x20000)
    return false;
  if (t->kind == TXN_WRITE) {
    ram_write(c->ram, off, v, t->size);
  } else {
    *v = 0;
    memcpy(v, c->ram->mem + off, t->size);
  }
  return true;
}

void cpu_a20_update(struct cpu *c)
{
  bool masked = c->a20m && !c->in_smm && !(c->vm_cr & VM_CR_DIS_A20M);
  uint64_t mask = masked ? ~(1ull << 20) : ~0ull;
  if (c->a20_mask == mask)
    return;
  c->a20_mask = mask;
  tlb_flush_all(c);
}

void cpu_a20m(struct cpu *c, bool masked)
{
  c->a20m = masked;
  cpu_a20_update(c);
}

void smm_changed(struct cpu *c)
{
  c->smm_ranges = c->in_smm || (c->smm_mask & SMM_TVALID);
  cpu_a20_update(c);
  tlb_flush_all(c);
}

// ---- the save area ----

static void transfer(struct cpu *c, struct smm_save *s, bool write)
{
  uint64_t pa = (uint64_t)c->smm_base + SAVE_AREA, w;
  for (unsigned i = 0; i < sizeof *s; i += 8) {
    if (write) {
      memcpy(&w, (const char *)s + i, 8);
      phys_write(c, pa + i, 8, w);
    } else {
      w = phys_read(c, pa + i, 8);
      memcpy((char *)s + i, &w, 8);
    }
  }
}

static struct vmcb_seg put(const struct seg *s)
{
  return (struct vmcb_seg){.selector = s->sel, .attrib = s->attr, .limit = s->limit, .base = s->base};
}

static uint64_t sign_extend(uint64_t base)
{
  return (uint64_t)((int64_t)(base << 16) >> 16);
}

static struct seg get(const struct vmcb_seg *s, bool wide)
{
  return (struct seg){.sel = s->selector,
                      .attr = s->attrib & 0xfff,
                      .limit = s->limit,
                      .base = wide ? sign_extend(s->base) : (uint32_t)s->base};
}

static void save(struct cpu *c, struct smm_save *s)
{
  *s = (struct smm_save){
      .es = put(&c->seg[SEG_ES]),
      .cs = put(&c->seg[SEG_CS]),
      .ss = put(&c->seg[SEG_SS]),
      .ds = put(&c->seg[SEG_DS]),
      .fs = put(&c->seg[SEG_FS]),
      .gs = put(&c->seg[SEG_GS]),
      .gdtr = {.limit = c->gdtr.limit, .base = c->gdtr.base},
      .ldtr = put(&c->ldtr),
      .idtr = {.limit = c->idtr.limit, .base = c->idtr.base},
      .tr = put(&c->tr),
      .halt_restart = c->run == RUN_HALTED,
      .nmi_mask = c->nmi_blocked,
      .efer = c->efer,
      .revision = REVISION,
      .smbase = c->smm_base,
      .cr4 = c->cr4,
      .cr3 = c->cr3,
      .cr0 = c->cr0,
      .dr7 = c->dr7,
      .dr6 = c->dr6,
      .rflags = cpu_flags(c),
      .rip = c->ip,
  };
  if (c->smi_io.valid) {
    s->io_rip = c->smi_io.rip;
    s->io_rcx = c->smi_io.rcx;
    s->io_rsi = c->smi_io.rsi;
    s->io_rdi = c->smi_io.rdi;
    // In its upper half as in EXITINFO1 of IOIO, but that the address size has moved up and TF and V are
    // there.
    uint64_t i = c->smi_io.info;
    s->io_info = (uint32_t)((i & 0xffff007d) | IO_VALID | (c->sysflags & FL_TF ? 1u << 11 : 0) | (i & 0x380));
  }
  for (unsigned i = 0; i < 16; i++)
    s->r[15 - i] = c->r[i];
}

// ---- entry ----

static void handler_state(struct cpu *c)
{
  struct seg flat = {.limit = UINT32_MAX, .attr = SEGA_P | SEGA_S | SEGA_G | 3};
  for (unsigned i = 0; i < SEG_COUNT; i++)
    c->seg[i] = flat;
  c->seg[SEG_CS].sel = (uint16_t)(c->smm_base >> 4);
  c->seg[SEG_CS].base = c->smm_base;
  c->ip = c->next_ip = ENTRY;
  c->cr0 &= ~(uint64_t)(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
  c->cr4 = 0;
  c->efer = 0;
  c->dr7 = 0x400;
  c->cpl = 0;
  c->nmi_blocked = true;
  cpu_set_flags(c, 2);
  c->shadow = c->shadow_next = SHADOW_NONE;
  c->trap_tf = c->rf_clear = false;
  c->monitor_armed = false;
  c->run = RUN_ON;
}

void smm_enter(struct cpu *c)
{
  struct smm_save s;
  log_line(c->log, LOG_INT, "cpu%u: SMI at %04x:%016llx, SMBASE %08x\n", c->index, c->seg[SEG_CS].sel,
           (unsigned long long)c->ip, c->smm_base);
  save(c, &s);
  if (c->guest) {
    const struct svm *v = c->svm;
    s.svm_state = STATE_GUEST | (v->np ? STATE_NESTED : 0) | (v->host_if ? STATE_HOST_IF : 0);
    s.vmcb_pa = v->vmcb_pa;
    s.vintr = v->vintr;
    if (v->np) {
      s.g_pat = v->g_pat;
      s.host_efer = v->host_efer;
      s.host_cr4 = v->host_cr4;
      s.host_cr3 = phys_read(c, c->vm_hsave_pa + offsetof(struct vmcb, save.cr3), 8);
      s.host_cr0 = v->host_cr0;
    }
    svm_suspend(c);
  }
  c->smi_io.valid = false;
  c->in_smm = true;
  smm_changed(c);
  transfer(c, &s, true);
  handler_state(c);
  tlb_set_context(c, 0, 0, true);
  cpu_mode_update(c);
  if (c->pending)
    cpu_kick(c);
}

void smi_on_io(struct cpu *c, uint64_t info, uint64_t rcx, uint64_t rsi, uint64_t rdi)
{
  c->smi_io = (struct smi_io){.valid = true, .info = info, .rip = c->ip, .rcx = rcx, .rsi = rsi, .rdi = rdi};
}

uint64_t smi_exitinfo1(const struct cpu *c)
{
  enum { EXTERNAL = 1, VALID = 2 };
  if (!c->smi_io.valid)
    return EXTERNAL;
  // Size and address size move up by 32 bits, the port to the top; the segment stays below.
  uint64_t i = c->smi_io.info;
  return EXTERNAL | (i & 0x1c00) | (i >> 16 & 0xffff) << 48 | ((i & 0x3fd) | VALID) << 32 |
         (c->sysflags & FL_TF ? 1ull << 43 : 0);
}

uint64_t smi_exitinfo2(const struct cpu *c)
{
  return c->smi_io.valid ? c->smi_io.rip : 0;
}

// ---- RSM ----

// APM2 10.4. NULL: legal. Paged real mode is for guests (15.19).
static const char *illegal(const struct cpu *c, const struct smm_save *s)
{
  bool guest = s->svm_state & STATE_GUEST, lm = (s->efer & EFER_LME) && (s->cr0 & CR0_PG);
  if (s->revision != REVISION)
    return "the revision identifier";
  if (s->cr0 >> 32 || (!(s->cr0 & CR0_PE) && (s->cr0 & CR0_PG) && !guest) ||
      (!(s->cr0 & CR0_CD) && (s->cr0 & CR0_NW)))
    return "CR0";
  if ((s->efer & EFER_LMA) && (s->cr3 & ~c->phys_mask))
    return "CR3";
  if ((s->cr4 & ~cr4_allowed(c)) || (lm && !(s->cr4 & CR4_PAE)))
    return "CR4";
  if (s->dr6 >> 32 || s->dr7 >> 32)
    return "DR6 or DR7";
  if (s->efer & ~(efer_allowed(c) | EFER_SVME))
    return "EFER";
  if (lm && (s->cs.attrib & SEGA_L) && (s->cs.attrib & SEGA_DB))
    return "CS";
  return NULL;
}

static void restore(struct cpu *c, const struct smm_save *s)
{
  c->seg[SEG_ES] = get(&s->es, false);
  c->seg[SEG_CS] = get(&s->cs, false);
  c->seg[SEG_SS] = get(&s->ss, false);
  c->seg[SEG_DS] = get(&s->ds, false);
  c->seg[SEG_FS] = get(&s->fs, true);
  c->seg[SEG_GS] = get(&s->gs, true);
  c->ldtr = get(&s->ldtr, true);
  c->tr = get(&s->tr, true);
  c->gdtr = (struct dtable){.base = sign_extend(s->gdtr.base), .limit = (uint16_t)s->gdtr.limit};
  c->idtr = (struct dtable){.base = sign_extend(s->idtr.base), .limit = (uint16_t)s->idtr.limit};
  c->efer = s->efer & ~(uint64_t)EFER_LMA;
  if ((s->efer & EFER_LME) && (s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE))
    c->efer |= EFER_LMA;
  c->cr4 = s->cr4;
  c->cr3 = s->cr3;
  c->cr0 = (s->cr0 & CR0_KNOWN) | CR0_ET;
  c->dr7 = s->dr7 | 0x400;
  c->dr6 = s->dr6;
  for (unsigned i = 0; i < 16; i++)
    c->r[i] = s->r[15 - i];
  uint32_t flags = (uint32_t)s->rflags;
  if (!(c->cr0 & CR0_PE) || (c->efer & EFER_LMA))
    flags &= ~(uint32_t)FL_VM;
  cpu_set_flags(c, flags);
  // SS.DPL is the privilege level, as in a VMCB where there is no field of its own.
  c->cpl = !(c->cr0 & CR0_PE) ? 0 : flags & FL_VM ? 3 : c->seg[SEG_SS].attr >> SEGA_DPL_SHIFT & 3;
  c->next_ip = cpu_long(c) ? s->rip : (uint32_t)s->rip;
}

bool smm_rsm(struct cpu *c)
{
  struct smm_save s;
  if (!c->in_smm || c->guest)
    return raise_ud(c);
  transfer(c, &s, false);
  const char *bad = illegal(c, &s);
  if (!bad) {
    c->in_smm = false;
    c->smm_base = s.smbase;
    c->nmi_blocked = s.nmi_mask & 1;
    restore(c, &s);
    c->ip = c->next_ip;
    smm_changed(c);
    uint64_t host[] = {s.host_efer, s.host_cr4, s.host_cr3, s.host_cr0};
    if ((s.svm_state & STATE_GUEST) && !svm_resume(c, s.vmcb_pa, s.vintr, s.svm_state & STATE_HOST_IF,
                                                   s.svm_state & STATE_NESTED ? host : NULL))
      bad = "the guest's VMCB";
    else if ((c->cr0 & CR0_PG) && (c->cr4 & CR4_PAE) && !cpu_long(c) && !pdpte_load(c, c->cr3))
      bad = "a page-directory pointer";
  }
  if (bad) {
    log_line(c->log, LOG_INT, "cpu%u: RSM: %s in the save area at %08x is illegal; shutdown (APM2 10.4)\n",
             c->index, bad, c->smm_base + SAVE_AREA);
    cpu_shutdown(c);
    c->next_ip = c->ip;
    return true;
  }
  if (!c->guest)
    tlb_set_context(c, 0, c->cr4 & CR4_PCIDE ? c->cr3 & 0xfff : 0, true);
  cpu_mode_update(c);
  if (s.io_restart && (s.io_info & IO_VALID)) {
    c->next_ip = s.io_rip;
    c->r[RCX] = s.io_rcx;
    c->r[RSI] = s.io_rsi;
    c->r[RDI] = s.io_rdi;
  } else if (s.halt_restart) {
    c->run = RUN_HALTED;
    cpu_kick(c);
  }
  c->rf_clear = false; // a restored RF is for the next instruction
  if (c->pending)      // what waited for the end of SMM
    cpu_kick(c);
  log_line(c->log, LOG_INT, "cpu%u: RSM to %04x:%016llx\n", c->index, c->seg[SEG_CS].sel,
           (unsigned long long)c->next_ip);
  return true;
}

// ---- registers ----

static bool locked(const struct cpu *c)
{
  return c->hwcr & HWCR_SMM_LOCK;
}

// SMM entered and left by software: the state stays.
static void control(struct cpu *c, uint64_t v)
{
  if ((v & SMM_CTL_ENTER) && !c->in_smm) {
    c->in_smm = true;
    c->smm_nmi = c->nmi_blocked;
    c->nmi_blocked = true;
    smm_changed(c);
  }
  if (v & SMM_CTL_DISMISS) {
    c->pending &= ~(uint32_t)PEND_SMI;
    c->smi_io.valid = false;
  }
  if ((v & SMM_CTL_EXIT) && c->in_smm) {
    c->in_smm = false;
    c->nmi_blocked = c->smm_nmi;
    smm_changed(c);
    if (c->pending)
      cpu_kick(c);
  }
}

bool smm_msr_read(struct cpu *c, uint32_t index, uint64_t *v)
{
  switch (index) {
  case MSR_SMM_BASE:
    *v = c->smm_base;
    return true;
  case MSR_SMM_ADDR:
    *v = c->smm_addr;
    return true;
  case MSR_SMM_MASK:
    *v = c->smm_mask;
    return true;
  case MSR_SMM_KEY: // reads as 0
    *v = 0;
    return true;
  default: // SMM_CTL can only be written
    return false;
  }
}

bool smm_msr_write(struct cpu *c, uint32_t index, uint64_t v)
{
  enum { CLOSE = SMM_ACLOSE | SMM_TCLOSE };
  uint64_t address = c->phys_mask & ~0x1ffffull;
  switch (index) {
  case MSR_SMM_BASE: // what is locked keeps its value
    if (v >> 32)
      return false;
    if (!locked(c))
      c->smm_base = (uint32_t)v;
    return true;
  case MSR_SMM_ADDR:
    if (v & ~c->phys_mask)
      return false;
    if (!locked(c))
      c->smm_addr = v & address;
    smm_changed(c);
    return true;
  case MSR_SMM_MASK:
    if (locked(c))
      v = (c->smm_mask & ~(uint64_t)CLOSE) | (v & CLOSE);
    c->smm_mask = v & (address | 0x773f);
    smm_changed(c);
    return true;
  case MSR_SMM_CTL:
    if (locked(c) || (v & ~0x1full))
      return false;
    control(c, v);
    return true;
  case MSR_SMM_KEY: // APM2 15.32.2
    if (!locked(c))
      c->smm_key = v;
    else if (v && v == c->smm_key)
      c->hwcr &= ~(uint64_t)HWCR_SMM_LOCK;
    return true;
  default:
    return false;
  }
}

void smm_reset(struct cpu *c)
{
  c->smm_base = 0x30000;
  c->smm_addr = c->smm_mask = c->smm_key = 0;
  c->smi_io.valid = false;
  c->smm_nmi = false;
  c->in_smm = false;
  smm_changed(c);
}
