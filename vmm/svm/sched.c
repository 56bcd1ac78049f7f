// Round robin: each virtual CPU of this CPU that has something to do gets a slice in turn. See sched.h.
#include "svm/sched.h"

#include "guest/console.h"
#include "host/dev.h"
#include "host/lapic.h"
#include "svm/vcpu.h"

enum { SLICE_MS = 5, WATCH_MS = 10 };

// While guests have devices, the first CPU looks every now and then whether the DEV refused something: it
// tells nobody by itself.
static uint64_t watch_at = UINT64_MAX;

static void watch(void)
{
  if (!assign_any() || !dev_on())
    watch_at = UINT64_MAX;
  else if (watch_at == UINT64_MAX || rdtsc() >= watch_at) {
    assign_watch();
    watch_at = rdtsc() + tsc_hz() / 1000 * WATCH_MS;
  }
}

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

static void set_timer(struct cpu *c, uint64_t at)
{
  if (c->id == 0 && watch_at < at)
    at = watch_at;
  if (at == c->timer_at)
    return;
  c->timer_at = at;
  lapic_timer(at);
}

// When the first of those that wait here has something to do.
static uint64_t next_event(struct cpu *c)
{
  uint64_t at = UINT64_MAX;
  lock(&c->guard);
  for (struct vcpu *v = c->vcpus; v; v = v->next) {
    uint64_t deadline = vcpu_deadline(v);
    at = deadline < at ? deadline : at;
  }
  unlock(&c->guard);
  return at;
}

// The timer is set for this one's events and the end of its slice. An event of another one waits for that
// one's turn: a timer that is due already would end each VMRUN at once, and nobody would get on.
static void slice(struct cpu *c, struct vcpu *v)
{
  bool shared = c->vcpus->next;
  uint64_t end = shared ? rdtsc() + tsc_hz() / 1000 * SLICE_MS : UINT64_MAX;
  vcpu_load(v);
  do {
    uint64_t deadline = vcpu_deadline(v);
    set_timer(c, deadline < end ? deadline : end);
    vcpu_run(v);
    if (c->id == 0 && (console_work() || rdtsc() >= watch_at))
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
      watch();
      guest_attend();
      if (ends && !guest_any())
        return;
    }
    struct vcpu *v = pick(c);
    if (v) {
      slice(c, v);
      continue;
    }
    set_timer(c, next_event(c));
    uint64_t before = rdtsc();
    cpu_wait();
    c->idle_tsc += rdtsc() - before;
  }
}
