// PCI devices that a guest has for itself: configuration space filtered, BARs mapped, the interrupt
// forwarded, and by the DEV kept to the guest's memory.
#ifndef VDEV_ASSIGN_H
#define VDEV_ASSIGN_H

#include "host/types.h"

struct guest;

enum { ASSIGNED = 8, BARS = 6 };

struct assigned {
  uint16_t bdf;
  uint8_t line, pin; // line: of the machine (Interrupt Line); pin: of the guest's I/O APIC
  bool pending;      // the machine's line is masked until the guest has served it
  struct {
    uint64_t base, size;
    bool io, wide;
    uint32_t sizing; // what the guest wrote last, for the way it finds out the size
    bool asked;
  } bar[BARS];
};

struct assign {
  unsigned count;
  struct assigned device[ASSIGNED];
};

// By the configuration; NULL, or what is wrong.
const char *assign_devices(struct guest *g);
void assign_release(struct guest *g);
uint32_t assign_config_read(struct guest *g, unsigned n, unsigned reg, unsigned size);
void assign_config_write(struct guest *g, unsigned n, unsigned reg, unsigned size, uint32_t value);
bool assign_in(struct guest *g, uint16_t port, unsigned size, uint32_t *value);
bool assign_out(struct guest *g, uint16_t port, unsigned size, uint32_t value);
// An interrupt of the machine's line came.
void assign_interrupt(unsigned line);
// The guest ended the interrupt of its line.
void assign_eoi(struct guest *g, unsigned line);

#endif
