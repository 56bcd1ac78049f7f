// The VGA's expansion ROM: found, checked and loaded; and what a BIOS would do with it to show text. See
// vga.h.
#include "device/vga_rom.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_ROM (256u << 10)

static bool load(struct vga *v, int fd, const char *path, struct err *e)
{
  struct stat st;
  uint8_t head[3];
  if (fstat(fd, &st) < 0)
    return err_set(e, "cannot read %s: %s", path, strerror(errno));
  if (st.st_size < 512 || st.st_size > MAX_ROM || pread(fd, head, 3, 0) != 3 || head[0] != 0x55 ||
      head[1] != 0xaa)
    return err_set(e, "%s is not an expansion ROM of at most 256 KB; give another with romfile=", path);
  v->rom_size = 4096;
  while (v->rom_size < (uint64_t)st.st_size)
    v->rom_size *= 2;
  v->rom = ram_alloc(v->bus->ram, v->rom_size);
  if (v->rom == RAM_NONE)
    return err_set(e, "no room for the ROM %s", path);
  for (off_t at = 0; at < st.st_size;) {
    ssize_t n = pread(fd, v->bus->ram->mem + v->rom + at, (size_t)(st.st_size - at), at);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return err_set(e, "cannot read %s: %s", path, n ? strerror(errno) : "it was cut short");
    at += n;
  }
  return true;
}

bool vga_rom_load(struct vga *v, const char *path, struct err *e)
{
  static const char *const places[] = {"/usr/share/seabios/vgabios-stdvga.bin",
                                       "/usr/share/qemu/vgabios-stdvga.bin",
                                       "/usr/share/vgabios/vgabios-stdvga.bin"};
  int fd = -1;
  if (path && !*path)
    return true;
  if (path) {
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
      return err_set(e, "cannot open %s: %s", path, strerror(errno));
  }
  for (unsigned i = 0; fd < 0 && i < sizeof places / sizeof places[0]; i++) {
    path = places[i];
    fd = open(path, O_RDONLY | O_CLOEXEC);
  }
  if (fd < 0)
    return true; // a machine without the package has a VGA without a BIOS
  bool ok = load(v, fd, path, e);
  close(fd);
  return ok;
}

// The font has no fixed place. It is known by how its letters begin: 'A' of the 8x16 font of IBM's ROM, which
// every VGA BIOS has, and the blank glyph 0 before it.
const uint8_t *vga_rom_font(const struct vga *v)
{
  static const uint8_t letter[16] = {0,    0,    0x10, 0x38, 0x6c, 0xc6, 0xc6, 0xfe,
                                     0xc6, 0xc6, 0xc6, 0xc6, 0,    0,    0,    0};
  static const uint8_t blank[16];
  if (v->rom == RAM_NONE)
    return NULL;
  const uint8_t *rom = v->bus->ram->mem + v->rom;
  for (uint32_t at = 0; at + 4096 <= v->rom_size; at++)
    if (rom[at + 'A' * 16 + 7] == 0xfe && !memcmp(rom + at + 'A' * 16, letter, 16) &&
        !memcmp(rom + at, blank, 16) && !memcmp(rom + at + ' ' * 16, blank, 16))
      return rom + at;
  return NULL;
}

void vga_set_text_mode(struct vga *v)
{
  static const uint8_t seq[5] = {0x03, 0x00, 0x03, 0x00, 0x02};
  static const uint8_t crtc[25] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00,
                                   0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
                                   0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
  static const uint8_t gc[9] = {0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff};
  static const uint8_t ac[21] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
                                 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};
  vga_vbe_write(v, VBE_ENABLE, 0);
  v->misc = 0x67;
  memcpy(v->seq, seq, sizeof seq);
  memcpy(v->crtc, crtc, sizeof crtc);
  memcpy(v->gc, gc, sizeof gc);
  memcpy(v->ac, ac, sizeof ac);
  v->ac_index = 0x20; // the screen is on
  v->ac_data = false;
  for (unsigned i = 0; i < 64; i++) { // rgbRGB
    v->dac[i][0] = (uint8_t)((i >> 2 & 1) * 0x2a + (i >> 5 & 1) * 0x15);
    v->dac[i][1] = (uint8_t)((i >> 1 & 1) * 0x2a + (i >> 4 & 1) * 0x15);
    v->dac[i][2] = (uint8_t)((i & 1) * 0x2a + (i >> 3 & 1) * 0x15);
  }
  uint8_t *m = v->bus->ram->mem + v->mem;
  const uint8_t *font = vga_rom_font(v);
  memset(m, 0, 256 << 10);
  for (unsigned i = 0; i < 0x4000; i += 2) { // odd/even: even offsets
    m[4 * i] = ' ';
    m[4 * i + 1] = 0x07;
  }
  for (unsigned c = 0; font && c < 256; c++)
    for (unsigned r = 0; r < 16; r++)
      m[4 * (c * 32 + r) + 2] = font[c * 16 + r];
  ram_touched(v->bus->ram, v->mem, 256 << 10);
}
