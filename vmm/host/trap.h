// Exceptions and interrupts of the hypervisor itself. APM2 chapter 8.
#ifndef HOST_TRAP_H
#define HOST_TRAP_H

#include "host/types.h"

void trap_init(void); // the table
void trap_load(void); // on each CPU

#endif
