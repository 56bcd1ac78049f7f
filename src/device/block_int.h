// What the files of the block layer share; see block.h.
#ifndef DEVICE_BLOCK_INT_H
#define DEVICE_BLOCK_INT_H

#include "device/block.h"

// Bytes of the image itself, without an overlay, any alignment. Beyond its true end there are zeroes.
int blk_read_bytes(struct blockdev *b, void *buf, uint64_t len, uint64_t off);
int blk_write_bytes(struct blockdev *b, const void *buf, uint64_t len, uint64_t off);
// After a transfer up to byte `end` of the image: counts it, writes it through if that is wanted. Returns the
// error it ends with.
int blk_moved(struct blockdev *b, bool write, int err, uint64_t end);

#endif
