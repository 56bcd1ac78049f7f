// Round robin: each virtual CPU of this CPU that has something to do gets a slice in turn. See sched.h.
#include "svm/sched.h"

#include "guest/console.h"
#include "host/lapic.h"
#include "svm/vcpu.h"

enum { SLICE_MS = 5 };

void sched_add(struct vcpu *v)
{
  struct cpu *c = v->cpu;
  lock(&c->guard);
  struct vcpu **at = &c->vcpus;
  while (*at)
    at = &(*at)->next;
  v->next = NULL;
  *at = v;
  unlock(&c->guard);
  cpu_kick(c);
}

void sched_remove(struct vcpu *v)
{
  struct cpu *c = v->cpu;
  lock(&c->guard);
  for (struct vcpu **at = &c->vcpus; *at; at = &(*at)->next)
    if (*at == v) {
      *at = v->next;
      break;
    }
  if (c->last == v)
    c->last = NULL;
  unlock(&c->guard);
  while (__atomic_load_n(&v->inside, __ATOMIC_ACQUIRE)) {
    cpu_kick(c);
    cpu_pause();
  }
}

void sched_quiesce(struct guest *g)
{
  for (unsigned i = 0; i < g->vcpu_count; i++)
    while (__atomic_load_n(&g->vcpu[i]->inside, __ATOMIC_ACQUIRE)) {
      cpu_kick(g->vcpu[i]->cpu);
      cpu_pause();
    }
}

// The next that can run, beginning behind the one that ran last.
static struct vcpu *pick(struct cpu *c)
{
  lock(&c->guard);
  struct vcpu *v = c->last ? c->last->next : NULL, *found = NULL;
  unsigned n = 0;
  for (struct vcpu *i = c->vcpus; i; i = i->next)
    n++;
  for (; n && !found; n--) {
    if (!v)
      v = c->vcpus;
    if (vcpu_runnable(v))
      found = v;
    v = v->next;
  }
  if (found) {
    found->inside = true;
    c->last = found;
  }
  unlock(&c->guard);
  return found;
}

// The timer to whatever comes first: an event of a virtual CPU's, or the end of the slice.
static void set_timer(struct cpu *c, uint64_t at)
{
  lock(&c->guard);
  for (struct vcpu *v = c->vcpus; v; v = v->next) {
    uint64_t deadline = vcpu_deadline(v);
    at = deadline < at ? deadline : at;
  }
  unlock(&c->guard);
  if (at == c->timer_at)
    return;
  c->timer_at = at;
  lapic_timer(at);
}

static void slice(struct cpu *c, struct vcpu *v)
{
  bool shared = c->vcpus->next;
  uint64_t end = shared ? rdtsc() + tsc_hz() / 1000 * SLICE_MS : UINT64_MAX;
  vcpu_load(v);
  do {
    set_timer(c, end);
    vcpu_run(v);
    if (c->id == 0 && console_work())
      break;
    if (rdtsc() >= end || (!shared && c->vcpus->next))
      break;
  } while (vcpu_runnable(v));
  vcpu_save(v);
  __atomic_store_n(&v->inside, false, __ATOMIC_RELEASE);
}

void sched_run(struct cpu *c, bool ends)
{
  for (;;) {
    if (c->id == 0) {
      guest_attend();
      if (ends && !guest_any())
        return;
    }
    struct vcpu *v = pick(c);
    if (v) {
      slice(c, v);
      continue;
    }
    set_timer(c, UINT64_MAX);
    uint64_t before = rdtsc();
    cpu_wait();
    c->idle_tsc += rdtsc() - before;
  }
}
