// See vmbed.h.
#include "vmbed.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/cr.h"
#include "cpu/model.h"
#include "cpu/tlb.h"

struct field {
  uint16_t offset, size;
};
#define FIELD(part, f)                                                                                       \
  {                                                                                                          \
    offsetof(struct vmcb, part.f), sizeof(((struct vmcb *)0)->part.f)                                        \
  }
#define SEGMENT(s) FIELD(save, s.selector), FIELD(save, s.attrib), FIELD(save, s.limit), FIELD(save, s.base)

static const struct field fields[] = {
    FIELD(control, cr_intercepts),
    FIELD(control, dr_intercepts),
    FIELD(control, exception_intercepts),
    FIELD(control, intercepts[0]),
    FIELD(control, intercepts[1]),
    FIELD(control, intercepts[2]),
    FIELD(control, pause_threshold),
    FIELD(control, pause_count),
    FIELD(control, iopm_base_pa),
    FIELD(control, msrpm_base_pa),
    FIELD(control, tsc_offset),
    FIELD(control, asid),
    FIELD(control, tlb_control),
    FIELD(control, vintr),
    FIELD(control, interrupt_shadow),
    FIELD(control, np_control),
    FIELD(control, eventinj),
    FIELD(control, n_cr3),
    FIELD(control, virt_control),
    FIELD(control, clean),
    FIELD(control, nrip),
    SEGMENT(es),
    SEGMENT(cs),
    SEGMENT(ss),
    SEGMENT(ds),
    SEGMENT(fs),
    SEGMENT(gs),
    SEGMENT(gdtr),
    SEGMENT(ldtr),
    SEGMENT(idtr),
    SEGMENT(tr),
    FIELD(save, cpl),
    FIELD(save, efer),
    FIELD(save, cr4),
    FIELD(save, cr3),
    FIELD(save, cr0),
    FIELD(save, dr7),
    FIELD(save, dr6),
    FIELD(save, rflags),
    FIELD(save, rip),
    FIELD(save, rsp),
    FIELD(save, rax),
    FIELD(save, star),
    FIELD(save, lstar),
    FIELD(save, cstar),
    FIELD(save, sfmask),
    FIELD(save, kernel_gs_base),
    FIELD(save, sysenter_cs),
    FIELD(save, sysenter_esp),
    FIELD(save, sysenter_eip),
    FIELD(save, cr2),
    FIELD(save, g_pat),
    FIELD(save, debugctl),
    FIELD(save, br_from),
    FIELD(save, last_excp_from),
    FIELD(save, spec_ctrl),
};
#define FIELDS (sizeof fields / sizeof fields[0])

struct vmcb *vm_vmcb(struct cpubed *b, unsigned n)
{
  return (struct vmcb *)(b->ram.mem + VM_VMCB + 0x1000 * (n & 1));
}

// What changes RAM behind the CPU's back goes through here: decoded code must see it.
void vm_put(struct cpubed *b, uint64_t at, unsigned bytes, uint64_t v)
{
  ram_write(&b->ram, at, &v, bytes);
}

uint64_t vm_value(struct fuzz_in *in, uint64_t old)
{
  static const uint64_t edges[] = {0,
                                   1,
                                   0xff,
                                   0xffff,
                                   0xffffffff,
                                   0x100000000,
                                   UINT64_MAX,
                                   0x00007fffffffffff,
                                   0x0000800000000000,
                                   0xffff800000000000,
                                   BED_RAM - 0x1000,
                                   BED_RAM - 0x2000,
                                   BED_RAM - 1,
                                   BED_RAM,
                                   BED_DEVICE,
                                   BED_TABLES,
                                   BED_CODE,
                                   BED_STACK,
                                   VM_VMCB,
                                   VM_HSAVE,
                                   VM_NESTED,
                                   VM_TABLES,
                                   0xfee00000,
                                   0xfffff000,
                                   (1ull << 40) - 0x1000,
                                   (1ull << 40) - 0x3000,
                                   1ull << 40,
                                   (1ull << 48) - 0x2000,
                                   1ull << 48,
                                   1ull << 52};
  uint64_t n = fuzz_take(in, 1);
  switch (n & 7) {
  case 0:
  case 1:
    return edges[(n >> 3) % (sizeof edges / sizeof edges[0])];
  case 2:
    return fuzz_take(in, 8);
  case 3:
    return fuzz_take(in, 2);
  case 4:
    return old + (n >> 3) - 16;
  default:
    return old ^ 1ull << (fuzz_take(in, 1) & 63);
  }
}

