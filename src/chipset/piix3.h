// ISA bridge PIIX3 (Intel 82371SB data sheet): routing of PCI interrupts, and the ports of the system board
// that are not a chip of their own: 61h (speaker and NMI status), 92h (A20 and fast reset), 80h and EDh (POST
// code, delay), B2h and B3h (APM), CF9h (reset control).
#ifndef CHIPSET_PIIX3_H
#define CHIPSET_PIIX3_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "bus/bus.h"
#include "bus/irq.h"
#include "bus/pci.h"
#include "chipset/gsi.h"
#include "chipset/pit.h"

struct piix3 {
  struct pci_func func;
  struct clock *clock;
  struct pit *pit;
  struct irq gsi[16];   // ISA interrupts that the router drives
  struct irq irq13;     // x87 errors: FERR# unless it is ignored
  struct irq a20;       // level 1: address line 20 passes
  struct irq reset;     // pulsed: reset of the whole machine
  struct irq cpu_reset; // pulsed: fast reset, of the processor (port 92h)
  struct irq ignne;     // IGNNE#: a write to port F0h while FERR# is asserted, until it no longer is
  void (*apm)(void *arg, uint8_t v); // a write to B2h; may be NULL
  void *apm_arg;
  uint8_t pirq;      // levels of PIRQA..D
  bool a20_keyboard; // what the keyboard controller asks for
  uint8_t port92, port61, reset_control, apm_control, apm_status, post;
  bool ferr, ignoring;
  struct region port61_region, port92_region, post_region, delay_region, apm_region, ferr_region;
};

struct piix3_lines {
  struct irq a20, reset, cpu_reset, ignne;
};

// Puts itself at 00:01.0 and connects the INTx wires of pb to its router, which drives lines of the gsi.
void piix3_init(struct piix3 *p, struct bus *bus, struct clock *clock, struct pci_bus *pb, struct gsi *gsi,
                struct pit *pit, const struct piix3_lines *lines);
void piix3_reset(struct piix3 *p);
// The keyboard controller's A20 output goes here: A20 is on while it or port 92h asks for it.
struct irq piix3_a20_line(struct piix3 *p);
// FERR# of the boot processor: becomes interrupt 13.
struct irq piix3_ferr_line(struct piix3 *p);
// PIRQ pin 0..3, for other buses than the first.
struct irq piix3_pirq_line(struct piix3 *p, int pin);
// Port CF9h; for i440fx.reset_control_*.
uint8_t piix3_reset_control_read(void *piix3);
void piix3_reset_control_write(void *piix3, uint8_t v);

#endif
