// The calendar of the real-time clock: seconds since 1970 to and from the time registers, in the format
// that register B asks for.
#ifndef CHIPSET_RTC_TIME_H
#define CHIPSET_RTC_TIME_H

#include <stdbool.h>
#include <stdint.h>

bool rtc_time_register(unsigned n);
void rtc_time_store(uint8_t *cmos, int64_t seconds, int weekday_shift);
// Any register contents make some time: fields that are out of range are brought into it.
int64_t rtc_time_load(const uint8_t *cmos, int *weekday_shift);
// Whether the alarm registers match a time. A field of C0h or more matches always.
bool rtc_time_alarm(const uint8_t *cmos, int64_t seconds);

#endif
