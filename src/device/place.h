// Where on the PCI bus a -device goes.
#ifndef DEVICE_PLACE_H
#define DEVICE_PLACE_H

#include "device/device.h"

// Takes bus= and addr=SLOT[.FUNCTION] (hexadecimal, as QEMU has it); without addr the first free slot from
// `from` on that is below 18h, where the northbridges begin.
bool place_pci(const struct device_env *env, struct opts *props, const char *name, unsigned from,
               unsigned *slot, unsigned *function, struct err *e);

#endif
