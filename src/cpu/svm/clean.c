// Which fields of a VMCB are kept, under which clean bit, and the copies; see clean.h.
#include "cpu/svm/clean.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/model.h"

// Figure 15-4. NP_ENABLE goes with nCR3; the pause threshold with the pause count.
#define CACHED_FIELDS(X)                                                                                     \
  X(CLEAN_I, control.cr_intercepts)                                                                          \
  X(CLEAN_I, control.dr_intercepts)                                                                          \
  X(CLEAN_I, control.exception_intercepts)                                                                   \
  X(CLEAN_I, control.intercepts)                                                                             \
  X(CLEAN_I, control.pause_threshold)                                                                        \
  X(CLEAN_I, control.pause_count)                                                                            \
  X(CLEAN_I, control.tsc_offset)                                                                             \
  X(CLEAN_IOPM, control.iopm_base_pa)                                                                        \
  X(CLEAN_IOPM, control.msrpm_base_pa)                                                                       \
  X(CLEAN_ASID, control.asid)                                                                                \
  X(CLEAN_TPR, control.vintr)                                                                                \
  X(CLEAN_NP, control.np_control)                                                                            \
  X(CLEAN_NP, control.n_cr3)                                                                                 \
  X(CLEAN_NP, save.g_pat)                                                                                    \
  X(CLEAN_CRX, save.efer)                                                                                    \
  X(CLEAN_CRX, save.cr4)                                                                                     \
  X(CLEAN_CRX, save.cr3)                                                                                     \
  X(CLEAN_CRX, save.cr0)                                                                                     \
  X(CLEAN_DRX, save.dr7)                                                                                     \
  X(CLEAN_DRX, save.dr6)                                                                                     \
  X(CLEAN_DT, save.gdtr)                                                                                     \
  X(CLEAN_DT, save.idtr)                                                                                     \
  X(CLEAN_SEG, save.es)                                                                                      \
  X(CLEAN_SEG, save.cs)                                                                                      \
  X(CLEAN_SEG, save.ss)                                                                                      \
  X(CLEAN_SEG, save.ds)                                                                                      \
  X(CLEAN_SEG, save.cpl)                                                                                     \
  X(CLEAN_CR2, save.cr2)                                                                                     \
  X(CLEAN_LBR, save.debugctl)                                                                                \
  X(CLEAN_LBR, save.br_from)                                                                                 \
  X(CLEAN_LBR, save.br_to)                                                                                   \
  X(CLEAN_LBR, save.last_excp_from)                                                                          \
  X(CLEAN_LBR, save.last_excp_to)

// The groups that checks look at or that masks are made from: it counts whether they changed.
#define LOOKED_AT (CLEAN_I | CLEAN_IOPM | CLEAN_ASID | CLEAN_TPR | CLEAN_NP | CLEAN_CRX | CLEAN_DRX)

// Never kept, and what no clean bit names.
#define FRESH_FIELDS(X)                                                                                      \
  X(control.tlb_control)                                                                                     \
  X(control.interrupt_shadow)                                                                                \
  X(control.eventinj)                                                                                        \
  X(control.virt_control)                                                                                    \
  X(control.nrip)                                                                                            \
  X(save.rflags)                                                                                             \
  X(save.rip)                                                                                                \
  X(save.rsp)                                                                                                \
  X(save.rax)                                                                                                \
  X(save.spec_ctrl)

struct cached_field {
  const char *name;
  uint16_t bit, offset, size;
};

#define ROW(bit, field) {#field, bit, offsetof(struct vmcb, field), sizeof(((struct vmcb *)0)->field)},
static const struct cached_field fields[] = {CACHED_FIELDS(ROW)};
#undef ROW

bool clean_new(struct cpu *c)
{
  c->svm->cached = calloc(SVM_CACHED_VMCBS, sizeof *c->svm->cached);
  return c->svm->cached != NULL;
}

void clean_free(struct cpu *c)
{
  free(c->svm->cached);
}

void clean_reset(struct cpu *c)
{
  struct svm *s = c->svm;
  s->vmcb_pa = SVM_NO_VMCB;
  s->running = NULL;
  for (unsigned i = 0; i < SVM_CACHED_VMCBS; i++)
    s->cached[i].pa = SVM_NO_VMCB;
}

static void report(struct cpu *c, const struct svm_cached *e, const struct vmcb *v, uint32_t clean)
{
  for (unsigned i = 0; i < sizeof fields / sizeof *fields; i++) {
    const struct cached_field *f = &fields[i];
    if (!(clean & f->bit) ||
        !memcmp((const char *)&e->copy + f->offset, (const char *)v + f->offset, f->size))
      continue;
    uint64_t old = 0, now = 0;
    memcpy(&old, (const char *)&e->copy + f->offset, f->size < 8 ? f->size : 8);
    memcpy(&now, (const char *)v + f->offset, f->size < 8 ? f->size : 8);
    log_line(
        c->log, LOG_VMRUN,
        "cpu%u: VMRUN of %012llx: %s changed from %llx to %llx but clean bit %u is set: the old value is "
        "used (APM2 15.15)\n",
        c->index, (unsigned long long)e->pa, strchr(f->name, '.') + 1, (unsigned long long)old,
        (unsigned long long)now, (unsigned)__builtin_ctz(f->bit));
  }
}

static struct svm_cached *find(struct svm *s, uint64_t pa)
{
  if (likely(s->running && s->running->pa == pa))
    return s->running;
  for (unsigned i = 0; i < SVM_CACHED_VMCBS; i++)
    if (s->cached[i].pa == pa)
      return &s->cached[i];
  return NULL;
}

