// MSI and MSI-X (PCI Local Bus Specification 3.0, section 6.8).
//
// A message is a memory write through the function's DMA port, like any other: whoever stands between
// the device and memory sees it.
#include "bus/pci_msi.h"

#include <stdlib.h>
#include <string.h>

#include "bus/pci.h"

enum {
  CAP_MSI = 0x05,
  CAP_MSIX = 0x11,
  MSI_CONTROL = 2,
  MSI_ENABLE = 1,
  MSI_64BIT = 0x80,
  MSI_ADDRESS = 4,
  MSI_DATA = 12,
  MSIX_CONTROL = 2,
  MSIX_TABLE = 4,
  MSIX_PBA = 8,
  MSIX_ENABLE = 0x8000,
  MSIX_MASK_ALL = 0x4000,
  MSIX_MAX = 128, // 800h bytes of 16-byte entries
  PBA_OFFSET = 0x800,
};

void pci_add_msi(struct pci_func *f)
{
  uint8_t cap = pci_add_cap(f, CAP_MSI, 14, 0);
  if (!cap)
    return;
  f->msi_cap = cap;
  pci_set_word(f, cap + MSI_CONTROL, MSI_64BIT);
  f->wmask[cap + MSI_CONTROL] = MSI_ENABLE | 0x70;
  memset(f->wmask + cap + MSI_ADDRESS, 0xff, 8);
  f->wmask[cap + MSI_ADDRESS] = 0xfc;
  memset(f->wmask + cap + MSI_DATA, 0xff, 2);
}

bool pci_msi_enabled(const struct pci_func *f)
{
  return f->msi_cap && (f->config[f->msi_cap + MSI_CONTROL] & MSI_ENABLE);
}

static uint16_t msix_control(const struct pci_func *f)
{
  return f->msix_cap ? pci_get_word(f, f->msix_cap + MSIX_CONTROL) : 0;
}

bool pci_msix_enabled(const struct pci_func *f)
{
  return (msix_control(f) & MSIX_ENABLE) != 0;
}

static bool masked(const struct pci_func *f, unsigned n)
{
  return (msix_control(f) & MSIX_MASK_ALL) || (f->msix_table[16 * n + 12] & 1);
}

static void send(struct pci_func *f, const uint8_t *address, uint32_t data)
{
  uint64_t addr;
  memcpy(&addr, address, sizeof addr);
  dma_write(&f->dma, addr & ~UINT64_C(3), &data, sizeof data);
}

void pci_msi(struct pci_func *f, unsigned n)
{
  if (pci_msix_enabled(f)) {
    if (n >= f->msix_count)
      return;
    if (masked(f, n)) {
      f->msix_pba[n / 8] |= (uint8_t)(1u << (n & 7));
      return;
    }
    uint32_t data;
    memcpy(&data, f->msix_table + 16 * n + 8, sizeof data);
    send(f, f->msix_table + 16 * n, data);
  } else if (pci_msi_enabled(f) && n == 0) {
    send(f, f->config + f->msi_cap + MSI_ADDRESS, pci_get_word(f, f->msi_cap + MSI_DATA));
  }
}

void pci_msi_written(struct pci_func *f)
{
  if (!pci_msix_enabled(f) || (msix_control(f) & MSIX_MASK_ALL))
    return;
  for (unsigned n = 0; n < f->msix_count; n++) {
    uint8_t bit = (uint8_t)(1u << (n & 7));
    if ((f->msix_pba[n / 8] & bit) && !masked(f, n)) {
      f->msix_pba[n / 8] &= (uint8_t)~bit;
      pci_msi(f, n);
    }
  }
}

static uint64_t table_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct pci_func *f = dev;
  uint64_t v = 0;
  if (off < 16u * f->msix_count)
    memcpy(&v, f->msix_table + off, size); // an access of 4 that is aligned: inside
  else if (off >= PBA_OFFSET && off - PBA_OFFSET < MSIX_MAX / 8)
    memcpy(&v, f->msix_pba + (off - PBA_OFFSET), size);
  return v;
}

static void table_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct pci_func *f = dev;
  if (off >= 16u * f->msix_count)
    return;
  if ((off & 15) == 12)
    value &= 1; // vector control: mask bit
  memcpy(f->msix_table + off, &value, size);
  pci_msi_written(f);
}

// min_size 4 makes every access aligned.
static const struct bus_ops table_ops = {
    .read = table_read, .write = table_write, .min_size = 4, .max_size = 4};

bool pci_add_msix(struct pci_func *f, int bar, unsigned count)
{
  if (count == 0 || count > MSIX_MAX)
    return false;
  f->msix_table = calloc(count, 16);
  f->msix_pba = calloc(1, MSIX_MAX / 8);
  uint8_t cap = f->msix_table && f->msix_pba ? pci_add_cap(f, CAP_MSIX, 12, 0) : 0;
  if (!cap) {
    pci_msix_free(f);
    return false;
  }
  f->msix_cap = cap;
  f->msix_count = (uint16_t)count;
  pci_set_word(f, cap + MSIX_CONTROL, (uint16_t)(count - 1));
  f->wmask[cap + MSIX_CONTROL + 1] = 0xc0;
  pci_set_long(f, cap + MSIX_TABLE, (uint32_t)bar);
  pci_set_long(f, cap + MSIX_PBA, PBA_OFFSET | (uint32_t)bar);
  pci_bar_mem(f, bar, 4096, false, false, &table_ops, f);
  pci_msi_reset(f);
  return true;
}

void pci_msi_reset(struct pci_func *f)
{
  if (f->msi_cap)
    for (unsigned i = 0; i < 14; i++)
      f->config[f->msi_cap + i] &= (uint8_t)~f->wmask[f->msi_cap + i];
  if (!f->msix_cap)
    return;
  f->config[f->msix_cap + MSIX_CONTROL + 1] &= 0x3f;
  memset(f->msix_table, 0, 16u * f->msix_count);
  for (unsigned n = 0; n < f->msix_count; n++)
    f->msix_table[16 * n + 12] = 1; // vectors are masked after reset
  memset(f->msix_pba, 0, MSIX_MAX / 8);
}

void pci_msix_free(struct pci_func *f)
{
  free(f->msix_table);
  free(f->msix_pba);
  f->msix_table = f->msix_pba = NULL;
  f->msix_count = 0;
  f->msix_cap = 0;
}
