// Making, resetting and freeing what SVM keeps for a CPU; see svm.h.
#include <stdlib.h>

#include "base/err.h"
#include "cpu/svm/svm.h"

bool svm_new(struct cpu *c, struct err *e)
{
  c->svm = calloc(1, sizeof *c->svm);
  if (!c->svm)
    return err_set(e, "no memory for the SVM state of CPU %u; free some memory or lower -smp", c->index);
  svm_reset(c);
  return true;
}

void svm_free(struct cpu *c)
{
  free(c->svm);
  c->svm = NULL;
}

void svm_reset(struct cpu *c)
{
  struct svm *s = c->svm;
  if (!s)
    return;
  uint64_t vmruns = s->vmruns, exits = s->exits;
  *s = (struct svm){.tsc_ratio = 1ull << 32, .vmruns = vmruns, .exits = exits};
}
