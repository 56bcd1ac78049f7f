// The registers of the VGA, and making the device; see vga.h.
#include "device/vga.h"

#include <stdlib.h>
#include <string.h>

#include "device/place.h"
#include "device/vga_rom.h"

// ---- retrace ----------------------------------------------------------------------------------------

struct timing {
  uint64_t line_ns, lines, frame_ns;
  uint64_t display_end, retrace_start, retrace_len;
  uint64_t line_display_ns;
};

// What the CRTC's registers say, if a screen could follow it; else 640x480 at 60 Hz.
static struct timing timing(const struct vga *v)
{
  const uint8_t *c = v->crtc;
  uint64_t dot_hz = (v->misc & 0x0c) == 4 ? 28322000 : 25175000;
  unsigned width = v->seq[1] & 1 ? 8 : 9, over = c[7];
  if (v->seq[1] & 8)
    dot_hz /= 2;
  uint64_t total = (c[0] + 5u) * width, shown = (c[1] + 1u) * width;
  struct timing t;
  t.line_ns = muldiv64(total, 1000000000, dot_hz);
  t.line_display_ns = muldiv64(shown, 1000000000, dot_hz);
  t.lines = (c[6] | (over & 1) << 8 | (over & 0x20) << 4) + 2u;
  t.display_end = (c[0x12] | (over & 2) << 7 | (over & 0x40) << 3) + 1u;
  t.retrace_start = c[0x10] | (over & 4) << 6 | (over & 0x80) << 2;
  t.retrace_len = (c[0x11] - t.retrace_start) & 15;
  t.frame_ns = t.line_ns * t.lines;
  bool sane = t.frame_ns >= 5000000 && t.frame_ns <= 50000000 && t.retrace_start < t.lines &&
              t.display_end < t.lines && !vga_vbe_on(v);
  if (!sane)
    t = (struct timing){31777, 525, 31777 * 525, 480, 490, 2, 25422};
  return t;
}

// 3BAh/3DAh: bit 0 no display now, bit 3 vertical retrace
static uint8_t status(const struct vga *v)
{
  struct timing t = timing(v);
  uint64_t at = clock_now(v->clock) % t.frame_ns, line = at / t.line_ns;
  bool dark = line >= t.display_end || at % t.line_ns >= t.line_display_ns;
  bool retrace = line >= t.retrace_start && line - t.retrace_start < (t.retrace_len ? t.retrace_len : 16);
  return (uint8_t)((dark ? 1 : 0) | (retrace ? 8 : 0));
}

// ---- registers --------------------------------------------------------------------------------------

static bool colour(const struct vga *v)
{
  return v->misc & 1;
}

static uint8_t dac_data(struct vga *v)
{
  uint8_t b = v->dac[v->dac_read][v->dac_sub];
  if (++v->dac_sub == 3) {
    v->dac_sub = 0;
    v->dac_read++;
  }
  return b;
}

static void dac_store(struct vga *v, uint8_t b)
{
  bool wide = v->vbe[VBE_ENABLE] & VBE_8BIT_DAC;
  v->dac[v->dac_write][v->dac_sub] = wide ? b : b & 0x3f;
  if (++v->dac_sub == 3) {
    v->dac_sub = 0;
    v->dac_write++;
  }
}

uint64_t vga_port_read(struct vga *v, uint16_t port)
{
  if ((port & 0xfff0) == (colour(v) ? 0x3b0 : 0x3d0))
    return 0xff; // the other adapter's ports
  switch (port) {
  case 0x3c0:
    return v->ac_index;
  case 0x3c1:
    return v->ac[v->ac_index & 0x1f];
  case 0x3c2:
    return 0x10; // a monitor is connected
  case 0x3c4:
    return v->seq_index;
  case 0x3c5:
    return v->seq[v->seq_index & 7];
  case 0x3c6:
    return v->dac_mask;
  case 0x3c7:
    return v->dac_state;
  case 0x3c8:
    return v->dac_write;
  case 0x3c9:
    return dac_data(v);
  case 0x3ca:
    return v->feature;
  case 0x3cc:
    return v->misc;
  case 0x3ce:
    return v->gc_index;
  case 0x3cf:
    return v->gc[v->gc_index & 15];
  case 0x3b4:
  case 0x3d4:
    return v->crtc_index;
  case 0x3b5:
  case 0x3d5:
    return v->crtc_index < 0x19 ? v->crtc[v->crtc_index] : 0;
  case 0x3ba:
  case 0x3da:
    v->ac_data = false;
    return status(v);
  default:
    return 0xff;
  }
}

