// A BIOS image: finding, checking, loading, mapping. See bios.h.
#include "firmware/bios.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "firmware/image.h"

static const char *const dirs[] = {"/usr/share/seabios", "/usr/share/qemu"};

char *bios_find(const char *name)
{
  if (strchr(name, '/') || access(name, R_OK) == 0)
    return strdup(name);
  for (unsigned i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
    char *path;
    if (asprintf(&path, "%s/%s", dirs[i], name) < 0)
      return NULL;
    if (access(path, R_OK) == 0)
      return path;
    free(path);
  }
  return NULL;
}

static bool read_checked(struct image *im, const char *name, struct err *e)
{
  char *path = bios_find(name ? name : BIOS_DEFAULT);
  if (!path && !name)
    return err_set(e, "no BIOS: install the package seabios, or give one with -bios, or start with -kernel");
  if (!path)
    return err_set(e, "-bios %s: no such file, here or in %s", name, dirs[0]);
  bool ok = image_read(im, "-bios", path, e);
  free(path);
  if (!ok)
    return false;
  if (im->len == 0 || im->len % 65536 || im->len > BIOS_MAX) {
    err_set(e, "-bios %s: %llu bytes: a BIOS has a multiple of 64 KB, up to 4 MB", im->name,
            (unsigned long long)im->len);
    image_free(im);
    return false;
  }
  return true;
}

bool bios_size(const char *path, uint64_t *size, struct err *e)
{
  struct image im = {0};
  if (!read_checked(&im, path, e))
    return false;
  *size = im.len;
  image_free(&im);
  return true;
}

bool bios_load(struct bios *b, struct ram *ram, const char *path, struct err *e)
{
  struct image im = {0};
  *b = (struct bios){0};
  if (!read_checked(&im, path, e))
    return false;
  b->size = im.len;
  b->ram_off = ram_alloc(ram, im.len);
  if (b->ram_off == RAM_NONE)
    err_set(e, "-bios %s: no room for its %llu bytes", im.name, (unsigned long long)im.len);
  else
    ram_write(ram, b->ram_off, im.data, im.len);
  image_free(&im);
  return b->ram_off != RAM_NONE;
}

void bios_map(struct bios *b, struct bus *bus)
{
  bus_map_ram(bus, &b->region, "bios", 0x100000000ull - b->size, b->size, b->ram_off, 1, true);
}
