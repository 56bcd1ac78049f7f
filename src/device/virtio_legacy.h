// The legacy interface of virtio over PCI, and what it shares with the modern one; see virtio_pci.h.
#ifndef DEVICE_VIRTIO_LEGACY_H
#define DEVICE_VIRTIO_LEGACY_H

#include "device/virtio_pci.h"

void virtio_legacy_init(struct virtio_pci *p); // declares BAR0

// virtio_pci.c
uint16_t virtio_pci_vector(const struct virtio_pci *p, uint32_t value); // a vector that exists, or none
uint8_t virtio_pci_read_isr(struct virtio_pci *p);
void virtio_pci_notify(struct virtio_pci *p, uint32_t queue);

#endif
