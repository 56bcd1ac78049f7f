// The way of a device's request into memory; see fabric.h.
#include "fabric/fabric.h"

#include <stdlib.h>
#include <string.h>

#include "fabric/request.h"

void fabric_init(struct fabric *f, struct bus *bus, unsigned nodes)
{
  *f = (struct fabric){.bus = bus, .nodes = nodes > FABRIC_NODES ? FABRIC_NODES : nodes};
  if (f->nodes == 0)
    f->nodes = 1;
  struct topology t;
  topology_init(&t, f->nodes, TOPOLOGY_PORTS);
  topology_default(&t);
  topology_route(&t);
  fabric_connect(f, &t);
}

void fabric_free(struct fabric *f)
{
  for (unsigned n = 0; n < f->nodes; n++) {
    if (f->node[n].dev)
      dev_free(f->node[n].dev);
    free(f->node[n].dev);
    f->node[n].dev = NULL;
  }
}

bool fabric_add_dev(struct fabric *f, const struct dev_model *model, const struct clock *clock)
{
  for (unsigned n = 0; n < f->nodes; n++) {
    f->node[n].dev = malloc(sizeof *f->node[n].dev);
    if (!f->node[n].dev)
      return false;
    dev_init(f->node[n].dev, model, f->bus, clock, (uint8_t)n);
  }
  return true;
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

// The request has arrived at its node.
static enum txn_resp arrive(struct fabric *f, const struct txn *t, void *buf, uint64_t len)
{
  // A device may be the target of another's request, and start one of its own because of it. That one
  // reaches memory only: otherwise a guest could make two devices call each other for ever.
  struct txn part = *t;
  enum txn_resp resp = TXN_OK;
  part.debug = f->depth > 0;
  f->depth++;
  if (t->space == TXN_MEM) {
    resp = bus_transfer(f->bus, &part, buf, len);
  } else { // ports: one access
    uint64_t v = 0;
    part.size = (uint32_t)len;
    if (t->kind == TXN_WRITE)
      memcpy(&v, buf, len);
    resp = bus_access(f->bus, &part, &v);
    if (t->kind != TXN_WRITE)
      memcpy(buf, &v, len);
  }
  f->depth--;
  return resp;
}

// The part of a request that nothing holds back travels to the nodes that own its addresses.
static enum txn_resp perform(struct fabric *f, const struct txn *t, uint8_t *buf, uint64_t len)
{
  if (f->nodes == 1)
    return arrive(f, t, buf, len);
  struct txn part = *t;
  enum txn_resp resp = TXN_OK;
  while (len) {
    uint64_t last;
    unsigned owner = fabric_owner(f, part.space, part.addr, &last);
    uint64_t n = last - part.addr < len ? last - part.addr + 1 : len;
    if (!fabric_route(f, part.node, owner, n)) {
      if (part.kind != TXN_WRITE)
        memset(buf, 0xff, n);
      resp = TXN_ABORT;
    } else if (arrive(f, &part, buf, n) != TXN_OK) {
      resp = TXN_ABORT;
    }
    part.addr += n;
    buf += n;
    len -= n;
  }
  return resp;
}

// The longest run of addresses from t->addr on that have one answer, at most len.
static uint64_t run(struct dev *d, const struct txn *t, uint64_t len, bool *allowed, enum dev_reason *why)
{
  uint64_t last, done;
  *allowed = dev_allows(d, t, t->addr, &last, why);
  done = last - t->addr + 1;
  while (done < len && done) {
    enum dev_reason other;
    uint64_t addr = last + 1;
    if (dev_allows(d, t, addr, &last, &other) != *allowed)
      break;
    done += last - addr + 1;
  }
  return done && done < len ? done : len;
}

static enum txn_resp checked(struct fabric *f, struct dev *d, const struct txn *t, uint8_t *buf, uint64_t len)
{
  struct txn part = *t;
  enum txn_resp resp = TXN_OK;
  d->checks++;
  while (len) {
    enum dev_reason why;
    bool allowed;
    uint64_t n = run(d, &part, len, &allowed, &why);
    if (!allowed) {
      if (part.kind != TXN_WRITE)
        memset(buf, 0xff, n);
      dev_deny(d, &part, part.addr, n, why);
      resp = TXN_ABORT;
    } else if (perform(f, &part, buf, n) != TXN_OK) {
      resp = TXN_ABORT;
    }
    part.addr += n;
    buf += n;
    len -= n;
  }
  return resp;
}

enum txn_resp fabric_transfer(void *fabric, const struct txn *request, void *buf, uint64_t len)
{
  struct fabric *f = fabric;
  struct txn placed = *request, *t = &placed;
  if (t->node >= f->nodes)
    t->node = 0;
  struct fabric_node *node = &f->node[t->node];
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
  request_place(t);
  uint64_t last = t->addr + (len - 1);
  bool wraps = last < t->addr;
  if (t->space == TXN_MEM && request_reserved(t, len) && write && len == 4 && !(t->addr & 3)) {
    uint32_t data;
    memcpy(&data, buf, sizeof data);
    node->messages++;
    message(f, t->addr, data);
    return TXN_OK;
  }
  if (wraps || request_reserved(t, len)) {
    if (!write)
      memset(buf, 0xff, len);
    node->aborts++;
    return TXN_ABORT;
  }
  if (node->dev && (node->dev->active || t->space == TXN_CONFIG))
    resp = checked(f, node->dev, t, buf, len);
  else
    resp = perform(f, t, buf, len);
  if (resp != TXN_OK)
    node->aborts++;
  return resp;
}
