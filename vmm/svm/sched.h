// Which virtual CPU runs on a CPU, and for how long.
#ifndef SVM_SCHED_H
#define SVM_SCHED_H

#include "host/types.h"

struct cpu;
struct vcpu;

// The run loop of a CPU. It ends only on the first one, when no guest runs any more and `ends` is set.
void sched_run(struct cpu *c, bool ends);
void sched_add(struct vcpu *v);
// After it returns no CPU runs or will run v.
void sched_remove(struct vcpu *v);
// Waits until no CPU is inside of the guest's virtual CPUs. Only from the run loop of the first CPU.
struct guest;
void sched_quiesce(struct guest *g);

#endif
