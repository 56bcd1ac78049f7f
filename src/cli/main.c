// The program: options, machine, run, exit status.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/signals.h"
#include "debug/monitor.h"
#include "debug/regs.h"
#include "debug/statehash.h"
#include "debug/stats.h"
#include "machine/devices.h"
#include "machine/machine.h"

static int fail(const struct err *e)
{
  fflush(stdout);
  fprintf(stderr, "pacifica: %s\n", e->text);
  return STATUS_INPUT;
}

// What QEMU connects when nothing is said.
static bool defaults(struct config *c, struct err *e)
{
  bool ok = true;
  if (c->nodefaults || !c->nographic)
    return true;
  if (!c->serial_given)
    ok = text_list_add(&c->serials, c->monitor_given ? "stdio" : "mon:stdio");
  else if (!c->monitor_given && !strcmp(c->serials.item[0], "mon:stdio"))
    return true;
  return ok || err_set(e, "out of memory");
}

static int status_of(const struct machine *m, enum machine_end end)
{
  switch (end) {
  case END_EXIT:
    return m->status & 0xff;
  case END_TRIPLE_FAULT:
    return STATUS_TRIPLE;
  case END_BROKEN:
    return fail(&m->trouble);
  default:
    return STATUS_OK;
  }
}

// -d cpu_reset: the registers at each reset, and where a triple fault happened.
static void trouble(void *arg, struct machine *m, struct cpu *c, const char *what)
{
  if (!log_on(&m->log, LOG_CPU_RESET) || !m->log.out)
    return;
  fprintf(m->log.out, "CPU %u: %s\n", c->index, what);
  regs_print(m->log.out, c);
}

static bool add_monitor(struct machine *m, struct monitor **list, struct chardev *chr, struct err *e)
{
  struct monitor *mon = chr ? monitor_new(m, chr, e) : NULL;
  if (!mon)
    return false;
  mon->next = *list;
  *list = mon;
  return true;
}

// The monitors that were asked for, and one on each multiplexed terminal.
static bool open_monitors(struct machine *m, struct monitor **list, struct err *e)
{
  const struct config *c = m->config;
  for (unsigned i = 0; i < c->monitors.count; i++) {
    char id[32];
    snprintf(id, sizeof id, "compat_monitor%u", i);
    if (!add_monitor(m, list, machine_chardev(m, c->monitors.item[i], id, e), e))
      return false;
  }
  if (c->monitor_given)
    return true;
  for (struct chardev *chr = m->chardevs.first; chr; chr = chr->next)
    if (chr->mux && !add_monitor(m, list, chr, e))
      return false;
  return true;
}

static void look(void *arg)
{
  struct monitor *const *list = arg;
  monitor_greet(*list);
}

static int end_of_run(struct machine *m, enum machine_end end)
{
  chardevs_restore_tty(&m->chardevs);
  if (end == END_TRIPLE_FAULT)
    fprintf(stderr, "pacifica: triple fault of CPU %u; -d int,cpu_reset shows how it came\n", m->culprit);
  if (m->config->state_hash) {
    printf("state-hash: %016llx instructions %llu\n", (unsigned long long)statehash(m),
           (unsigned long long)engine_instructions(&m->engine));
    fflush(stdout);
  }
  struct err e;
  if (m->config->stats_file && !stats_write(m, m->config->stats_file, &e))
    return fail(&e);
  return status_of(m, end);
}

static int run(struct config *c)
{
  struct err e;
  struct monitor *monitors = NULL;
  int signals = signals_open(), status;
  struct machine *m = machine_new(c, &e);
  if (m) {
    m->signal_fd = signals;
    m->on_trouble = trouble;
    m->on_look = look;
    m->look_arg = &monitors;
  }
  if (m && open_monitors(m, &monitors, &e))
    status = end_of_run(m, machine_run(m));
  else
    status = fail(&e);
  while (monitors) {
    struct monitor *next = monitors->next;
    monitor_free(monitors);
    monitors = next;
  }
  machine_free(m);
  close(signals);
  return status;
}

int main(int argc, char **argv)
{
  struct cli c;
  struct err e;
  cli_init(&c);
  int status;
  if (!cli_parse(&c, argc, argv, &e) || (!c.done && !defaults(&c.config, &e)))
    status = fail(&e);
  else
    status = c.done ? STATUS_OK : run(&c.config);
  cli_free(&c);
  return status;
}
