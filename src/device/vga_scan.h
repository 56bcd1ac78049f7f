// How the CRTC walks through video memory, shared by the renderers of the VGA; see vga.h.
#ifndef DEVICE_VGA_SCAN_H
#define DEVICE_VGA_SCAN_H

#include "device/vga.h"

// The display address counter (IBM VGA, CRTC registers).
struct vga_scan {
  unsigned start, pitch; // counter units
  unsigned lines, rep;   // scan lines in all; lines that show the same row
  unsigned rows_in_char; // scan lines of one character row
  unsigned compare;      // line at which the counter begins again at 0
};

struct vga_scan vga_scan(const struct vga *v);
// The four planes' bytes at counter value `count` in row scan `row`.
const uint8_t *vga_planes(const struct vga *v, uint32_t count, unsigned row);
uint32_t vga_palette(const struct vga *v, unsigned index);
// A colour of 4 bits through the attribute controller.
uint32_t vga_attribute(const struct vga *v, unsigned pixel);
bool vga_image_make(struct vga_image *img, unsigned width, unsigned height);
bool vga_render_text(const struct vga *v, struct vga_image *img); // vga_text.c

#endif
