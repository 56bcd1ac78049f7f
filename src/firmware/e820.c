// The memory map and the placing of images in it. See e820.h.
#include "firmware/e820.h"

#include "firmware/board.h"
#include "firmware/bytes.h"

#define MB  0x100000ull
#define GB4 0x100000000ull

static void add(struct e820 *m, uint64_t base, uint64_t end, uint32_t type)
{
  if (end > base && m->count < E820_MAX)
    m->entry[m->count++] = (struct e820_entry){base, end - base, type};
}

void e820_build(struct e820 *m, uint64_t ram_below_4g, uint64_t ram_above_4g, uint64_t tables)
{
  m->count = 0;
  add(m, 0, ram_below_4g < E820_EBDA ? ram_below_4g : E820_EBDA, E820_RAM);
  add(m, E820_EBDA, 0xa0000, E820_RESERVED);
  add(m, 0xe0000, MB, E820_RESERVED);
  uint64_t top = ram_below_4g;
  if (top > MB) {
    uint64_t end = tables < top - MB ? top - tables : MB;
    add(m, MB, end, E820_RAM);
    // The first page of the tables is the FACS, which stays the firmware's (acpi.h).
    add(m, end, end + 4096 < top ? end + 4096 : top, E820_NVS);
    add(m, end + 4096, top, E820_ACPI);
  }
  add(m, BOARD_IOAPIC, BOARD_IOAPIC + 0x1000, E820_RESERVED);
  add(m, BOARD_LAPIC, BOARD_LAPIC + 0x1000, E820_RESERVED);
  add(m, 0xfffc0000, GB4, E820_RESERVED);
  add(m, GB4, GB4 + ram_above_4g, E820_RAM);
}

void e820_pack(const struct e820 *m, uint8_t *out)
{
  for (unsigned i = 0; i < m->count; i++, out += E820_PACKED) {
    put64(out, m->entry[i].base);
    put64(out + 8, m->entry[i].size);
    put32(out + 16, m->entry[i].type);
  }
}

uint64_t e820_low_end(const struct e820 *m)
{
  for (unsigned i = 0; i < m->count; i++)
    if (m->entry[i].base == MB && m->entry[i].type == E820_RAM)
      return MB + m->entry[i].size;
  return MB;
}

static bool in_ram(const struct e820 *m, uint64_t base, uint64_t size)
{
  for (unsigned i = 0; i < m->count; i++) {
    const struct e820_entry *r = &m->entry[i];
    if (r->type == E820_RAM && base >= r->base && base - r->base < r->size &&
        size <= r->size - (base - r->base))
      return true;
  }
  return false;
}

// The index of a taken range that overlaps, or -1. The caller knows that base + size does not wrap.
static int overlap(const struct place *p, uint64_t base, uint64_t size)
{
  for (unsigned i = 0; i < p->count; i++)
    if (base < p->used[i].base + p->used[i].size && p->used[i].base < base + size)
      return (int)i;
  return -1;
}

enum place_result place_claim(struct place *p, uint64_t base, uint64_t size)
{
  if (size == 0)
    return PLACE_OK;
  if (!in_ram(p->map, base, size))
    return PLACE_NOT_RAM;
  if (overlap(p, base, size) >= 0)
    return PLACE_TAKEN;
  if (p->count == PLACE_MAX)
    return PLACE_FULL;
  p->used[p->count].base = base;
  p->used[p->count].size = size;
  p->count++;
  return PLACE_OK;
}

// Inside one usable range [lo, hi): jumps over what is taken until the piece fits.
static uint64_t find_in(const struct place *p, uint64_t size, uint64_t align, uint64_t lo, uint64_t hi,
                        bool top)
{
  if (hi <= lo || size > hi - lo)
    return PLACE_NONE;
  uint64_t at = top ? (hi - size) & ~(align - 1) : align_up(lo, align);
  while (at >= lo && at <= hi - size) {
    int i = overlap(p, at, size);
    if (i < 0)
      return at;
    if (top) {
      if (p->used[i].base < size)
        break;
      at = (p->used[i].base - size) & ~(align - 1);
    } else {
      at = align_up(p->used[i].base + p->used[i].size, align);
    }
  }
  return PLACE_NONE;
}

uint64_t place_find(struct place *p, uint64_t size, uint64_t align, uint64_t min, uint64_t max, bool top)
{
  if (size == 0)
    size = 1;
  for (unsigned n = 0; n < p->map->count; n++) {
    const struct e820_entry *r = &p->map->entry[top ? p->map->count - 1 - n : n];
    if (r->type != E820_RAM)
      continue;
    uint64_t lo = r->base > min ? r->base : min;
    uint64_t hi = r->base + r->size < max ? r->base + r->size : max;
    uint64_t at = find_in(p, size, align, lo, hi, top);
    if (at != PLACE_NONE && place_claim(p, at, size) == PLACE_OK)
      return at;
  }
  return PLACE_NONE;
}
