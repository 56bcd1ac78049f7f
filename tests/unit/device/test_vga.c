// The VGA: planes, registers, linear modes, text, pictures.
#include "bed.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/catalog.h"
#include "device/vga.h"

enum { LFB = 0xe0000000, MMIO = 0xe2000000 };

struct fixture {
  struct bed bed;
  struct vga *v;
};

static void start(struct fixture *f, const char *props)
{
  struct err e;
  bed_init(&f->bed, 1 << 20);
  f->v = vga_create(&f->bed.env, bed_opts(props), &e);
  assert_non_null(f->v);
  bed_config_write(&f->bed, &f->v->pci, 0x10, 4, LFB);
  bed_config_write(&f->bed, &f->v->pci, 0x18, 4, MMIO);
  bed_config_write(&f->bed, &f->v->pci, PCI_COMMAND, 2, 3);
}

static void stop(struct fixture *f)
{
  vga_free(f->v);
  bed_free(&f->bed);
}

static void reg(struct fixture *f, uint16_t port, uint8_t index, uint8_t value)
{
  bed_out(&f->bed, port, 2, index | value << 8);
}

static void ac(struct fixture *f, uint8_t index, uint8_t value)
{
  bed_in(&f->bed, 0x3da, 1);
  bed_out(&f->bed, 0x3c0, 1, index);
  bed_out(&f->bed, 0x3c0, 1, value);
}

// 640x480, 16 colours, palette as IBM's mode 12h sets it
static void mode12(struct fixture *f)
{
  static const uint8_t crtc[25] = {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0x00,
                                   0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xea, 0x8c,
                                   0xdf, 0x28, 0x00, 0xe7, 0x04, 0xe3, 0xff};
  vga_set_text_mode(f->v);
  bed_out(&f->bed, 0x3c2, 1, 0xe3);
  reg(f, 0x3c4, 1, 1);
  reg(f, 0x3c4, 2, 15);
  reg(f, 0x3c4, 4, 6);
  reg(f, 0x3d4, 0x11, 0);
  for (uint8_t i = 0; i < 25; i++)
    reg(f, 0x3d4, i, crtc[i]);
  for (uint8_t i = 0; i < 9; i++)
    reg(f, 0x3ce, i, i == 6 ? 5 : i == 7 ? 15 : i == 8 ? 0xff : 0);
  ac(f, 0x30, 1);
  memset(f->bed.ram.mem + f->v->mem, 0, 256 << 10);
}

static const uint8_t *planes(struct fixture *f, unsigned off)
{
  return vga_memory(f->v) + 4 * off;
}

static void write_modes_follow_the_planes_logic(void **state)
{
  struct fixture f;
  struct bed *b = &f.bed;
  start(&f, "x");
  mode12(&f);
  // mode 0: rotate, plane mask, set/reset, bit mask
  reg(&f, 0x3c4, 2, 0x5);
  bed_write(b, 0xa0010, 1, 0x81);
  assert_memory_equal(planes(&f, 0x10), "\x81\0\x81\0", 4);
  reg(&f, 0x3c4, 2, 0xf);
  reg(&f, 0x3ce, 3, 1);
  bed_write(b, 0xa0011, 1, 0x81);
  assert_memory_equal(planes(&f, 0x11), "\xc0\xc0\xc0\xc0", 4);
  reg(&f, 0x3ce, 3, 0);
  reg(&f, 0x3ce, 0, 0x2);
  reg(&f, 0x3ce, 1, 0x3);
  bed_write(b, 0xa0012, 1, 0x0f);
  assert_memory_equal(planes(&f, 0x12), "\0\xff\x0f\x0f", 4);
  reg(&f, 0x3ce, 1, 0);
  bed_read(b, 0xa0012, 1); // latches
  reg(&f, 0x3ce, 8, 0xf0);
  bed_write(b, 0xa0013, 1, 0xaa);
  assert_memory_equal(planes(&f, 0x13), "\xa0\xaf\xaf\xaf", 4);
  // XOR with the latches
  reg(&f, 0x3ce, 8, 0xff);
  reg(&f, 0x3ce, 3, 0x18);
  bed_write(b, 0xa0014, 1, 0xff);
  assert_memory_equal(planes(&f, 0x14), "\xff\0\xf0\xf0", 4);
  reg(&f, 0x3ce, 3, 0);
  // mode 1: latches
  reg(&f, 0x3ce, 5, 1);
  bed_write(b, 0xa0015, 1, 0x55);
  assert_memory_equal(planes(&f, 0x15), "\0\xff\x0f\x0f", 4);
  // mode 2: a colour
  reg(&f, 0x3ce, 5, 2);
  bed_write(b, 0xa0016, 1, 0x9);
  assert_memory_equal(planes(&f, 0x16), "\xff\0\0\xff", 4);
  // mode 3: data is a mask for set/reset
  reg(&f, 0x3ce, 5, 3);
  reg(&f, 0x3ce, 0, 0x4);
  bed_write(b, 0xa0017, 1, 0x3c);
  assert_memory_equal(planes(&f, 0x17), "\0\xc3\x3f\x03", 4);
  stop(&f);
}

