// What a screen on the VGA would show: planar, 256-colour and linear modes; see vga.h. Text is in vga_text.c.
#include <stdlib.h>
#include <string.h>

#include "device/vga_scan.h"

uint32_t vga_palette(const struct vga *v, unsigned i)
{
  const uint8_t *d = v->dac[i & v->dac_mask];
  if (v->vbe[VBE_ENABLE] & VBE_8BIT_DAC)
    return (uint32_t)d[0] << 16 | (uint32_t)d[1] << 8 | d[2];
  uint32_t c = 0;
  for (unsigned k = 0; k < 3; k++)
    c = c << 8 | (uint8_t)(d[k] << 2 | d[k] >> 4);
  return c;
}

// A colour of 4 bits through the attribute controller.
uint32_t vga_attribute(const struct vga *v, unsigned pixel)
{
  unsigned a = v->ac[pixel & v->ac[0x12] & 15];
  if (v->ac[0x10] & 0x80)
    a = (a & 0x0f) | (v->ac[0x14] & 3u) << 4;
  return vga_palette(v, a | (v->ac[0x14] & 0x0cu) << 4);
}

struct vga_scan vga_scan(const struct vga *v)
{
  const uint8_t *c = v->crtc;
  struct vga_scan s = {.start = (unsigned)c[0x0c] << 8 | c[0x0d], .pitch = c[0x13] * 2u};
  s.lines = (c[0x12] | (c[7] & 2u) << 7 | (c[7] & 0x40u) << 3) + 1;
  s.compare = c[0x18] | (c[7] & 0x10u) << 4 | (c[9] & 0x40u) << 3;
  s.rows_in_char = (c[9] & 0x1fu) + 1;
  s.rep = c[9] & 0x80 ? 2 : 1;
  return s;
}

// The offset, in the planes, of counter value `count` in row scan `row`.
static uint32_t plane_offset(const struct vga *v, uint32_t count, unsigned row)
{
  const uint8_t *c = v->crtc;
  uint32_t a = count & 0xffff;
  if (!(c[0x17] & 0x40) && !(c[0x14] & 0x40)) // word mode; for double words see vga.h
    a = (a << 1 | (c[0x17] & 0x20 ? a >> 15 & 1 : a >> 13 & 1)) & 0xffff;
  if (!(c[0x17] & 1))
    a = (a & ~0x2000u) | (row & 1) << 13;
  if (!(c[0x17] & 2))
    a = (a & ~0x4000u) | (row >> 1 & 1) << 14;
  return a;
}

const uint8_t *vga_planes(const struct vga *v, uint32_t count, unsigned row)
{
  return vga_memory(v) + (4 * plane_offset(v, count, row) & (v->mem_size - 1));
}

bool vga_image_make(struct vga_image *img, unsigned width, unsigned height)
{
  img->width = width;
  img->height = height;
  img->pixels = calloc((size_t)width * height, sizeof *img->pixels);
  return img->pixels != NULL;
}

// ---- graphics ---------------------------------------------------------------------------------------

static void planar_pixels(const struct vga *v, const uint8_t *p, uint32_t *out)
{
  for (unsigned i = 0; i < 8; i++) {
    unsigned bit = 7 - i;
    unsigned c = (p[0] >> bit & 1) | (p[1] >> bit & 1) << 1 | (p[2] >> bit & 1) << 2 | (p[3] >> bit & 1) << 3;
    out[i] = vga_attribute(v, c);
  }
}

// Two bits a pixel, as CGA had them: planes 0 and 1 are neighbouring bytes.
static void cga_pixels(const struct vga *v, const uint8_t *p, uint32_t *out)
{
  for (unsigned i = 0; i < 8; i++) {
    unsigned shift = 6 - 2 * (i & 3), k = i / 4;
    out[i] = vga_attribute(v, (p[k] >> shift & 3) | (p[k + 2] >> shift & 3) << 2);
  }
}

