// See bed.h.
#include "bed.h"

#include <stdlib.h>

static void count_eoi(void *arg, uint8_t vector)
{
  struct bed *b = arg;
  b->eois++;
  b->eoi_vector = vector;
}

struct bed *bed_new(const char *model, unsigned cpus)
{
  struct err e = {""};
  struct bed *b = calloc(1, sizeof *b);
  assert_non_null(b);
  b->log = (struct log){.items = 0, .out = stderr};
  assert_true(ram_init(&b->ram, 1 << 20, &e));
  assert_true(bus_init(&b->bus, &b->ram, &b->log));
  clock_init(&b->clock);
  b->model = model_parse(model, &e);
  if (!b->model)
    fail_msg("%s", e.text);
  for (unsigned i = 0; i < cpus; i++) {
    struct cpu_env env = {.bus = &b->bus,
                          .clock = &b->clock,
                          .log = &b->log,
                          .model = b->model,
                          .index = i,
                          .apic_id = i,
                          .tsc_hz = BED_HZ,
                          .all = b->cpu,
                          .cpus = cpus};
    b->cpu[i] = cpu_new(&env, &e);
    assert_non_null(b->cpu[i]);
    lapic_set_eoi(b->cpu[i], count_eoi, b);
  }
  return b;
}

void bed_free(struct bed *b)
{
  for (unsigned i = 0; i < BED_CPUS; i++)
    cpu_free(b->cpu[i]);
  model_free(b->model);
  clock_free(&b->clock);
  bus_free(&b->bus);
  ram_free(&b->ram);
  free(b);
}
