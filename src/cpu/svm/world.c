// The world switch: VMRUN into a guest and #VMEXIT out of it. APM2 15.5 and 15.6.
//
// Invariant: between the two c->guest is set and c->svm describes the guest; the host's state lies in the
// host save area, in the layout of a VMCB's state-save area. Nothing is flushed: the TLB's context is
// exchanged.
#include "cpu/svm/world.h"

#include <assert.h>

#include "cpu/cr.h"
#include "cpu/event.h"
#include "cpu/lapic.h"
#include "cpu/mem.h"
#include "cpu/model.h"
#include "cpu/smm.h"
#include "cpu/svm/checks.h"
#include "cpu/svm/clean.h"
#include "cpu/tlb.h"

// A page of RAM by its physical address, or NULL.
enum page_use { PAGE_VMCB, PAGE_HOST_SAVE };
static __attribute__((noinline)) void *page_find(struct cpu *c, uint64_t pa, struct svm_page *known)
{
  bool rom;
  uint64_t off = cpu_ram_page(c, pa, &rom);
  if (off == RAM_NONE || rom)
    return NULL;
  void *at = c->ram->mem + off;
  if (!c->smm_ranges && !(pa & 0xfff))
    *known = (struct svm_page){pa | 1, at};
  return at;
}
static inline void *page(struct cpu *c, uint64_t pa, enum page_use use)
{
  struct svm_page *known = &c->svm->pages[use];
  return likely(known->key == (pa | 1) && !c->smm_ranges) ? known->at : page_find(c, pa, known);
}
static struct vmcb_save *host_area(struct cpu *c)
{
  struct vmcb *p = page(c, c->vm_hsave_pa & ~0xfffull, PAGE_HOST_SAVE);
  return p ? &p->save : NULL;
}

// Bytes of a page were changed through a pointer: decoded code and monitors must see it.
static void touched(struct cpu *c, const void *p, unsigned len)
{
  uint64_t off = (const uint8_t *)p - c->ram->mem;
  c->ram->flags[off >> 12] |= RAM_DIRTY;
  if (c->ram->flags[off >> 12] & (RAM_CODE | RAM_MONITOR))
    ram_touched(c->ram, off, len);
}

// ---- segments ----

// Selector, attributes and limit are 8 bytes in both, in halves that are exchanged.
static_assert(offsetof(struct seg, sel) == offsetof(struct seg, limit) + 4, "limit, selector, attributes");
static_assert(offsetof(struct seg, attr) == offsetof(struct seg, limit) + 6, "limit, selector, attributes");
static_assert(offsetof(struct vmcb_seg, attrib) == 2 && offsetof(struct vmcb_seg, limit) == 4 &&
                  offsetof(struct vmcb_seg, base) == 8,
              "selector, attributes, limit, base");
static void put_seg(struct vmcb_seg *to, const struct seg *from)
{
  uint64_t w;
  memcpy(&w, &from->limit, 8);
  w = w << 32 | w >> 32;
  memcpy(to, &w, 8);
  to->base = from->base;
}
static void get_seg(struct seg *to, const struct vmcb_seg *from)
{
  uint64_t w;
  memcpy(&w, from, 8);
  w = (w << 32 | w >> 32) & 0x0fffffffffffffff; // 12 bits of attributes
  memcpy(&to->limit, &w, 8);
  to->base = (uint64_t)((int64_t)(from->base << 16) >> 16); // bits 63:48 from bit 47. APM2 15.5.1
}
static void put_table(struct vmcb_seg *to, const struct dtable *from)
{
  to->limit = from->limit;
  to->base = from->base;
}
static void get_table(struct dtable *to, const struct vmcb_seg *from)
{
  *to = (struct dtable){.base = from->base, .limit = (uint16_t)from->limit};
}

static uint16_t pcid(const struct cpu *c)
{
  return c->cr4 & CR4_PCIDE ? c->cr3 & 0xfff : 0;
}

// ---- the host's side ----

static void save_host(struct cpu *c, struct vmcb_save *h)
{
  put_seg(&h->es, &c->seg[SEG_ES]);
  put_seg(&h->cs, &c->seg[SEG_CS]);
  put_seg(&h->ss, &c->seg[SEG_SS]);
  put_seg(&h->ds, &c->seg[SEG_DS]);
  put_table(&h->gdtr, &c->gdtr);
  put_table(&h->idtr, &c->idtr);
  h->efer = c->efer;
  h->cr4 = c->cr4;
  h->cr3 = c->cr3;
  h->cr0 = c->cr0;
  h->rflags = cpu_flags(c) & ~(uint32_t)FL_RF;
  h->rip = c->next_ip;
  h->rsp = c->r[RSP];
  h->rax = c->r[RAX];
  touched(c, h, sizeof *h);
}