static void read_modes_select_a_plane_or_compare(void **state)
{
  struct fixture f;
  struct bed *b = &f.bed;
  start(&f, "x");
  mode12(&f);
  memcpy((uint8_t *)planes(&f, 5), "\x0f\x33\x55\0", 4);
  for (unsigned p = 0; p < 4; p++) {
    reg(&f, 0x3ce, 4, (uint8_t)p);
    assert_int_equal(bed_read(b, 0xa0005, 1), planes(&f, 5)[p]);
  }
  reg(&f, 0x3ce, 5, 8);
  reg(&f, 0x3ce, 2, 0x3); // planes 0 and 1 set, 2 clear
  reg(&f, 0x3ce, 7, 0x7);
  assert_int_equal(bed_read(b, 0xa0005, 1), 0x0f & 0x33 & 0xaa);
  stop(&f);
}

static void chain4_and_odd_even_reach_the_right_planes(void **state)
{
  struct fixture f;
  struct bed *b = &f.bed;
  start(&f, "x");
  mode12(&f);
  reg(&f, 0x3c4, 4, 0xe);
  bed_write(b, 0xa0100, 4, 0x44332211);
  assert_memory_equal(vga_memory(f.v) + 0x100, "\x11\x22\x33\x44", 4);
  assert_int_equal(bed_read(b, 0xa0102, 2), 0x4433);
  vga_set_text_mode(f.v);
  bed_write(b, 0xb8000, 4, 0x1f421f41);
  assert_memory_equal(planes(&f, 0), "A\x1f", 2);
  assert_memory_equal(planes(&f, 2), "B\x1f", 2);
  assert_int_equal(bed_read(b, 0xb8000, 4), 0x1f421f41);
  assert_int_equal(bed_read(b, 0xa0000, 1), 0xff); // not in this window
  stop(&f);
}

static void text_comes_out_as_utf8(void **state)
{
  struct fixture f;
  start(&f, "x");
  vga_set_text_mode(f.v);
  const char *hello = "Hello \x81\xc4 "; // u umlaut, a line
  for (unsigned i = 0; hello[i]; i++)
    bed_write(&f.bed, 0xb8000 + 160 + 2 * i, 1, (uint8_t)hello[i]);
  bed_write(&f.bed, 0xb8000 + 160 * 24 + 2 * 79, 1, '!');
  char *text = vga_text(f.v);
  assert_non_null(text);
  assert_memory_equal(text, "\nHello \u00fc\u2500\n\n", 14);
  assert_string_equal(text + strlen(text) - 3, " !\n");
  free(text);
  // scrolling by the start address, in words
  reg(&f, 0x3d4, 0x0c, 0);
  reg(&f, 0x3d4, 0x0d, 80);
  text = vga_text(f.v);
  assert_memory_equal(text, "Hello", 5);
  free(text);
  mode12(&f);
  assert_null(vga_text(f.v));
  stop(&f);
}

static uint32_t pixel(const struct vga *v, unsigned x, unsigned y, unsigned *w, unsigned *h)
{
  struct vga_image img;
  assert_true(vga_render(v, &img));
  uint32_t p = x < img.width && y < img.height ? img.pixels[y * img.width + x] : 0xffffffff;
  if (w)
    *w = img.width;
  if (h)
    *h = img.height;
  vga_image_free(&img);
  return p;
}

