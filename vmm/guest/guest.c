// Making, ending and showing guests. See guest.h.
#include "guest/guest.h"

#include "guest/bios.h"
#include "guest/console.h"
#include "guest/load.h"
#include "host/memory.h"
#include "host/print.h"
#include "svm/npt.h"
#include "svm/sched.h"
#include "svm/svm.h"
#include "svm/vcpu.h"

enum { SHADOW_PAGES = 1024, TABLES = 64, FPU_LEGACY = 512 };

struct guest guests[CONFIG_GUESTS];

void *guest_ptr(const struct guest *g, uint64_t gpa, uint64_t len)
{
  for (unsigned i = 0; i < g->slots; i++) {
    const struct slot *s = &g->slot[i];
    if (gpa >= s->gpa && gpa - s->gpa < s->size && len <= s->size - (gpa - s->gpa))
      return ptr(s->hpa + (gpa - s->gpa));
  }
  return NULL;
}

uint64_t guest_table(struct guest *g)
{
  if (g->tables_used == g->tables_size)
    return 0;
  g->tables_used += PAGE_SIZE;
  return g->tables + g->tables_used - PAGE_SIZE;
}

static const char *make_memory(struct guest *g)
{
  uint64_t size = g->config->memory, hpa = 0;
  if (g->config->device_count) // devices know real addresses only; drivers of some know only 32 bits
    hpa = memory_alloc(g->node, size, LARGE, 4 * GB, true);
  if (!hpa)
    hpa = memory_alloc(g->node, size, LARGE, 0, false);
  if (!hpa)
    return "there is not enough memory";
  if (g->config->device_count) {
    uint64_t low = memory_alloc(g->node, MB, PAGE_SIZE, 0, false);
    g->slot[g->slots++] = (struct slot){0, low ? MB : 0, low};
    g->slot[g->slots++] = (struct slot){hpa, size, hpa};
    if (!low)
      return "there is not enough memory";
  } else {
    g->slot[g->slots++] = (struct slot){0, size, hpa};
  }
  if (g->config->shadow)
    return NULL;
  g->tables_size = (TABLES + (size >> 30)) * PAGE_SIZE;
  g->tables = memory_alloc(g->node, g->tables_size, PAGE_SIZE, 0, false);
  g->n_cr3 = g->tables ? guest_table(g) : 0;
  for (unsigned i = 0; i < g->slots; i++)
    if (!g->n_cr3 || !npt_map(g, g->slot[i].gpa, g->slot[i].hpa, g->slot[i].size, PTE_W))
      return "there is not enough memory for its nested page tables";
  return NULL;
}

static void free_vcpu(struct vcpu *v)
{
  svm_asid_free(v->cpu, v->asid);
  shadow_free(v);
  memory_free(addr(v->vmcb), PAGE_SIZE);
  memory_free(addr(v->fpu), v->guest->fpu_size);
  memory_free(addr(v), sizeof *v);
}

static const char *make_vcpu(struct guest *g, struct cpu *c)
{
  struct vcpu *v = ptr(memory_alloc(c->node, sizeof *v, PAGE_SIZE, 0, false));
  if (!v)
    return "there is not enough memory for a virtual CPU";
  v->guest = g;
  v->number = g->vcpu_count;
  v->cpu = c;
  g->vcpu[g->vcpu_count++] = v;
  v->vmcb = ptr(memory_alloc(c->node, PAGE_SIZE, PAGE_SIZE, 0, false));
  v->fpu = ptr(memory_alloc(c->node, g->fpu_size, PAGE_SIZE, 0, false));
  if (!v->vmcb || !v->fpu || (g->config->shadow && !shadow_init(v, SHADOW_PAGES)))
    return "there is not enough memory for a virtual CPU";
  v->asid = svm_asid_alloc(c);
  return NULL;
}

static const char *check(const struct guest *g)
{
  const struct config_guest *c = g->config;
  for (unsigned i = 0; i < c->cpu_count; i++)
    if (c->cpus[i] >= cpu_count || !cpus[c->cpus[i]].up)
      return "it names a CPU that is not there";
  return c->shadow || svm_features.npt ? NULL : "this CPU has no nested paging: say paging = shadow";
}

// Reset and load: at the start, and for each reset.
static const char *boot(struct guest *g)
{
  g->tsc_start = rdtsc();
  vpic_reset(g);
  vpit_reset(g);
  vioapic_reset(g);
  vrtc_reset(g);
  vuart_reset(g);
  vpm_reset(g);
  vpci_reset(g);
  assign_reset(g);
  g->key_count = 0;
  for (unsigned i = 0; i < g->vcpu_count; i++)
    vcpu_reset(g->vcpu[i]);
  return load_guest(g);
}