// What of the control registers no processor can be in; only for a save area that was changed since VMRUN.
static const char *illegal_host(const struct cpu *c)
{
  bool lm = (c->efer & EFER_LME) && (c->cr0 & CR0_PG);
  if ((c->efer & ~(efer_allowed(c) | EFER_SVME)) || cpu_long(c) != lm)
    return "EFER";
  if (c->cr0 >> 32 || ((c->cr0 & CR0_NW) && !(c->cr0 & CR0_CD)))
    return "CR0";
  if ((c->cr4 & ~cr4_allowed(c)) || (lm && !(c->cr4 & CR4_PAE)) || (!lm && (c->cr4 & CR4_PCIDE)))
    return "CR4";
  return NULL;
}

// A host state that cannot be loaded shuts the processor down. APM2 15.6
static bool load_host(struct cpu *c, const struct vmcb_save *h)
{
  const struct svm *s = c->svm;
  const char *bad = NULL;
  get_seg(&c->seg[SEG_ES], &h->es);
  get_seg(&c->seg[SEG_CS], &h->cs);
  get_seg(&c->seg[SEG_SS], &h->ss);
  get_seg(&c->seg[SEG_DS], &h->ds);
  get_table(&c->gdtr, &h->gdtr);
  get_table(&c->idtr, &h->idtr);
  c->efer = h->efer;
  c->cr4 = h->cr4;
  c->cr3 = h->cr3;
  c->cr0 = h->cr0 | CR0_PE;
  cpu_set_flags(c, (uint32_t)h->rflags & ~(uint32_t)FL_VM);
  c->ip = c->next_ip = cpu_long(c) ? h->rip : (uint32_t)h->rip;
  c->r[RSP] = h->rsp;
  c->r[RAX] = h->rax;
  c->dr7 = 0x400;
  c->cpl = 0;
  if (c->efer != s->host_efer || c->cr0 != s->host_cr0 || c->cr4 != s->host_cr4 || s->host_told)
    bad = illegal_host(c);
  if (!bad && (c->cr0 & CR0_PG) && (c->cr4 & CR4_PAE) && !(c->efer & EFER_LMA) && !pdpte_load(c, c->cr3))
    bad = "a page-directory pointer";
  if (!bad)
    return true;
  log_line(c->log, LOG_VMRUN, "cpu%u: #VMEXIT: the host state cannot be loaded: %s is illegal; shutdown\n",
           c->index, bad);
  return false;
}

// ---- the guest's side ----

static void load_guest(struct cpu *c, const struct vmcb *v)
{
  const struct vmcb_save *g = &v->save;
  struct svm *s = c->svm;
  get_seg(&c->seg[SEG_ES], &g->es);
  get_seg(&c->seg[SEG_CS], &g->cs);
  get_seg(&c->seg[SEG_SS], &g->ss);
  get_seg(&c->seg[SEG_DS], &g->ds);
  get_table(&c->gdtr, &g->gdtr);
  get_table(&c->idtr, &g->idtr);
  c->efer = g->efer & ~(uint64_t)EFER_LMA;
  if ((g->efer & EFER_LME) && (g->cr0 & CR0_PG))
    c->efer |= EFER_LMA;
  c->cr4 = g->cr4;
  c->cr3 = g->cr3;
  c->cr0 = g->cr0 | CR0_ET;
  c->cr2 = g->cr2;
  c->dr7 = g->dr7 | 0x400;
  c->dr6 = (g->dr6 & 0xe00f) | 0xffff0ff0;
  c->ip = cpu_long(c) ? g->rip : (uint32_t)g->rip;
  c->r[RSP] = g->rsp;
  c->r[RAX] = g->rax;
  uint32_t flags = (uint32_t)g->rflags & FL_ALL;
  if (!(c->cr0 & CR0_PE) || cpu_long(c)) // modes that have no virtual-8086 mode
    flags &= ~(uint32_t)FL_VM;
  c->cpl = !(c->cr0 & CR0_PE) ? 0 : flags & FL_VM ? 3 : g->cpl & 3;
  cpu_set_flags(c, flags);
  s->g_pat = g->g_pat;
  if (model_has(c->model, FEAT_V_SPEC_CTRL)) {
    s->host.spec_ctrl = c->spec_ctrl;
    c->spec_ctrl = g->spec_ctrl;
  }
  if (s->lbr_virt) {
    s->host.lbr[0] = c->debugctl;
    s->host.lbr[1] = c->last_branch_from;
    s->host.lbr[2] = c->last_branch_to;
    s->host.lbr[3] = c->last_int_from;
    s->host.lbr[4] = c->last_int_to;
    c->debugctl = g->debugctl & 0x3f;
    c->last_branch_from = g->br_from;
    c->last_branch_to = g->br_to;
    c->last_int_from = g->last_excp_from;
    c->last_int_to = g->last_excp_to;
  }
  c->shadow = v->control.interrupt_shadow & 1 ? SHADOW_STI : SHADOW_NONE;
  c->shadow_next = c->shadow;
}

