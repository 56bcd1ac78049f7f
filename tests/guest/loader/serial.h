// COM1, for both sides of the launch.
#ifndef LOADER_SERIAL_H
#define LOADER_SERIAL_H

#include "../rt/io.h"

static inline void put(char c)
{
  while (!(inb(0x3fd) & 0x20))
    ;
  outb(0x3f8, (uint8_t)c);
}

static inline void print(const char *s)
{
  while (*s)
    put(*s++);
}

static inline void print_bytes(const uint8_t *p, unsigned n)
{
  for (unsigned i = 0; i < n; i++) {
    unsigned h = p[i] >> 4, l = p[i] & 15;
    put((char)(h < 10 ? '0' + h : 'a' + h - 10));
    put((char)(l < 10 ? '0' + l : 'a' + l - 10));
  }
}

#endif
