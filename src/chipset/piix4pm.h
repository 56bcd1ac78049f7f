// Power management of the PIIX4 (Intel 82371AB data sheet, function 3): ACPI registers, PM timer, SMBus
// host without devices, and the general-purpose event block that ACPI tables name (AFE0h).
//
// A write to the APM port raises SMI# if software enabled that (DEVACTB.APMC_EN and GLBCTL.SMI_EN). What
// firmware does in SMM on other boards, switching ACPI mode by such a write, is done by this chip, for
// firmware that leaves it.
#ifndef CHIPSET_PIIX4PM_H
#define CHIPSET_PIIX4PM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "bus/bus.h"
#include "bus/irq.h"
#include "bus/pci.h"

enum {
  PIIX4PM_ACPI_ENABLE = 0xf1, // written to port B2h
  PIIX4PM_ACPI_DISABLE = 0xf0,
  PIIX4PM_GPE_BASE = 0xafe0, // two bytes of status, two of enable bits
  PIIX4PM_TIMER_HZ = 3579545,
};

struct piix4pm {
  struct pci_func func;
  struct bus *bus;
  struct clock *clock;
  struct irq sci;       // IRQ 9
  struct irq smi;       // pulsed by a write to B2h if that is enabled; may be unconnected
  struct irq power_off; // pulsed when software enters soft-off
  struct timer timer;   // for the PM timer's overflow while it may interrupt
  struct region pm, smbus, gpe;
  uint16_t pm1_status, pm1_enable, pm1_control;
  uint64_t overflows; // of the PM timer that are in pm1_status or were cleared from it
  uint8_t other[64];  // registers that only keep what is written
  uint8_t smb[16];
  uint8_t gpe_status[2], gpe_enable[2];
};

// Puts itself at 00:01.3.
void piix4pm_init(struct piix4pm *p, struct bus *bus, struct clock *clock, struct pci_bus *pb, struct irq sci,
                  struct irq smi, struct irq power_off);
void piix4pm_reset(struct piix4pm *p);
void piix4pm_free(struct piix4pm *p);
// A write to the APM control port; for piix3.apm.
void piix4pm_apm(void *piix4pm, uint8_t v);
// The power button was pressed.
void piix4pm_power_button(struct piix4pm *p);
// Without a BIOS, for the direct boot of a kernel: the PM base and its enable bit as firmware leaves them,
// and SCI mode off.
void piix4pm_set_base(struct piix4pm *p, uint16_t base);

#endif
