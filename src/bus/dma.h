// A device's only way into memory.
//
// No device holds a pointer into RAM. Its port says who it is and where it enters; the port's
// `transfer` is the fabric's, which checks the request (DEV), routes it to the memory's node and
// performs it on the bus.
#ifndef BUS_DMA_H
#define BUS_DMA_H

#include <stdint.h>

#include "bus/bus.h"

struct dma_port {
  enum txn_resp (*transfer)(void *fabric, const struct txn *t, void *buf, uint64_t len);
  void *fabric;
  uint16_t requester; // PCI bus << 8 | device << 3 | function
  uint8_t node;       // whose I/O chain the device is on
  uint8_t unit;       // HyperTransport unit ID on that chain
};

// Both return TXN_ABORT if any part of the range was refused or is not there; the bytes read are all
// ones there. A write to FEEx_xxxxh is an interrupt message (MSI).
static inline enum txn_resp dma_read(const struct dma_port *p, uint64_t addr, void *buf, uint64_t len)
{
  struct txn t = {.addr = addr,
                  .requester = p->requester,
                  .kind = TXN_READ,
                  .space = TXN_MEM,
                  .node = p->node,
                  .unit = p->unit};
  return p->transfer(p->fabric, &t, buf, len);
}

static inline enum txn_resp dma_write(const struct dma_port *p, uint64_t addr, const void *buf, uint64_t len)
{
  struct txn t = {.addr = addr,
                  .requester = p->requester,
                  .kind = TXN_WRITE,
                  .space = TXN_MEM,
                  .node = p->node,
                  .unit = p->unit};
  return p->transfer(p->fabric, &t, (void *)buf, len);
}

#endif