static void write_crtc(struct vga *v, uint8_t b)
{
  unsigned i = v->crtc_index;
  if (i >= 0x19)
    return;
  if ((v->crtc[0x11] & 0x80) && i <= 7) { // protected, but for bit 8 of line compare
    if (i == 7)
      v->crtc[7] = (uint8_t)((v->crtc[7] & ~0x10) | (b & 0x10));
    return;
  }
  v->crtc[i] = b;
}

static void write_ac(struct vga *v, uint8_t b)
{
  if (!v->ac_data)
    v->ac_index = b & 0x3f;
  else if ((v->ac_index & 0x1f) < 0x15)
    v->ac[v->ac_index & 0x1f] = (v->ac_index & 0x1f) < 16 ? b & 0x3f : b;
  v->ac_data = !v->ac_data;
}

void vga_port_write(struct vga *v, uint16_t port, uint8_t b)
{
  static const uint8_t seq_mask[8] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
  static const uint8_t gc_mask[16] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
  if ((port & 0xfff0) == (colour(v) ? 0x3b0 : 0x3d0))
    return;
  switch (port) {
  case 0x3c0:
    write_ac(v, b);
    break;
  case 0x3c2:
    v->misc = b & 0xef;
    break;
  case 0x3c4:
    v->seq_index = b & 7;
    break;
  case 0x3c5:
    v->seq[v->seq_index] = b & seq_mask[v->seq_index];
    break;
  case 0x3c6:
    v->dac_mask = b;
    break;
  case 0x3c7:
    v->dac_read = b;
    v->dac_sub = 0;
    v->dac_state = 3;
    break;
  case 0x3c8:
    v->dac_write = b;
    v->dac_sub = 0;
    v->dac_state = 0;
    break;
  case 0x3c9:
    dac_store(v, b);
    break;
  case 0x3ce:
    v->gc_index = b & 15;
    break;
  case 0x3cf:
    v->gc[v->gc_index] = b & gc_mask[v->gc_index];
    break;
  case 0x3b4:
  case 0x3d4:
    v->crtc_index = b & 0x3f;
    break;
  case 0x3b5:
  case 0x3d5:
    write_crtc(v, b);
    break;
  case 0x3ba:
  case 0x3da:
    v->feature = b;
    break;
  default:
    break;
  }
}

static uint64_t ports_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  return vga_port_read(dev, (uint16_t)t->addr);
}

static void ports_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  vga_port_write(dev, (uint16_t)t->addr, (uint8_t)value);
}

static const struct bus_ops ports_ops = {ports_read, ports_write, 1, 1};

// ---- BAR2: 400h VGA ports from 3C0h, 500h DISPI registers, 600h byte order -----------------------------

enum { MMIO_VGA = 0x400, MMIO_DISPI = 0x500, MMIO_EXT = 0x600 };

static uint64_t mmio_read(void *dev, uint64_t off, unsigned size, const struct txn *t)
{
  struct vga *v = dev;
  if (off >= MMIO_VGA && off < MMIO_VGA + 0x20) {
    uint64_t r = 0;
    for (unsigned i = 0; i < size; i++)
      r |= vga_port_read(v, (uint16_t)(0x3c0 + off - MMIO_VGA + i)) << 8 * i;
    return r;
  }
  if (off >= MMIO_DISPI && off < MMIO_DISPI + 2 * VBE_REGS)
    return vga_vbe_read(v, (unsigned)(off - MMIO_DISPI) / 2);
  if (off == MMIO_EXT)
    return 8; // bytes of this block
  if (off == MMIO_EXT + 4)
    return 0x1e1e1e1e; // the frame buffer is little-endian
  return 0;
}

static void mmio_write(void *dev, uint64_t off, unsigned size, uint64_t value, const struct txn *t)
{
  struct vga *v = dev;
  if (off >= MMIO_VGA && off < MMIO_VGA + 0x20)
    for (unsigned i = 0; i < size; i++)
      vga_port_write(v, (uint16_t)(0x3c0 + off - MMIO_VGA + i), (uint8_t)(value >> 8 * i));
  else if (off >= MMIO_DISPI && off < MMIO_DISPI + 2 * VBE_REGS)
    vga_vbe_write(v, (unsigned)(off - MMIO_DISPI) / 2, (uint16_t)value);
}

static const struct bus_ops mmio_ops = {mmio_read, mmio_write, 1, 4};

// ---- the device -------------------------------------------------------------------------------------

