// The legacy window of the VGA at A0000h to BFFFFh: planes, latches, read and write modes; see vga.h.
#include "device/vga.h"

enum { SEQ_MAP_MASK = 2, SEQ_MEMORY_MODE = 4 };
enum {
  GC_SET_RESET = 0,
  GC_ENABLE_SET_RESET = 1,
  GC_COLOR_COMPARE = 2,
  GC_ROTATE = 3,
  GC_READ_MAP = 4,
  GC_MODE = 5,
  GC_MISC = 6,
  GC_COLOR_DONT_CARE = 7,
  GC_BIT_MASK = 8,
};

// Where a window address leads: the offset of the four planes' bytes, and which planes it can reach.
struct target {
  uint32_t base; // of plane 0, in video memory
  unsigned planes;
  unsigned plane; // for reads
};

static bool find(const struct vga *v, uint64_t off, bool write, struct target *t)
{
  static const struct {
    uint32_t base, size;
  } maps[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
  unsigned map = v->gc[GC_MISC] >> 2 & 3;
  if (!(v->misc & 2) || off < maps[map].base || off - maps[map].base >= maps[map].size)
    return false;
  uint32_t a = (uint32_t)off - maps[map].base;
  if (vga_vbe_on(v))
    a += (uint32_t)v->vbe[VBE_BANK] << 16;
  bool odd_even = write ? !(v->seq[SEQ_MEMORY_MODE] & 4) : (v->gc[GC_MODE] & 0x10) != 0;
  uint32_t mask = v->mem_size - 1;
  if (v->seq[SEQ_MEMORY_MODE] & 8) { // chain 4
    t->base = a & mask & ~3u;
    t->plane = a & 3;
    t->planes = 1u << (a & 3);
  } else if (odd_even) {
    t->base = 4 * (a & ~1u) & mask;
    t->plane = (a & 1) | (v->gc[GC_READ_MAP] & 2);
    t->planes = a & 1 ? 0xa : 0x5;
  } else {
    t->base = 4 * a & mask;
    t->plane = v->gc[GC_READ_MAP] & 3;
    t->planes = 0xf;
  }
  return true;
}

static uint64_t window_read(void *dev, uint64_t off, unsigned size, const struct txn *txn)
{
  struct vga *v = dev;
  struct target t;
  if (!find(v, off, false, &t))
    return 0xff;
  const uint8_t *m = vga_memory(v) + t.base;
  for (unsigned p = 0; p < 4; p++)
    v->latch[p] = m[p];
  if (!(v->gc[GC_MODE] & 8) || (v->seq[SEQ_MEMORY_MODE] & 8))
    return v->latch[t.plane];
  // Read mode 1: a bit for each pixel whose colour matches in the planes that matter.
  uint8_t differ = 0;
  for (unsigned p = 0; p < 4; p++)
    if (v->gc[GC_COLOR_DONT_CARE] >> p & 1)
      differ |= v->latch[p] ^ (v->gc[GC_COLOR_COMPARE] >> p & 1 ? 0xff : 0);
  return (uint8_t)~differ;
}

static uint8_t rotate(const struct vga *v, uint8_t b)
{
  unsigned n = v->gc[GC_ROTATE] & 7;
  return (uint8_t)(b >> n | b << (8 - n));
}

static uint8_t logic(const struct vga *v, uint8_t data, uint8_t latch, uint8_t mask)
{
  switch (v->gc[GC_ROTATE] >> 3 & 3) {
  case 1:
    data &= latch;
    break;
  case 2:
    data |= latch;
    break;
  case 3:
    data ^= latch;
    break;
  }
  return (uint8_t)((data & mask) | (latch & ~mask));
}

static void window_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *txn)
{
  struct vga *v = dev;
  struct target t;
  if (!find(v, off, true, &t))
    return;
  uint8_t in = (uint8_t)value, mask = v->gc[GC_BIT_MASK], rotated = rotate(v, in);
  unsigned mode = v->gc[GC_MODE] & 3, planes = t.planes & v->seq[SEQ_MAP_MASK];
  for (unsigned p = 0; p < 4; p++) {
    uint8_t set = v->gc[GC_SET_RESET] >> p & 1 ? 0xff : 0, out;
    if (!(planes >> p & 1))
      continue;
    switch (mode) {
    case 0:
      out = logic(v, v->gc[GC_ENABLE_SET_RESET] >> p & 1 ? set : rotated, v->latch[p], mask);
      break;
    case 1:
      out = v->latch[p];
      break;
    case 2:
      out = logic(v, in >> p & 1 ? 0xff : 0, v->latch[p], mask);
      break;
    default:
      out = logic(v, set, v->latch[p], mask & rotated);
      break;
    }
    ram_write(v->bus->ram, v->mem + t.base + p, &out, 1);
  }
}

const struct bus_ops vga_window_ops = {window_read, window_write, 1, 1};