static void text_uses_the_font_in_plane_2_and_the_palette(void **state)
{
  struct fixture f;
  unsigned w, h;
  start(&f, "x");
  vga_set_text_mode(f.v);
  uint8_t *glyph = (uint8_t *)planes(&f, 'X' * 32);
  for (unsigned r = 0; r < 16; r++)
    glyph[4 * r + 2] = 0x80;                   // the left column
  bed_write(&f.bed, 0xb8000, 2, 0x1e00 | 'X'); // yellow on blue
  reg(&f, 0x3d4, 0x0a, 0x20);                  // no cursor
  assert_int_equal(pixel(f.v, 0, 3, &w, &h), 0xffff55);
  assert_int_equal(w, 720);
  assert_int_equal(h, 400);
  assert_int_equal(pixel(f.v, 1, 3, NULL, NULL), 0x0000aa);
  assert_int_equal(pixel(f.v, 9, 3, NULL, NULL), 0);
  bed_in(&f.bed, 0x3da, 1);
  bed_out(&f.bed, 0x3c0, 1, 0x00); // palette address source off: dark
  assert_int_equal(pixel(f.v, 0, 3, NULL, NULL), 0);
  stop(&f);
}

static void planar_pixels_have_16_colours(void **state)
{
  struct fixture f;
  unsigned w, h;
  start(&f, "x");
  mode12(&f);
  reg(&f, 0x3ce, 5, 2);
  reg(&f, 0x3ce, 8, 0x20); // third pixel of a byte
  bed_write(&f.bed, 0xa0000 + 80 * 479 + 79, 1, 12);
  assert_int_equal(pixel(f.v, 632 + 2, 479, &w, &h), 0xff5555);
  assert_int_equal(w, 640);
  assert_int_equal(h, 480);
  assert_int_equal(pixel(f.v, 633, 479, NULL, NULL), 0);
  stop(&f);
}

static void mode13_and_mode_x_show_256_colours(void **state)
{
  struct fixture f;
  unsigned w, h;
  start(&f, "x");
  mode12(&f);
  static const uint8_t crtc[25] = {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0x00,
                                   0x41, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
                                   0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff};
  reg(&f, 0x3d4, 0x11, 0);
  for (uint8_t i = 0; i < 25; i++)
    reg(&f, 0x3d4, i, crtc[i]);
  reg(&f, 0x3c4, 4, 0xe);
  reg(&f, 0x3ce, 5, 0x40);
  ac(&f, 0x30, 0x41);
  bed_out(&f.bed, 0x3c8, 1, 200);
  for (unsigned i = 0; i < 3; i++)
    bed_out(&f.bed, 0x3c9, 1, 0x10 * (i + 1));
  bed_write(&f.bed, 0xa0000 + 320 * 10 + 33, 1, 200);
  assert_int_equal(pixel(f.v, 33, 10, &w, &h), 0x4182c3);
  assert_int_equal(w, 320);
  assert_int_equal(h, 200);
  // mode X: no chaining, bytes
  reg(&f, 0x3c4, 4, 6);
  reg(&f, 0x3d4, 0x14, 0);
  reg(&f, 0x3d4, 0x17, 0xe3);
  reg(&f, 0x3c4, 2, 1 << (35 & 3));
  bed_write(&f.bed, 0xa0000 + 80 * 20 + 35 / 4, 1, 200);
  assert_int_equal(pixel(f.v, 35, 20, NULL, NULL), 0x4182c3);
  bed_out(&f.bed, 0x3c7, 1, 200);
  assert_int_equal(bed_in(&f.bed, 0x3c9, 1), 0x10);
  stop(&f);
}

static void dispi(struct fixture *f, uint16_t index, uint16_t value)
{
  bed_out(&f->bed, 0x1ce, 2, index);
  bed_out(&f->bed, 0x1cf, 2, value);
}

