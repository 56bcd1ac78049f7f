// Disk and CD images: raw files and host block devices, in sectors of 512 bytes.
//
// An image that is open for writing is locked against every other user, and one open for reading against
// writers (open file description locks, fcntl(2)). With snapshot=on nothing is ever written to it: what
// the guest writes goes to a temporary file that vanishes at the end. Every request is checked against
// the image's bounds here. A host error comes back as -errno and becomes an I/O error of the guest's;
// nothing is retried or hidden.
#ifndef DEVICE_BLOCK_H
#define DEVICE_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/opt.h"
#include "bus/dma.h"

#define BLK_SECTOR 512u

enum blk_cache {
  BLK_WRITEBACK,    // flush reaches the disk; also "none": the host's page cache is used there too. Long
                    // sequences of writes are on their way before the flush (block_behind.c)
  BLK_WRITETHROUGH, // every write is followed by a flush; also "directsync"
  BLK_UNSAFE,       // flush is a no-op
};

struct blk_config {
  const char *path;
  const char *format; // NULL: probed, must turn out raw; "raw"
  bool read_only;
  bool snapshot;
  bool discard; // discard requests punch holes in the image
  enum blk_cache cache;
};

struct blockdev {
  char *id; // owned, may be NULL; set by the owner
  char *path;
  int fd;
  uint64_t bytes;   // true size of the image
  uint64_t sectors; // rounded up: the rest of the last sector reads as zero
  bool read_only;   // for the guest
  bool host_block;  // a block device of the host
  bool discard;
  enum blk_cache cache;
  bool attached; // some device uses it
  // snapshot=on
  int overlay;      // descriptor, -1: none
  uint8_t *present; // one bit for each 4 KB cluster that is in the overlay; sparse
  uint64_t present_size;
  // Writing behind: the bytes that were written in sequence last, and who takes them on; NULL: not yet.
  uint64_t run_start, run_end;
  struct blk_behind *behind;
  // Counts, for statistics.
  uint64_t reads, writes, flushes, errors;
};

// Takes from a -drive or -blockdev option the keys that are the block layer's: file, format, readonly
// (also read-only), snapshot, cache, discard, aio, detect-zeroes, werror, rerror. Strings stay owned by o.
bool blk_config_opts(struct blk_config *cfg, struct opts *o, struct err *e);

struct blockdev *blk_open(const struct blk_config *cfg, struct err *e);
void blk_close(struct blockdev *b);

// All return 0 or -errno: -EINVAL out of bounds, -EROFS, -EIO, -ENOSPC ...
int blk_read(struct blockdev *b, uint64_t sector, void *buf, uint32_t count);
int blk_write(struct blockdev *b, uint64_t sector, const void *buf, uint32_t count);
// Between the image and memory, without a buffer, if dma_direct knows a way (its kind: TXN_WRITE reads the
// image); list->len is the length. False: it knows none, and nothing has happened. *err is as above, and
// *done how many whole sectors were moved before an error.
bool blk_direct(struct blockdev *b, uint64_t sector, const struct dma_port *port, enum txn_kind kind,
                const struct dma_list *list, int *err, uint32_t *done);
int blk_write_zeroes(struct blockdev *b, uint64_t sector, uint64_t count, bool unmap);
int blk_discard(struct blockdev *b, uint64_t sector, uint64_t count); // a hint: contents undefined after
int blk_flush(struct blockdev *b);

static inline bool blk_in_bounds(const struct blockdev *b, uint64_t sector, uint64_t count)
{
  return sector <= b->sectors && count <= b->sectors - sector;
}

#endif