// What the VMCB gets of the guest's registers and clean bits are for.
static void save_registers(const struct cpu *c, struct vmcb *v)
{
  struct vmcb_save *g = &v->save;
  const struct svm *s = c->svm;
  put_seg(&g->es, &c->seg[SEG_ES]);
  put_seg(&g->cs, &c->seg[SEG_CS]);
  put_seg(&g->ss, &c->seg[SEG_SS]);
  put_seg(&g->ds, &c->seg[SEG_DS]);
  put_table(&g->gdtr, &c->gdtr);
  put_table(&g->idtr, &c->idtr);
  g->efer = c->efer;
  g->cr4 = c->cr4;
  g->cr3 = c->cr3;
  g->cr2 = c->cr2;
  g->cr0 = c->cr0;
  g->dr7 = c->dr7;
  g->dr6 = c->dr6;
  g->cpl = c->cpl;
  if (s->np)
    g->g_pat = s->g_pat;
  if (s->lbr_virt) {
    g->debugctl = c->debugctl;
    g->br_from = c->last_branch_from;
    g->br_to = c->last_branch_to;
    g->last_excp_from = c->last_int_from;
    g->last_excp_to = c->last_int_to;
  }
  v->control.vintr = s->vintr;
}

static void save_guest(struct cpu *c, struct vmcb *v)
{
  struct vmcb_save *g = &v->save;
  struct svm *s = c->svm;
  save_registers(c, v);
  clean_save(c, v);
  g->rflags = cpu_flags(c);
  g->rip = c->ip;
  g->rsp = c->r[RSP];
  g->rax = c->r[RAX];
  v->control.interrupt_shadow = (v->control.interrupt_shadow & ~1ull) | (c->shadow != SHADOW_NONE);
  if (model_has(c->model, FEAT_V_SPEC_CTRL)) {
    g->spec_ctrl = c->spec_ctrl;
    c->spec_ctrl = s->host.spec_ctrl;
  }
  if (s->lbr_virt) {
    c->debugctl = s->host.lbr[0];
    c->last_branch_from = s->host.lbr[1];
    c->last_branch_to = s->host.lbr[2];
    c->last_int_from = s->host.lbr[3];
    c->last_int_to = s->host.lbr[4];
  }
}