static void linear_modes_show_every_depth(void **state)
{
  static const struct {
    uint16_t bpp;
    uint32_t raw, colour;
  } depth[] = {
      {15, 0x7c1f, 0xff00ff}, {16, 0x07e0, 0x00ff00}, {24, 0x123456, 0x123456}, {32, 0x00abcdef, 0xabcdef}};
  struct fixture f;
  unsigned w, h;
  start(&f, "x");
  bed_out(&f.bed, 0x1ce, 2, 0);
  assert_int_equal(bed_in(&f.bed, 0x1cf, 2), 0xb0c5);
  for (unsigned i = 0; i < 4; i++) {
    dispi(&f, 4, 0);
    dispi(&f, 1, 801); // an odd width
    dispi(&f, 2, 600);
    dispi(&f, 3, depth[i].bpp);
    dispi(&f, 4, 0x41);
    unsigned size = (depth[i].bpp + 7u) / 8;
    bed_write(&f.bed, LFB + (599 * 801 + 800) * size, size == 3 ? 2 : size, depth[i].raw);
    if (size == 3)
      bed_write(&f.bed, LFB + (599 * 801 + 800) * 3 + 2, 1, depth[i].raw >> 16);
    assert_int_equal(pixel(f.v, 800, 599, &w, &h), depth[i].colour);
    assert_int_equal(w, 801);
    assert_int_equal(h, 600);
  }
  // enabling clears, unless told not to
  dispi(&f, 4, 0);
  dispi(&f, 4, 0xc1);
  assert_int_equal(pixel(f.v, 800, 599, NULL, NULL), 0xabcdef);
  dispi(&f, 4, 0);
  dispi(&f, 4, 0x41);
  assert_int_equal(pixel(f.v, 800, 599, NULL, NULL), 0);
  // the window is banked, and the memory-mapped registers are the same
  reg(&f, 0x3c4, 4, 0xe);
  reg(&f, 0x3c4, 2, 0xf);
  reg(&f, 0x3ce, 6, 5);
  reg(&f, 0x3ce, 8, 0xff);
  bed_out(&f.bed, 0x3c2, 1, 0x03);
  dispi(&f, 5, 3);
  bed_write(&f.bed, 0xa0004, 4, 0x00112233);
  assert_int_equal(bed_read(&f.bed, LFB + 0x30004, 4), 0x00112233);
  assert_int_equal(bed_read(&f.bed, MMIO + 0x500 + 2, 2), 801);
  bed_write(&f.bed, MMIO + 0x500 + 18, 2, 10); // y offset: 16 MB / (801 * 4) lines
  assert_int_equal(f.v->vbe[VBE_Y_OFFSET], 10);
  stop(&f);
}

static void impossible_modes_are_not_enabled(void **state)
{
  struct fixture f;
  static const uint16_t modes[][3] = {
      {0, 600, 32}, {800, 0, 32}, {800, 600, 7}, {65535, 65535, 32}, {2560, 1601, 32}};
  start(&f, "x");
  for (unsigned i = 0; i < sizeof modes / sizeof modes[0]; i++) {
    dispi(&f, 4, 0);
    dispi(&f, 1, modes[i][0]);
    dispi(&f, 2, modes[i][1]);
    dispi(&f, 3, modes[i][2]);
    dispi(&f, 4, 0x41);
    assert_false(vga_vbe_on(f.v));
  }
  dispi(&f, 1, 1024);
  dispi(&f, 2, 768);
  dispi(&f, 3, 8);
  dispi(&f, 4, 0x41);
  assert_true(vga_vbe_on(f.v));
  dispi(&f, 6, 0xffff);
  assert_int_equal(f.v->vbe[VBE_VIRT_WIDTH], 1024);
  dispi(&f, 9, 0xffff);
  assert_int_equal(f.v->vbe[VBE_Y_OFFSET], 0);
  stop(&f);
}

static void retrace_comes_with_the_clock(void **state)
{
  struct fixture f;
  unsigned retrace = 0, seen = 0;
  start(&f, "x");
  vga_set_text_mode(f.v);
  for (unsigned i = 0; i < 10000; i++) { // 100 ms in steps of 10 us: 7 frames of 70 Hz
    unsigned s = bed_in(&f.bed, 0x3da, 1) & 8;
    seen += s && !retrace;
    retrace = s;
    bed_run(&f.bed, 10000);
  }
  assert_in_range(seen, 6, 8);
  stop(&f);
}

