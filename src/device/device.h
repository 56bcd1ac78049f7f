// What all devices have in common: how the machine names, resets and frees them, and what it gives them.
//
// Every device struct has a `struct device` as its member `device`; the machine keeps them in one list
// and needs to know nothing else about a device once it is made.
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/opt.h"
#include "bus/irq.h"

struct blockdev;
struct bus;
struct chardev;
struct clock;
struct ide;
struct log;
struct netdev;
struct netdevs;
struct pci_bus;

struct device {
  const char *type; // the name of -device
  char *id;         // owned, or NULL
  void (*reset)(struct device *d);
  void (*free)(struct device *d); // unlinks it from its bus and frees it completely
  void *self;
  struct device *next; // for the list of whoever owns it
};

// What a device may ask of its machine. Pointers that a machine without such parts leaves NULL are
// checked where a device needs them.
struct device_env {
  struct bus *bus;
  struct pci_bus *pci; // where PCI devices go
  struct clock *clock;
  struct log *log;
  struct ide *ide; // where ide-hd and ide-cd go
  uint64_t seed;   // of all randomness that a guest can see
  void *arg;       // of the functions below
  struct irq (*isa_irq)(void *arg, int n);
  struct blockdev *(*drive)(void *arg, const char *id);  // NULL: no such drive, or taken
  struct chardev *(*chardev)(void *arg, const char *id); // NULL: no such chardev
  struct device *(*device)(void *arg, const char *id);   // made before; NULL: no such device
  struct netdevs *netdevs;
  struct netdev *(*netdev)(void *arg, const char *id); // NULL: no such network, or taken
};

static inline void device_reset(struct device *d)
{
  if (d->reset)
    d->reset(d);
}

static inline void device_free(struct device *d)
{
  if (d && d->free)
    d->free(d);
}

#endif