static struct vmcb_seg seg(const struct seg *s)
{
  return (struct vmcb_seg){.selector = s->sel, .attrib = s->attr, .limit = s->limit, .base = s->base};
}

static void save_area(const struct cpu *c, struct vmcb_save *g)
{
  g->es = seg(&c->seg[SEG_ES]);
  g->cs = seg(&c->seg[SEG_CS]);
  g->ss = seg(&c->seg[SEG_SS]);
  g->ds = seg(&c->seg[SEG_DS]);
  g->fs = seg(&c->seg[SEG_FS]);
  g->gs = seg(&c->seg[SEG_GS]);
  g->ldtr = seg(&c->ldtr);
  g->tr = seg(&c->tr);
  g->gdtr = (struct vmcb_seg){.limit = c->gdtr.limit, .base = c->gdtr.base};
  g->idtr = (struct vmcb_seg){.limit = c->idtr.limit, .base = c->idtr.base};
  g->cpl = c->cpl;
  g->efer = c->efer | EFER_SVME;
  g->cr4 = c->cr4;
  g->cr3 = c->cr3;
  g->cr0 = c->cr0;
  g->dr7 = c->dr7;
  g->dr6 = 0xffff0ff0;
  g->rflags = cpu_flags(c);
  g->rip = c->ip;
  g->rsp = c->r[RSP];
  g->rax = c->r[RAX];
  g->star = c->star;
  g->lstar = c->lstar;
  g->cstar = c->cstar;
  g->sfmask = c->sfmask;
  g->sysenter_cs = c->sysenter_cs;
  g->sysenter_esp = c->sysenter_esp;
  g->sysenter_eip = c->sysenter_eip;
  g->g_pat = 0x0007040600070406;
}

void vm_make_vmcb(struct cpubed *b, struct fuzz_in *in, unsigned n)
{
  struct vmcb *v = vm_vmcb(b, n);
  struct vmcb_control *k = &v->control;
  memset(v, 0, sizeof *v);
  save_area(b->cpu, &v->save);
  unsigned how = (unsigned)fuzz_take(in, 1);
  uint64_t noise = fuzz_take(in, 4);
  if (how & 1) // a hypervisor that wants to know everything, or anything
    k->exception_intercepts = UINT32_MAX;
  else if (how & 2)
    k->exception_intercepts = (uint32_t)fuzz_random(&noise);
  if (how & 4) {
    k->cr_intercepts = (uint32_t)fuzz_random(&noise);
    k->dr_intercepts = (uint32_t)fuzz_random(&noise);
  }
  for (unsigned i = 0; i < 3; i++)
    k->intercepts[i] = how & 8 ? (uint32_t)fuzz_random(&noise) : 0;
  k->intercepts[0] |= 1u << (VMEXIT_HLT - 0x60) | 1u << (VMEXIT_SHUTDOWN - 0x60);
  k->intercepts[1] |= 1;
  if (how & 16)
    k->intercepts[0] |= 1u << (VMEXIT_IOIO - 0x60) | 1u << (VMEXIT_MSR - 0x60);
  k->iopm_base_pa = VM_IOPM;
  k->msrpm_base_pa = VM_MSRPM;
  k->asid = 1 + n;
  if (how & 32) {
    k->np_control = NP_ENABLE;
    k->n_cr3 = VM_NESTED;
  }
  if (how & 64)
    k->eventinj = EVENTINJ_VALID | (fuzz_random(&noise) & 0xff) | (fuzz_random(&noise) & 7) << 8 |
                  (fuzz_random(&noise) & 1) << 11 | (fuzz_random(&noise) & 0xffff) << 32;
  if (how & 128) {
    k->vintr = fuzz_random(&noise);
    k->virt_control = fuzz_random(&noise) & 3;
    k->interrupt_shadow = fuzz_random(&noise) & 3;
  }
}

void vm_change(struct cpubed *b, struct fuzz_in *in, uint64_t pa, unsigned most)
{
  const uint8_t *v = b->ram.mem + pa;
  for (unsigned k = (unsigned)fuzz_take(in, 1) % (most + 1); k && in->left; k--) {
    const struct field *f = &fields[fuzz_take(in, 1) % FIELDS];
    uint64_t old = 0;
    memcpy(&old, v + f->offset, f->size);
    vm_put(b, pa + f->offset, f->size, vm_value(in, old));
  }
}