static void png_files_hold_the_picture(void **state)
{
  struct fixture f;
  struct err e;
  start(&f, "x");
  dispi(&f, 1, 64);
  dispi(&f, 2, 48);
  dispi(&f, 3, 32);
  dispi(&f, 4, 0x41);
  bed_write(&f.bed, LFB + (47 * 64 + 63) * 4, 4, 0x102030);
  const char *path = bed_path(&f.bed, "a.png");
  assert_true(vga_screendump_png(f.v, path, &e));
  png_image img = {.version = PNG_IMAGE_VERSION};
  assert_true(png_image_begin_read_from_file(&img, path));
  img.format = PNG_FORMAT_RGB;
  assert_int_equal(img.width, 64);
  assert_int_equal(img.height, 48);
  uint8_t *rgb = malloc(PNG_IMAGE_SIZE(img));
  assert_true(png_image_finish_read(&img, NULL, rgb, 0, NULL));
  assert_memory_equal(rgb + (47 * 64 + 63) * 3, "\x10\x20\x30", 3);
  assert_memory_equal(rgb, "\0\0\0", 3);
  free(rgb);
  assert_false(vga_screendump_png(f.v, "/nonexistent/a.png", &e));
  assert_non_null(strstr(e.text, "/nonexistent/a.png"));
  stop(&f);
}

static void any_registers_can_be_rendered(void **state)
{
  struct fixture f;
  unsigned seed = 99;
  start(&f, "x,vgamem_mb=1");
  for (unsigned round = 0; round < 300; round++) {
    for (unsigned i = 0; i < 200; i++) {
      static const uint16_t ports[] = {0x3c0, 0x3c2, 0x3c4, 0x3ce, 0x3d4, 0x3c6, 0x3c8, 0x1ce, 0x1cf, 0x3da};
      uint16_t p = ports[(unsigned)rand_r(&seed) % 10];
      bed_out(&f.bed, p, 2, (uint32_t)rand_r(&seed) & (rand_r(&seed) % 2 ? 0xffff : 0xff1f));
      bed_write(&f.bed, 0xa0000 + (uint64_t)rand_r(&seed) % 0x20000, 4, (uint64_t)rand_r(&seed));
      bed_read(&f.bed, 0xa0000 + (uint64_t)rand_r(&seed) % 0x20000, 4);
      bed_in(&f.bed, (uint16_t)(0x3b0 + rand_r(&seed) % 0x30), 1);
    }
    struct vga_image img;
    assert_true(vga_render(f.v, &img));
    assert_true(img.width && img.height);
    vga_image_free(&img);
    free(vga_text(f.v));
  }
  stop(&f);
}

static void rom_is_shown_by_its_bar_and_bad_ones_are_refused(void **state)
{
  struct fixture f;
  struct err e;
  char props[200];
  bed_init(&f.bed, 1 << 20);
  const char *path = bed_image(&f.bed, "rom", 5000);
  FILE *r = fopen(path, "r+b");
  fwrite("\x55\xaa\x0a", 1, 3, r);
  fclose(r);
  snprintf(props, sizeof props, "x,romfile=%s", path);
  f.v = vga_create(&f.bed.env, bed_opts(props), &e);
  assert_non_null(f.v);
  assert_int_equal(f.v->rom_size, 8192);
  bed_config_write(&f.bed, &f.v->pci, 0x30, 4, 0xe4000001);
  bed_config_write(&f.bed, &f.v->pci, PCI_COMMAND, 2, 2);
  assert_int_equal(bed_read(&f.bed, 0xe4000000, 2), 0xaa55);
  vga_free(f.v);
  snprintf(props, sizeof props, "x,romfile=%s", bed_image(&f.bed, "bad", 1000));
  assert_null(vga_create(&f.bed.env, bed_opts(props), &e));
  assert_non_null(strstr(e.text, "romfile="));
  assert_null(vga_create(&f.bed.env, bed_opts("x,romfile=/nonexistent"), &e));
  bed_free(&f.bed);
}

