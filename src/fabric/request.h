// What a device's request is, by its address alone: for fabric.c and direct.c.
#ifndef FABRIC_REQUEST_H
#define FABRIC_REQUEST_H

#include "bus/bus.h"

#define MSI_FIRST UINT64_C(0xfee00000)
#define MSI_LAST  UINT64_C(0xfeefffff)

#define HT_IO_FIRST     UINT64_C(0xfdfc000000)
#define HT_IO_LAST      UINT64_C(0xfdfdffffff)
#define HT_CONFIG_FIRST UINT64_C(0xfdfe000000)
#define HT_CONFIG_LAST  UINT64_C(0xffffffffff)

// HyperTransport reaches I/O and configuration space through addresses above memory (HyperTransport link
// specification, table "address map").
static inline void request_place(struct txn *t)
{
  if (t->space != TXN_MEM || t->addr < HT_IO_FIRST || t->addr > HT_CONFIG_LAST)
    return;
  t->space = t->addr <= HT_IO_LAST ? TXN_IO : TXN_CONFIG;
  t->addr -= t->space == TXN_IO ? HT_IO_FIRST : HT_CONFIG_FIRST;
}

// What no request may be, before anybody looks at whose it is.
static inline bool request_reserved(const struct txn *t, uint64_t len)
{
  uint64_t last = t->addr + (len - 1);
  if (t->space == TXN_MEM)
    return last >= MSI_FIRST && t->addr <= MSI_LAST;
  return len > 4 || (t->space == TXN_IO && last > 0xffff);
}

#endif
