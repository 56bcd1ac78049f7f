// Making, resetting and freeing what SVM keeps for a CPU; see svm.h.
#include <stdlib.h>

#include "base/err.h"
#include "cpu/svm/clean.h"

bool svm_new(struct cpu *c, struct err *e)
{
  c->svm = calloc(1, sizeof *c->svm);
  if (!c->svm || !clean_new(c)) {
    svm_free(c);
    return err_set(e, "no memory for the SVM state of CPU %u; free some memory or lower -smp", c->index);
  }
  c->svm->count.guest_since = SVM_NOT_IN_GUEST;
  svm_reset(c);
  return true;
}

void svm_free(struct cpu *c)
{
  if (!c->svm)
    return;
  clean_free(c);
  free(c->svm);
  c->svm = NULL;
}

void svm_leave(struct cpu *c)
{
  struct svm *s = c->svm;
  if (!s)
    return;
  s->count.guest_instructions = svm_guest_instructions(c);
  s->count.guest_since = SVM_NOT_IN_GUEST;
  *s = (struct svm){.tsc_ratio = s->tsc_ratio, .key = s->key, .count = s->count, .cached = s->cached};
  clean_reset(c);
}

void svm_reset(struct cpu *c)
{
  if (!c->svm)
    return;
  svm_leave(c);
  c->svm->tsc_ratio = 1ull << 32;
  c->svm->key = 0;
}

uint64_t svm_guest_instructions(const struct cpu *c)
{
  const struct svm_counts *n = &c->svm->count;
  uint64_t now = cpu_icount(c);
  // The exit may come before VMRUN has been counted: while it injects an event, or refuses what it has
  // loaded.
  return n->guest_instructions + (n->guest_since < now ? now - n->guest_since : 0);
}
