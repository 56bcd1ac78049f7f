// Linux: bzImage, by the 32-bit boot protocol (Linux, Documentation/arch/x86/boot.rst, protocol 2.00 to
// 2.15). Offsets of the setup header are those of its table; offsets of struct boot_params are those of
// Documentation/arch/x86/zero-page.rst.
//
// The 32-bit entry exists in every bzImage and needs no page tables from the loader, so 64-bit kernels
// are entered there too.
#include "firmware/loader.h"

#include <stdlib.h>

enum { // setup header
  HDR_START = 0x1f1,
  HDR_SETUP_SECTS = 0x1f1,
  HDR_SYSSIZE = 0x1f4,
  HDR_VID_MODE = 0x1fa,
  HDR_BOOT_FLAG = 0x1fe,
  HDR_JUMP = 0x200,
  HDR_MAGIC = 0x202,
  HDR_VERSION = 0x206,
  HDR_TYPE_OF_LOADER = 0x210,
  HDR_LOADFLAGS = 0x211,
  HDR_CODE32_START = 0x214,
  HDR_RAMDISK_IMAGE = 0x218,
  HDR_RAMDISK_SIZE = 0x21c,
  HDR_EXT_LOADER_VER = 0x226,
  HDR_CMD_LINE_PTR = 0x228,
  HDR_INITRD_ADDR_MAX = 0x22c,
  HDR_KERNEL_ALIGNMENT = 0x230,
  HDR_RELOCATABLE = 0x234,
  HDR_MIN_ALIGNMENT = 0x235,
  HDR_CMDLINE_SIZE = 0x238,
  HDR_HARDWARE_SUBARCH = 0x23c,
  HDR_SETUP_DATA = 0x250,
  HDR_PREF_ADDRESS = 0x258,
  HDR_INIT_SIZE = 0x260,
  HDR_MAX_END = 0x290, // boot_params has room up to here
};
enum { // boot_params besides the header
  ZP_SCREEN_INFO = 0x000,
  ZP_EXT_MEM_K = 0x002,
  ZP_OLD_CL_MAGIC = 0x020,
  ZP_OLD_CL_OFFSET = 0x022,
  ZP_ACPI_RSDP_ADDR = 0x070,
  ZP_ALT_MEM_K = 0x1e0,
  ZP_E820_ENTRIES = 0x1e8,
  ZP_E820_TABLE = 0x2d0,
};
#define LOADED_HIGH    1
#define MAGIC_HDRS     0x53726448u // "HdrS"
#define OLD_CL_MAGIC   0xa33f
#define OLD_REAL_MODE  0x90000u // where protocols before 2.02 have their boot parameters
#define OLD_CL_OFF     0x9000u
#define SETUP_RNG_SEED 9
#define LOADER_OTHER   0xff

void linux_zero_page(const struct loader *l, uint8_t *zp)
{
  const struct e820 *map = &l->st->map;
  if (l->rq->vga_text) {
    zp[0x06] = 3;         // orig_video_mode
    zp[0x07] = 80;        // orig_video_cols
    zp[0x0e] = 25;        // orig_video_lines
    zp[0x0f] = 1;         // orig_video_isVGA
    put16(zp + 0x10, 16); // orig_video_points
  }
  uint64_t kb = (e820_low_end(map) - 0x100000) / 1024;
  put16(zp + ZP_EXT_MEM_K, kb > 0xffff ? 0xffff : (uint16_t)kb);
  put32(zp + ZP_ALT_MEM_K, (uint32_t)kb);
  zp[ZP_E820_ENTRIES] = (uint8_t)map->count;
  e820_pack(map, zp + ZP_E820_TABLE);
  put64(zp + ZP_ACPI_RSDP_ADDR, l->rsdp);
}

// Adds a setup_data node with the random seed (protocol 2.09).
static bool add_seed(struct loader *l, uint8_t *zp)
{
  if (!l->rq->seed || !l->rq->seed_len || l->rq->seed_len > 1024)
    return true;
  uint8_t node[16 + 1024] = {0};
  put32(node + 8, SETUP_RNG_SEED);
  put32(node + 12, l->rq->seed_len);
  memcpy(node + 16, l->rq->seed, l->rq->seed_len);
  uint64_t pa = loader_low(l, node, 16 + l->rq->seed_len, 16);
  put64(zp + HDR_SETUP_DATA, pa);
  return pa != 0;
}

static const char *append_of(const struct loader *l)
{
  return l->rq->append ? l->rq->append : "";
}

