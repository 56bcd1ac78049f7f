// The Device Exclusion Vectors of a machine: each node's behind its northbridge, errors to the node's machine
// check bank, SKINIT's cycle to all of them.
#ifndef MACHINE_EXCLUSION_H
#define MACHINE_EXCLUSION_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct machine;

// After the northbridges. A processor without SVM has no such capability.
bool exclusion_init(struct machine *m, struct err *e);
void exclusion_reset(struct machine *m);
// SKINIT's cycle, to every node.
void exclusion_protect_loader(struct machine *m, uint64_t base);

#endif
