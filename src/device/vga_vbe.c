// The DISPI interface of the VGA: index port 1CEh, data port 1CFh (also 1D0h), 16 bits each; see vga.h.
#include <string.h>

#include "device/vga.h"

enum { MAX_XRES = 2560, MAX_YRES = 1600, MAX_BPP = 32 };

static unsigned bytes_per_pixel(unsigned bpp)
{
  return (bpp + 7) / 8;
}

unsigned vga_vbe_pitch(const struct vga *v)
{
  unsigned bpp = v->vbe[VBE_BPP], width = v->vbe[VBE_VIRT_WIDTH];
  return bpp == 4 ? width / 8 : width * bytes_per_pixel(bpp);
}

// Bytes that a line of `width` pixels takes in video memory.
static uint64_t line_bytes(unsigned bpp, unsigned width)
{
  return bpp == 4 ? width / 8 * 4u : (uint64_t)width * bytes_per_pixel(bpp);
}

static bool valid_mode(const struct vga *v)
{
  unsigned x = v->vbe[VBE_XRES], y = v->vbe[VBE_YRES], bpp = v->vbe[VBE_BPP];
  bool depth = bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32;
  return depth && x >= 8 && y && x <= MAX_XRES && y <= MAX_YRES && line_bytes(bpp, x) * y <= v->mem_size;
}

static bool set_width(struct vga *v, unsigned width)
{
  unsigned bpp = v->vbe[VBE_BPP];
  if (bpp == 4) // whole bytes of a plane
    width &= ~7u;
  uint64_t line = line_bytes(bpp, width);
  if (width < v->vbe[VBE_XRES] || line * v->vbe[VBE_YRES] > v->mem_size)
    return false;
  uint64_t height = v->mem_size / line;
  v->vbe[VBE_VIRT_WIDTH] = (uint16_t)width;
  v->vbe[VBE_VIRT_HEIGHT] = height > 0xffff ? 0xffff : (uint16_t)height;
  return true;
}

static void enable(struct vga *v, uint16_t value)
{
  bool was = vga_vbe_on(v);
  value &= VBE_ENABLED | VBE_GETCAPS | VBE_8BIT_DAC | VBE_LFB | VBE_NOCLEAR;
  if ((value & VBE_ENABLED) && !was) {
    unsigned x = v->vbe[VBE_XRES];
    if (!valid_mode(v) || !set_width(v, v->vbe[VBE_BPP] == 4 ? (x + 7) & ~7u : x)) {
      v->vbe[VBE_ENABLE] = value & ~VBE_ENABLED;
      return;
    }
    v->vbe[VBE_X_OFFSET] = v->vbe[VBE_Y_OFFSET] = v->vbe[VBE_BANK] = 0;
    if (!(value & VBE_NOCLEAR)) {
      uint64_t n = line_bytes(v->vbe[VBE_BPP], v->vbe[VBE_VIRT_WIDTH]) * v->vbe[VBE_YRES];
      memset(v->bus->ram->mem + v->mem, 0, n);
      ram_touched(v->bus->ram, v->mem, n);
    }
  } else if (!(value & VBE_ENABLED)) {
    v->vbe[VBE_BANK] = 0;
  }
  v->vbe[VBE_ENABLE] = value;
}

uint16_t vga_vbe_read(const struct vga *v, unsigned reg)
{
  if (reg == VBE_MEMORY_64K)
    return (uint16_t)(v->mem_size >> 16);
  if (reg >= VBE_REGS)
    return 0;
  if (v->vbe[VBE_ENABLE] & VBE_GETCAPS) {
    if (reg == VBE_XRES)
      return MAX_XRES;
    if (reg == VBE_YRES)
      return MAX_YRES;
    if (reg == VBE_BPP)
      return MAX_BPP;
  }
  return v->vbe[reg];
}

void vga_vbe_write(struct vga *v, unsigned reg, uint16_t value)
{
  switch (reg) {
  case VBE_ID:
    if (value >= 0xb0c0 && value <= 0xb0c5)
      v->vbe[reg] = value;
    break;
  case VBE_XRES:
  case VBE_YRES:
  case VBE_BPP:
    if (!vga_vbe_on(v)) // checked as a whole when the mode is enabled
      v->vbe[reg] = reg == VBE_BPP && value == 0 ? 8 : value;
    break;
  case VBE_ENABLE:
    enable(v, value);
    break;
  case VBE_BANK:
    v->vbe[reg] = (uint16_t)(value & ((v->mem_size >> 16) - 1));
    break;
  case VBE_VIRT_WIDTH:
    if (vga_vbe_on(v))
      set_width(v, value);
    break;
  case VBE_X_OFFSET:
    if (vga_vbe_on(v) && value + v->vbe[VBE_XRES] <= v->vbe[VBE_VIRT_WIDTH])
      v->vbe[reg] = value;
    break;
  case VBE_Y_OFFSET:
    if (vga_vbe_on(v) && value + v->vbe[VBE_YRES] <= v->vbe[VBE_VIRT_HEIGHT])
      v->vbe[reg] = value;
    break;
  default:
    break;
  }
}

void vga_vbe_reset(struct vga *v)
{
  memset(v->vbe, 0, sizeof v->vbe);
  v->vbe[VBE_ID] = 0xb0c5;
  v->vbe[VBE_BPP] = 8;
  v->vbe_index = 0;
}

static uint64_t dispi_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct vga *v = dev;
  return off == 0 ? v->vbe_index : vga_vbe_read(v, v->vbe_index);
}

static void dispi_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct vga *v = dev;
  if (off == 0)
    v->vbe_index = (uint16_t)value;
  else
    vga_vbe_write(v, v->vbe_index, (uint16_t)value);
}

const struct bus_ops vga_dispi_ops = {dispi_read, dispi_write, 1, 2};
