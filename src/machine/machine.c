// Life of a machine: building, resetting, taking down; see machine.h. The run is in run.c.
#include "machine/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/host/host.h"
#include "cpu/lapic.h"
#include "cpu/model.h"
#include "cpu/tlb.h"
#include "machine/devices.h"
#include "machine/launch.h"
#include "machine/tpm.h"

#define TSC_HZ 2000000000u

static void map_changed(void *arg)
{
  struct machine *m = arg;
  for (unsigned i = 0; i < m->cpus; i++)
    tlb_map_changed(m->cpu[i]);
}

static void deliver(void *arg, const struct intr_msg *msg)
{
  struct machine *m = arg;
  lapic_deliver(m->cpu, m->cpus, msg);
}

static void end_of_interrupt(void *arg, uint8_t vector)
{
  struct machine *m = arg;
  ioapic_eoi(&m->pc.ioapic, vector);
}

static int acknowledge(void *arg)
{
  struct machine *m = arg;
  return pic_intack(&m->pc.pic);
}

bool cpus_init(struct machine *m, struct err *e)
{
  const struct config *c = m->config;
  m->model = model_parse(c->cpu ? c->cpu : "family10h", e);
  if (!m->model)
    return false;
  m->host = host_code_new(e);
  if (!m->host)
    return false;
  for (unsigned i = 0; i < c->cpus; i++) {
    struct cpu_env env = {.bus = &m->bus,
                          .clock = &m->clock,
                          .log = &m->log,
                          .model = m->model,
                          .index = i,
                          .apic_id = nodes_apic_id(c, i),
                          .node = (uint8_t)nodes_of_cpu(c, i),
                          .ns_shift = c->ns_shift,
                          .tsc_hz = TSC_HZ,
                          .all = m->cpu,
                          .cpus = c->cpus,
                          .host = m->host};
    m->cpu[i] = cpu_new(&env, e);
    if (!m->cpu[i])
      return false;
    m->cpu[i]->intack = acknowledge;
    m->cpu[i]->intack_arg = m;
    lapic_set_eoi(m->cpu[i], end_of_interrupt, m);
    m->cpus = i + 1;
  }
  m->bus.map_changed = map_changed;
  m->bus.map_changed_arg = m;
  m->bus.intr = deliver;
  m->bus.intr_arg = m;
  if (!engine_init(&m->engine, m->cpu, m->cpus, &m->clock, &m->log, &m->ram, m->model, m->host, c->ns_shift,
                   e))
    return false;
  m->engine_ready = true;
  m->engine.limit = c->limit;
  return !c->jit_hot || engine_translate(&m->engine, c->jit_hot, e);
}

void cpus_free(struct machine *m)
{
  m->bus.map_changed = NULL;
  m->bus.intr = NULL;
  if (m->engine_ready)
    engine_free(&m->engine);
  m->clock.sooner = NULL;
  m->ram.written = NULL;
  for (unsigned i = 0; i < m->cpus; i++)
    cpu_free(m->cpu[i]);
  m->cpus = 0;
  if (m->host)
    host_code_free(m->host);
  if (m->model)
    model_free(m->model);
}

static bool open_log(struct machine *m, struct err *e)
{
  const struct config *c = m->config;
  m->log = (struct log){.items = c->log_items, .out = stderr};
  if (!c->log_file)
    return true;
  m->log.out = fopen(c->log_file, "w");
  return m->log.out || err_set(e, "-D %s: cannot write: %s", c->log_file, strerror(errno));
}

static bool build(struct machine *m, struct err *e)
{
  if (!open_log(m, e) || !memory_init(m, e))
    return false;
  launch_init(m);
  return cpus_init(m, e) && nodes_init(m, e) && pc_init(m, e) && devices_init(m, e) && nodes_settle(m, e) &&
         firmware_init(m, e) && firmware_start(m, true, e);
}

static void quit(void *arg)
{
  machine_request(arg, WANT_QUIT);
}

static void frames_wait(void *arg)
{
  machine_request(arg, WANT_LOOK);
}

struct machine *machine_new(const struct config *c, struct err *e)
{
  struct machine *m = calloc(1, sizeof *m);
  if (!m) {
    err_set(e, "out of memory");
    return NULL;
  }
  m->config = c;
  m->signal_fd = -1;
  m->paused = c->paused;
  clock_init(&m->clock);
  chardevs_init(&m->chardevs);
  m->chardevs.quit = quit;
  m->chardevs.quit_arg = m;
  netdevs_init(&m->netdevs, &m->clock, frames_wait, m);
  if (build(m, e))
    return m;
  machine_free(m);
  return NULL;
}

void machine_free(struct machine *m)
{
  if (!m)
    return;
  devices_free(m);
  tpm_end(m);
  launch_end(m);
  pc_free(m);
  drives_free(m);
  acpi_free(&m->acpi);
  cpus_free(m);
  chardevs_free(&m->chardevs);
  netdevs_free(&m->netdevs);
  fabric_free(&m->fabric);
  bus_free(&m->bus);
  ram_free(&m->ram);
  clock_free(&m->clock);
  if (m->log.out && m->log.out != stderr)
    fclose(m->log.out);
  free(m);
}

bool machine_reset(struct machine *m, struct err *e)
{
  // RESET# reaches every chip; the cells of RAM and of the CMOS keep what they hold.
  bus_begin(&m->bus);
  pc_reset(m);
  devices_reset(m);
  bus_commit(&m->bus);
  for (unsigned i = 0; i < m->cpus; i++) {
    cpu_reset(m->cpu[i]);
    if (m->on_trouble)
      m->on_trouble(m->hook_arg, m, m->cpu[i], "reset");
  }
  return firmware_start(m, false, e);
}
