// See pci.h.
#include "host/pci.h"

#include "host/x86.h"

static struct lock guard;

static void select(uint16_t bdf, unsigned reg)
{
  out32(0xcf8, 1u << 31 | (uint32_t)bdf << 8 | (reg & 0xfc));
}

uint32_t pci_read(uint16_t bdf, unsigned reg, unsigned size)
{
  uint16_t port = (uint16_t)(0xcfc + (reg & 3));
  lock(&guard);
  select(bdf, reg);
  uint32_t v = size == 1 ? in8(port) : size == 2 ? in16(port) : in32(port);
  unlock(&guard);
  return v;
}

void pci_write(uint16_t bdf, unsigned reg, unsigned size, uint32_t value)
{
  uint16_t port = (uint16_t)(0xcfc + (reg & 3));
  lock(&guard);
  select(bdf, reg);
  if (size == 1)
    out8(port, (uint8_t)value);
  else if (size == 2)
    out16(port, (uint16_t)value);
  else
    out32(port, value);
  unlock(&guard);
}