static void release(struct guest *g)
{
  assign_release(g);
  for (unsigned i = 0; i < g->vcpu_count; i++)
    free_vcpu(g->vcpu[i]);
  memory_free(g->tables, g->tables_size);
  for (unsigned i = 0; i < g->slots; i++)
    memory_free(g->slot[i].hpa, g->slot[i].size);
  g->slots = g->vcpu_count = 0;
  g->state = GUEST_NONE;
}

bool guest_start(struct guest *g, const struct config_guest *c)
{
  unsigned started = g->config == c ? g->started : 0;
  lock(&g->guard);
  memset((uint8_t *)g + sizeof g->guard, 0, sizeof *g - sizeof g->guard);
  g->config = c;
  g->number = (unsigned)(g - guests);
  g->started = started + 1;
  unlock(&g->guard);
  copy_string(g->name, sizeof g->name, c->name);
  console_reset(g);
  g->fpu_size = this_cpu()->xcr0 ? cpuid(0xd, 0).ecx : FPU_LEGACY;
  const char *wrong = check(g);
  if (!wrong) {
    g->node = cpus[c->cpus[0]].node;
    wrong = make_memory(g);
  }
  for (unsigned i = 0; !wrong && i < c->cpu_count; i++)
    wrong = make_vcpu(g, &cpus[c->cpus[i]]);
  if (!wrong)
    wrong = assign_devices(g);
  if (!wrong)
    wrong = boot(g);
  if (wrong) {
    print("vmm: guest %s (line %u) is not started: %s\n", c->name, c->line, wrong);
    release(g);
    return false;
  }
  g->state = GUEST_RUNNING;
  for (unsigned i = 0; i < g->vcpu_count; i++)
    sched_add(g->vcpu[i]);
  if (g->started == 1)
    guest_show(g);
  return true;
}

static void take_down(struct guest *g)
{
  g->state = GUEST_STOPPED;
  for (unsigned i = 0; i < g->vcpu_count; i++)
    sched_remove(g->vcpu[i]);
  console_end(g);
  release(g);
}

void guest_destroy(struct guest *g)
{
  take_down(g);
  print("vmm: guest %s is destroyed\n", g->name);
}

void guest_stop(struct vcpu *v, const char *format, ...)
{
  struct guest *g = v->guest;
  if (g->state == GUEST_STOPPED)
    return;
  va_list list;
  va_start(list, format);
  format_list(g->reason, sizeof g->reason, format, list);
  va_end(list);
  g->culprit = v;
  g->state = GUEST_STOPPED;
  for (unsigned i = 0; i < g->vcpu_count; i++)
    vcpu_wake(g->vcpu[i]);
  console_request();
}

void guest_reset(struct guest *g)
{
  g->reset = true;
  for (unsigned i = 0; i < g->vcpu_count; i++)
    vcpu_wake(g->vcpu[i]);
  console_request();
}

void guest_pause(struct guest *g)
{
  g->state = GUEST_PAUSED;
  for (unsigned i = 0; i < g->vcpu_count; i++)
    vcpu_wake(g->vcpu[i]);
}

void guest_continue(struct guest *g)
{
  g->state = GUEST_RUNNING;
  for (unsigned i = 0; i < g->vcpu_count; i++)
    vcpu_wake(g->vcpu[i]);
}

void guest_input(struct guest *g, uint8_t c)
{
  if (g->config->boot[0])
    bios_key(g, c);
  vuart_input(g, c);
}

static void again(struct guest *g)
{
  sched_quiesce(g);
  console_end(g);
  print("vmm: guest %s is reset\n", g->name);
  const char *wrong = boot(g);
  g->culprit = NULL;
  g->state = wrong ? GUEST_STOPPED : GUEST_RUNNING;
  copy_string(g->reason, sizeof g->reason, wrong ? wrong : "");
  g->reset = false;
  for (unsigned i = 0; i < g->vcpu_count; i++)
    vcpu_wake(g->vcpu[i]);
}

static void ended(struct guest *g, struct vcpu *v)
{
  g->culprit = NULL;
  sched_quiesce(g);
  console_end(g);
  if (g->started < g->config->times) {
    print("vmm: guest %s stopped: %s (cpu %u); start %u\n", g->name, g->reason, v->number, g->started + 1);
    take_down(g);
    guest_start(g, g->config);
    return;
  }
  print("vmm: guest %s stopped: %s (cpu %u)\n", g->name, g->reason, v->number);
  if (strcmp(g->reason, "powered off") != 0)
    guest_show_registers(v);
}

bool guest_any(void)
{
  for (unsigned i = 0; i < CONFIG_GUESTS; i++)
    if (guests[i].state == GUEST_RUNNING || guests[i].state == GUEST_PAUSED)
      return true;
  return false;
}

void guest_attend(void)
{
  console_attend();
  for (unsigned i = 0; i < CONFIG_GUESTS; i++) {
    struct guest *g = &guests[i];
    if (g->state == GUEST_NONE)
      continue;
    if (g->culprit) {
      struct vcpu *v = g->culprit;
      ended(g, v);
    }
    if (g->reset)
      again(g);
  }
}
