// Two 8259A interrupt controllers, cascaded, with the edge/level registers of the PIIX3
// (Intel 8259A data sheet; 82371SB data sheet, section 2.7).
#ifndef CHIPSET_PIC_H
#define CHIPSET_PIC_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/irq.h"

struct pic_chip {
  uint8_t irr, imr, isr;
  uint8_t lines;  // levels of the inputs
  uint8_t elcr;   // 1: the input is level-triggered
  uint8_t base;   // ICW2: vector of input 0
  uint8_t lowest; // the input with the lowest priority
  uint8_t icw;    // the initialisation word that comes next, 0: none
  bool need_icw4, single;
  bool auto_eoi, rotate_aeoi, special_mask, nested; // nested: special fully nested mode
  bool read_isr, poll;
};

struct pic {
  struct pic_chip chip[2]; // 0 master, 1 slave on its input 2
  struct irq intr;         // INTR to the CPU
  int intr_level;
  struct region ports[2], elcr_ports;
};

void pic_init(struct pic *p, struct bus *bus, struct irq intr);
void pic_reset(struct pic *p);
// Sink for the 16 interrupt lines.
void pic_set(void *pic, int line, int level);
static inline struct irq pic_line(struct pic *p, int line)
{
  return (struct irq){.set = pic_set, .sink = p, .pin = line};
}
// The interrupt-acknowledge cycle of the CPU: returns the vector; the spurious one (input 7) if the
// request has gone.
int pic_intack(struct pic *p);

#endif
