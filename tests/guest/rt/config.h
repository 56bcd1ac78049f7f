// PCI configuration space by CF8h and CFCh. Offsets from 100h on need the extended access of a northbridge
// (NB_CFG bit 46).
#ifndef GUEST_CONFIG_H
#define GUEST_CONFIG_H

#include "io.h"

static inline void config_select(unsigned bus, unsigned slot, unsigned fn, unsigned off)
{
  outl(0xcf8, 0x80000000u | (off & 0xf00) << 16 | bus << 16 | slot << 11 | fn << 8 | (off & 0xfc));
}

static inline uint32_t config_read(unsigned bus, unsigned slot, unsigned fn, unsigned off)
{
  config_select(bus, slot, fn, off);
  return inl(0xcfc);
}

static inline void config_write(unsigned bus, unsigned slot, unsigned fn, unsigned off, uint32_t v)
{
  config_select(bus, slot, fn, off);
  outl(0xcfc, v);
}

#endif
