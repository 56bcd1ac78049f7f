// The program: options, machine, run, exit status.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/signals.h"
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

static int run(struct config *c)
{
  struct err e;
  int signals = signals_open();
  struct machine *m = machine_new(c, &e);
  if (!m) {
    close(signals);
    return fail(&e);
  }
  m->signal_fd = signals;
  enum machine_end end = machine_run(m);
  chardevs_restore_tty(&m->chardevs);
  int status = status_of(m, end);
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
