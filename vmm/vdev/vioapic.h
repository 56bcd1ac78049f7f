// A guest's I/O APIC: 24 pins, ID 0, at FEC0_0000h. 82093AA data sheet.
#ifndef VDEV_VIOAPIC_H
#define VDEV_VIOAPIC_H

#include "host/types.h"

struct guest;

enum { IOAPIC_PINS = 24, IOAPIC_BASE = 0xfec00000 };

struct vioapic {
  uint32_t select, id, lines; // lines: levels of the pins
  uint64_t entry[IOAPIC_PINS];
};

void vioapic_reset(struct guest *g);
uint32_t vioapic_read(struct guest *g, uint32_t offset);
void vioapic_write(struct guest *g, uint32_t offset, uint32_t value);
void vioapic_eoi(struct guest *g, uint8_t vector);
// An interrupt line of the guest: to the 8259s if it is one of the first 16, and to the I/O APIC (line 0 is
// pin 2).
void guest_line(struct guest *g, unsigned line, bool level);

#endif
