// A block of 64 KB from 24 MB on; see launch.h.
#include "launch.h"

extern const uint8_t slb_code[], slb_code_end[];

uint8_t *slb_new(unsigned entry, unsigned length)
{
  static uint32_t next = 0x1800000;
  uint8_t *p = (uint8_t *)(word)next;
  next += SLB_SIZE;
  for (unsigned i = 0; i < SLB_SIZE; i++)
    p[i] = 0;
  p[0] = (uint8_t)entry;
  p[1] = (uint8_t)(entry >> 8);
  p[2] = (uint8_t)length;
  p[3] = (uint8_t)(length >> 8);
  for (unsigned i = 0; slb_code + i < slb_code_end; i++)
    p[entry + i] = slb_code[i];
  return p;
}
