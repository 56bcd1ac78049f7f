// Lines, and the choice of the command; see monitor.h.
#include "debug/monitor.h"

#include <stdlib.h>
#include <string.h>

#include "base/opt.h"
#include "machine/machine.h"

static const char prompt[] = "(qemu) ";

static void say(struct monitor *mon, const char *text, size_t len)
{
  // Terminals want a carriage return before each line end.
  for (size_t i = 0, from = 0; i <= len; i++) {
    if (i < len && text[i] != '\n')
      continue;
    chardev_write(mon->chr, text + from, i - from);
    if (i < len)
      chardev_write(mon->chr, "\r\n", 2);
    from = i + 1;
  }
}

static void greet(struct monitor *mon)
{
  static const char text[] = "pacifica monitor - type 'help' for more information\n";
  mon->greeted = true;
  say(mon, text, sizeof text - 1);
  say(mon, prompt, sizeof prompt - 1);
}

static const struct monitor_command *find_in(const struct monitor_command *table, const char *name)
{
  for (; table->name; table++)
    if (!strcmp(table->name, name) || (table->alias && !strcmp(table->alias, name)))
      return table;
  return NULL;
}

static void help_table(const struct monitor_command *t, const char *before, FILE *out)
{
  for (; t->name; t++) {
    char left[80];
    snprintf(left, sizeof left, "%s%s%s%s %s", before, t->name, t->alias ? "|" : "", t->alias ? t->alias : "",
             t->params);
    fprintf(out, "%-40s %s\n", left, t->help);
  }
}

static void help(FILE *out)
{
  fprintf(out, "help|?                                   this list\n");
  help_table(monitor_control, "", out);
  help_table(monitor_memory, "", out);
  help_table(monitor_info, "info ", out);
}

void monitor_help_info(FILE *out)
{
  help_table(monitor_info, "info ", out);
}

static void unknown(const char *name, FILE *out)
{
  fprintf(out, "unknown command: '%s'; 'help' lists them\n", name);
}

static void split(struct monitor_call *call, char *rest)
{
  char *save = NULL;
  for (char *w = strtok_r(rest, " \t", &save); w && call->args < MONITOR_ARGS;
       w = strtok_r(NULL, " \t", &save))
    call->arg[call->args++] = w;
}

void monitor_run(struct monitor *mon, const char *line, FILE *out)
{
  char text[MONITOR_LINE], words[MONITOR_LINE];
  line += strspn(line, " \t");
  size_t len = strlen(line);
  if (len >= sizeof text)
    return;
  memcpy(text, line, len + 1);
  struct monitor_call call = {
      .mon = mon, .machine = mon->machine, .cpu = mon->machine->cpu[mon->cpu], .out = out, .fmt = ""};
  char *name = text, *rest = text + strcspn(text, " \t");
  if (*rest)
    *rest++ = 0;
  rest += strspn(rest, " \t");
  char *slash = strchr(name, '/');
  if (slash) {
    *slash = 0;
    call.fmt = slash + 1;
  }
  if (!*name)
    return;
  if (!strcmp(name, "help") || !strcmp(name, "?")) {
    help(out);
    return;
  }
  const struct monitor_command *cmd;
  if (!strcmp(name, "info")) {
    name = rest;
    rest += strcspn(rest, " \t");
    if (*rest)
      *rest++ = 0;
    rest += strspn(rest, " \t");
    cmd = find_in(monitor_info, name);
    if (!*name) {
      monitor_help_info(out);
      return;
    }
  } else {
    cmd = find_in(monitor_control, name);
    if (!cmd)
      cmd = find_in(monitor_memory, name);
  }
  if (!cmd) {
    unknown(name, out);
    return;
  }
  call.rest = rest;
  memcpy(words, rest, strlen(rest) + 1);
  split(&call, words);
  cmd->run(&call);
}

static void execute(struct monitor *mon)
{
  char *text = NULL;
  size_t len = 0;
  mon->line[mon->len] = 0;
  bool repeat = mon->len == 0 && (!strncmp(mon->last, "step", 4) || !strcmp(mon->last, "s"));
  if (!repeat)
    memcpy(mon->last, mon->line, mon->len + 1);
  mon->len = 0;
  FILE *out = open_memstream(&text, &len);
  if (!out)
    return;
  monitor_run(mon, mon->last, out);
  if (fclose(out) == 0)
    say(mon, text, len);
  free(text);
  say(mon, prompt, sizeof prompt - 1);
}

static void typed(struct monitor *mon, uint8_t c)
{
  if (c == '\n' && mon->saw_cr) {
    mon->saw_cr = false;
    return;
  }
  mon->saw_cr = c == '\r';
  if (c == '\r' || c == '\n') {
    say(mon, "\n", 1);
    execute(mon);
  } else if (c == 8 || c == 127) {
    if (mon->len) {
      mon->len--;
      say(mon, "\b \b", 3);
    }
  } else if (c == 21) { // Ctrl-u
    while (mon->len) {
      mon->len--;
      say(mon, "\b \b", 3);
    }
  } else if (c >= 32 && c < 127 && mon->len < sizeof mon->line - 1) {
    mon->line[mon->len++] = (char)c;
    chardev_write(mon->chr, &c, 1);
  }
}

static size_t can_receive(void *arg)
{
  return MONITOR_LINE;
}

static void receive(void *arg, const uint8_t *buf, size_t len)
{
  struct monitor *mon = arg;
  if (!mon->greeted)
    greet(mon);
  for (size_t i = 0; i < len; i++)
    typed(mon, buf[i]);
}

struct monitor *monitor_new(struct machine *m, struct chardev *chr, struct err *e)
{
  struct monitor *mon = calloc(1, sizeof *mon);
  if (!mon) {
    err_set(e, "out of memory");
    return NULL;
  }
  mon->machine = m;
  mon->chr = chr;
  struct char_user user = {.can_receive = can_receive, .receive = receive, .arg = mon};
  mon->user = chardev_attach(chr, &user);
  if (mon->user < 0) {
    err_set(e, "-monitor: '%s' is in use; share the terminal with -serial mon:stdio",
            chr->id ? chr->id : "stdio");
    free(mon);
    return NULL;
  }
  monitor_greet(mon);
  return mon;
}

void monitor_greet(struct monitor *mon)
{
  for (; mon; mon = mon->next) {
    if (mon->chr->mux) // greeted when it is first spoken to
      continue;
    if (mon->chr->out < 0)
      mon->greeted = false, mon->len = 0;
    else if (!mon->greeted)
      greet(mon);
  }
}

void monitor_free(struct monitor *mon)
{
  if (!mon)
    return;
  chardev_detach(mon->chr, mon->user);
  free(mon);
}