// Makes masks and flags of the control area. stale: clean bits of what is not as it was when it was last done
// for this VMCB.
static void fold(struct cpu *c, const struct vmcb *v, uint32_t stale)
{
  const struct vmcb_control *k = &v->control;
  struct svm *s = c->svm;
  if (stale & CLEAN_I) {
    s->cr_intercepts = k->cr_intercepts;
    s->dr_intercepts = k->dr_intercepts;
    s->exception_intercepts = k->exception_intercepts;
    for (unsigned i = 0; i < 3; i++)
      s->intercepts[i] = k->intercepts[i];
    s->tsc_offset = k->tsc_offset;
    s->pause_count = k->pause_count;
    s->pause_threshold = k->pause_threshold;
  }
  if (stale & CLEAN_IOPM) {
    s->iopm_pa = k->iopm_base_pa & ~0xfffull;
    s->msrpm_pa = k->msrpm_base_pa & ~0xfffull;
  }
  if (stale & CLEAN_ASID)
    s->asid = k->asid;
  if (stale & CLEAN_NP) {
    s->np = k->np_control & NP_ENABLE;
    s->np_gmet = s->np && (k->np_control & NP_GMET) && model_has(c->model, FEAT_GMET);
    s->np_rogpt = s->np && (k->np_control & NP_ROGPT) && model_has(c->model, FEAT_ROGPT);
    s->invlpgb = (k->np_control & NP_INVLPGB) && model_has(c->model, FEAT_TLBI_CTL);
    s->ncr3 = k->n_cr3 & ~0x1full;
  }
  s->vintr = k->vintr;
  s->vgif = (k->vintr & VINTR_GIF_ENABLE) && model_has(c->model, FEAT_VGIF);
  s->vnmi = (k->vintr & VINTR_NMI_ENABLE) && model_has(c->model, FEAT_VNMI);
  s->lbr_virt = (k->virt_control & VIRT_LBR) && model_has(c->model, FEAT_LBRV);
  bool virt_vmload = (k->virt_control & VIRT_VMLOAD) && model_has(c->model, FEAT_V_VMSAVE_VMLOAD);
  s->virt_vmload = virt_vmload && s->np && (s->host_efer & EFER_LMA); // APM2 15.33.1
  s->vmload_exits = virt_vmload && !s->virt_vmload;
  s->pause_left = s->pause_count;
  s->pause_last = 0;
}

// ---- events ----

static void inject(struct cpu *c, uint64_t e)
{
  struct event ev = {.type = e >> EVENTINJ_TYPE_SHIFT & 7,
                     .vector = e & EVENTINJ_VECTOR,
                     .has_error = (e & EVENTINJ_EV) != 0,
                     .error = (uint32_t)(e >> 32)};
  uint64_t ip = c->ip;
  if (ev.type == EVENT_NMI) {
    ev.vector = VEC_NMI;
    if (c->svm->vnmi) // otherwise the next one is not held back (APM2 15.20)
      c->svm->vintr |= VINTR_NMI_MASK;
  }
  if (ev.type != EVENT_EXCEPTION)
    ev.has_error = false;
  if (ev.type == EVENT_SOFT || (ev.type == EVENT_EXCEPTION && (ev.vector == VEC_BP || ev.vector == VEC_OF))) {
    ev.soft = true; // the gate's DPL counts
    if (model_has(c->model, FEAT_NRIP_SAVE))
      ip = c->svm->vmcb->control.nrip;
  }
  c->shadow = c->shadow_next = SHADOW_NONE;
  event_dispatch(c, &ev, ip);
}

static uint64_t exitintinfo(const struct cpu *c)
{
  if (!c->delivering)
    return 0;
  const struct event *e = &c->event;
  return EVENTINJ_VALID | (uint64_t)e->type << EVENTINJ_TYPE_SHIFT | e->vector |
         (e->has_error ? EVENTINJ_EV | (uint64_t)e->error << 32 : 0);
}

// ---- counting ----

static void counted_exit(struct svm *s, uint64_t code)
{
  s->count.exits++;
  s->count.exit[svm_slot(code)]++;
}

// ---- in ----

