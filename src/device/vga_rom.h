// The VGA's expansion ROM.
#ifndef DEVICE_VGA_ROM_H
#define DEVICE_VGA_ROM_H

#include "device/vga.h"

// Loads the ROM image into the machine's RAM. path NULL: the distribution's, none if it is not installed;
// "": none.
bool vga_rom_load(struct vga *v, const char *path, struct err *e);
// The 8x16 font of the ROM (256 glyphs of 16 bytes), or NULL.
const uint8_t *vga_rom_font(const struct vga *v);

#endif
