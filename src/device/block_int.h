// What the files of the block layer share; see block.h.
#ifndef DEVICE_BLOCK_INT_H
#define DEVICE_BLOCK_INT_H

#include "device/block.h"

// Bytes of the image itself, without an overlay, any alignment. Beyond its true end there are zeroes.
int blk_read_bytes(struct blockdev *b, void *buf, uint64_t len, uint64_t off);
int blk_write_bytes(struct blockdev *b, const void *buf, uint64_t len, uint64_t off);
// After a transfer of `len` bytes from `off` on, without an overlay, counts it; a write is written through if
// that is wanted. Returns the error that it ends with.
int blk_moved(struct blockdev *b, bool write, int err, uint64_t off, uint64_t len);

// block_behind.c: bytes were written to the image itself / the image is closed.
void blk_behind_written(struct blockdev *b, uint64_t off, uint64_t len);
void blk_behind_end(struct blockdev *b);

#endif
