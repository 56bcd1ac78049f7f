// Real-time clock and CMOS memory (Motorola MC146818A data sheet), ports 70h and 71h.
//
// The time of day is a start value plus the virtual clock. Nothing runs each second: registers and flags
// are brought up to date when they are looked at, and a timer exists only while an interrupt is enabled.
#ifndef CHIPSET_RTC_H
#define CHIPSET_RTC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "bus/bus.h"
#include "bus/irq.h"

struct rtc {
  struct clock *clock;
  struct irq irq;      // IRQ 8
  struct irq nmi_mask; // level 1: NMI is switched off (port 70h, bit 7)
  struct region ports;
  struct timer timer;
  uint8_t index;
  uint8_t cmos[128]; // time registers are valid as of the last fold
  int64_t seconds;   // since 1970, in the clock's own calendar, at base_ns
  int64_t base_ns;   // a second's boundary; may lie before power-on
  int weekday_shift; // what software has made of the day of the week
  uint64_t seen_ns;  // up to when the flags of register C are worked out
};

// start: the time of day at power-on, in seconds since 1970.
void rtc_init(struct rtc *r, struct bus *bus, struct clock *clock, struct irq irq, struct irq nmi_mask,
              int64_t start);
void rtc_reset(struct rtc *r); // the memory and the time keep
void rtc_free(struct rtc *r);
// The value of "-rtc base=": utc, localtime, or a date like 2006-06-17T16:01:21. now: the host's time,
// seconds since 1970.
bool rtc_parse_base(const char *text, int64_t now, int64_t *start, struct err *e);

// What firmware finds in CMOS memory.
struct cmos_config {
  uint64_t ram_below_4g, ram_above_4g; // bytes; the first includes the low 1 MB
  unsigned cpus;
  uint8_t boot[3];      // 1 floppy, 2 hard disk, 3 CD-ROM, 4 network; 0 none
  bool boot_any_floppy; // do not check a floppy's signature
  uint8_t hard_disks;   // the BIOS's own drives 0 and 1: bit n set if drive n exists
};
void rtc_configure(struct rtc *r, const struct cmos_config *c);

#endif
