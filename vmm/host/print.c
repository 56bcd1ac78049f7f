// Formatting. See print.h.
#include "host/print.h"

#include "host/serial.h"

struct text {
  char *to;
  size_t room, len;
};

static void put(struct text *t, char c)
{
  if (t->len + 1 < t->room)
    t->to[t->len++] = c;
}

static void field(struct text *t, const char *s, size_t n, unsigned width, bool left, char pad)
{
  for (size_t i = n; !left && i < width; i++)
    put(t, pad);
  for (size_t i = 0; i < n; i++)
    put(t, s[i]);
  for (size_t i = n; left && i < width; i++)
    put(t, ' ');
}

static void number(struct text *t, uint64_t v, unsigned base, bool negative, unsigned width, bool left,
                   char pad)
{
  char digits[24];
  unsigned at = sizeof digits;
  do
    digits[--at] = "0123456789abcdef"[v % base];
  while (v /= base);
  if (negative)
    digits[--at] = '-';
  field(t, digits + at, sizeof digits - at, width, left, pad);
}

size_t format_list(char *to, size_t room, const char *f, va_list list)
{
  struct text t = {to, room, 0};
  for (; *f; f++) {
    if (*f != '%') {
      put(&t, *f);
      continue;
    }
    bool left = false;
    char pad = ' ';
    unsigned width = 0, longs = 0;
    for (f++; *f == '-' || *f == '0'; f++)
      *f == '-' ? (left = true) : (pad = '0');
    for (; *f >= '0' && *f <= '9'; f++)
      width = width * 10 + (unsigned)(*f - '0');
    for (; *f == 'l'; f++)
      longs++;
    switch (*f) {
    case 's': {
      const char *s = va_arg(list, const char *);
      field(&t, s, strlen(s), width, left, ' ');
      break;
    }
    case 'c': {
      char c = (char)va_arg(list, int);
      field(&t, &c, 1, width, left, ' ');
      break;
    }
    case 'd': {
      int64_t v = longs ? va_arg(list, long) : va_arg(list, int);
      number(&t, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, v < 0, width, left, pad);
      break;
    }
    case 'u':
    case 'x': {
      uint64_t v = longs ? va_arg(list, unsigned long) : va_arg(list, unsigned);
      number(&t, v, *f == 'x' ? 16 : 10, false, width, left, pad);
      break;
    }
    default:
      put(&t, *f);
    }
  }
  if (room)
    to[t.len] = 0;
  return t.len;
}

size_t format_text(char *to, size_t room, const char *format, ...)
{
  va_list list;
  va_start(list, format);
  size_t n = format_list(to, room, format, list);
  va_end(list);
  return n;
}

void print(const char *format, ...)
{
  char line[512];
  va_list list;
  va_start(list, format);
  size_t n = format_list(line, sizeof line, format, list);
  va_end(list);
  serial_write(line, n);
}

void fatal(const char *format, ...)
{
  char line[512];
  va_list list;
  va_start(list, format);
  format_list(line, sizeof line, format, list);
  va_end(list);
  print("vmm: fatal: %s\n", line);
  for (;;)
    __asm__ volatile("cli; hlt");
}
