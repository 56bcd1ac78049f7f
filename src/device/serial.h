// The 16550A UART (National Semiconductor PC16550D data sheet), as COM1 to COM4 of a PC.
//
// A character that is sent leaves at once, so the line status always shows an empty transmitter; its
// interrupt follows a moment later on the virtual clock, as a driver that empties its queue from the
// interrupt handler expects. The interrupt line passes through MCR.OUT2, as on every PC.
#ifndef DEVICE_SERIAL_H
#define DEVICE_SERIAL_H

#include "base/clock.h"
#include "bus/bus.h"
#include "bus/irq.h"
#include "device/chardev.h"
#include "device/device.h"

struct serial {
  struct device device;
  struct bus *bus;
  struct region region;
  struct irq irq;
  struct chardev *chr; // may be NULL: nothing is connected
  int user;            // its number on chr
  struct timer tx;     // transmitter interrupt
  struct timer rx;     // character timeout
  uint8_t ier, fcr, lcr, mcr, scr;
  uint8_t lsr_errors; // overrun, parity, framing, break: until LSR is read
  uint8_t msr_delta;  // low half of MSR
  uint8_t msr_lines;  // high half of MSR outside loopback
  uint16_t divisor;
  uint8_t fifo[16];
  unsigned head, count;
  bool thre;    // transmitter interrupt pending
  bool timeout; // character timeout pending
};

// base, irq: of COM n, n = 0..3.
extern const uint16_t serial_com_base[4];
extern const uint8_t serial_com_irq[4];

// Makes the UART and maps its eight ports. chr may be NULL.
bool serial_init(struct serial *s, struct bus *bus, struct clock *clock, uint16_t base, struct irq irq,
                 struct chardev *chr, struct err *e);
void serial_reset(struct serial *s);
void serial_free(struct serial *s); // everything but *s itself

// -device isa-serial: index= or iobase= and irq=, chardev=.
struct device *serial_create(const struct device_env *env, struct opts *props, struct err *e);

#endif
