// The VGA's text modes: as a picture, and as UTF-8; see vga.h.
#include <stdlib.h>
#include <string.h>

#include "device/vga_scan.h"

bool vga_is_text(const struct vga *v)
{
  return !vga_vbe_on(v) && !(v->gc[6] & 1);
}

struct cell {
  uint8_t ch, attr;
  bool cursor;
};

static void text_size(const struct vga *v, unsigned *cols, unsigned *rows)
{
  struct vga_scan s = vga_scan(v);
  *cols = v->crtc[1] + 1u;
  *rows = s.lines / (s.rows_in_char * s.rep);
  if (*rows == 0)
    *rows = 1;
}

static struct cell cell(const struct vga *v, unsigned col, unsigned row)
{
  struct vga_scan s = vga_scan(v);
  uint32_t count = s.start + row * s.pitch + col;
  const uint8_t *p = vga_planes(v, count, 0);
  unsigned cursor = (unsigned)v->crtc[0x0e] << 8 | v->crtc[0x0f];
  return (struct cell){p[0], p[1], (count & 0xffff) == cursor && !(v->crtc[0x0a] & 0x20)};
}

static void draw_cell(const struct vga *v, struct vga_image *img, unsigned x, unsigned y, unsigned width,
                      unsigned height, struct cell c)
{
  static const uint16_t maps[8] = {0, 0x4000, 0x8000, 0xc000, 0x2000, 0x6000, 0xa000, 0xe000};
  unsigned select = v->seq[3];
  unsigned map = c.attr & 8 ? (select >> 2 & 3) | (select >> 3 & 4) : (select & 3) | (select >> 2 & 4);
  bool blink = v->ac[0x10] & 8; // bit 7 of the attribute: shown steadily
  uint32_t fg = vga_attribute(v, c.attr & 15), bg = vga_attribute(v, c.attr >> 4 & (blink ? 7 : 15));
  for (unsigned r = 0; r < height; r++) {
    uint32_t at = maps[map] + c.ch * 32u + (r & 31);
    unsigned bits = vga_memory(v)[(4 * at + 2) & (v->mem_size - 1)];
    bool line = c.cursor && r >= (v->crtc[0x0a] & 31u) && r <= (v->crtc[0x0b] & 31u);
    for (unsigned b = 0; b < width; b++) {
      bool on = b < 8 ? bits >> (7 - b) & 1 : (v->ac[0x10] & 4) && (c.ch & 0xe0) == 0xc0 && (bits & 1);
      img->pixels[(size_t)(y + r) * img->width + x + b] = on || line ? fg : bg;
    }
  }
}

bool vga_render_text(const struct vga *v, struct vga_image *img)
{
  struct vga_scan s = vga_scan(v);
  unsigned cols, rows, width = v->seq[1] & 1 ? 8 : 9, height = s.rows_in_char;
  text_size(v, &cols, &rows);
  if (!vga_image_make(img, cols * width, rows * height))
    return false;
  for (unsigned r = 0; r < rows; r++)
    for (unsigned c = 0; c < cols; c++)
      draw_cell(v, img, c * width, r * height, width, height, cell(v, c, r));
  return true;
}

// Code page 437: what is not ASCII.
static const uint16_t low437[32] = {0x20,   0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022,
                                    0x25d8, 0x25cb, 0x25d9, 0x2642, 0x2640, 0x266a, 0x266b, 0x263c,
                                    0x25ba, 0x25c4, 0x2195, 0x203c, 0xb6,   0xa7,   0x25ac, 0x21a8,
                                    0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc};
static const uint16_t high437[128] = {
    0xc7,   0xfc,   0xe9,   0xe2,   0xe4,   0xe0,   0xe5,   0xe7,   0xea,   0xeb,   0xe8,   0xef,   0xee,
    0xec,   0xc4,   0xc5,   0xc9,   0xe6,   0xc6,   0xf4,   0xf6,   0xf2,   0xfb,   0xf9,   0xff,   0xd6,
    0xdc,   0xa2,   0xa3,   0xa5,   0x20a7, 0x192,  0xe1,   0xed,   0xf3,   0xfa,   0xf1,   0xd1,   0xaa,
    0xba,   0xbf,   0x2310, 0xac,   0xbd,   0xbc,   0xa1,   0xab,   0xbb,   0x2591, 0x2592, 0x2593, 0x2502,
    0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514,
    0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550,
    0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c,
    0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x3b1,  0xdf,   0x393,  0x3c0,  0x3a3,  0x3c3,  0xb5,   0x3c4,
    0x3a6,  0x398,  0x3a9,  0x3b4,  0x221e, 0x3c6,  0x3b5,  0x2229, 0x2261, 0xb1,   0x2265, 0x2264, 0x2320,
    0x2321, 0xf7,   0x2248, 0xb0,   0x2219, 0xb7,   0x221a, 0x207f, 0xb2,   0x25a0, 0xa0};

static char *utf8(char *at, unsigned ch)
{
  unsigned u = ch < 32 ? low437[ch] : ch == 127 ? 0x2302 : ch < 128 ? ch : high437[ch - 128];
  if (u < 0x80) {
    *at++ = (char)u;
  } else if (u < 0x800) {
    *at++ = (char)(0xc0 | u >> 6);
    *at++ = (char)(0x80 | (u & 63));
  } else {
    *at++ = (char)(0xe0 | u >> 12);
    *at++ = (char)(0x80 | (u >> 6 & 63));
    *at++ = (char)(0x80 | (u & 63));
  }
  return at;
}

char *vga_text(const struct vga *v)
{
  unsigned cols, rows;
  if (!vga_is_text(v))
    return NULL;
  text_size(v, &cols, &rows);
  char *text = malloc((size_t)rows * (cols * 3 + 1) + 1), *at = text;
  if (!text)
    return NULL;
  for (unsigned r = 0; r < rows; r++) {
    char *end = at; // behind the last that is not blank
    for (unsigned c = 0; c < cols; c++) {
      uint8_t ch = cell(v, c, r).ch;
      at = utf8(at, ch);
      if (ch != 0 && ch != ' ' && ch != 255)
        end = at;
    }
    at = end;
    *at++ = '\n';
  }
  *at = 0;
  return text;
}
