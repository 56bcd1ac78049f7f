// The machine's memory cells; see ram.h.
#include "bus/ram.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "base/err.h"

#define PAGE UINT64_C(4096)

// No-reserve: a guest with 64 GB that touches 100 MB costs the host 100 MB.
static void *reserve(uint64_t size)
{
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

bool ram_init(struct ram *r, uint64_t size, struct err *e)
{
  *r = (struct ram){0};
  struct sysinfo host;
  if (sysinfo(&host) == 0) {
    uint64_t most = ((uint64_t)host.totalram + host.totalswap) * host.mem_unit;
    if (size > most)
      return err_set(e, "cannot give the machine %llu MB of memory: the host has %llu MB; use a smaller -m",
                     (unsigned long long)(size >> 20), (unsigned long long)(most >> 20));
  }
  size = (size + PAGE - 1) & ~(PAGE - 1);
  if (size == 0)
    size = PAGE;
  r->mem = reserve(size);
  r->flags = reserve(size / PAGE);
  r->size = size;
  if (!r->mem || !r->flags) {
    ram_free(r);
    return err_set(e, "the host gives no address space for %llu MB of memory; use a smaller -m",
                   (unsigned long long)(size >> 20));
  }
  return true;
}

void ram_free(struct ram *r)
{
  if (r->mem)
    munmap(r->mem, r->size);
  if (r->flags)
    munmap(r->flags, r->size / PAGE);
  *r = (struct ram){0};
}

uint64_t ram_alloc(struct ram *r, uint64_t size)
{
  uint64_t rounded = (size + PAGE - 1) & ~(PAGE - 1);
  if (rounded < size || rounded > r->size - r->used)
    return UINT64_MAX; // RAM_NONE, which bus.h defines
  uint64_t off = r->used;
  r->used += rounded;
  return off;
}

void ram_touched(struct ram *r, uint64_t off, uint64_t len)
{
  while (len) {
    uint64_t n = PAGE - (off & (PAGE - 1));
    if (n > len)
      n = len;
    uint8_t *flags = &r->flags[off / PAGE];
    // Most pages are dirty already and watched by nobody: then the flags are only read.
    if (!(*flags & RAM_DIRTY))
      *flags |= RAM_DIRTY;
    if ((*flags & (RAM_CODE | RAM_MONITOR)) && r->written)
      r->written(r->written_arg, off, n);
    off += n;
    len -= n;
  }
}

void ram_write(struct ram *r, uint64_t off, const void *src, uint64_t len)
{
  memcpy(r->mem + off, src, len);
  ram_touched(r, off, len);
}
