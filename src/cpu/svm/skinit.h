// SKINIT: a measured launch of a secure loader from a running machine. APM2 15.27.
#ifndef CPU_SVM_SKINIT_H
#define CPU_SVM_SKINIT_H

#include <stdbool.h>

struct cpu;

// The instruction, once it may execute: CPL 0, protected mode, not intercepted. It never faults: whatever the
// TPM answers, the loader starts.
void skinit_execute(struct cpu *c);
// A processor that waited in INIT while another one executed SKINIT comes up on SIPI with GIF = 0, its debug
// port and A20 masking disabled and INIT redirected. Called when the SIPI is taken.
void skinit_startup(struct cpu *c);

#endif
