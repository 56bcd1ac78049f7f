// The machine's memory cells: one anonymous mapping that the host fills in as the guest touches it,
// with one byte of flags for each 4 KB page.
//
// RAM offsets are not physical addresses: bus.h maps ranges of RAM (and ROM images, and video memory,
// which all live here too) to physical addresses. Decoded code is known by RAM offset, so it survives
// every change of the map.
#ifndef BUS_RAM_H
#define BUS_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

enum ram_flag {
  RAM_CODE = 1,    // blocks of decoded code were made from this page: writes must tell
  RAM_MONITOR = 2, // a CPU waits for a write to this page (MONITOR/MWAIT)
  RAM_WTLB = 4,    // some TLB may hold a fast write entry for this page
  RAM_DIRTY = 8,   // written since ram_clear_dirty (kept by ram_write and by TLB fills for write)
};

struct ram {
  uint8_t *mem;
  uint64_t size;  // bytes, a multiple of 4 KB
  uint64_t used;  // handed out by ram_alloc
  uint8_t *flags; // one byte per 4 KB page
  // Called after bytes of a page with RAM_CODE or RAM_MONITOR were written by anything else than a
  // CPU's fast path.
  void (*written)(void *arg, uint64_t off, uint64_t len);
  void *written_arg;
};

// Reserves address space for `size` bytes; nothing is committed. Refuses more than the host has.
bool ram_init(struct ram *r, uint64_t size, struct err *e);
void ram_free(struct ram *r);

// Hands out the next `size` bytes (rounded up to 4 KB) and returns their offset; all zero. The sum
// may not exceed the size given to ram_init (returns RAM_NONE then).
uint64_t ram_alloc(struct ram *r, uint64_t size);

// Writes through the flags: the way for everybody but a CPU's fast path. off + len must lie inside.
void ram_write(struct ram *r, uint64_t off, const void *src, uint64_t len);
// Tells the watchers that bytes were changed in place.
void ram_touched(struct ram *r, uint64_t off, uint64_t len);

#endif
