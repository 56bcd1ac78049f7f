// Assigns addresses and interrupt lines to PCI functions when no BIOS does. Window: from the end of RAM, at
// least C0000000h, to the I/O APIC; ports from C000h.
#include "machine/machine.h"

#define PIRQ_ROUTE 0x60

struct window {
  uint64_t next, end;
};

// 0: no room; the BAR stays undecoded.
static uint64_t take(struct window *w, uint64_t size)
{
  uint64_t at = (w->next + size - 1) & ~(size - 1);
  if (at < w->next || at + size > w->end)
    return 0;
  w->next = at + size;
  return at;
}

static void config_write(struct machine *m, const struct pci_func *f, unsigned off, unsigned size, uint32_t v)
{
  pci_config_write(&m->pc.pci, 0, f->devfn, off, size, v);
}

static void assign_bars(struct machine *m, struct pci_func *f, struct window *mem, struct window *io)
{
  uint16_t command = 0;
  for (unsigned i = 0; i < 6; i++) {
    struct pci_bar *bar = &f->bar[i];
    if (!bar->size)
      continue;
    uint64_t at = take(bar->io ? io : mem, !bar->io && bar->size < 4096 ? 4096 : bar->size);
    if (!at)
      continue;
    config_write(m, f, PCI_BAR0 + 4 * i, 4, (uint32_t)at);
    if (bar->wide)
      config_write(m, f, PCI_BAR0 + 4 * i + 4, 4, 0);
    command |= bar->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
  }
  config_write(m, f, PCI_COMMAND, 2, pci_get_word(f, PCI_COMMAND) | command);
}

void pci_setup(struct machine *m)
{
  static const uint8_t route[4] = {10, 10, 11, 11};
  struct window mem = {m->low_size > 0xc0000000u ? m->low_size : 0xc0000000u, BOARD_PCI32_END};
  struct window io = {0xc000, 0x10000};
  for (unsigned i = 0; i < 4; i++)
    config_write(m, &m->pc.piix3.func, PIRQ_ROUTE + i, 1, route[i]);
  for (unsigned devfn = 0; devfn < 256; devfn++) {
    struct pci_func *f = m->pc.pci.func[devfn];
    if (!f || f == &m->pc.host.func)
      continue;
    assign_bars(m, f, &mem, &io);
    uint8_t pin = f->config[PCI_INTERRUPT_PIN];
    if (f == &m->pc.pm.func)
      config_write(m, f, PCI_INTERRUPT_LINE, 1, BOARD_SCI);
    else if (pin)
      config_write(m, f, PCI_INTERRUPT_LINE, 1, route[(pin - 1 + (devfn >> 3) + 3) & 3]);
  }
}
