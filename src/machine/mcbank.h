// The northbridges' machine check banks. Bank 4 of a processor is the one of its node's northbridge; errors
// of a node are reported to its first processor, whose bank function 3 of the northbridge shows too.
#ifndef MACHINE_MCBANK_H
#define MACHINE_MCBANK_H

#include <stdbool.h>
#include <stdint.h>

struct machine;

enum { MCBANK_NB = 4 };

// After the northbridges.
void mcbank_init(struct machine *m);
// Logs an error of a node with an address; enable is the bit of MC4_CTL that lets it be raised.
void mcbank_log(struct machine *m, unsigned node, uint64_t status, uint64_t enable, uint64_t addr);

#endif
