// High precision event timer (IA-PC HPET specification 1.0a): one 64-bit counter of 100 MHz and three
// comparators, all of which can be periodic; legacy replacement routes; no FSB delivery.
#ifndef CHIPSET_HPET_H
#define CHIPSET_HPET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "bus/bus.h"
#include "bus/irq.h"

enum { HPET_TIMERS = 3, HPET_BASE = 0xfed00000, HPET_TICK_NS = 10 };

struct hpet;

struct hpet_timer {
  struct hpet *hpet;
  struct timer timer;
  uint64_t config;
  uint64_t comparator;
  uint64_t period;
  bool set_high; // the low half was written with VAL_SET: so is the high half that follows
  bool level;    // the line that it drives is high
};

struct hpet {
  struct clock *clock;
  struct region region;
  struct irq line[24]; // by the route in a timer's configuration
  struct irq legacy;   // level 1: legacy replacement is on
  uint64_t config;
  uint32_t status;
  uint64_t counter; // value while stopped; while running, its value at the time `since`
  uint64_t since;   // ns
  struct hpet_timer timer[HPET_TIMERS];
};

// Lines and legacy may be filled in after init, before the machine runs.
void hpet_init(struct hpet *h, struct bus *bus, struct clock *clock);
void hpet_reset(struct hpet *h);
void hpet_free(struct hpet *h);

#endif
