// Devices: what -chardev, -serial, -drive and -device add to the board, and what is there by default.
//
// QEMU's order and defaults: a VGA adapter, COM1, a CD-ROM drive on the second IDE channel; -nodefaults
// leaves them out.
#include "machine/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/catalog.h"
#include "device/serial.h"
#include "device/vga.h"
#include "machine/devices.h"
#include "machine/nets.h"
#include "machine/tpm.h"

static struct irq isa_irq(void *arg, int n)
{
  struct machine *m = arg;
  return gsi_line(&m->pc.gsi, GSI_ISA, (unsigned)n);
}

static struct chardev *find_chardev(void *arg, const char *id)
{
  struct machine *m = arg;
  return chardev_find(&m->chardevs, id);
}

static struct device *find_device(void *arg, const char *id)
{
  struct machine *m = arg;
  for (struct device *d = m->devices; d; d = d->next)
    if (d->id && !strcmp(d->id, id))
      return d;
  return NULL;
}

static void add(struct machine *m, struct device *d)
{
  d->next = NULL;
  struct device **end = &m->devices;
  while (*end)
    end = &(*end)->next;
  *end = d;
}

// node=N, or bus=pci.N, which is the name of node N's bus: where a PCI device goes.
static bool choose_chain(struct machine *m, const char *name, struct opts *o, struct device_env *env,
                         struct err *e)
{
  const char *bus = opts_get(o, "bus"), *given = opts_get(o, "node");
  const struct catalog_device *row = name ? catalog_find(name) : NULL;
  uint64_t node = 0;
  if (!row || strcmp(row->bus, "PCI") != 0)
    return !given || err_set(e, "-device %s: node= is for PCI devices", name ? name : "");
  if (!given && bus && !strncmp(bus, "pci.", 4) && !parse_u64(bus + 4, &node))
    node = 0; // place_pci says what is wrong
  if (!opts_u64(o, "node", &node, e))
    return false;
  env->pci = nodes_chain(m, node < CONFIG_NODES ? (unsigned)node : CONFIG_NODES, e);
  return env->pci != NULL;
}

// Makes a device from the text of -device.
static bool make(struct machine *m, const char *text, struct err *e)
{
  struct opts o;
  if (!opts_parse(&o, "-device", text, "driver", e))
    return false;
  const char *name = opts_get(&o, "driver");
  struct device *d = NULL;
  struct device_env env = m->env;
  uint64_t bootindex = UINT64_MAX;
  if (!opts_u64(&o, "bootindex", &bootindex, e)) {
    opts_free(&o);
    return false;
  }
  if (name && board_device(name))
    d = board_device_create(m, &o, e);
  else if (name && tpm_device(name))
    d = tpm_device_create(m, &o, e);
  else if (choose_chain(m, name, &o, &env, e))
    d = device_create(&env, &o, e);
  opts_free(&o);
  if (d)
    add(m, d);
  return d && (bootindex == UINT64_MAX || bootorder_add(m, d, bootindex, e));
}

static bool open_chardevs(struct machine *m, struct err *e)
{
  for (unsigned i = 0; i < m->config->chardevs.count; i++) {
    struct opts o;
    if (!opts_parse(&o, "-chardev", m->config->chardevs.item[i], "backend", e))
      return false;
    bool ok = chardev_open_opts(&m->chardevs, &o, e) != NULL;
    opts_free(&o);
    if (!ok)
      return false;
  }
  return true;
}

struct chardev *machine_chardev(struct machine *m, const char *text, const char *id, struct err *e)
{
  if (strncmp(text, "chardev:", 8) != 0)
    return chardev_open(&m->chardevs, id, text, e);
  struct chardev *c = chardev_find(&m->chardevs, text + 8);
  if (!c)
    err_set(e, "%s: there is no -chardev with id=%s", text, text + 8);
  return c;
}

static bool make_serial(struct machine *m, unsigned index, const char *text, struct err *e)
{
  char id[24], option[64];
  snprintf(id, sizeof id, "serial%u", index);
  if (!strcmp(text, "none"))
    return true;
  struct chardev *c = machine_chardev(m, text, id, e);
  if (!c)
    return false;
  if (!c->id && !(c->id = strdup(id)))
    return err_set(e, "out of memory");
  snprintf(option, sizeof option, "isa-serial,index=%u,chardev=", index);
  char *whole = malloc(strlen(option) + strlen(c->id) + 1);
  if (!whole)
    return err_set(e, "out of memory");
  strcat(strcpy(whole, option), c->id);
  bool ok = make(m, whole, e);
  free(whole);
  return ok;
}

static bool make_serials(struct machine *m, struct err *e)
{
  const struct config *c = m->config;
  if (c->serials.count > 4)
    return err_set(e, "-serial: a PC has four serial ports; give at most four");
  for (unsigned i = 0; i < c->serials.count; i++)
    if (!make_serial(m, i, c->serials.item[i], e))
      return false;
  return true;
}

static bool make_devices(struct machine *m, struct err *e)
{
  const struct config *c = m->config;
  bool vga = false;
  if (c->debugcon) {
    struct chardev *con = machine_chardev(m, c->debugcon, "debugcon", e);
    if (!con || !make(m, "isa-debugcon,chardev=debugcon", e))
      return false;
  }
  for (unsigned i = 0; i < c->devices.count; i++)
    vga |= !strcmp(c->devices.item[i], "VGA") || !strncmp(c->devices.item[i], "VGA,", 4);
  if (!c->nodefaults && !c->vga_none && !vga && !make(m, "VGA,addr=2", e))
    return false;
  for (unsigned i = 0; i < c->devices.count; i++)
    if (!make(m, c->devices.item[i], e))
      return false;
  return true;
}

struct vga *machine_vga(struct machine *m)
{
  for (struct device *d = m->devices; d; d = d->next)
    if (!strcmp(d->type, "VGA"))
      return d->self;
  return NULL;
}

bool devices_init(struct machine *m, struct err *e)
{
  m->env = (struct device_env){.bus = &m->bus,
                               .pci = &m->pc.pci,
                               .clock = &m->clock,
                               .log = &m->log,
                               .ide = m->pc.ide,
                               .seed = 0x5061636966696361u,
                               .arg = m,
                               .isa_irq = isa_irq,
                               .drive = drives_find,
                               .netdevs = &m->netdevs,
                               .netdev = nets_find,
                               .chardev = find_chardev,
                               .device = find_device};
  return open_chardevs(m, e) && nets_open(m, e) && make_serials(m, e) && drives_init(m, e) &&
         tpm_init(m, e) && make_devices(m, e) && tpm_used(m, e) && nets_nics(m, make, e);
}

void devices_reset(struct machine *m)
{
  for (struct device *d = m->devices; d; d = d->next)
    device_reset(d);
}

void devices_free(struct machine *m)
{
  while (m->devices) {
    struct device *d = m->devices;
    m->devices = d->next;
    device_free(d);
  }
}
