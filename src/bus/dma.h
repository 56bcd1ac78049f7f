// A device's only way into memory.
//
// No device holds a pointer into RAM. Its port says who it is and where it enters; the port's
// `transfer` is the fabric's, which checks the request (DEV), routes it to the memory's node and
// performs it on the bus.
//
// Between memory and a file of the host, the bytes need no buffer of the device's: dma_direct has the
// fabric check a whole list of ranges in the same way and call back with where they are for the length
// of that call. A list of which anything is refused, or is not plain RAM, is left alone altogether, and
// the device takes the other way, which finds out what there is to find.
#ifndef BUS_DMA_H
#define BUS_DMA_H

#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "bus/bus.h"

#define DMA_PIECES 1024 // of host memory in one direct transfer; not above IOV_MAX

// A buffer of a device's request.
struct dma_range {
  uint64_t addr;
  uint32_t len;
};

// `len` bytes of a list of buffers, from its byte `off` on.
struct dma_list {
  const struct dma_range *range;
  unsigned ranges;
  uint64_t off, len;
};

// What moves the bytes of a direct transfer. The pieces are those of the list in its order, neighbours in
// one; they and what they point to are gone when it returns. Its value becomes `result`.
struct dma_mover {
  int (*move)(void *arg, const struct iovec *piece, int pieces);
  void *arg;
  int result;
};

struct dma_port {
  enum txn_resp (*transfer)(void *fabric, const struct txn *t, void *buf, uint64_t len);
  // t->addr is not used. False: nothing has happened. NULL: this port has no such way.
  bool (*direct)(void *fabric, const struct txn *t, const struct dma_list *l, struct dma_mover *m);
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

// Moves a list in one go: TXN_WRITE into memory, TXN_READ out of it. False: not all of it is RAM that the
// device may reach, in at most DMA_PIECES pieces; nothing was called, counted, or denied.
static inline bool dma_direct(const struct dma_port *p, enum txn_kind kind, const struct dma_list *l,
                              struct dma_mover *m)
{
  struct txn t = {
      .requester = p->requester, .kind = (uint8_t)kind, .space = TXN_MEM, .node = p->node, .unit = p->unit};
  return p->direct && p->direct(p->fabric, &t, l, m);
}

static inline int dma_copy_pieces(void *to, const struct iovec *piece, int pieces)
{
  for (uint8_t *at = (uint8_t *)to; pieces; at += piece->iov_len, piece++, pieces--)
    memcpy(at, piece->iov_base, piece->iov_len);
  return 0;
}

// Reads ahead, what the device may not need: a table of descriptors. False: nothing has happened, as with
// dma_direct.
static inline bool dma_read_ahead(const struct dma_port *p, uint64_t addr, void *buf, uint32_t len)
{
  struct dma_range r = {addr, len};
  struct dma_list l = {&r, 1, 0, len};
  struct dma_mover m = {dma_copy_pieces, buf, 0};
  return dma_direct(p, TXN_READ, &l, &m);
}

#endif
