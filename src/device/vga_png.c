// The VGA's screen as a PNG file; see vga.h.
#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/vga.h"

static bool encode(FILE *f, const struct vga_image *img, uint8_t *row)
{
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  if (!info || setjmp(png_jmpbuf(png))) {
    png_destroy_write_struct(&png, &info);
    return false;
  }
  png_init_io(png, f);
  png_set_IHDR(png, info, img->width, img->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (unsigned y = 0; y < img->height; y++) {
    const uint32_t *p = img->pixels + (size_t)y * img->width;
    for (unsigned x = 0; x < img->width; x++) {
      row[3 * x] = (uint8_t)(p[x] >> 16);
      row[3 * x + 1] = (uint8_t)(p[x] >> 8);
      row[3 * x + 2] = (uint8_t)p[x];
    }
    png_write_row(png, row);
  }
  png_write_end(png, NULL);
  png_destroy_write_struct(&png, &info);
  return true;
}

bool vga_screendump_png(const struct vga *v, const char *path, struct err *e)
{
  struct vga_image img;
  if (!vga_render(v, &img))
    return err_set(e, "out of memory");
  uint8_t *row = malloc((size_t)img.width * 3);
  FILE *f = fopen(path, "wbe");
  if (!f || !row) {
    err_set(e, "cannot write %s: %s", path, strerror(errno));
    if (f)
      fclose(f);
    free(row);
    vga_image_free(&img);
    return false;
  }
  bool ok = encode(f, &img, row);
  ok = fclose(f) == 0 && ok;
  free(row);
  vga_image_free(&img);
  if (!ok) {
    err_set(e, "cannot write %s: %s", path, errno ? strerror(errno) : "PNG encoding failed");
    unlink(path);
  }
  return ok;
}
