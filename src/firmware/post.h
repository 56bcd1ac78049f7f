// The power-on work of a BIOS, for a machine that starts a kernel without one.
#ifndef FIRMWARE_POST_H
#define FIRMWARE_POST_H

#include "bus/bus.h"
#include "firmware/board.h"

// Programs the board through ports, as CPU 0 would: shadow RAM, interrupt controllers, timer, clock, PCI
// BARs and interrupt routes, power management base. To be called after each reset, before the kernel runs.
void post_run(struct bus *bus, const struct board *b);

#endif
