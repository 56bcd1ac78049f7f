// Virtio over PCI (Virtual I/O Device 1.1, section 4.1): the modern interface in a memory BAR, the legacy one
// in a port BAR, MSI-X.
//
// BAR0 legacy ports, BAR1 MSI-X, BAR4 modern: common configuration at 0, interrupt status at 1000h, device
// configuration at 2000h, notification at 3000h (4 bytes for each queue).
#ifndef DEVICE_VIRTIO_PCI_H
#define DEVICE_VIRTIO_PCI_H

#include "bus/pci.h"
#include "device/device.h"
#include "device/virtio.h"

struct virtio_pci {
  struct pci_func pci;
  struct virtio *v;
  bool modern, legacy; // what is offered
  uint32_t device_sel, driver_sel;
  uint16_t queue_sel;
  uint8_t cfg_cap; // the capability that opens a window onto BAR4
};

// Takes from the properties disable-legacy, disable-modern, vectors, addr, bus, and puts the device on the
// bus. v must have its queues and its configuration. transitional_id: the PCI device ID of the legacy
// interface.
bool virtio_pci_init(struct virtio_pci *p, struct virtio *v, const char *name, uint16_t transitional_id,
                     uint32_t class_code, const struct device_env *env, struct opts *props, struct err *e);
void virtio_pci_reset(struct virtio_pci *p);
void virtio_pci_free(struct virtio_pci *p);

#endif