bool svm_vmrun(struct cpu *c, uint64_t pa)
{
  struct svm *s = c->svm;
  struct vmcb *v = page(c, pa, PAGE_VMCB);
  struct vmcb_save *host = host_area(c);
  if (!v || !host)
    return raise_gp(c, 0);
  s->count.entries++;
  struct clean_news news;
  const struct vmcb *g = clean_load(c, pa, v, &news);
  const struct svm_check *bad = svm_check(c, g, news.unchecked);
  if (unlikely(bad)) {
    log_line(c->log, LOG_VMRUN, "cpu%u: VMRUN of %012llx: VMEXIT_INVALID: %s is %#llx: %s (%s, APM2 %s)\n",
             c->index, (unsigned long long)pa, bad->field, (unsigned long long)bad->value(g), bad->rule,
             bad->id, bad->section);
    v->control.exitcode = VMEXIT_INVALID;
    v->control.exitinfo1 = v->control.exitinfo2 = 0;
    v->control.exitintinfo = 0;
    touched(c, v, sizeof v->control);
    clean_forget(c, pa);
    c->gif = false;
    counted_exit(s, VMEXIT_INVALID);
    return true;
  }
  save_host(c, host);
  s->host_cr0 = c->cr0;
  s->host_cr4 = c->cr4;
  s->host_efer = c->efer;
  s->host_told = false;
  s->host_if = c->sysflags & FL_IF;
  s->host.trap = c->trap_tf; // the host's single step goes off after the #VMEXIT
  c->trap_tf = false;
  fold(c, g, s->vmcb_pa == pa ? news.changed : ~CLEAN_NOTHING);
  s->vmcb_pa = pa;
  s->vmcb = v;
  s->exiting = false;
  switch (g->control.tlb_control) {
  case TLB_ALL:
    tlb_flush_all(c);
    break;
  case TLB_GUEST:
    tlb_flush_asid(c, s->asid);
    break;
  case TLB_GUEST_NONGLOBAL:
    tlb_flush_asid_nonglobal(c, s->asid);
    break;
  default:
    break;
  }
  c->guest = true;
  c->gif = true;
  s->count.guest_since = cpu_icount(c) + 1; // VMRUN, which is running
  load_guest(c, g);
  tlb_switch(c, s->asid, pcid(c));
  cpu_mode_update(c);
  if (log_on(c->log, LOG_VMRUN))
    log_line(c->log, LOG_VMRUN, "cpu%u: VMRUN of %012llx: ASID %u, rip %04x:%016llx, eventinj %llx\n",
             c->index, (unsigned long long)pa, s->asid, c->seg[SEG_CS].sel, (unsigned long long)c->ip,
             (unsigned long long)v->control.eventinj);
  if (!s->np && (c->cr0 & CR0_PG) && (c->cr4 & CR4_PAE) && !cpu_long(c) && !pdpte_load(c, c->cr3)) {
    log_line(c->log, LOG_VMRUN,
             "cpu%u: VMRUN of %012llx: VMEXIT_INVALID: CR3 is %#llx: reserved bits of the page-directory "
             "pointers there must be 0 (pdpte, APM2 15.5.1)\n",
             c->index, (unsigned long long)pa, (unsigned long long)c->cr3);
    svm_exit(c, VMEXIT_INVALID, 0, 0);
    return false;
  }
  uint64_t e = v->control.eventinj;
  v->control.eventinj &= ~EVENTINJ_VALID;
  svm_vintr_update(c);
  if (c->pending)
    cpu_kick(c);
  if (e & EVENTINJ_VALID)
    inject(c, e);
  c->next_ip = c->ip;
  return !c->faulted;
}

// ---- SMM ----

// What belongs to the host while a guest runs is kept apart: the handler may run guests of its own.
void svm_suspend(struct cpu *c)
{
  struct svm *s = c->svm;
  s->count.guest_instructions = svm_guest_instructions(c);
  s->count.guest_since = SVM_NOT_IN_GUEST;
  s->smm_host = s->host;
  c->guest = false;
  c->pending &= ~(uint32_t)PEND_VINTR;
}

bool svm_resume(struct cpu *c, uint64_t pa, uint64_t vintr, bool host_if, const uint64_t *host)
{
  struct svm *s = c->svm;
  struct vmcb *v = page(c, pa, PAGE_VMCB);
  if (!v || (pa & 0xfff))
    return false;
  s->host = s->smm_host;
  s->host_if = host_if;
  if (host) { // EFER, CR4, CR3, CR0
    s->host_efer = host[0];
    s->host_cr4 = host[1];
    s->host_cr0 = host[3];
    s->host_told = true;
  }
  fold(c, clean_peek(c, pa, v), ~CLEAN_NOTHING); // a new count of PAUSEs too
  s->vmcb_pa = pa;
  s->vmcb = v;
  s->vintr = vintr;
  s->exiting = false;
  c->guest = true;
  c->gif = true;
  s->count.guest_since = cpu_icount(c) + 1; // RSM, which is running
  tlb_set_context(c, s->asid, pcid(c), true);
  svm_vintr_update(c);
  return true;
}

// ---- out ----

bool svm_exit(struct cpu *c, uint64_t code, uint64_t info1, uint64_t info2)
{
  struct svm *s = c->svm;
  s->exiting = true;
  s->exitcode = code;
  s->exitinfo1 = info1;
  s->exitinfo2 = info2;
  c->faulted = true;
  return false;
}

bool svm_exit_npf(struct cpu *c, uint64_t gpa, uint64_t error)
{
  return svm_exit(c, VMEXIT_NPF, error, gpa);
}

