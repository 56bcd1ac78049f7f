// The calendar of the real-time clock; see rtc_time.h.
#include "chipset/rtc_time.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "chipset/rtc.h"

enum {
  SECONDS = 0,
  MINUTES = 2,
  HOURS = 4,
  WEEKDAY = 6,
  DAY = 7,
  MONTH = 8,
  YEAR = 9,
  REG_B = 11,
  CENTURY = 0x32,

  B_BINARY = 4,
  B_24_HOURS = 2,
};

struct date {
  int64_t year;
  int month, day; // 1..
};

// Days since 1970-01-01 in the Gregorian calendar. Years begin in March here, so that the leap day is
// the last of the year.
static int64_t days_from(struct date d)
{
  int64_t y = d.year - (d.month <= 2);
  int64_t era = (y >= 0 ? y : y - 399) / 400, in_era = y - era * 400;
  int64_t day = (153 * (d.month + (d.month > 2 ? -3 : 9)) + 2) / 5 + d.day - 1;
  return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + day - 719468;
}

static struct date date_from(int64_t days)
{
  days += 719468;
  int64_t era = (days >= 0 ? days : days - 146096) / 146097, in_era = days - era * 146097;
  int64_t y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
  int64_t day = in_era - (365 * y + y / 4 - y / 100), month = (5 * day + 2) / 153;
  struct date d;
  d.day = (int)(day - (153 * month + 2) / 5 + 1);
  d.month = (int)(month < 10 ? month + 3 : month - 9);
  d.year = y + era * 400 + (d.month <= 2);
  return d;
}

static int64_t floor_div(int64_t a, int64_t b)
{
  return a / b - (a % b < 0);
}

bool rtc_time_register(unsigned n)
{
  return n == SECONDS || n == MINUTES || n == HOURS || (n >= WEEKDAY && n <= YEAR) || n == CENTURY;
}

static uint8_t encode(const uint8_t *cmos, unsigned v)
{
  return (uint8_t)(cmos[REG_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

static unsigned decode(const uint8_t *cmos, uint8_t v)
{
  return cmos[REG_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15u);
}

static uint8_t encode_hours(const uint8_t *cmos, unsigned h)
{
  if (cmos[REG_B] & B_24_HOURS)
    return encode(cmos, h);
  return (uint8_t)(encode(cmos, h % 12 ? h % 12 : 12) | (h >= 12 ? 0x80 : 0));
}

static unsigned decode_hours(const uint8_t *cmos, uint8_t v)
{
  if (cmos[REG_B] & B_24_HOURS)
    return decode(cmos, v);
  return decode(cmos, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

void rtc_time_store(uint8_t *cmos, int64_t seconds, int weekday_shift)
{
  int64_t days = floor_div(seconds, 86400);
  unsigned s = (unsigned)(seconds - days * 86400);
  struct date d = date_from(days);
  unsigned weekday = (unsigned)(days + 4 - 7 * floor_div(days + 4, 7)); // 1970-01-01 was a Thursday
  cmos[SECONDS] = encode(cmos, s % 60);
  cmos[MINUTES] = encode(cmos, s / 60 % 60);
  cmos[HOURS] = encode_hours(cmos, s / 3600);
  cmos[WEEKDAY] = encode(cmos, (weekday + (unsigned)weekday_shift) % 7 + 1);
  cmos[DAY] = encode(cmos, (unsigned)d.day);
  cmos[MONTH] = encode(cmos, (unsigned)d.month);
  cmos[YEAR] = encode(cmos, (unsigned)(d.year - 100 * floor_div(d.year, 100)));
  unsigned century = (unsigned)(floor_div(d.year, 100) % 100);
  cmos[CENTURY] = (uint8_t)(century / 10 << 4 | century % 10); // always BCD
}

static unsigned limit(unsigned v, unsigned low, unsigned high)
{
  return v < low ? low : v > high ? high : v;
}

int64_t rtc_time_load(const uint8_t *cmos, int *weekday_shift)
{
  struct date d;
  unsigned century = limit((cmos[CENTURY] >> 4) * 10u + (cmos[CENTURY] & 15u), 0, 99);
  d.year = 100 * (int64_t)century + limit(decode(cmos, cmos[YEAR]), 0, 99);
  d.month = (int)limit(decode(cmos, cmos[MONTH]), 1, 12);
  d.day = (int)limit(decode(cmos, cmos[DAY]), 1, 31);
  int64_t days = days_from(d);
  unsigned weekday = (unsigned)(days + 4 - 7 * floor_div(days + 4, 7));
  *weekday_shift = (int)((limit(decode(cmos, cmos[WEEKDAY]), 1, 7) - 1 + 7 - weekday) % 7);
  return days * 86400 + limit(decode_hours(cmos, cmos[HOURS]), 0, 23) * 3600 +
         limit(decode(cmos, cmos[MINUTES]), 0, 59) * 60 + limit(decode(cmos, cmos[SECONDS]), 0, 59);
}

bool rtc_time_alarm(const uint8_t *cmos, int64_t seconds)
{
  unsigned s = (unsigned)(seconds - 86400 * floor_div(seconds, 86400));
  uint8_t now[3] = {encode(cmos, s % 60), encode(cmos, s / 60 % 60), encode_hours(cmos, s / 3600)};
  for (unsigned i = 0; i < 3; i++) {
    uint8_t alarm = cmos[2 * i + 1];
    if (alarm < 0xc0 && alarm != now[i])
      return false;
  }
  return true;
}

bool rtc_parse_base(const char *text, int64_t now, int64_t *start, struct err *e)
{
  struct date d;
  int h = 0, m = 0, s = 0, end = 0, year;
  if (strcmp(text, "utc") == 0) {
    *start = now;
    return true;
  }
  if (strcmp(text, "localtime") == 0) {
    time_t t = (time_t)now;
    struct tm tm;
    if (!localtime_r(&t, &tm))
      return err_set(e, "-rtc base=localtime: the host does not know its local time; use base=utc");
    *start = now + tm.tm_gmtoff;
    return true;
  }
  bool good = sscanf(text, "%4d-%2d-%2d%n", &year, &d.month, &d.day, &end) == 3 && end;
  if (good && text[end] == 'T') {
    const char *time = text + end + 1;
    end = 0;
    good = sscanf(time, "%2d:%2d:%2d%n", &h, &m, &s, &end) == 3 && end && !time[end];
  } else {
    good = good && !text[end];
  }
  if (!good || year < 1970 || year > 9999 || d.month < 1 || d.month > 12 || d.day < 1 || d.day > 31 ||
      h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 59)
    return err_set(e, "-rtc base=%s: must be utc, localtime, or a date like 2006-06-17T16:01:21", text);
  d.year = year;
  *start = days_from(d) * 86400 + h * 3600 + m * 60 + s;
  return true;
}
