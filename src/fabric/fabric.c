// The way of a device's request into memory; see fabric.h.
#include "fabric/fabric.h"

#include <string.h>

#define MSI_FIRST UINT64_C(0xfee00000)
#define MSI_LAST  UINT64_C(0xfeefffff)

void fabric_init(struct fabric *f, struct bus *bus, unsigned nodes)
{
  *f = (struct fabric){.bus = bus, .nodes = nodes > FABRIC_NODES ? FABRIC_NODES : nodes};
  if (f->nodes == 0)
    f->nodes = 1;
}

// Address and data format of a message: APM volume 2, section 16.11; PCI 3.0, section 6.8.1.
static void message(struct fabric *f, uint64_t addr, uint32_t data)
{
  struct intr_msg m = {
      .dest = (addr >> 12) & 0xff,
      .vector = data & 0xff,
      .delivery = (data >> 8) & 7,
      .logical = (addr & 4) != 0,
      .level = (data & 0x8000) != 0,
      .assert_ = !(data & 0x8000) || (data & 0x4000),
  };
  bus_intr(f->bus, &m);
}

enum txn_resp fabric_transfer(void *fabric, const struct txn *t, void *buf, uint64_t len)
{
  struct fabric *f = fabric;
  struct fabric_node *node = &f->node[t->node < f->nodes ? t->node : 0];
  bool write = t->kind == TXN_WRITE;
  enum txn_resp resp;
  if (len == 0)
    return TXN_OK;
  if (write) {
    node->writes++;
    node->written_bytes += len;
  } else {
    node->reads++;
    node->read_bytes += len;
  }
  uint64_t last = t->addr + (len - 1);
  bool wraps = last < t->addr;
  if (wraps || (last >= MSI_FIRST && t->addr <= MSI_LAST)) {
    if (write && len == 4 && !(t->addr & 3) && !wraps) {
      uint32_t data;
      memcpy(&data, buf, sizeof data);
      node->messages++;
      message(f, t->addr, data);
      return TXN_OK;
    }
    if (!write)
      memset(buf, 0xff, len);
    node->aborts++;
    return TXN_ABORT;
  }
  // A device may be the target of another's request, and start one of its own because of it. That one
  // reaches memory only: otherwise a guest could make two devices call each other for ever.
  struct txn part = *t;
  part.debug = f->depth > 0;
  f->depth++;
  resp = bus_transfer(f->bus, &part, buf, len);
  f->depth--;
  if (resp != TXN_OK)
    node->aborts++;
  return resp;
}
