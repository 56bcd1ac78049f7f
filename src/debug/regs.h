// The registers of a CPU as text, in the form of QEMU's monitor.
#ifndef DEBUG_REGS_H
#define DEBUG_REGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct cpu;

// Between slices only: the vector registers are in the struct then.
void regs_print(FILE *out, struct cpu *c);
// By name as in the monitor's expressions, without "$": rax, eip, cr3, cs ... False: no such register.
bool regs_value(const struct cpu *c, const char *name, uint64_t *v);

#endif
