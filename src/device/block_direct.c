// Moving between an image and memory without a buffer between them; see blk_direct in block.h.
//
// This is the one place of the device floor that is told where memory lies in the host, and only while it is
// called (dma_direct); it hands that to the host's kernel and forgets it.
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "device/block_int.h"

struct job {
  struct blockdev *blk;
  uint64_t sector, len;
  bool write;    // into the image
  uint64_t done; // bytes
};

// One piece, in the way of buffers.
static int move_piece(struct job *j, const struct iovec *p)
{
  uint64_t off = j->sector * BLK_SECTOR + j->done;
  int r = j->write ? blk_write_bytes(j->blk, p->iov_base, p->iov_len, off)
                   : blk_read_bytes(j->blk, p->iov_base, p->iov_len, off);
  j->done += r ? 0 : p->iov_len;
  return r;
}

static int move(void *arg, const struct iovec *piece, int pieces)
{
  struct job *j = arg;
  off_t off = (off_t)(j->sector * BLK_SECTOR);
  ssize_t n;
  do
    n = j->write ? pwritev(j->blk->fd, piece, pieces, off) : preadv(j->blk->fd, piece, pieces, off);
  while (n < 0 && errno == EINTR);
  if (n < 0)
    return -errno;
  j->done = (uint64_t)n;
  if (j->done == j->len)
    return 0;
  // Rarely it is less. What is left goes piece by piece, which finds out why: an error, or that a last sector
  // is padding in part.
  uint64_t skip = j->done;
  for (; pieces; piece++, pieces--) {
    struct iovec rest = *piece;
    uint64_t part = skip < rest.iov_len ? skip : rest.iov_len;
    skip -= part;
    rest.iov_base = (char *)rest.iov_base + part;
    rest.iov_len -= part;
    int r = rest.iov_len ? move_piece(j, &rest) : 0;
    if (r)
      return r;
  }
  return 0;
}

bool blk_direct(struct blockdev *b, uint64_t sector, const struct dma_port *port, enum txn_kind kind,
                const struct dma_list *list, int *err, uint32_t *done)
{
  struct job j = {.blk = b, .sector = sector, .len = list->len, .write = kind == TXN_READ};
  struct dma_mover m = {.move = move, .arg = &j};
  if (b->overlay >= 0 || list->len % BLK_SECTOR || !blk_in_bounds(b, sector, list->len / BLK_SECTOR) ||
      (j.write && b->read_only))
    return false;
  if (!dma_direct(port, kind, list, &m))
    return false;
  *err = blk_moved(b, j.write, m.result, sector * BLK_SECTOR, list->len);
  *done = *err && !m.result ? 0 : (uint32_t)(j.done / BLK_SECTOR);
  return true;
}
