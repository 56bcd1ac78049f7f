// Reading of files that are loaded into the guest. See image.h.
#include "firmware/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// A pipe has no size: the buffer grows. A regular file is read to its end the same way, from a first
// guess that is its size, so that a file that changes under our hands does no harm.
static bool read_all(int fd, uint64_t room, struct image *im, const char *what, struct err *e)
{
  im->data = malloc(room);
  if (!im->data)
    return err_set(e, "%s %s: no memory for %llu bytes", what, im->name, (unsigned long long)room);
  for (;;) {
    if (im->len == room) {
      if (room >= IMAGE_MAX)
        return err_set(e, "%s %s: larger than 4 GB", what, im->name);
      room = room > IMAGE_MAX / 2 ? IMAGE_MAX : room * 2;
      uint8_t *more = realloc(im->data, room);
      if (!more)
        return err_set(e, "%s %s: no memory for %llu bytes", what, im->name, (unsigned long long)room);
      im->data = more;
    }
    ssize_t n = read(fd, im->data + im->len, room - im->len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return err_set(e, "%s %s: cannot be read: %s", what, im->name, strerror(errno));
    if (n == 0)
      return true;
    im->len += (uint64_t)n;
  }
}

bool image_read(struct image *im, const char *what, const char *path, struct err *e)
{
  *im = (struct image){.name = strdup(path)};
  if (!im->name)
    return err_set(e, "%s %s: no memory", what, path);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat st;
  bool ok;
  if (fd < 0 || fstat(fd, &st) < 0)
    ok = err_set(e, "could not open %s %s: %s", what, path, strerror(errno)); // words that test runners know
  else if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
    ok = err_set(e, "%s %s: is not a file", what, path);
  else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > IMAGE_MAX)
    ok = err_set(e, "%s %s: larger than 4 GB", what, path);
  else
    ok = read_all(fd, S_ISREG(st.st_mode) ? (uint64_t)st.st_size + 1 : 65536, im, what, e);
  if (fd >= 0)
    close(fd);
  if (!ok)
    image_free(im);
  return ok;
}

void image_free(struct image *im)
{
  free(im->name);
  free(im->data);
  *im = (struct image){0};
}
