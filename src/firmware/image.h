// A file that is to be loaded, read whole into memory, with its name for messages.
#ifndef FIRMWARE_IMAGE_H
#define FIRMWARE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct image {
  char *name;
  uint8_t *data;
  uint64_t len;
};

#define IMAGE_MAX 0xffffffffull // larger files are refused

// Reads a regular file or a pipe. what: "kernel", "initrd", ...: for the message.
bool image_read(struct image *im, const char *what, const char *path, struct err *e);
void image_free(struct image *im);

// True if [off, off + len) lies inside the file.
static inline bool image_has(const struct image *im, uint64_t off, uint64_t len)
{
  return off <= im->len && len <= im->len - off;
}

#endif
