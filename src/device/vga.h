// Standard VGA with the VBE DISPI extension (linear modes), as a PCI function 1234:1111.
//
// IBM's registers are as in the "IBM VGA Technical Reference" and FreeVGA; DISPI is the interface that bochs'
// VBE documentation gives for ports 1CEh/1CFh. Video memory is 16 MB: BAR0 shows it as it is, so that linear
// modes are fast; the legacy window at A0000h goes through the planes' logic.
//
// Layout of video memory: byte 4 * offset + plane. Chain-4 therefore is linear, which is what DISPI's banks
// need. Odd/even addressing keeps the hardware's even offsets.
//
// The legacy ports and the window always answer: there is one VGA in the machine, and a kernel that was
// loaded without firmware expects its console there.
#ifndef DEVICE_VGA_H
#define DEVICE_VGA_H

#include "base/clock.h"
#include "bus/bus.h"
#include "bus/pci.h"
#include "device/device.h"

enum {
  VBE_ID,
  VBE_XRES,
  VBE_YRES,
  VBE_BPP,
  VBE_ENABLE,
  VBE_BANK,
  VBE_VIRT_WIDTH,
  VBE_VIRT_HEIGHT,
  VBE_X_OFFSET,
  VBE_Y_OFFSET,
  VBE_MEMORY_64K,
  VBE_REGS,
};

enum { VBE_ENABLED = 1, VBE_GETCAPS = 2, VBE_8BIT_DAC = 0x20, VBE_LFB = 0x40, VBE_NOCLEAR = 0x80 };

struct vga {
  struct device device;
  struct pci_func pci;
  struct bus *bus;
  struct clock *clock;
  struct log *log;
  uint64_t mem;      // video memory's offset in the machine's RAM
  uint32_t mem_size; // a power of two
  uint64_t rom;      // expansion ROM, or RAM_NONE
  uint32_t rom_size;
  struct region window, ports[5], dispi;
  uint8_t misc, feature;
  uint8_t seq_index, seq[8];
  uint8_t gc_index, gc[16];
  uint8_t crtc_index, crtc[32];
  uint8_t ac_index, ac[32];
  bool ac_data; // the next write to 3C0h is data
  uint8_t latch[4];
  uint8_t dac_mask, dac_read, dac_write, dac_sub, dac_state;
  uint8_t dac[256][3];
  uint16_t vbe_index, vbe[VBE_REGS];
};

// A picture: 00RRGGBB.
struct vga_image {
  unsigned width, height;
  uint32_t *pixels;
};

// RAM that vga_create will ask for, at most: video memory and ROM.
#define VGA_DEFAULT_MEMORY (16u << 20)
#define VGA_RAM_NEEDED(mb) (((uint64_t)(mb) << 20) + (256u << 10))

// Properties: vgamem_mb (power of two, 1 to 256), romfile (empty: none), addr, bus.
struct vga *vga_create(const struct device_env *env, struct opts *props, struct err *e);
void vga_reset(struct vga *v);
void vga_free(struct vga *v);
struct device *vga_device(const struct device_env *env, struct opts *props, struct err *e);

// What a BIOS does: 80x25 text, palette, and the font of the ROM. For kernels that are loaded directly.
void vga_set_text_mode(struct vga *v);

bool vga_is_text(const struct vga *v);
// The text screen as UTF-8, one line for each row, without trailing blanks; to be freed. NULL in graphics
// modes, or if there is no memory.
char *vga_text(const struct vga *v);
// Renders what a screen would show, in any mode. A blanked screen is black. False: no memory.
bool vga_render(const struct vga *v, struct vga_image *out);
void vga_image_free(struct vga_image *img);
bool vga_screendump_png(const struct vga *v, const char *path, struct err *e);

// Inside: vga.c, vga_mem.c, vga_vbe.c
extern const struct bus_ops vga_window_ops, vga_dispi_ops;
uint64_t vga_port_read(struct vga *v, uint16_t port);
void vga_port_write(struct vga *v, uint16_t port, uint8_t value);
uint16_t vga_vbe_read(const struct vga *v, unsigned reg);
void vga_vbe_write(struct vga *v, unsigned reg, uint16_t value);
void vga_vbe_reset(struct vga *v);
unsigned vga_vbe_pitch(const struct vga *v); // bytes, of one plane with 4 bits
static inline bool vga_vbe_on(const struct vga *v)
{
  return (v->vbe[VBE_ENABLE] & VBE_ENABLED) != 0;
}
static inline const uint8_t *vga_memory(const struct vga *v)
{
  return v->bus->ram->mem + v->mem;
}

#endif
