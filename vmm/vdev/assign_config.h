// Configuration space of an assigned device: what it is at first, and what an end of its interrupt does.
#ifndef VDEV_ASSIGN_CONFIG_H
#define VDEV_ASSIGN_CONFIG_H

#include "vdev/assign.h"

// Learns BARs and capabilities.
void assign_probe(struct assigned *d);
// One of the devices on the machine's line was served.
void assign_served(unsigned line);

#endif