static void the_catalogue_makes_devices_and_names_mistakes(void **state)
{
  struct bed bed;
  struct err e;
  bed_init(&bed, 1 << 20);
  struct device *d = device_create(&bed.env, bed_opts("virtio-rng-pci,id=r0,addr=5"), &e);
  assert_non_null(d);
  assert_string_equal(d->id, "r0");
  assert_non_null(bed.pci.func[5 << 3]);
  assert_null(device_create(&bed.env, bed_opts("virtio-rng-pci,addr=5"), &e));
  assert_non_null(strstr(e.text, "taken"));
  assert_null(device_create(&bed.env, bed_opts("virtio-rng-pci,colour=red"), &e));
  assert_non_null(strstr(e.text, "colour"));
  assert_null(device_create(&bed.env, bed_opts("virtio-rgn-pci"), &e));
  assert_non_null(strstr(e.text, "virtio-rng-pci"));
  assert_null(device_create(&bed.env, bed_opts("virtio-blk-pci,drive=nope"), &e));
  assert_non_null(strstr(e.text, "nope"));
  device_free(d);
  assert_null(bed.pci.func[5 << 3]);
  bed_free(&bed);
}

static void every_row_of_the_catalogue_has_help(void **state)
{
  char text[4096] = "";
  for (const struct catalog_device *d = catalog; d->name; d++) {
    FILE *f = fmemopen(text, sizeof text, "w");
    catalog_help(d, f);
    fclose(f);
    assert_non_null(strstr(text, d->name));
    for (const struct catalog_prop *p = d->props; p->name; p++)
      assert_non_null(strstr(text, p->help));
    assert_ptr_equal(catalog_find(d->name), d);
  }
  FILE *f = fmemopen(text, sizeof text, "w");
  catalog_list(f);
  fclose(f);
  assert_non_null(strstr(text, "\"virtio-blk-pci\", bus PCI"));
}

static void firmware_can_enable_ports_and_memory(void **state)
{
  struct fixture f;
  start(&f, "x");
  assert_int_equal(bed_config_read(&f.bed, &f.v->pci, PCI_COMMAND, 2), 3);
  assert_int_equal(bed_config_read(&f.bed, &f.v->pci, PCI_CLASS_PROG, 4) & 0xffffff, 0x030000);
  stop(&f);
}

static void serial_devices_take_their_place_from_index(void **state)
{
  struct bed bed;
  struct err e;
  bed_init(&bed, 1 << 20);
  struct device *d = device_create(&bed.env, bed_opts("isa-serial,index=2"), &e);
  assert_non_null(d);
  bed_out(&bed, 0x3ef, 1, 0x5a);
  assert_int_equal(bed_in(&bed, 0x3ef, 1), 0x5a);
  device_free(d);
  assert_int_equal(bed_in(&bed, 0x3ef, 1), 0xff);
  assert_null(device_create(&bed.env, bed_opts("isa-serial,index=4"), &e));
  assert_null(device_create(&bed.env, bed_opts("isa-serial,chardev=nope"), &e));
  assert_non_null(strstr(e.text, "nope"));
  bed_free(&bed);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(write_modes_follow_the_planes_logic),
      cmocka_unit_test(read_modes_select_a_plane_or_compare),
      cmocka_unit_test(chain4_and_odd_even_reach_the_right_planes),
      cmocka_unit_test(text_comes_out_as_utf8),
      cmocka_unit_test(text_uses_the_font_in_plane_2_and_the_palette),
      cmocka_unit_test(planar_pixels_have_16_colours),
      cmocka_unit_test(mode13_and_mode_x_show_256_colours),
      cmocka_unit_test(linear_modes_show_every_depth),
      cmocka_unit_test(impossible_modes_are_not_enabled),
      cmocka_unit_test(retrace_comes_with_the_clock),
      cmocka_unit_test(png_files_hold_the_picture),
      cmocka_unit_test(any_registers_can_be_rendered),
      cmocka_unit_test(rom_is_shown_by_its_bar_and_bad_ones_are_refused),
      cmocka_unit_test(every_row_of_the_catalogue_has_help),
      cmocka_unit_test(firmware_can_enable_ports_and_memory),
      cmocka_unit_test(serial_devices_take_their_place_from_index),
      cmocka_unit_test(the_catalogue_makes_devices_and_names_mistakes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
