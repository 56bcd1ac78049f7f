// Reading and writing disk images; see block.h. Opening them is in block_open.c, and the temporary overlay of
// snapshot=on here, because every request passes it.
#include "device/block_int.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CLUSTER         4096u
#define CLUSTER_SECTORS (CLUSTER / BLK_SECTOR)

static int read_full(int fd, void *buf, uint64_t len, uint64_t off)
{
  uint8_t *p = buf;
  while (len) {
    ssize_t n = pread(fd, p, len, (off_t)off);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return -errno;
    if (n == 0) // the file was cut short under us
      return -EIO;
    p += n;
    off += (uint64_t)n;
    len -= (uint64_t)n;
  }
  return 0;
}

static int write_full(int fd, const void *buf, uint64_t len, uint64_t off)
{
  const uint8_t *p = buf;
  while (len) {
    ssize_t n = pwrite(fd, p, len, (off_t)off);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return -errno;
    if (n == 0)
      return -EIO;
    p += n;
    off += (uint64_t)n;
    len -= (uint64_t)n;
  }
  return 0;
}

int blk_read_bytes(struct blockdev *b, void *buf, uint64_t len, uint64_t off)
{
  uint64_t inside = off >= b->bytes ? 0 : b->bytes - off < len ? b->bytes - off : len;
  memset((uint8_t *)buf + inside, 0, len - inside);
  return read_full(b->fd, buf, inside, off);
}

int blk_write_bytes(struct blockdev *b, const void *buf, uint64_t len, uint64_t off)
{
  return write_full(b->fd, buf, len, off);
}

static bool present(const struct blockdev *b, uint64_t cluster)
{
  return b->present[cluster / 8] >> (cluster % 8) & 1;
}

// Calls for each run of sectors within one cluster. Requests are short, so one system call for each 4 KB
// is good enough here.
static int overlay_read(struct blockdev *b, uint64_t sector, uint8_t *buf, uint64_t count)
{
  while (count) {
    uint64_t cluster = sector / CLUSTER_SECTORS;
    uint64_t n = CLUSTER_SECTORS - sector % CLUSTER_SECTORS;
    if (n > count)
      n = count;
    uint64_t off = sector * BLK_SECTOR;
    int r = present(b, cluster) ? read_full(b->overlay, buf, n * BLK_SECTOR, off)
                                : blk_read_bytes(b, buf, n * BLK_SECTOR, off);
    if (r)
      return r;
    sector += n;
    count -= n;
    buf += n * BLK_SECTOR;
  }
  return 0;
}

// A cluster enters the overlay whole, so that reading it back needs one place only.
static int overlay_write(struct blockdev *b, uint64_t sector, const uint8_t *buf, uint64_t count)
{
  uint8_t whole[CLUSTER];
  while (count) {
    uint64_t cluster = sector / CLUSTER_SECTORS, first = sector % CLUSTER_SECTORS;
    uint64_t n = CLUSTER_SECTORS - first;
    if (n > count)
      n = count;
    int r;
    if (present(b, cluster) || n == CLUSTER_SECTORS) {
      r = write_full(b->overlay, buf, n * BLK_SECTOR, sector * BLK_SECTOR);
    } else {
      r = blk_read_bytes(b, whole, CLUSTER, cluster * CLUSTER);
      if (!r) {
        memcpy(whole + first * BLK_SECTOR, buf, n * BLK_SECTOR);
        r = write_full(b->overlay, whole, CLUSTER, cluster * CLUSTER);
      }
    }
    if (r)
      return r;
    b->present[cluster / 8] |= (uint8_t)(1u << (cluster % 8));
    sector += n;
    count -= n;
    buf += n * BLK_SECTOR;
  }
  return 0;
}

static int done(struct blockdev *b, int r)
{
  b->errors += r != 0;
  return r;
}

