// -netdev and -nic; see nets.h. There is no network unless one is asked for.
#include "machine/nets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/machine.h"

bool nets_open(struct machine *m, struct err *e)
{
  for (unsigned i = 0; i < m->config->netdevs.count; i++) {
    struct opts o;
    if (!opts_parse(&o, "-netdev", m->config->netdevs.item[i], "type", e))
      return false;
    bool ok = netdev_open(&m->netdevs, &o, e) != NULL && opts_done(&o, e);
    opts_free(&o);
    if (!ok)
      return false;
  }
  return true;
}

struct netdev *nets_find(void *machine, const char *id)
{
  struct machine *m = machine;
  struct netdev *n = netdevs_find(&m->netdevs, id);
  return n && !n->attached ? n : NULL;
}

// -nic names models as QEMU does: "virtio" is short for virtio-net-pci.
static const char *const models[] = {"e1000", "virtio", "virtio-net-pci", NULL};

static bool nic(struct machine *m, unsigned n, struct opts *o,
                bool (*make)(struct machine *m, const char *text, struct err *e), struct err *e)
{
  unsigned model = 0;
  char id[24], text[160];
  const char *mac = opts_get(o, "mac"), *addr = opts_get(o, "addr"), *given = opts_get(o, "id");
  snprintf(id, sizeof id, "nic%u", n);
  if (!opts_choice(o, "model", models, &model, e))
    return false;
  if ((mac && strlen(mac) > 32) || (addr && strlen(addr) > 16) || (given && strlen(given) > 32))
    return err_set(e, "-nic: mac=, addr= or id= is too long");
  // The network takes the rest of the keys; its id is the adapter's.
  struct netdev *net = NULL;
  if (given) {
    net = netdev_open(&m->netdevs, o, e);
  } else {
    if (o->count == OPT_MAX)
      return err_set(e, "-nic: more than %d elements", OPT_MAX - 1);
    o->item[o->count++] = (struct opt){.key = "id", .value = id};
    net = netdev_open(&m->netdevs, o, e);
  }
  if (!net || !opts_done(o, e))
    return false;
  snprintf(text, sizeof text, "%s,netdev=%s%s%s%s%s", model ? "virtio-net-pci" : "e1000", net->id,
           mac ? ",mac=" : "", mac ? mac : "", addr ? ",addr=" : "", addr ? addr : "");
  return make(m, text, e);
}

bool nets_nics(struct machine *m, bool (*make)(struct machine *m, const char *text, struct err *e),
               struct err *e)
{
  for (unsigned i = 0; i < m->config->nics.count; i++) {
    struct opts o;
    if (!opts_parse(&o, "-nic", m->config->nics.item[i], "type", e))
      return false;
    bool ok = nic(m, i, &o, make, e);
    opts_free(&o);
    if (!ok)
      return false;
  }
  return true;
}
