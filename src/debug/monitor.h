// The monitor: a line of text in, an answer out, in the language of QEMU's human monitor.
//
// It runs between slices, when the machine looks at its inputs, and changes nothing by itself.
#ifndef DEBUG_MONITOR_H
#define DEBUG_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

#define MONITOR_LINE 512
#define MONITOR_ARGS 8

struct chardev;
struct machine;

struct monitor {
  struct machine *machine;
  struct chardev *chr;
  int user;
  struct monitor *next;
  char line[MONITOR_LINE];
  size_t len;
  char last[MONITOR_LINE]; // the command before: an empty line repeats step and x
  unsigned cpu;            // the current one
  bool greeted;
  bool saw_cr;
};

struct monitor_call {
  struct monitor *mon;
  struct machine *machine;
  struct cpu *cpu;
  FILE *out;
  const char *fmt; // what follows a "/" in the command's name, or ""
  unsigned args;
  char *arg[MONITOR_ARGS];
  char *rest; // all that follows the name
};

struct monitor_command {
  const char *name, *alias, *params, *help;
  void (*run)(struct monitor_call *c);
};

// NULL with the error set on failure.
struct monitor *monitor_new(struct machine *m, struct chardev *chr, struct err *e);
// Greets whoever has just connected; to be called for all monitors of a list after inputs were looked at.
void monitor_greet(struct monitor *first);
void monitor_free(struct monitor *mon);
// Executes one command; the answer goes to out. Also for tests.
void monitor_run(struct monitor *mon, const char *line, FILE *out);

// The tables, each ending with a row without name: info.c, memory.c, control.c.
extern const struct monitor_command monitor_info[], monitor_memory[], monitor_control[];
void monitor_help_info(FILE *out);

// Numbers, $registers, + - * / & | ^ << >> and parentheses. False: the error was printed.
bool monitor_expr(struct monitor_call *c, const char *text, uint64_t *v);
// One instruction as text at a linear address; returns its length, 1 if it cannot be decoded.
unsigned monitor_disassemble(struct cpu *c, uint64_t la, uint64_t ip, FILE *out);

#endif
