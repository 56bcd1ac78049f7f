// The guest's page tables as a list of ranges.
#ifndef DEBUG_PAGETABLE_H
#define DEBUG_PAGETABLE_H

#include <stdio.h>

struct cpu;

// "info mem": ranges of linear addresses with their size and rights, as QEMU prints them (u user, r, w).
void pagetable_print(FILE *out, struct cpu *c);

#endif