uint64_t linux_plain_params(struct loader *l)
{
  uint8_t zp[ZERO_PAGE_SIZE] = {0};
  uint64_t initrd, initrd_len;
  linux_zero_page(l, zp);
  put16(zp + HDR_BOOT_FLAG, 0xaa55);
  put32(zp + HDR_MAGIC, MAGIC_HDRS);
  put16(zp + HDR_VERSION, 0x020f);
  put16(zp + HDR_VID_MODE, 0xffff);
  zp[HDR_TYPE_OF_LOADER] = LOADER_OTHER;
  zp[HDR_LOADFLAGS] = LOADED_HIGH;
  uint64_t cmdline = loader_string(l, append_of(l));
  if (!cmdline || !loader_initrd(l, GB4, &initrd, &initrd_len) || !add_seed(l, zp))
    return 0;
  put32(zp + HDR_CMD_LINE_PTR, (uint32_t)cmdline);
  put32(zp + HDR_CMDLINE_SIZE, (uint32_t)strlen(append_of(l)));
  put32(zp + HDR_RAMDISK_IMAGE, (uint32_t)initrd);
  put32(zp + HDR_RAMDISK_SIZE, (uint32_t)initrd_len);
  return loader_low(l, zp, sizeof zp, 4096);
}

// The file's setup header, checked.
struct bzimage {
  uint16_t version;
  uint64_t setup_size, kernel_size; // bytes in the file
  uint64_t header_end;
  uint64_t load, need;              // where, and how much memory until the kernel has unpacked itself
  uint64_t cmdline_max, initrd_max; // initrd_max: first address that it must not reach
};

static bool parse(struct loader *l, const struct image *im, struct bzimage *bz)
{
  const uint8_t *d = im->data;
  if (get32(d + HDR_MAGIC) != MAGIC_HDRS)
    return err_set(l->e, "kernel %s: a boot sector without a Linux setup header (boot protocol before 2.00)",
                   im->name);
  bz->version = get16(d + HDR_VERSION);
  if (bz->version < 0x200 || bz->version > 0x2ff)
    return err_set(l->e, "kernel %s: unknown Linux boot protocol %u.%02u", im->name, bz->version >> 8,
                   bz->version & 0xff);
  if (!(d[HDR_LOADFLAGS] & LOADED_HIGH))
    return err_set(l->e, "kernel %s: a zImage, which loads low; build a bzImage", im->name);
  unsigned sects = d[HDR_SETUP_SECTS] ? d[HDR_SETUP_SECTS] : 4;
  bz->setup_size = (sects + 1) * 512ull;
  if (bz->setup_size >= im->len)
    return err_set(l->e, "kernel %s: cut short: %llu bytes, and setup code alone has %llu", im->name,
                   (unsigned long long)im->len, (unsigned long long)bz->setup_size);
  bz->kernel_size = im->len - bz->setup_size;
  bz->header_end = HDR_MAGIC + (uint64_t)d[HDR_JUMP + 1];
  uint64_t must = bz->version >= 0x20a   ? HDR_INIT_SIZE + 4
                  : bz->version >= 0x206 ? HDR_CMDLINE_SIZE + 4
                  : bz->version >= 0x203 ? HDR_INITRD_ADDR_MAX + 4
                  : bz->version >= 0x202 ? HDR_CMD_LINE_PTR + 4
                                         : HDR_RAMDISK_SIZE + 4;
  if (bz->header_end < must || bz->header_end > HDR_MAX_END || bz->header_end > bz->setup_size)
    return err_set(l->e, "kernel %s: setup header of protocol %u.%02u ends at 0x%llx, which cannot be",
                   im->name, bz->version >> 8, bz->version & 0xff, (unsigned long long)bz->header_end);
  // syssize counts 16-byte units, rounded up.
  uint64_t sys = (bz->version >= 0x204 ? get32(d + HDR_SYSSIZE) : get16(d + HDR_SYSSIZE)) * 16ull;
  if (sys > align_up(bz->kernel_size, 16) && bz->version >= 0x204)
    return err_set(l->e, "kernel %s: cut short: the kernel proper has %llu bytes, the file %llu of them",
                   im->name, (unsigned long long)sys, (unsigned long long)bz->kernel_size);
  bz->cmdline_max = bz->version >= 0x206 ? get32(d + HDR_CMDLINE_SIZE) : 255;
  bz->initrd_max = (bz->version >= 0x203 ? get32(d + HDR_INITRD_ADDR_MAX) : 0x37ffffffull) + 1ull;
  return true;
}

static bool power_of_two(uint64_t v)
{
  return v && !(v & (v - 1));
}