int blk_read(struct blockdev *b, uint64_t sector, void *buf, uint32_t count)
{
  if (!blk_in_bounds(b, sector, count))
    return done(b, -EINVAL);
  b->reads++;
  if (b->overlay >= 0)
    return done(b, overlay_read(b, sector, buf, count));
  return done(b, blk_read_bytes(b, buf, (uint64_t)count * BLK_SECTOR, sector * BLK_SECTOR));
}

static int after_write(struct blockdev *b, uint64_t end)
{
  if (b->overlay >= 0)
    return 0;
  if (end > b->bytes) // the padded last sector became real
    b->bytes = end;
  return b->cache == BLK_WRITETHROUGH && fdatasync(b->fd) < 0 ? -errno : 0;
}

int blk_moved(struct blockdev *b, bool write, int err, uint64_t off, uint64_t len)
{
  *(write ? &b->writes : &b->reads) += 1;
  if (err || !write)
    return done(b, err);
  blk_behind_written(b, off, len);
  return done(b, after_write(b, off + len));
}

int blk_write(struct blockdev *b, uint64_t sector, const void *buf, uint32_t count)
{
  if (!blk_in_bounds(b, sector, count))
    return done(b, -EINVAL);
  if (b->read_only)
    return done(b, -EROFS);
  uint64_t off = sector * BLK_SECTOR, len = (uint64_t)count * BLK_SECTOR;
  if (b->overlay < 0)
    return blk_moved(b, true, write_full(b->fd, buf, len, off), off, len);
  b->writes++;
  return done(b, overlay_write(b, sector, buf, count));
}

static int zero_by_writing(struct blockdev *b, uint64_t sector, uint64_t count)
{
  static const uint8_t zero[64 * 1024];
  while (count) {
    uint64_t n = count < sizeof zero / BLK_SECTOR ? count : sizeof zero / BLK_SECTOR;
    int r = b->overlay >= 0 ? overlay_write(b, sector, zero, n)
                            : write_full(b->fd, zero, n * BLK_SECTOR, sector * BLK_SECTOR);
    if (r)
      return r;
    sector += n;
    count -= n;
  }
  return 0;
}

int blk_write_zeroes(struct blockdev *b, uint64_t sector, uint64_t count, bool unmap)
{
  if (!blk_in_bounds(b, sector, count))
    return done(b, -EINVAL);
  if (b->read_only)
    return done(b, -EROFS);
  b->writes++;
  int r = -EOPNOTSUPP;
  if (b->overlay < 0 && !b->host_block) {
    int mode = unmap && b->discard ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : FALLOC_FL_ZERO_RANGE;
    if (count == 0 || fallocate(b->fd, mode, (off_t)(sector * BLK_SECTOR), (off_t)(count * BLK_SECTOR)) == 0)
      r = 0;
    else if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)
      r = -errno;
    // PUNCH_HOLE with KEEP_SIZE does not extend a padded last sector, which then stays padding.
    if (r == 0)
      return done(b, after_write(b, mode & FALLOC_FL_KEEP_SIZE ? 0 : (sector + count) * BLK_SECTOR));
  }
  if (r == -EOPNOTSUPP)
    r = zero_by_writing(b, sector, count);
  return done(b, r ? r : after_write(b, (sector + count) * BLK_SECTOR));
}

int blk_discard(struct blockdev *b, uint64_t sector, uint64_t count)
{
  if (!blk_in_bounds(b, sector, count))
    return done(b, -EINVAL);
  if (b->read_only)
    return done(b, -EROFS);
  if (!b->discard || b->overlay >= 0 || b->host_block || count == 0)
    return 0;
  int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  if (fallocate(b->fd, mode, (off_t)(sector * BLK_SECTOR), (off_t)(count * BLK_SECTOR)) < 0 &&
      errno != EOPNOTSUPP && errno != ENOSYS)
    return done(b, -errno);
  return 0;
}

int blk_flush(struct blockdev *b)
{
  b->flushes++;
  if (b->read_only || b->overlay >= 0 || b->cache == BLK_UNSAFE)
    return 0;
  return done(b, fdatasync(b->fd) < 0 ? -errno : 0);
}
