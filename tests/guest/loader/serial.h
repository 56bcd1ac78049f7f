// COM1, for both sides of the launch.
#ifndef LOADER_SERIAL_H
#define LOADER_SERIAL_H

#include <stdint.h>

static inline void outb(uint16_t port, uint8_t v)
{
  asm volatile("outb %0, %1" ::"a"(v), "Nd"(port) : "memory");
}
static inline void outl(uint16_t port, uint32_t v)
{
  asm volatile("outl %0, %1" ::"a"(v), "Nd"(port) : "memory");
}
static inline uint8_t inb(uint16_t port)
{
  uint8_t v;
  asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
  return v;
}
static inline uint32_t inl(uint16_t port)
{
  uint32_t v;
  asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
  return v;
}

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
