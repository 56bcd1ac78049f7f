// A list of a device's requests that end in RAM, moved in one go; see dma_direct in bus/dma.h.
//
// First the whole list is looked at, as fabric_transfer would look at each of its ranges, but nothing is
// counted or reported. Only if all of it may pass and is RAM, it is counted, and moved; otherwise nothing
// has happened, and fabric_transfer, to which the device then turns, denies and counts what there is.
// The host pointers live in this file's frame and in the mover's call, nowhere else.
#include "fabric/fabric.h"
#include "fabric/request.h"

_Static_assert(DMA_PIECES <= 1024, "IOV_MAX of Linux");

struct pieces {
  struct iovec piece[DMA_PIECES];
  int n;
};

// Goes through the ranges of a list.
struct walk {
  const struct dma_range *range, *end;
  uint64_t off, len; // of what is left
};

static struct walk begin(const struct dma_list *l)
{
  return (struct walk){l->range, l->range + l->ranges, l->off, l->len};
}

// The next part of a range that is not empty. False: the list ends.
static bool next(struct walk *w, uint64_t *addr, uint64_t *len)
{
  while (w->len && w->range < w->end) {
    const struct dma_range *r = w->range++;
    if (w->off >= r->len) {
      w->off -= r->len;
      continue;
    }
    *addr = r->addr + w->off;
    *len = r->len - w->off < w->len ? r->len - w->off : w->len;
    w->off = 0;
    w->len -= *len;
    return true;
  }
  return false;
}

static bool add(struct pieces *p, uint8_t *at, uint64_t len)
{
  struct iovec *last = p->n ? &p->piece[p->n - 1] : NULL;
  if (last && (uint8_t *)last->iov_base + last->iov_len == at) {
    last->iov_len += len;
    return true;
  }
  if (p->n == DMA_PIECES)
    return false;
  p->piece[p->n++] = (struct iovec){at, len};
  return true;
}

static bool may_pass(struct dev *d, const struct txn *t, uint64_t len)
{
  uint64_t addr = t->addr, last = addr + (len - 1), end;
  enum dev_reason why;
  for (; dev_allows(d, t, addr, &end, &why); addr = end + 1)
    if (end >= last)
      return true;
  return false;
}

static bool all_reached(struct fabric *f, const struct txn *t, uint64_t len)
{
  for (uint64_t addr = t->addr, left = len, last; left;) {
    unsigned owner = fabric_owner(f, TXN_MEM, addr, &last);
    if (!fabric_reaches(f, t->node, owner))
      return false;
    uint64_t n = last - addr < left ? last - addr + 1 : left;
    addr += n;
    left -= n;
  }
  return true;
}

// Whether one range may pass, and is RAM: then its pieces are added.
static bool look(struct fabric *f, const struct txn *request, uint64_t len, struct pieces *p)
{
  struct txn placed = *request, *t = &placed;
  struct dev *d = f->node[t->node].dev;
  request_place(t);
  if (t->space != TXN_MEM || t->addr + (len - 1) < t->addr || request_reserved(t, len))
    return false;
  if ((d && d->active && !may_pass(d, t, len)) || (f->nodes > 1 && !all_reached(f, t, len)))
    return false;
  for (uint64_t addr = t->addr; len;) {
    uint64_t n = len;
    uint8_t *at = bus_host(f->bus, addr, t->kind == TXN_WRITE, &n);
    if (!at || !add(p, at, n))
      return false;
    addr += n;
    len -= n;
  }
  return true;
}

static void count(struct fabric *f, const struct txn *t, uint64_t len)
{
  struct fabric_node *node = &f->node[t->node];
  if (t->kind == TXN_WRITE) {
    node->writes++;
    node->written_bytes += len;
  } else {
    node->reads++;
    node->read_bytes += len;
  }
  if (node->dev && node->dev->active)
    node->dev->checks++;
  for (uint64_t addr = t->addr, left = f->nodes > 1 ? len : 0, last; left;) {
    unsigned owner = fabric_owner(f, TXN_MEM, addr, &last);
    uint64_t n = last - addr < left ? last - addr + 1 : left;
    fabric_route(f, t->node, owner, n);
    addr += n;
    left -= n;
  }
}

bool fabric_direct(void *fabric, const struct txn *request, const struct dma_list *l, struct dma_mover *m)
{
  struct fabric *f = fabric;
  struct pieces p;
  struct txn t = *request;
  uint64_t len;
  p.n = 0;
  if (t.node >= f->nodes)
    t.node = 0;
  struct walk w = begin(l);
  while (next(&w, &t.addr, &len))
    if (!look(f, &t, len, &p))
      return false;
  if (w.len) // the list is shorter than what is to be moved
    return false;
  w = begin(l);
  while (next(&w, &t.addr, &len))
    count(f, &t, len);
  m->result = m->move(m->arg, p.piece, p.n);
  // Whatever came of it, some of the bytes may have changed.
  for (int i = 0; t.kind == TXN_WRITE && i < p.n; i++)
    ram_touched(f->bus->ram, (uint64_t)((uint8_t *)p.piece[i].iov_base - f->bus->ram->mem),
                p.piece[i].iov_len);
  return true;
}
