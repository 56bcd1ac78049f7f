// I/O APIC with 24 pins (Intel 82093AA data sheet), version 20h: with an EOI register.
//
// A pin's level says whether the source asserts it. The polarity bit of an entry is kept for software
// but turns nothing around: how a source's voltage means "asserted" is a matter of the board.
#ifndef CHIPSET_IOAPIC_H
#define CHIPSET_IOAPIC_H

#include <stdint.h>

#include "bus/bus.h"
#include "bus/irq.h"

enum { IOAPIC_PINS = 24, IOAPIC_BASE = 0xfec00000 };

struct ioapic {
  struct bus *bus;
  struct region region;
  uint8_t select;
  uint8_t id; // bits 27:24 of register 0
  uint8_t initial_id;
  uint32_t lines;              // levels of the pins
  uint64_t entry[IOAPIC_PINS]; // redirection table
};

void ioapic_init(struct ioapic *a, struct bus *bus, uint8_t id);
void ioapic_reset(struct ioapic *a);
// Sink for the pins.
void ioapic_set(void *ioapic, int pin, int level);
static inline struct irq ioapic_line(struct ioapic *a, int pin)
{
  return (struct irq){.set = ioapic_set, .sink = a, .pin = pin};
}
// A local APIC has seen the end of a level-triggered interrupt.
void ioapic_eoi(struct ioapic *a, uint8_t vector);

#endif
