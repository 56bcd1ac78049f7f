// Ports that exist in emulators alone: a console for firmware (402h, E9h), and "isa-debug-exit", by which a
// test ends the machine with a status.
#ifndef CHIPSET_DEBUGPORT_H
#define CHIPSET_DEBUGPORT_H

#include <stdint.h>

#include "bus/bus.h"

struct debugcon {
  struct region region;
  void (*put)(void *arg, uint8_t c);
  void *arg;
};

// A read gives E9h, by which firmware knows that somebody listens.
void debugcon_init(struct debugcon *d, struct bus *bus, uint16_t port, void (*put)(void *arg, uint8_t c),
                   void *arg);

struct debugexit {
  struct region region;
  void (*exit)(void *arg, int status);
  void *arg;
};

// A write of v ends with status v << 1 | 1.
void debugexit_init(struct debugexit *d, struct bus *bus, uint16_t iobase, unsigned iosize,
                    void (*exit)(void *arg, int status), void *arg);

#endif