// Identity for RAM and the device, in tables of one to four levels at `at`; `pages`: in 4 KB pages, else
// large.
static void tables(struct cpubed *b, unsigned at, enum vm_host mode, bool pages)
{
  unsigned wide = mode == VM_PAGE32 ? 4 : 8, leaf = at + 0x3000, n = 0x1000 / wide;
  unsigned dir = mode == VM_PAGE32 ? at : at + 0x2000;
  for (unsigned i = 0; i < 0x4000; i += 8)
    vm_put(b, at + i, 8, 0);
  for (unsigned i = 0; pages && i < n; i++)
    vm_put(b, leaf + i * wide, wide, (uint64_t)i << 12 | 0x67);
  vm_put(b, dir, wide, pages ? leaf | 0x67 : 0xe7);
  vm_put(b, dir + wide, wide, 0xe7);
  if (mode == VM_PAE)
    vm_put(b, at, 8, dir | 1);
  if (mode != VM_LONG)
    return;
  vm_put(b, at, 8, (at + 0x1000) | 0x67);
  vm_put(b, at + 0x1000, 8, dir | 0x67);
}

void vm_make_nested(struct cpubed *b, struct fuzz_in *in, enum vm_host mode, unsigned most)
{
  static const uint64_t targets[] = {VM_NESTED | 0x67,
                                     (VM_NESTED + 0x1000) | 0x67,
                                     (VM_NESTED + 0x2000) | 0x67,
                                     (VM_NESTED + 0x3000) | 0x67,
                                     VM_NESTED | 0xe7,
                                     BED_TABLES | 0x67,
                                     (BED_RAM - 0x1000) | 0x67,
                                     BED_RAM | 0x67,
                                     BED_DEVICE | 0x67,
                                     BED_DEVICE | 0xe7,
                                     0xfffff067,
                                     0xfee00067,
                                     0x000ffffffffff067,
                                     0x8000000000000067,
                                     UINT64_MAX,
                                     0};
  unsigned wide = mode == VM_PAGE32 ? 4 : 8;
  tables(b, VM_NESTED, mode, true);
  for (unsigned k = (unsigned)fuzz_take(in, 1) % (most + 1); k && in->left; k--) {
    unsigned what = (unsigned)fuzz_take(in, 1), index = (unsigned)fuzz_take(in, 1);
    unsigned page = what & 3, at = VM_NESTED + page * 0x1000 + (page == 3 ? index & 0x7f : index & 3) * wide;
    uint64_t old = 0;
    memcpy(&old, b->ram.mem + at, wide);
    uint64_t v = what & 4   ? targets[what >> 4]
                 : what & 8 ? vm_value(in, old)
                            : old ^ 1ull << (what >> 4 & 15);
    vm_put(b, at, wide, v);
  }
}

void vm_make_host(struct cpubed *b, enum vm_host mode)
{
  struct cpu *c = b->cpu;
  bool lng = mode == VM_LONG;
  tables(b, VM_TABLES, mode, false);
  c->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | (mode == VM_UNPAGED ? 0 : CR0_PG);
  c->cr4 = (mode == VM_PAGE32 ? CR4_PSE : mode >= VM_PAE ? CR4_PAE : 0) | CR4_OSFXSR;
  c->cr3 = VM_TABLES;
  c->efer = EFER_SVME | (lng ? EFER_LME | EFER_LMA | EFER_NXE : 0);
  for (unsigned i = 0; i < SEG_COUNT; i++)
    c->seg[i] = (struct seg){.limit = UINT32_MAX,
                             .sel = i == SEG_CS ? 0x08 : 0x10,
                             .attr = i == SEG_CS ? (lng ? 0xa9b : 0xc9b) : 0xc93};
  c->cpl = 0;
  c->gdtr = c->idtr = (struct dtable){0}; // an exception of the host's is its end
  c->tr = (struct seg){.base = BED_TSS, .limit = 0x67, .sel = 0x88, .attr = 0x8b};
  c->ldtr = (struct seg){0};
  c->dr7 = 0x400;
  c->r[RSP] = VM_HOST + 0xff0;
  cpu_set_flags(c, 2);
  c->ip = c->next_ip = VM_HOST;
  c->vm_hsave_pa = VM_HSAVE;
  if (mode == VM_PAE && !pdpte_load(c, c->cr3))
    abort();
  tlb_set_context(c, 0, 0, false);
  tlb_flush_all(c);
  cpu_changed(c);
}

void vm_poke(struct cpubed *b, struct fuzz_in *in, unsigned most)
{
  for (unsigned k = (unsigned)fuzz_take(in, 1) % (most + 1); k && in->left; k--) {
    unsigned at = (unsigned)fuzz_take(in, 3) % (BED_RAM - 8), bytes = 1 + (unsigned)fuzz_take(in, 1) % 8;
    vm_put(b, at, bytes, fuzz_take(in, bytes));
  }
}