// Chooses the load address and takes the memory.
static bool place(struct loader *l, const struct image *im, struct bzimage *bz)
{
  const uint8_t *d = im->data;
  bool relocatable = bz->version >= 0x205 && d[HDR_RELOCATABLE];
  uint64_t want = 0x100000; // where every bzImage that cannot be moved belongs
  bz->need = bz->kernel_size;
  if (bz->version >= 0x20a) {
    if (relocatable)
      want = get64(d + HDR_PREF_ADDRESS);
    if (get32(d + HDR_INIT_SIZE) > bz->need)
      bz->need = get32(d + HDR_INIT_SIZE);
  }
  if (relocatable) {
    uint64_t align = bz->version >= 0x20a && d[HDR_MIN_ALIGNMENT] < 32 && d[HDR_MIN_ALIGNMENT] >= 4
                         ? 1ull << d[HDR_MIN_ALIGNMENT]
                         : get32(d + HDR_KERNEL_ALIGNMENT);
    if (!power_of_two(align))
      return err_set(l->e, "kernel %s: kernel_alignment 0x%llx is not a power of two", im->name,
                     (unsigned long long)align);
    if (want >= 0x100000 && want < GB4 && !(want & (align - 1)) &&
        place_claim(&l->place, want, bz->need) == PLACE_OK) {
      bz->load = want;
    } else {
      bz->load = place_find(&l->place, bz->need, align, 0x100000, GB4, false);
      if (bz->load == PLACE_NONE)
        return err_set(l->e, "kernel %s: needs %llu MB of RAM to unpack itself; give more with -m", im->name,
                       (unsigned long long)((bz->need + align + 0x1fffff) >> 20));
    }
    return true;
  }
  bz->load = want;
  return loader_claim(l, im->name, "the kernel", want, bz->need);
}

static bool command_line(struct loader *l, const struct image *im, const struct bzimage *bz, uint8_t *zp)
{
  const char *text = append_of(l);
  size_t len = strlen(text);
  if (len > bz->cmdline_max)
    return err_set(l->e, "-append: %zu characters, and kernel %s takes %llu", len, im->name,
                   (unsigned long long)bz->cmdline_max);
  if (bz->version >= 0x202) {
    uint64_t pa = loader_string(l, text);
    put32(zp + HDR_CMD_LINE_PTR, (uint32_t)pa);
    return pa != 0;
  }
  put16(zp + ZP_OLD_CL_MAGIC, OLD_CL_MAGIC);
  put16(zp + ZP_OLD_CL_OFFSET, OLD_CL_OFF);
  return loader_claim(l, im->name, "the command line", OLD_REAL_MODE + OLD_CL_OFF, len + 1) &&
         loader_write(l, OLD_REAL_MODE + OLD_CL_OFF, text, len + 1);
}

static bool load(struct loader *l, const struct image *im)
{
  struct bzimage bz = {0};
  uint8_t zp[ZERO_PAGE_SIZE] = {0};
  uint64_t initrd, initrd_len, params;
  if (!parse(l, im, &bz) || !place(l, im, &bz))
    return false;
  if (!loader_write(l, bz.load, im->data + bz.setup_size, bz.kernel_size))
    return false;
  linux_zero_page(l, zp);
  memcpy(zp + HDR_START, im->data + HDR_START, bz.header_end - HDR_START);
  zp[HDR_TYPE_OF_LOADER] = LOADER_OTHER;
  if (bz.version >= 0x202)
    zp[HDR_EXT_LOADER_VER] = zp[HDR_EXT_LOADER_VER + 1] = 0;
  put16(zp + HDR_VID_MODE, 0xffff); // "normal"
  put32(zp + HDR_CODE32_START, (uint32_t)bz.load);
  if (bz.version >= 0x207)
    put32(zp + HDR_HARDWARE_SUBARCH, 0); // a PC
  if (bz.version >= 0x209)
    put64(zp + HDR_SETUP_DATA, 0);
  if (!command_line(l, im, &bz, zp) || !loader_initrd(l, bz.initrd_max, &initrd, &initrd_len))
    return false;
  put32(zp + HDR_RAMDISK_IMAGE, (uint32_t)initrd);
  put32(zp + HDR_RAMDISK_SIZE, (uint32_t)initrd_len);
  if (bz.version >= 0x209 && !add_seed(l, zp))
    return false;
  if (bz.version >= 0x202) {
    params = loader_low(l, zp, sizeof zp, 4096);
  } else {
    params = OLD_REAL_MODE;
    if (!loader_claim(l, im->name, "boot parameters", params, sizeof zp) ||
        !loader_write(l, params, zp, sizeof zp))
      return false;
  }
  if (!params || !start_protected(l, bz.load))
    return false;
  l->st->kind = "Linux bzImage";
  l->st->rsi = params;
  return true;
}

enum load_result linux_load(struct loader *l, const struct image *im)
{
  if (im->len < HDR_MAX_END || get16(im->data + HDR_BOOT_FLAG) != 0xaa55)
    return LOAD_NOT_MINE;
  return load(l, im) ? LOAD_OK : LOAD_BAD;
}
