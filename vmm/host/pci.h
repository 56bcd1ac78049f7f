// The machine's PCI configuration space: in memory where ACPI's MCFG says so, else by ports CF8h and CFCh.
// PCI 3.0, 3.2.2.3; PCI Express 3.0, 7.2.2.
#ifndef HOST_PCI_H
#define HOST_PCI_H

#include "host/types.h"

// bdf: bus << 8 | device << 3 | function. size 1, 2, 4, naturally aligned.
uint32_t pci_read(uint16_t bdf, unsigned reg, unsigned size);
void pci_write(uint16_t bdf, unsigned reg, unsigned size, uint32_t value);

enum pci_register {
  PCI_ID = 0,
  PCI_COMMAND = 4,
  PCI_STATUS = 6,
  PCI_HEADER = 0x0e,
  PCI_BAR = 0x10,
  PCI_CAPABILITIES = 0x34,
  PCI_LINE = 0x3c,
  PCI_PIN = 0x3d
};
enum pci_command { PCI_CMD_IO = 1, PCI_CMD_MEMORY = 2, PCI_CMD_MASTER = 4, PCI_CMD_NO_INTX = 0x400 };
enum pci_status { PCI_STAT_INTX = 8, PCI_STAT_CAPABILITIES = 0x10, PCI_STAT_MASTER_ABORT = 0x2000 };
enum pci_capability { PCI_CAP_MSI = 5, PCI_CAP_SECURE = 0x0f, PCI_CAP_MSIX = 0x11 };

#endif
