// Monitor commands that run, stop and end the machine, and those that act as a person at it would.
#include <stdlib.h>
#include <string.h>

#include "debug/monitor.h"
#include "device/vga.h"
#include "machine/devices.h"

static void where(struct monitor_call *c)
{
  monitor_disassemble(c->cpu, c->cpu->seg[SEG_CS].base + c->cpu->ip, c->cpu->ip, c->out);
}

static void stop(struct monitor_call *c)
{
  machine_stop(c->machine);
}

static void cont(struct monitor_call *c)
{
  machine_cont(c->machine);
}

static void step(struct monitor_call *c)
{
  uint64_t n = 1;
  if (c->args && (!monitor_expr(c, c->arg[0], &n) || n > 1000000)) {
    fprintf(c->out, "step: at most 1000000 instructions\n");
    return;
  }
  machine_stop(c->machine);
  while (n-- && !c->machine->wanted)
    machine_step(c->machine, c->cpu);
  where(c);
}

static void quit(struct monitor_call *c)
{
  machine_request(c->machine, WANT_QUIT);
}

static void reset(struct monitor_call *c)
{
  machine_request(c->machine, WANT_RESET);
}

static void powerdown(struct monitor_call *c)
{
  piix4pm_power_button(&c->machine->pc.pm);
}

static void nmi(struct monitor_call *c)
{
  cpu_request(c->cpu, PEND_NMI);
}

static void set_cpu(struct monitor_call *c)
{
  uint64_t n;
  if (!c->args || !monitor_expr(c, c->arg[0], &n))
    return;
  if (n >= c->machine->cpus)
    fprintf(c->out, "cpu: there are CPUs 0 to %u\n", c->machine->cpus - 1);
  else
    c->mon->cpu = (unsigned)n;
}

static void sendkey(struct monitor_call *c)
{
  if (!c->args || !i8042_sendkey(&c->machine->pc.i8042, c->arg[0]))
    fprintf(c->out, "sendkey: names joined by '-', as in ctrl-alt-delete, ret, f1, a\n");
}

static void log_items(struct monitor_call *c)
{
  struct err e;
  uint32_t items = 0;
  if (!c->args || (strcmp(c->arg[0], "none") != 0 && !log_parse(c->arg[0], &items, &e)))
    fprintf(c->out, "log: %s\n", c->args ? e.text : "items as for -d, or none");
  else
    c->machine->log.items = items;
}

static bool ends_with(const char *s, const char *end)
{
  size_t a = strlen(s), b = strlen(end);
  return a >= b && !strcmp(s + a - b, end);
}

static void dump_text(struct monitor_call *c, const struct vga *v, const char *path)
{
  char *text = vga_text(v);
  FILE *f = text ? fopen(path, "w") : NULL;
  if (!text)
    fprintf(c->out, "screendump: the screen is in a graphics mode; use a name that ends in .png\n");
  else if (!f || fputs(text, f) < 0)
    fprintf(c->out, "screendump: cannot write %s\n", path);
  if (f)
    fclose(f);
  free(text);
}

static void screendump(struct monitor_call *c)
{
  const struct vga *v = machine_vga(c->machine);
  struct err e;
  if (!v)
    fprintf(c->out, "screendump: the machine has no video adapter\n");
  else if (!c->args)
    fprintf(c->out, "screendump: give a file name, FILE.png or FILE.txt\n");
  else if (ends_with(c->arg[0], ".txt"))
    dump_text(c, v, c->arg[0]);
  else if (!vga_screendump_png(v, c->arg[0], &e))
    fprintf(c->out, "screendump: %s\n", e.text);
}

static struct ide_drive *cd_drive(struct monitor_call *c)
{
  for (unsigned i = 0; c->args && i < 4; i++) {
    char name[16];
    struct ide_drive *d = &c->machine->pc.ide->ch[i / 2].drive[i % 2];
    snprintf(name, sizeof name, "ide%u-cd%u", i / 2, i % 2);
    if (d->kind == IDE_CD && !strcmp(name, c->arg[0]))
      return d;
  }
  for (struct device *d = c->machine->devices; c->args && d; d = d->next)
    if (!strcmp(d->type, "ide-cd") && d->id && !strcmp(d->id, c->arg[0]))
      return d->self;
  fprintf(c->out, "there is no CD-ROM drive '%s'; 'info block' lists them\n", c->args ? c->arg[0] : "");
  return NULL;
}

static void eject(struct monitor_call *c)
{
  bool force = c->args && !strcmp(c->arg[0], "-f");
  if (force) {
    c->args--;
    memmove(c->arg, c->arg + 1, c->args * sizeof c->arg[0]);
  }
  struct ide_drive *d = cd_drive(c);
  struct err e;
  if (d && !ide_change_medium(d, NULL, force, &e))
    fprintf(c->out, "eject: %s\n", e.text);
}

static void change(struct monitor_call *c)
{
  struct ide_drive *d = cd_drive(c);
  struct err e;
  if (d && c->args < 2)
    fprintf(c->out, "change: give the drive and a file\n");
  else if (d && !drives_change_cd(c->machine, d, c->arg[1], &e))
    fprintf(c->out, "change: %s\n", e.text);
}

const struct monitor_command monitor_control[] = {
    {"cont", "c", "", "run", cont},
    {"stop", NULL, "", "stop", stop},
    {"step", "s", "[n]", "execute one instruction, or n, on the current CPU", step},
    {"system_reset", NULL, "", "reset the machine", reset},
    {"system_powerdown", NULL, "", "press the power button", powerdown},
    {"nmi", NULL, "", "a non-maskable interrupt for the current CPU", nmi},
    {"quit", "q", "", "end", quit},
    {"cpu", NULL, "n", "choose the current CPU", set_cpu},
    {"screendump", NULL, "FILE.png|FILE.txt", "what the screen shows, as a picture or as text", screendump},
    {"sendkey", NULL, "keys", "press keys: ctrl-alt-delete, ret, a", sendkey},
    {"eject", NULL, "[-f] drive", "take the disc out", eject},
    {"change", NULL, "drive file", "put another disc in", change},
    {"log", NULL, "items|none", "as -d", log_items},
    {NULL},
};
