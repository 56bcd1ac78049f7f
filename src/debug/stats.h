// What was counted in a run, as JSON: for benchmarks and for people who compare runs.
#ifndef DEBUG_STATS_H
#define DEBUG_STATS_H

#include <stdbool.h>
#include <stdio.h>

struct cpu;
struct err;
struct machine;

bool stats_write(struct machine *m, const char *path, struct err *e);
// A CPU's counts, for the monitor.
void stats_print(FILE *out, const struct cpu *c);

#endif
