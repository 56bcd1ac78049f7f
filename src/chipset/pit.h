// 8254 programmable interval timer (Intel 8254 data sheet): three counters at 1.193182 MHz, ports 40h-43h.
//
// Counter 0 drives interrupt 0, its gate is high. Counter 2 is the speaker's, with its gate and output in
// port 61h. Nothing counts in the background: a counter's value is worked out from the virtual clock when
// it is asked for, and a timer exists only for the rising edges of counter 0.
#ifndef CHIPSET_PIT_H
#define CHIPSET_PIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "bus/bus.h"
#include "bus/irq.h"

#define PIT_HZ 1193182u

struct pit_counter {
  uint8_t mode;   // 0..5
  uint8_t access; // 1 low byte, 2 high byte, 3 low then high
  bool bcd;
  bool gate;
  bool null_count;            // a new count was written and is not in the counting element yet
  bool loaded;                // counting has begun (modes 1 and 5: was triggered) since the control word
  bool has_count;             // a count was written since the control word
  bool write_high, read_high; // the next byte is the high one
  uint8_t low;                // low byte written
  uint32_t count;             // initial count, 1..65536 (10000 in BCD)
  uint32_t next_count;        // takes over at the end of the period; 0: none
  uint64_t start;             // tick at which the count was loaded
  uint64_t held;              // ticks done when the gate went low
  bool paused;
  bool latched, status_latched;
  uint16_t latch;
  uint8_t status;
};

struct pit {
  struct clock *clock;
  struct pit_counter counter[3];
  struct irq out0;
  struct timer timer;
  struct region ports;
};

void pit_init(struct pit *p, struct bus *bus, struct clock *clock, struct irq out0);
void pit_reset(struct pit *p);
void pit_free(struct pit *p);
void pit_set_gate(struct pit *p, unsigned n, bool level);
bool pit_gate(const struct pit *p, unsigned n);
bool pit_out(struct pit *p, unsigned n);

#endif
