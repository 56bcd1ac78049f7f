// Global system interrupts: the wiring from the interrupt sources of the board to the pins of the two
// PICs and of the I/O APIC.
//
// Lines 0 to 15 are the ISA interrupts and go to both; ISA interrupt 0 is pin 2 of the I/O APIC. Lines 16
// to 23 go to the I/O APIC alone. Several sources may drive one line: it is high while any of them is.
#ifndef CHIPSET_GSI_H
#define CHIPSET_GSI_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/irq.h"

enum { GSI_LINES = 24 };

enum gsi_source {
  GSI_ISA,  // devices with a fixed line: timer, keyboard, UARTs, RTC ...
  GSI_PCI,  // PIRQ router
  GSI_ACPI, // SCI
  GSI_HPET,
  GSI_TEST, // pc-testdev
};

struct gsi {
  uint32_t level[GSI_LINES]; // a bit for each source
  struct irq pic[16];        // to the PICs; pin 2 is the cascade and stays unconnected
  struct irq ioapic[GSI_LINES];
  bool hpet_legacy; // the HPET has taken lines 0 and 8 from PIT and RTC
};

void gsi_init(struct gsi *g);
void gsi_reset(struct gsi *g);
// The line as one source sees it.
struct irq gsi_line(struct gsi *g, enum gsi_source source, unsigned line);
// A sink for the HPET's legacy replacement route bit: level 1 disconnects PIT and RTC.
void gsi_set_hpet_legacy(void *sink, int pin, int level);

#endif
