// virtio-blk: serving requests; see virtio_blk.h. Making the device is in virtio_blk_create.c.
#include "device/virtio_blk.h"

#include <string.h>

#include "device/virtio_blk_int.h"

#define DELAY_NS        5000 // from the notification to the first byte
#define BYTES_PER_EVENT (1u << 20)
#define REQS_PER_EVENT  64

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };

struct header { // 5.2.6
  uint32_t type, reserved;
  uint64_t sector;
};

struct range { // of discard and write zeroes
  uint64_t sector;
  uint32_t count, flags;
};

// 5.2.5.2: with a write-through cache every write is on the disk before it completes.
static bool write_through(const struct virtio_blk *b)
{
  const struct virtio *v = &b->virtio;
  if (virtio_has(v, VIRTIO_BLK_F_CONFIG_WCE))
    return !v->config[BLK_WRITEBACK_FIELD];
  return !virtio_has(v, VIRTIO_BLK_F_FLUSH);
}

static void complete(struct virtio_blk *b, uint8_t status, uint32_t written)
{
  struct virtqueue *q = &b->virtio.vq[0];
  b->active = false;
  // The status is the last byte that the device may write.
  if (!vq_write(&b->virtio, &b->elem, b->elem.in_len - 1, &status, 1)) {
    virtio_broken(&b->virtio);
    return;
  }
  virtqueue_push(q, &b->elem, written + 1);
}

static uint8_t ranges(struct virtio_blk *b, uint64_t len, bool zero)
{
  struct range r;
  if (len != sizeof r) // one segment, as max_discard_seg and max_write_zeroes_seg say
    return S_UNSUPP;
  if (!vq_read(&b->virtio, &b->elem, sizeof(struct header), &r, sizeof r))
    return S_IOERR;
  if (r.flags & ~(zero ? 1u : 0u))
    return S_UNSUPP;
  if (r.count > (zero ? VIRTIO_BLK_MAX_ZEROES : VIRTIO_BLK_MAX_DISCARD))
    return S_IOERR;
  int err = zero ? blk_write_zeroes(b->blk, r.sector, r.count, r.flags & 1)
                 : blk_discard(b->blk, r.sector, r.count);
  if (!err && zero && write_through(b))
    err = blk_flush(b->blk);
  return err ? S_IOERR : S_OK;
}

// Begins the request in elem; those without a long transfer are completed at once.
static void begin(struct virtio_blk *b)
{
  struct header h;
  struct vq_elem *e = &b->elem;
  b->active = true;
  if (e->out_len < sizeof h || e->in_len < 1 || !vq_read(&b->virtio, e, 0, &h, sizeof h)) {
    b->active = false;
    virtio_broken(&b->virtio);
    return;
  }
  b->type = h.type;
  b->sector = h.sector;
  b->pos = 0;
  uint64_t out = e->out_len - sizeof h, in = e->in_len - 1;
  b->len = h.type == T_OUT ? out : in;
  switch (h.type) {
  case T_OUT:
  case T_IN:
    if (b->len % BLK_SECTOR || (h.type == T_OUT && b->blk->read_only) ||
        !blk_in_bounds(b->blk, b->sector, b->len / BLK_SECTOR))
      complete(b, S_IOERR, 0);
    break;
  case T_FLUSH:
    complete(b, blk_flush(b->blk) ? S_IOERR : S_OK, 0);
    break;
  case T_GET_ID: {
    uint64_t n = in < 20 ? in : 20;
    complete(b, vq_write(&b->virtio, e, 0, b->serial, n) ? S_OK : S_IOERR, (uint32_t)n);
    break;
  }
  case T_DISCARD:
  case T_WRITE_ZEROES: {
    bool zero = h.type == T_WRITE_ZEROES;
    if (!virtio_has(&b->virtio, zero ? VIRTIO_BLK_F_WRITE_ZEROES : VIRTIO_BLK_F_DISCARD))
      complete(b, S_UNSUPP, 0);
    else
      complete(b, ranges(b, out, zero), 0);
    break;
  }
  default:
    complete(b, S_UNSUPP, 0);
    break;
  }
}

// Moves what an event may move, if that needs no buffer. False: it does.
static bool direct(struct virtio_blk *b, uint32_t *n, bool *ok)
{
  bool in = b->type == T_IN;
  uint64_t left = b->len - b->pos;
  uint32_t len = left < BYTES_PER_EVENT ? (uint32_t)left : BYTES_PER_EVENT, done;
  struct dma_list l =
      in ? vq_in(&b->elem, b->pos, len) : vq_out(&b->elem, sizeof(struct header) + b->pos, len);
  int err;
  if (!blk_direct(b->blk, b->sector, b->virtio.dma, in ? TXN_WRITE : TXN_READ, &l, &err, &done))
    return false;
  *n = len;
  *ok = !err;
  return true;
}

// Moves a piece of a read or write. Returns the number of bytes.
static uint32_t step(struct virtio_blk *b)
{
  struct virtio *v = &b->virtio;
  uint64_t left = b->len - b->pos;
  uint32_t n = left < VIRTIO_BLK_BUFFER ? (uint32_t)left : VIRTIO_BLK_BUFFER;
  bool ok;
  if (direct(b, &n, &ok))
    ;
  else if (b->type == T_IN)
    ok = blk_read(b->blk, b->sector, b->buf, n / BLK_SECTOR) == 0 && vq_write(v, &b->elem, b->pos, b->buf, n);
  else
    ok = vq_read(v, &b->elem, sizeof(struct header) + b->pos, b->buf, n) &&
         blk_write(b->blk, b->sector, b->buf, n / BLK_SECTOR) == 0;
  if (!ok) {
    complete(b, S_IOERR, 0);
    return n;
  }
  b->sector += n / BLK_SECTOR;
  b->pos += n;
  if (b->pos == b->len) {
    bool out = b->type == T_OUT;
    int err = out && write_through(b) ? blk_flush(b->blk) : 0;
    // A used length is 32 bits wide; a request longer than that reports what fits.
    uint32_t written = out ? 0 : b->len > UINT32_MAX - 1 ? UINT32_MAX - 1 : (uint32_t)b->len;
    complete(b, err ? S_IOERR : S_OK, written);
  }
  return n;
}

void virtio_blk_fire(void *arg)
{
  struct virtio_blk *b = arg;
  struct virtio *v = &b->virtio;
  struct virtqueue *q = &v->vq[0];
  uint64_t bytes = 0;
  unsigned reqs = 0;
  bool more = true;
  v->busy++;
  while (virtio_running(v) && bytes < BYTES_PER_EVENT && reqs < REQS_PER_EVENT) {
    if (b->active) {
      bytes += step(b);
      continue;
    }
    int r = virtqueue_pop(q, &b->elem);
    if (r == 0 && virtqueue_wait(q))
      r = virtqueue_pop(q, &b->elem);
    if (r <= 0) {
      more = false;
      break;
    }
    reqs++;
    begin(b);
  }
  virtqueue_signal(q);
  v->busy--;
  if (more && virtio_running(v))
    timer_set(&b->timer, clock_now(b->timer.clock) + DELAY_NS + bytes);
}

void virtio_blk_notify(struct virtio *v, struct virtqueue *q)
{
  struct virtio_blk *b = v->self;
  if (!timer_armed(&b->timer))
    timer_set(&b->timer, clock_now(b->timer.clock) + DELAY_NS);
}
