// What pci.c needs of pci_msi.c.
#ifndef BUS_PCI_MSI_H
#define BUS_PCI_MSI_H

struct pci_func;

void pci_msi_written(struct pci_func *f); // after any configuration write: sends what became unmasked
void pci_msi_reset(struct pci_func *f);
void pci_msix_free(struct pci_func *f);

#endif
