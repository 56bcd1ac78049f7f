// The PCI configuration space of a guest: a host bridge, and on bus 0 the devices that it was given.
// PCI 3.0, 3.2.2.3.
#ifndef VDEV_VPCI_H
#define VDEV_VPCI_H

#include "host/types.h"

struct guest;

struct vpci {
  uint32_t address; // CF8h
};

void vpci_reset(struct guest *g);
// False: the port is not CF8h to CFFh.
bool vpci_read(struct guest *g, uint16_t port, unsigned size, uint32_t *value);
bool vpci_write(struct guest *g, uint16_t port, unsigned size, uint32_t value);

#endif
