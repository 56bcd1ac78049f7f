// See vpci.h.
#include "vdev/vpci.h"

#include "guest/guest.h"

enum { ADDRESS = 0xcf8, DATA = 0xcfc, ENABLE = 1u << 31 };

void vpci_reset(struct guest *g)
{
  g->pci = (struct vpci){0};
}

// The host bridge has identity and class, nothing else.
static uint32_t bridge(unsigned reg)
{
  switch (reg) {
  case 0:
    return 0x12378086;
  case 8:
    return 0x06000002;
  default:
    return 0;
  }
}

bool vpci_read(struct guest *g, uint16_t port, unsigned size, uint32_t *value)
{
  if (port < ADDRESS || port > DATA + 3)
    return false;
  uint32_t a = g->pci.address;
  *value = UINT32_MAX;
  if (port < DATA) {
    *value = a >> (port - ADDRESS) * 8;
    return true;
  }
  unsigned slot = a >> 11 & 31, reg = a & 0xfc;
  if (!(a & ENABLE) || a >> 16 & 0xff || a >> 8 & 7)
    return true;
  if (slot == 0)
    *value = bridge(reg) >> (port & 3) * 8;
  else if (slot <= g->assign.count)
    *value = assign_config_read(g, slot - 1, reg + (port & 3u), size);
  return true;
}

bool vpci_write(struct guest *g, uint16_t port, unsigned size, uint32_t value)
{
  if (port < ADDRESS || port > DATA + 3)
    return false;
  uint32_t a = g->pci.address;
  if (port < DATA) {
    if (port == ADDRESS && size == 4)
      g->pci.address = value & 0x80fffffc;
    return true;
  }
  unsigned slot = a >> 11 & 31;
  if (a & ENABLE && !(a >> 16 & 0xff) && !(a >> 8 & 7) && slot && slot <= g->assign.count)
    assign_config_write(g, slot - 1, (a & 0xfc) + (port & 3u), size, value);
  return true;
}