static struct svm_cached *replace(struct svm *s, uint64_t pa)
{
  struct svm_cached *e = s->cached;
  for (unsigned i = 1; i < SVM_CACHED_VMCBS && e->pa != SVM_NO_VMCB; i++)
    if (s->cached[i].pa == SVM_NO_VMCB || s->cached[i].used < e->used)
      e = &s->cached[i];
  e->pa = pa;
  return e;
}

// Copies a field of 2, 4, 8 or 12 bytes; what is not 0 in the result differed.
static inline __attribute__((always_inline)) uint64_t take(void *to, const void *from, size_t n)
{
  uint64_t old = 0, now = 0;
  uint32_t old2 = 0, now2 = 0;
  size_t first = n < 8 ? n : 8, second = n - first;
  memcpy(&old, to, first);
  memcpy(&now, from, first);
  memcpy(to, &now, first);
  memcpy(&old2, (const char *)to + first, second);
  memcpy(&now2, (const char *)from + first, second);
  memcpy((char *)to + first, &now2, second);
  return (old ^ now) | (old2 ^ now2);
}

// Takes the groups of `load`; returns those of them that are not what they were, as far as that counts.
static inline __attribute__((always_inline)) uint32_t take_groups(struct vmcb *to, const struct vmcb *v,
                                                                  uint32_t load)
{
#define GROUPS(X)                                                                                            \
  X(CLEAN_I)                                                                                                 \
  X(CLEAN_IOPM)                                                                                              \
  X(CLEAN_ASID)                                                                                              \
  X(CLEAN_TPR) X(CLEAN_NP) X(CLEAN_CRX) X(CLEAN_DRX) X(CLEAN_DT) X(CLEAN_SEG) X(CLEAN_CR2) X(CLEAN_LBR)
#define NO_DIFFERENCE(bit) uint64_t differs_##bit = 0;
#define TAKE(bit, field)                                                                                     \
  if (load & (bit)) {                                                                                        \
    if ((bit)&LOOKED_AT)                                                                                     \
      differs_##bit |= take(&to->field, &v->field, sizeof to->field);                                        \
    else                                                                                                     \
      memcpy(&to->field, &v->field, sizeof to->field);                                                       \
  }
#define IF_DIFFERENT(bit) | (differs_##bit ? (bit) : 0u)
  GROUPS(NO_DIFFERENCE)
  if (load & CLEAN_SEG) // of the segments the checks look at CS.L and CS.D
    differs_CLEAN_SEG = to->save.cs.attrib ^ v->save.cs.attrib;
  CACHED_FIELDS(TAKE)
  return CLEAN_NOTHING GROUPS(IF_DIFFERENT);
}

const struct vmcb *clean_load(struct cpu *c, uint64_t pa, const struct vmcb *v, struct clean_news *news)
{
  struct svm *s = c->svm;
  *news = (struct clean_news){.changed = ~CLEAN_NOTHING, .unchecked = ~CLEAN_NOTHING};
  if (!model_has(c->model, FEAT_VMCB_CLEAN))
    return v;
  struct svm_cached *e = find(s, pa);
  uint32_t load = ~CLEAN_NOTHING;
  bool known = e != NULL;
  if (known) {
    load = ~v->control.clean;
    if (unlikely(log_on(c->log, LOG_VMRUN)))
      report(c, e, v, ~load);
  } else {
    e = replace(s, pa);
  }
  e->used = s->count.entries;
  s->running = e;
  struct vmcb *to = &e->copy;
#define LOAD_FRESH(field) to->field = v->field;
  FRESH_FIELDS(LOAD_FRESH)
  // Those who know nothing of clean bits have none set.
  uint32_t changed = load == ~CLEAN_NOTHING ? take_groups(to, v, ~CLEAN_NOTHING) : take_groups(to, v, load);
  if (known)
    *news = (struct clean_news){.changed = changed, .unchecked = changed | (load & ~e->checked)};
  e->checked = ~CLEAN_NOTHING; // or it is forgotten
  return to;
}

void clean_save(struct cpu *c, const struct vmcb *v)
{
  struct svm_cached *e = c->svm->running;
  if (!e)
    return;
  struct vmcb_save *to = &e->copy.save;
  const struct vmcb_save *g = &v->save;
  if ((to->efer ^ g->efer) | (to->cr0 ^ g->cr0) | (to->cr3 ^ g->cr3) | (to->cr4 ^ g->cr4))
    e->checked &= ~(uint32_t)CLEAN_CRX;
  if (to->cs.attrib != g->cs.attrib)
    e->checked &= ~(uint32_t)CLEAN_SEG;
  memcpy(&to->es, &g->es, 4 * sizeof to->es);
  to->gdtr = g->gdtr;
  to->idtr = g->idtr;
  to->efer = g->efer;
  to->cr4 = g->cr4;
  to->cr3 = g->cr3;
  to->cr2 = g->cr2;
  to->cr0 = g->cr0;
  to->dr7 = g->dr7;
  to->dr6 = g->dr6;
  to->cpl = g->cpl;
  if (c->svm->np)
    to->g_pat = g->g_pat;
  if (c->svm->lbr_virt)
    memcpy(&to->debugctl, &g->debugctl, 5 * sizeof to->debugctl);
  e->copy.control.vintr = v->control.vintr;
}

const struct vmcb *clean_peek(struct cpu *c, uint64_t pa, const struct vmcb *v)
{
  struct svm_cached *e = find(c->svm, pa);
  c->svm->running = e;
  return e ? &e->copy : v;
}

void clean_forget(struct cpu *c, uint64_t pa)
{
  struct svm_cached *e = find(c->svm, pa);
  if (!e)
    return;
  e->pa = SVM_NO_VMCB;
  c->svm->running = NULL;
}
