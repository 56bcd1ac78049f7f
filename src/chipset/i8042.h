// Keyboard controller 8042, ports 60h and 64h, with a PS/2 keyboard and a PS/2 mouse.
#ifndef CHIPSET_I8042_H
#define CHIPSET_I8042_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "bus/irq.h"
#include "chipset/ps2.h"

struct i8042 {
  struct irq irq_keyboard, irq_mouse; // IRQ 1 and 12
  struct irq a20, reset;              // from the output port; reset is pulsed
  struct region data_port, command_port;
  struct ps2_keyboard keyboard;
  struct ps2_mouse mouse;
  uint8_t ram[32]; // ram[0]: command byte
  uint8_t command; // that waits for a data byte, 0: none
  uint8_t outport;
  bool last_was_command;
  bool self_tested;
  bool released;  // translation: F0h was seen
  bool full;      // output buffer
  uint8_t source; // of the byte in it
  uint8_t data;
  bool reply_waits; // a byte of the controller itself, before those of the devices
  uint8_t reply, reply_source;
};

void i8042_init(struct i8042 *k, struct bus *bus, struct irq irq_keyboard, struct irq irq_mouse,
                struct irq a20, struct irq reset);
void i8042_reset(struct i8042 *k);
// A key goes down or up. False: no key of that name.
bool i8042_key(struct i8042 *k, const char *name, bool down);
// The monitor's "sendkey": names joined by "-", pressed in order and let go in reverse. False: a name is
// unknown, and nothing was sent.
bool i8042_sendkey(struct i8042 *k, const char *combination);
void i8042_mouse(struct i8042 *k, int dx, int dy, int dz, uint8_t buttons);

#endif
