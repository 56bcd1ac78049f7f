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

const struct vmcb *clean_load(struct cpu *c, uint64_t pa, const struct vmcb *v, uint32_t *dirty)
{
  struct svm *s = c->svm;
  *dirty = ~CLEAN_NOTHING;
  if (!model_has(c->model, FEAT_VMCB_CLEAN))
    return v;
  struct svm_cached *e = find(s, pa);
  if (e) {
    *dirty = ~v->control.clean;
    if (unlikely(log_on(c->log, LOG_VMRUN)))
      report(c, e, v, ~*dirty);
  } else {
    e = replace(s, pa);
  }
  e->used = s->count.entries;
  s->running = e;
  uint32_t load = *dirty;
  struct vmcb *to = &e->copy;
#define LOAD_DIRTY(bit, field)                                                                               \
  if (load & (bit))                                                                                          \
    memcpy(&to->field, &v->field, sizeof to->field);
#define LOAD_FRESH(field) to->field = v->field;
  CACHED_FIELDS(LOAD_DIRTY)
  FRESH_FIELDS(LOAD_FRESH)
  return to;
}

const struct vmcb *clean_peek(struct cpu *c, uint64_t pa, const struct vmcb *v)
{
  struct svm_cached *e = find(c->svm, pa);
  c->svm->running = e;
  return e ? &e->copy : v;
}

struct vmcb *clean_copy(struct cpu *c)
{
  return c->svm->running ? &c->svm->running->copy : NULL;
}

void clean_forget(struct cpu *c, uint64_t pa)
{
  struct svm_cached *e = find(c->svm, pa);
  if (!e)
    return;
  e->pa = SVM_NO_VMCB;
  c->svm->running = NULL;
}
