// Where on the PCI bus a -device goes; see place.h.
#include "device/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/pci.h"

#define FIRST_NORTHBRIDGE 0x18

bool place_pci(const struct device_env *env, struct opts *props, const char *name, unsigned from,
               unsigned *slot, unsigned *function, struct err *e)
{
  const char *bus = opts_get(props, "bus"), *addr = opts_get(props, "addr");
  if (!env->pci)
    return err_set(e, "%s: this machine has no PCI bus", name);
  char own[16];
  snprintf(own, sizeof own, "pci.%u", env->pci->node);
  if (bus && strcmp(bus, own) != 0 && strcmp(bus, "pci") != 0)
    return err_set(e, "%s: there is no bus '%s'; PCI devices of node %u go to %s", name, bus, env->pci->node,
                   own);
  *function = 0;
  if (!addr) {
    int free_slot = pci_free_device(env->pci, (int)from);
    if (free_slot < 0 || free_slot >= FIRST_NORTHBRIDGE)
      return err_set(e, "%s: no free PCI slot is left", name);
    *slot = (unsigned)free_slot;
    return true;
  }
  char *end;
  unsigned long s = strtoul(addr, &end, 16), f = 0;
  bool ok = end != addr;
  if (ok && *end == '.') {
    const char *dot = end + 1;
    f = strtoul(dot, &end, 16);
    ok = end != dot;
  }
  if (!ok || *end || s > 31 || f > 7)
    return err_set(e, "%s: addr=%s is not SLOT or SLOT.FUNCTION, hexadecimal", name, addr);
  if (env->pci->func[s << 3 | f])
    return err_set(e, "%s: PCI address %s is taken by %s", name, addr, env->pci->func[s << 3 | f]->name);
  *slot = (unsigned)s;
  *function = (unsigned)f;
  return true;
}