static bool render_graphics(const struct vga *v, struct vga_image *img)
{
  struct vga_scan s = vga_scan(v);
  bool bytes = v->gc[5] & 0x40, cga = v->gc[5] & 0x20;
  unsigned chars = v->crtc[1] + 1u, per = bytes ? 4 : 8;
  // Lines of one character row that show the same memory are shown once.
  bool same = (v->crtc[0x17] & 3) == 3;
  unsigned step = s.rep * (same ? s.rows_in_char : 1), height = s.lines / step;
  unsigned pan = bytes ? (v->ac[0x13] & 7) / 2 : v->ac[0x13] & 7;
  if (!height)
    height = 1;
  if (!vga_image_make(img, chars * per, height))
    return false;
  uint32_t *line = malloc((size_t)(chars + 1) * per * sizeof *line);
  if (!line) {
    vga_image_free(img);
    return false;
  }
  for (unsigned y = 0; y < height; y++) {
    unsigned scan_line = y * step, char_row, row;
    uint32_t count = s.start;
    if (scan_line > s.compare) { // the lower half of a split screen
      scan_line -= s.compare + 1;
      count = 0;
    }
    char_row = scan_line / s.rep / s.rows_in_char;
    row = scan_line / s.rep % s.rows_in_char;
    count += char_row * s.pitch;
    for (unsigned c = 0; c <= chars; c++) {
      const uint8_t *p = vga_planes(v, count + c, row);
      uint32_t *out = line + c * per;
      if (bytes)
        for (unsigned k = 0; k < 4; k++)
          out[k] = vga_palette(v, p[k]);
      else if (cga)
        cga_pixels(v, p, out);
      else
        planar_pixels(v, p, out);
    }
    memcpy(img->pixels + (size_t)y * img->width, line + pan, img->width * sizeof *line);
  }
  free(line);
  return true;
}

// ---- linear modes -----------------------------------------------------------------------------------

static uint32_t widen(unsigned v, unsigned bits)
{
  return v << (8 - bits) | v >> (2 * bits - 8);
}

static uint32_t linear_pixel(const struct vga *v, const uint8_t *p, unsigned bpp)
{
  unsigned w = p[0] | (bpp > 8 ? (unsigned)p[1] << 8 : 0);
  switch (bpp) {
  case 8:
    return vga_palette(v, w);
  case 15:
    return widen(w >> 10 & 31, 5) << 16 | widen(w >> 5 & 31, 5) << 8 | widen(w & 31, 5);
  case 16:
    return widen(w >> 11 & 31, 5) << 16 | widen(w >> 5 & 63, 6) << 8 | widen(w & 31, 5);
  default:
    return w | (uint32_t)p[2] << 16;
  }
}

static bool render_linear(const struct vga *v, struct vga_image *img)
{
  unsigned bpp = v->vbe[VBE_BPP], size = (bpp + 7) / 8, pitch = vga_vbe_pitch(v);
  const uint8_t *m = vga_memory(v);
  if (!vga_image_make(img, v->vbe[VBE_XRES], v->vbe[VBE_YRES]))
    return false;
  for (unsigned y = 0; y < img->height; y++) {
    uint64_t row = (uint64_t)(y + v->vbe[VBE_Y_OFFSET]) * pitch;
    uint32_t *out = img->pixels + (size_t)y * img->width;
    for (unsigned x = 0; x < img->width; x++) {
      unsigned px = x + v->vbe[VBE_X_OFFSET];
      if (bpp == 4) {
        const uint8_t *p = m + (4 * (row + px / 8) & (v->mem_size - 1));
        uint32_t eight[8];
        planar_pixels(v, p, eight);
        out[x] = eight[px & 7];
      } else {
        uint64_t at = row + (uint64_t)px * size;
        if (at + size <= v->mem_size)
          out[x] = linear_pixel(v, m + at, bpp);
      }
    }
  }
  return true;
}

bool vga_render(const struct vga *v, struct vga_image *out)
{
  bool ok;
  if (vga_vbe_on(v))
    ok = render_linear(v, out);
  else if (vga_is_text(v))
    ok = vga_render_text(v, out);
  else
    ok = render_graphics(v, out);
  // The sequencer's screen-off bit, and the attribute controller's palette address source.
  if (ok && ((v->seq[1] & 0x20) || (!vga_vbe_on(v) && !(v->ac_index & 0x20))))
    memset(out->pixels, 0, (size_t)out->width * out->height * sizeof *out->pixels);
  return ok;
}

void vga_image_free(struct vga_image *img)
{
  free(img->pixels);
  *img = (struct vga_image){0};
}
