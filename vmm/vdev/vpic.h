// A guest's two 8259A interrupt controllers. Intel 8259A data sheet; ELCR at 4D0h.
#ifndef VDEV_VPIC_H
#define VDEV_VPIC_H

#include "host/types.h"

struct guest;

struct vpic_chip {
  uint8_t irr, isr, imr, elcr, lines, base, icw; // icw: which initialization word comes next
  bool wants_icw4, auto_eoi, read_isr, poll;
};

struct vpic {
  struct vpic_chip chip[2];
  bool output; // INTR to the CPU
};

void vpic_reset(struct guest *g);
void vpic_line(struct guest *g, unsigned line, bool level);
uint8_t vpic_acknowledge(struct guest *g);
uint8_t vpic_read(struct guest *g, uint16_t port);
void vpic_write(struct guest *g, uint16_t port, uint8_t value);

#endif
