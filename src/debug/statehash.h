// A hash of all that a run has made: memory, the processors' registers, the number of instructions.
#ifndef DEBUG_STATEHASH_H
#define DEBUG_STATEHASH_H

#include <stdint.h>

struct machine;

// Two machines with the same hash are in the same state, as far as 64 bits can tell. A page of zeros and a
// page that was never touched are the same.
uint64_t statehash(struct machine *m);

#endif
