// pci-testdev: a PCI function that counts writes, for tests that measure the cost of an access.
#ifndef DEVICE_PCI_TESTDEV_H
#define DEVICE_PCI_TESTDEV_H

#include "device/device.h"

// -device pci-testdev: addr, bus.
struct device *pci_testdev_device(const struct device_env *env, struct opts *props, struct err *e);

#endif
