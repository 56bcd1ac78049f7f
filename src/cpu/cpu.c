// Making and freeing a CPU; see cpu.h.
#include "cpu/cpu.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cpu/lapic.h"
#include "cpu/model.h"
#include "cpu/svm/svm.h"
#include "cpu/tlb.h"

struct cpu *cpu_new(const struct cpu_env *env, struct err *e)
{
  struct cpu *c = aligned_alloc(64, (sizeof *c + 63) & ~63ull);
  if (!c) {
    err_set(e, "no memory for CPU %u; free some memory or lower -smp", env->index);
    return NULL;
  }
  memset(c, 0, sizeof *c);
  c->bus = env->bus;
  c->ram = env->bus->ram;
  c->clock = env->clock;
  c->log = env->log;
  c->model = env->model;
  c->index = env->index;
  c->apic_id = env->apic_id;
  c->node = env->node;
  c->bsp = env->index == 0;
  c->ns_shift = env->ns_shift;
  c->tsc_hz = env->tsc_hz;
  c->all = env->all;
  c->cpus = env->cpus;
  c->host = env->host;
  c->phys_mask = (1ull << env->model->phys_bits) - 1;
  c->a20_mask = ~0ull;
  if (!tlb_init(c, env->tlb_contexts ? env->tlb_contexts : env->model->tlb_contexts)) {
    err_set(e, "no memory for the TLB of CPU %u; free some memory or lower -smp", env->index);
    free(c);
    return NULL;
  }
  if (!svm_new(c, e) || !lapic_new(c, e)) {
    svm_free(c);
    tlb_free(c);
    free(c);
    return NULL;
  }
  cpu_reset(c);
  return c;
}

void cpu_free(struct cpu *c)
{
  if (!c)
    return;
  lapic_free(c);
  svm_free(c);
  tlb_free(c);
  free(c);
}
