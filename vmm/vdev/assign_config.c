// What a guest sees and may change in the configuration space of its device. BARs stay where they are; the
// interrupt line is the guest's own; capabilities for message-signalled interrupts are left out of the list
// and cannot be written.
#include "vdev/assign_config.h"

#include "guest/guest.h"
#include "host/pci.h"

enum { HEADER_END = 0x40, MSI_SIZE = 24, MSIX_SIZE = 12, BAR_END = PCI_BAR + 4 * BARS, ROM = 0x30 };

static void probe_bars(struct assigned *d)
{
  uint32_t command = pci_read(d->bdf, PCI_COMMAND, 2);
  pci_write(d->bdf, PCI_COMMAND, 2, command & ~(uint32_t)(PCI_CMD_IO | PCI_CMD_MEMORY));
  for (unsigned i = 0; i < BARS; i++) {
    unsigned reg = PCI_BAR + 4 * i;
    struct bar *b = &d->bar[i];
    uint32_t was = pci_read(d->bdf, reg, 4), high = 0, high_mask = UINT32_MAX;
    pci_write(d->bdf, reg, 4, UINT32_MAX);
    uint32_t mask = pci_read(d->bdf, reg, 4);
    pci_write(d->bdf, reg, 4, was);
    if (!mask)
      continue;
    b->io = was & 1;
    bool wide = !b->io && (was & 6) == 4 && i + 1 < BARS;
    if (wide) {
      high = pci_read(d->bdf, reg + 4, 4);
      pci_write(d->bdf, reg + 4, 4, UINT32_MAX);
      high_mask = pci_read(d->bdf, reg + 4, 4);
      pci_write(d->bdf, reg + 4, 4, high);
    }
    uint32_t low = b->io ? 3 : 15;
    b->low_bits = was & low;
    b->base = (was & ~low) | (uint64_t)high << 32;
    b->size = -((mask & ~low) | (uint64_t)high_mask << 32);
    if (b->io)
      b->size &= 0xffff;
    if (wide)
      d->bar[++i].high = true;
  }
  pci_write(d->bdf, PCI_COMMAND, 2, command & ~(uint32_t)PCI_CMD_MASTER);
}

static void probe_capabilities(struct assigned *d)
{
  if (!(pci_read(d->bdf, PCI_STATUS, 2) & PCI_STAT_CAPABILITIES))
    return;
  unsigned last = PCI_CAPABILITIES / 4, at = pci_read(d->bdf, PCI_CAPABILITIES, 1) & 0xfc;
  for (unsigned n = 0; at >= HEADER_END && n < 48; n++) {
    uint32_t head = pci_read(d->bdf, at, 4);
    unsigned id = head & 0xff, size = id == PCI_CAP_MSI ? MSI_SIZE : id == PCI_CAP_MSIX ? MSIX_SIZE : 0;
    for (unsigned k = 0; k < size; k += 4)
      d->hidden[(at + k) / 4 & 63] = true;
    if (!size) {
      d->next[last] = (uint8_t)at;
      last = at / 4;
    }
    at = head >> 8 & 0xfc;
  }
}

void assign_probe(struct assigned *d)
{
  probe_bars(d);
  probe_capabilities(d);
  d->guest_line = 0xff;
}

static uint32_t read_bar(const struct assigned *d, unsigned i)
{
  const struct bar *b = &d->bar[i], *low = b->high ? b - 1 : b;
  uint64_t v = low->sizing ? -low->size : low->base;
  if (b->high)
    return (uint32_t)((b->sizing ? -low->size : low->base) >> 32);
  return b->size ? (uint32_t)v | b->low_bits : 0;
}

static uint32_t read_dword(const struct assigned *d, unsigned reg)
{
  if (reg >= PCI_BAR && reg < BAR_END)
    return read_bar(d, (reg - PCI_BAR) / 4);
  if (reg == ROM)
    return 0;
  if (reg < HEADER_END) {
    uint32_t v = pci_read(d->bdf, reg, 4);
    if (reg == PCI_CAPABILITIES)
      v = (v & ~0xffu) | d->next[PCI_CAPABILITIES / 4];
    if (reg == PCI_LINE)
      v = (v & 0xffff0000) | (v & 0xff00 ? 0x100u : 0) | d->guest_line; // pin A, or none
    if (reg == (PCI_HEADER & ~3u))
      v &= ~(1u << 23); // one function
    return v;
  }
  if (d->hidden[reg / 4])
    return 0;
  uint32_t v = pci_read(d->bdf, reg, 4);
  for (unsigned i = 0; i < 64; i++)
    if (d->next[i] == reg && d->next[i]) // a capability's head
      v = (v & ~0xff00u) | (uint32_t)d->next[reg / 4] << 8;
  return v;
}

uint32_t assign_config_read(struct guest *g, unsigned n, unsigned reg, unsigned size)
{
  return read_dword(&g->assign.device[n], reg & 0xfc) >> (reg & 3) * 8;
}

void assign_config_write(struct guest *g, unsigned n, unsigned reg, unsigned size, uint32_t value)
{
  struct assigned *d = &g->assign.device[n];
  if ((reg & 3) + size > 4)
    return;
  if (reg >= PCI_BAR && reg < BAR_END) {
    d->bar[(reg - PCI_BAR) / 4].sizing = size == 4 && (value | 0xf) == UINT32_MAX;
    return;
  }
  if (reg == PCI_LINE) {
    d->guest_line = (uint8_t)value;
    return;
  }
  if (reg >= PCI_COMMAND && reg < PCI_STATUS + 2) {
    pci_write(d->bdf, reg, size, value);
    return;
  }
  if (reg >= HEADER_END && !d->hidden[reg / 4])
    pci_write(d->bdf, reg, size, value);
}
