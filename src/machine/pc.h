// The board of a PC: i440FX host bridge, PIIX3 ISA bridge, and the chips that every PC has.
//
// This is wiring alone: which pin goes where. What a chip does is in chipset/.
#ifndef MACHINE_PC_H
#define MACHINE_PC_H

#include "chipset/debugport.h"
#include "chipset/fw_cfg.h"
#include "chipset/gsi.h"
#include "chipset/hpet.h"
#include "chipset/i440fx.h"
#include "chipset/i8042.h"
#include "chipset/ioapic.h"
#include "chipset/pic.h"
#include "chipset/piix3.h"
#include "chipset/piix4pm.h"
#include "chipset/pit.h"
#include "chipset/rtc.h"
#include "device/ide.h"

struct machine;

struct pc {
  struct pci_bus pci;
  struct gsi gsi;
  struct pic pic;
  struct ioapic ioapic;
  struct pit pit;
  struct hpet hpet;
  struct rtc rtc;
  struct i8042 i8042;
  struct i440fx host;
  struct piix3 piix3;
  struct piix4pm pm;
  struct fw_cfg fw_cfg;
  struct ide *ide;
  struct irq ferr; // CPU 0's FPU error line
};

// Builds the board of a machine whose bus, clock, RAM and fabric are there, and whose CPUs are.
bool pc_init(struct machine *m, struct err *e);
void pc_reset(struct machine *m);
void pc_free(struct machine *m);
// What a BIOS would have set up: for kernels that start without one.
void pc_setup(struct machine *m);

#endif