// The instruction's bytes, for faults that a hypervisor answers by emulating it. APM2 15.8.4
static void fetched_bytes(struct cpu *c, struct vmcb_control *k)
{
  k->bytes_fetched = 0;
  bool fetch = c->svm->exitinfo1 & 16;
  bool wanted = c->svm->exitcode == VMEXIT_NPF || c->svm->exitcode == VMEXIT_EXCP0 + VEC_PF;
  if (!wanted || fetch || !model_has(c->model, FEAT_DECODEASSISTS))
    return;
  uint64_t la = c->mode & MODE_CS64 ? c->ip : (uint32_t)(c->seg[SEG_CS].base + c->ip);
  unsigned n = 15;
  unsigned room = 0x1000 - (la & 0xfff);
  uint8_t bytes[15];
  if (!(c->mode & MODE_CS64)) { // the limit ends them too; in a delivery RIP may lie beyond it
    uint32_t limit = c->seg[SEG_CS].limit;
    if (c->ip > limit)
      return;
    if (limit - c->ip < n)
      n = limit - c->ip + 1;
  }
  if (!mem_debug_read(c, la, bytes, n)) {
    n = room < n ? room : n;
    if (!mem_debug_read(c, la, bytes, n))
      return;
  }
  k->bytes_fetched = n;
  memcpy(k->instruction, bytes, n);
}

// Exits of instructions leave the following one's address. APM2 15.7.1
static uint64_t nrip(const struct cpu *c, uint64_t code)
{
  if (!model_has(c->model, FEAT_NRIP_SAVE))
    return 0;
  bool instruction = code < 0x40 || (code >= VMEXIT_CR0_SEL_WRITE && code <= VMEXIT_MSR) ||
                     (code >= VMEXIT_VMRUN && code <= VMEXIT_TLBSYNC) || code == VMEXIT_EXCP0 + VEC_BP ||
                     code == VMEXIT_EXCP0 + VEC_OF || code == VMEXIT_EXCP0 + VEC_BR;
  return instruction ? c->next_ip : 0;
}

void svm_vmexit(struct cpu *c)
{
  struct svm *s = c->svm;
  struct vmcb *v = s->vmcb;
  struct vmcb_control *k = &v->control;
  s->exiting = false;
  c->faulted = false;
  s->count.guest_instructions = svm_guest_instructions(c);
  s->count.guest_since = SVM_NOT_IN_GUEST;
  counted_exit(s, s->exitcode);
  if (s->exitcode >= VMEXIT_EFER_WRITE_TRAP && s->exitcode < VMEXIT_CR0_WRITE_TRAP + 16)
    c->ip = c->next_ip; // a trap: the instruction is done
  // A virtual NMI whose delivery ended so has not been taken. APM2 15.21.10
  if (c->delivering && c->event.type == EVENT_NMI && s->vnmi)
    s->vintr &= ~VINTR_NMI_MASK;
  k->exitcode = s->exitcode;
  k->exitinfo1 = s->exitinfo1;
  k->exitinfo2 = s->exitinfo2;
  k->exitintinfo = exitintinfo(c);
  k->nrip = nrip(c, s->exitcode);
  fetched_bytes(c, k);
  save_guest(c, v);
  touched(c, v, sizeof *v);
  if (unlikely(s->exitcode == VMEXIT_INVALID))
    clean_forget(c, s->vmcb_pa);
  if (log_on(c->log, LOG_VMRUN))
    log_line(c->log, LOG_VMRUN, "cpu%u: %s (%llx) info %llx %llx int %llx rip %04x:%016llx\n", c->index,
             svm_exit_name(k->exitcode), (unsigned long long)k->exitcode, (unsigned long long)k->exitinfo1,
             (unsigned long long)k->exitinfo2, (unsigned long long)k->exitintinfo, c->seg[SEG_CS].sel,
             (unsigned long long)c->ip);
  c->delivering = false;
  c->guest = false;
  c->gif = false;
  c->pending &= ~PEND_VINTR;
  c->run = RUN_ON;
  c->shadow = c->shadow_next = SHADOW_NONE;
  c->db_bits = s->host.trap ? 1u << 14 : 0; // DR6.BS
  c->trap_tf = false;
  c->rf_clear = false;
  struct vmcb_save *host = host_area(c);
  if (!host || !load_host(c, host)) {
    cpu_shutdown(c);
    return;
  }
  tlb_switch(c, 0, pcid(c));
  cpu_mode_update(c);
}
