// Split virtqueues (Virtual I/O Device 1.1, section 2.6): taking requests from the rings and giving them
// back; see virtio.h.
#include <string.h>

#include "device/virtio.h"

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };
enum { AVAIL_NO_INTERRUPT = 1 };

struct desc { // 2.6.5
  uint64_t addr;
  uint32_t len;
  uint16_t flags, next;
};
_Static_assert(sizeof(struct desc) == 16, "descriptor");

static bool get16(const struct virtqueue *q, uint64_t addr, uint16_t *v)
{
  return dma_read(q->dev->dma, addr, v, sizeof *v) == TXN_OK;
}

static bool avail_idx(const struct virtqueue *q, uint16_t *v)
{
  return get16(q, q->avail + 2, v);
}

// How many requests wait, or -1.
static int waiting(struct virtqueue *q)
{
  uint16_t idx;
  if (!avail_idx(q, &idx))
    return -1;
  uint16_t n = (uint16_t)(idx - q->last_avail);
  return n > q->num ? -1 : n;
}

static bool add(struct vq_elem *e, const struct desc *d)
{
  bool in = d->flags & DESC_WRITE;
  if (e->out + e->in >= VIRTIO_MAX_SG || (!in && e->in) || d->len > UINT64_MAX - d->addr)
    return false;
  e->sg[e->out + e->in] = (struct dma_range){d->addr, d->len};
  *(in ? &e->in : &e->out) += 1;
  *(in ? &e->in_len : &e->out_len) += d->len;
  return true;
}

// A table of n descriptors: at an address, and, if it could be read as a whole, a copy.
struct table {
  uint64_t addr;
  uint32_t n;
  const struct desc *copy;
};

static bool get_desc(const struct virtqueue *q, const struct table *t, uint32_t i, struct desc *d)
{
  if (i >= t->n)
    return false;
  if (!t->copy)
    return dma_read(q->dev->dma, t->addr + (uint64_t)i * sizeof *d, d, sizeof *d) == TXN_OK;
  *d = t->copy[i];
  return true;
}

static bool follow(struct virtqueue *q, struct vq_elem *e, const struct table *t, uint32_t i, bool nested);

// The table that a descriptor of the ring points to, 2.6.5.3.
static bool indirect(struct virtqueue *q, struct vq_elem *e, const struct desc *d)
{
  struct desc copy[VIRTIO_MAX_SG];
  struct table t = {d->addr, d->len / sizeof *d, copy};
  if ((d->flags & DESC_NEXT) || !virtio_has(q->dev, VIRTIO_F_INDIRECT) || d->len % sizeof *d || t.n == 0 ||
      t.n > VIRTIO_MAX_SG)
    return false;
  if (!dma_read_ahead(q->dev->dma, t.addr, copy, d->len))
    t.copy = NULL;
  return follow(q, e, &t, 0, true);
}

// Follows a chain in a table of descriptors, of which none may be visited twice.
static bool follow(struct virtqueue *q, struct vq_elem *e, const struct table *t, uint32_t i, bool nested)
{
  for (uint32_t steps = 0; steps < t->n; steps++) {
    struct desc d;
    if (!get_desc(q, t, i, &d))
      return false;
    if (d.flags & DESC_INDIRECT)
      return !nested && indirect(q, e, &d);
    if (!add(e, &d))
      return false;
    if (!(d.flags & DESC_NEXT))
      return true;
    i = d.next;
  }
  return false; // longer than the table: a loop
}

int virtqueue_pop(struct virtqueue *q, struct vq_elem *e)
{
  struct virtio *v = q->dev;
  if (!q->enabled || !virtio_running(v))
    return 0;
  int n = waiting(q);
  struct table ring = {q->desc, q->num, NULL};
  if (n == 0)
    return 0;
  e->out = e->in = 0;
  e->out_len = e->in_len = 0;
  if (n < 0 || !get16(q, q->avail + 4 + 2u * (q->last_avail & (q->num - 1)), &e->head) || e->head >= q->num ||
      !follow(q, e, &ring, e->head, false)) {
    virtio_broken(v);
    return -1;
  }
  q->last_avail++;
  return 1;
}

bool virtqueue_wait(struct virtqueue *q)
{
  if (!q->enabled || !virtio_running(q->dev))
    return false;
  if (virtio_has(q->dev, VIRTIO_F_EVENT_IDX)) {
    uint16_t event = q->last_avail; // avail_event, behind the used ring
    if (dma_write(q->dev->dma, q->used + 4 + 8u * q->num, &event, sizeof event) != TXN_OK) {
      virtio_broken(q->dev);
      return false;
    }
  }
  return waiting(q) != 0; // a broken ring is found by the pop that follows
}

void virtqueue_push(struct virtqueue *q, const struct vq_elem *e, uint32_t written)
{
  const struct dma_port *p = q->dev->dma;
  uint32_t entry[2] = {e->head, written};
  uint16_t idx = (uint16_t)(q->used_idx + 1);
  if (!q->enabled || (q->dev->status & VIRTIO_NEEDS_RESET))
    return;
  if (dma_write(p, q->used + 4 + 8u * (q->used_idx & (q->num - 1)), entry, sizeof entry) != TXN_OK ||
      dma_write(p, q->used + 2, &idx, sizeof idx) != TXN_OK) {
    virtio_broken(q->dev);
    return;
  }
  q->used_idx = idx;
}

void virtqueue_signal(struct virtqueue *q)
{
  struct virtio *v = q->dev;
  uint16_t old = q->signalled, flags, event;
  if (!q->enabled || old == q->used_idx || (v->status & VIRTIO_NEEDS_RESET))
    return;
  q->signalled = q->used_idx;
  if (virtio_has(v, VIRTIO_F_EVENT_IDX)) {
    // 2.6.7.2: used_event, behind the available ring, lies in old..used_idx-1
    if (!get16(q, q->avail + 4 + 2u * q->num, &event)) {
      virtio_broken(v);
      return;
    }
    if ((uint16_t)(q->used_idx - event - 1) >= (uint16_t)(q->used_idx - old))
      return;
  } else {
    if (!get16(q, q->avail, &flags)) {
      virtio_broken(v);
      return;
    }
    if (flags & AVAIL_NO_INTERRUPT)
      return;
  }
  v->isr |= 1;
  v->interrupt(v->transport, q->vector, v->isr);
}

static bool copy(const struct virtio *v, const struct dma_range *sg, unsigned n, uint64_t off, uint8_t *buf,
                 uint64_t len, bool write)
{
  for (; n && len; n--, sg++) {
    if (off >= sg->len) {
      off -= sg->len;
      continue;
    }
    uint64_t part = sg->len - off < len ? sg->len - off : len;
    enum txn_resp r =
        write ? dma_write(v->dma, sg->addr + off, buf, part) : dma_read(v->dma, sg->addr + off, buf, part);
    if (r != TXN_OK)
      return false;
    off = 0;
    buf += part;
    len -= part;
  }
  return len == 0;
}

bool vq_read(const struct virtio *v, const struct vq_elem *e, uint64_t off, void *buf, uint64_t len)
{
  return copy(v, e->sg, e->out, off, buf, len, false);
}

bool vq_write(const struct virtio *v, const struct vq_elem *e, uint64_t off, const void *buf, uint64_t len)
{
  return copy(v, e->sg + e->out, e->in, off, (void *)buf, len, true);
}
