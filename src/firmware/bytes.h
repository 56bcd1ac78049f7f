// Little-endian fields in byte buffers: every structure that firmware reads or writes is little-endian
// and many are not aligned.
#ifndef FIRMWARE_BYTES_H
#define FIRMWARE_BYTES_H

#include <stdint.h>
#include <string.h>

static inline uint16_t get16(const uint8_t *p)
{
  return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t get32(const uint8_t *p)
{
  return (uint32_t)get16(p) | (uint32_t)get16(p + 2) << 16;
}

static inline uint64_t get64(const uint8_t *p)
{
  return (uint64_t)get32(p) | (uint64_t)get32(p + 4) << 32;
}

static inline void put16(uint8_t *p, uint16_t v)
{
  p[0] = (uint8_t)v;
  p[1] = (uint8_t)(v >> 8);
}

static inline void put32(uint8_t *p, uint32_t v)
{
  put16(p, (uint16_t)v);
  put16(p + 2, (uint16_t)(v >> 16));
}

static inline void put64(uint8_t *p, uint64_t v)
{
  put32(p, (uint32_t)v);
  put32(p + 4, (uint32_t)(v >> 32));
}

// The byte that makes the sum of all bytes zero.
static inline uint8_t checksum8(const uint8_t *p, uint64_t len)
{
  uint8_t sum = 0;
  for (uint64_t i = 0; i < len; i++)
    sum = (uint8_t)(sum + p[i]);
  return (uint8_t)-sum;
}

static inline uint64_t align_up(uint64_t v, uint64_t align)
{
  return (v + align - 1) & ~(align - 1);
}

#endif
