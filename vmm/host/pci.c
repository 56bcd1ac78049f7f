// See pci.h.
#include "host/pci.h"

#include "host/acpi.h"
#include "host/x86.h"

static struct lock guard;

static void select(uint16_t bdf, unsigned reg)
{
  out32(0xcf8, 1u << 31 | (uint32_t)bdf << 8 | (reg & 0xfc));
}

// Where a register stands in memory, or NULL. Moves to and from it are by EAX, AX, AL: AMD's CPUs take no
// others there (BKDG 31116, 2.11.1).
static void *in_memory(uint16_t bdf, unsigned reg)
{
  const struct acpi *a = acpi_get();
  unsigned bus = bdf >> 8;
  return a->ecam && bus >= a->ecam_first && bus <= a->ecam_last ? ptr(a->ecam + ((uint64_t)bdf << 12) + reg)
                                                                : NULL;
}

uint32_t pci_read(uint16_t bdf, unsigned reg, unsigned size)
{
  uint16_t port = (uint16_t)(0xcfc + (reg & 3));
  const void *at = in_memory(bdf, reg);
  uint32_t v = 0;
  if (at && size == 1)
    __asm__ volatile("movb (%1), %%al" : "+a"(v) : "r"(at));
  else if (at && size == 2)
    __asm__ volatile("movw (%1), %%ax" : "+a"(v) : "r"(at));
  else if (at)
    __asm__ volatile("movl (%1), %%eax" : "=a"(v) : "r"(at));
  if (at)
    return v;
  lock(&guard);
  select(bdf, reg);
  v = size == 1 ? in8(port) : size == 2 ? in16(port) : in32(port);
  unlock(&guard);
  return v;
}

void pci_write(uint16_t bdf, unsigned reg, unsigned size, uint32_t value)
{
  uint16_t port = (uint16_t)(0xcfc + (reg & 3));
  void *at = in_memory(bdf, reg);
  if (at && size == 1)
    __asm__ volatile("movb %%al, (%1)" : : "a"(value), "r"(at) : "memory");
  else if (at && size == 2)
    __asm__ volatile("movw %%ax, (%1)" : : "a"(value), "r"(at) : "memory");
  else if (at)
    __asm__ volatile("movl %%eax, (%1)" : : "a"(value), "r"(at) : "memory");
  if (at)
    return;
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