void vga_reset(struct vga *v)
{
  v->misc = v->feature = 0;
  v->seq_index = v->gc_index = v->crtc_index = v->ac_index = 0;
  v->ac_data = false;
  memset(v->seq, 0, sizeof v->seq);
  memset(v->gc, 0, sizeof v->gc);
  memset(v->crtc, 0, sizeof v->crtc);
  memset(v->ac, 0, sizeof v->ac);
  memset(v->latch, 0, sizeof v->latch);
  memset(v->dac, 0, sizeof v->dac);
  v->dac_mask = 0xff;
  v->dac_read = v->dac_write = v->dac_sub = v->dac_state = 0;
  vga_vbe_reset(v);
  pci_func_reset(&v->pci);
}

static void device_reset_vga(struct device *d)
{
  vga_reset(d->self);
}

static void device_free_vga(struct device *d)
{
  vga_free(d->self);
}

static void map(struct vga *v)
{
  static const struct {
    uint16_t base, count;
  } ports[5] = {{0x3b4, 2}, {0x3ba, 1}, {0x3c0, 16}, {0x3d4, 2}, {0x3da, 1}};
  bus_begin(v->bus);
  for (unsigned i = 0; i < 5; i++)
    bus_map_ports(v->bus, &v->ports[i], "vga", ports[i].base, ports[i].count, &ports_ops, v);
  bus_map_ports(v->bus, &v->dispi, "vga-dispi", 0x1ce, 3, &vga_dispi_ops, v);
  bus_map_io(v->bus, &v->window, "vga-window", 0xa0000, 0x20000, &vga_window_ops, v);
  bus_commit(v->bus);
}

struct vga *vga_create(const struct device_env *env, struct opts *props, struct err *e)
{
  uint64_t mb = VGA_DEFAULT_MEMORY >> 20;
  unsigned slot, function;
  if (!opts_u64(props, "vgamem_mb", &mb, e))
    return NULL;
  if (mb < 1 || mb > 256 || (mb & (mb - 1))) {
    err_set(e, "VGA: vgamem_mb=%llu is not a power of two from 1 to 256", (unsigned long long)mb);
    return NULL;
  }
  if (!place_pci(env, props, "VGA", 2, &slot, &function, e))
    return NULL;
  struct vga *v = calloc(1, sizeof *v);
  if (!v) {
    err_set(e, "out of memory");
    return NULL;
  }
  v->bus = env->bus;
  v->clock = env->clock;
  v->log = env->log;
  v->mem_size = (uint32_t)mb << 20;
  v->mem = ram_alloc(v->bus->ram, v->mem_size);
  v->rom = RAM_NONE;
  if (v->mem == RAM_NONE) {
    err_set(e, "VGA: no room for %llu MB of video memory", (unsigned long long)mb);
    free(v);
    return NULL;
  }
  pci_func_init(&v->pci, "VGA", 0x1234, 0x1111, 0x030000, 2, v);
  pci_set_subsystem(&v->pci, 0x1af4, 0x1100);
  v->pci.wmask[PCI_COMMAND] |= PCI_COMMAND_IO; // of the legacy ports: firmware takes only a VGA that has it
  pci_bar_ram(&v->pci, 0, v->mem_size, v->mem, true, false);
  pci_bar_mem(&v->pci, 2, 4096, false, false, &mmio_ops, v);
  if (!vga_rom_load(v, opts_get(props, "romfile"), e)) {
    free(v);
    return NULL;
  }
  if (v->rom != RAM_NONE)
    pci_bar_ram(&v->pci, 6, v->rom_size, v->rom, false, true);
  if (!pci_add(env->pci, &v->pci, (uint8_t)slot, (uint8_t)function, 0)) {
    err_set(e, "VGA: PCI address %02x.%x is taken", slot, function);
    free(v);
    return NULL;
  }
  map(v);
  vga_reset(v);
  v->device = (struct device){.type = "VGA", .reset = device_reset_vga, .free = device_free_vga, .self = v};
  return v;
}

void vga_free(struct vga *v)
{
  bus_begin(v->bus);
  for (unsigned i = 0; i < 5; i++)
    bus_unmap(v->bus, &v->ports[i]);
  bus_unmap(v->bus, &v->dispi);
  bus_unmap(v->bus, &v->window);
  bus_commit(v->bus);
  pci_remove(&v->pci);
  free(v->device.id);
  free(v);
}

struct device *vga_device(const struct device_env *env, struct opts *props, struct err *e)
{
  struct vga *v = vga_create(env, props, e);
  return v ? &v->device : NULL;
}
