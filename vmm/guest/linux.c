// Linux by its boot protocol (Documentation/arch/x86/boot.rst): a bzImage by the 32-bit entry, an ELF image
// (vmlinux) by the 64-bit entry.
#include "guest/load.h"

#include "host/paging.h"
#include "svm/vcpu.h"

enum {
  HEADER = 0x1f1,
  SETUP_SECTS = 0x1f1,
  MAGIC = 0x202,
  TYPE_OF_LOADER = 0x210,
  LOADFLAGS = 0x211,
  RAMDISK_IMAGE = 0x218,
  RAMDISK_SIZE = 0x21c,
  CMD_LINE_PTR = 0x228,
  INITRD_MAX = 0x22c,
  ALIGNMENT = 0x230,
  RELOCATABLE = 0x234,
  PREFERRED = 0x258,
  INIT_SIZE = 0x260,
  E820_COUNT = 0x1e8,
  E820_TABLE = 0x2d0,
  ACPI_RSDP = 0x70,
  EXT_RAMDISK_IMAGE = 0xc0,
  OUR_TYPE = 0xff
};

static uint32_t get32(const uint8_t *p)
{
  uint32_t v;
  memcpy(&v, p, 4);
  return v;
}

static uint64_t get64(const uint8_t *p)
{
  uint64_t v;
  memcpy(&v, p, 8);
  return v;
}

static void put32(uint8_t *p, uint32_t v)
{
  memcpy(p, &v, 4);
}

static bool packed(const struct image *i)
{
  return i->size > 0x270 && !memcmp(i->data + MAGIC, "HdrS", 4) && i->data[0x1fe] == 0x55;
}

// An ELF image for 64 bits that is linked above: what it begins with is the 64-bit entry.
static bool unpacked(const struct image *i)
{
  return i->size > 64 && !memcmp(i->data, "\177ELF\2", 5);
}

bool linux_is(const struct image *i)
{
  return packed(i) || (unpacked(i) && !multiboot_is(i));
}

static const char *zero_page(struct guest *g, uint8_t *zero, const struct image *initrd, uint64_t initrd_max)
{
  struct e820 map[8];
  unsigned n = load_e820(g, map);
  zero[E820_COUNT] = (uint8_t)n;
  memcpy(zero + E820_TABLE, map, n * sizeof *map);
  zero[TYPE_OF_LOADER] = OUR_TYPE;
  put32(zero + ACPI_RSDP, ACPI_BASE);
  char *text = guest_ptr(g, LOW_TEXT, 4096);
  copy_string(text, 4096, g->config->append);
  put32(zero + CMD_LINE_PTR, LOW_TEXT);
  if (!initrd->size)
    return NULL;
  const struct slot *s = &g->slot[g->slots - 1];
  uint64_t end = s->gpa + s->size < initrd_max ? s->gpa + s->size : initrd_max;
  uint64_t at = ALIGN_DOWN(end - initrd->size, PAGE_SIZE);
  if (end < initrd->size || !load_copy(g, at, initrd->data, initrd->size))
    return "its initrd does not fit into its memory";
  put32(zero + RAMDISK_IMAGE, (uint32_t)at);
  put32(zero + RAMDISK_SIZE, (uint32_t)initrd->size);
  put32(zero + EXT_RAMDISK_IMAGE, (uint32_t)(at >> 32));
  return NULL;
}

static const char *load_packed(struct guest *g, const struct image *kernel, const struct image *initrd)
{
  const uint8_t *k = kernel->data;
  uint64_t setup = ((k[SETUP_SECTS] ? k[SETUP_SECTS] : 4) + 1) * 512ull;
  if (setup > kernel->size || kernel->size < 0x301)
    return "its kernel is cut short";
  const struct slot *s = &g->slot[g->slots - 1];
  uint64_t align = get32(k + ALIGNMENT), at = get64(k + PREFERRED);
  if (k[RELOCATABLE] && !guest_ptr(g, at, get32(k + INIT_SIZE)))
    at = ALIGN_UP(s->gpa < MB ? MB : s->gpa, align ? align : LARGE);
  if (!guest_ptr(g, at, get32(k + INIT_SIZE)) || at >= 4 * GB ||
      !load_copy(g, at, k + setup, kernel->size - setup))
    return "its kernel does not fit into its memory";
  uint8_t *zero = guest_ptr(g, LOW_INFO, 4096);
  memset(zero, 0, 4096);
  memcpy(zero + HEADER, k + HEADER, 0x202 + k[0x201] - HEADER);
  put32(zero + 0x214, (uint32_t)at); // code32_start
  const char *wrong = zero_page(g, zero, initrd, get32(k + INITRD_MAX) + 1ull);
  vcpu_protected_mode(g->vcpu[0], at);
  g->vcpu[0]->reg[RSI] = LOW_INFO;
  return wrong;
}

// Page tables for the 64-bit entry: addresses as they are, 4 GB, or 512 where there are pages of 1 GB.
static void identity(struct guest *g)
{
  uint64_t *table = guest_ptr(g, LOW_TABLES, 6 * PAGE_SIZE);
  memset(table, 0, 6 * PAGE_SIZE);
  table[0] = (LOW_TABLES + PAGE_SIZE) | PTE_P | PTE_W;
  for (uint64_t i = 4; i < 512 && paging_has_1gb(); i++)
    table[512 + i] = i * GB | PTE_PS | PTE_P | PTE_W;
  for (unsigned i = 0; i < 4; i++)
    table[512 + i] = (LOW_TABLES + (2 + i) * PAGE_SIZE) | PTE_P | PTE_W;
  for (uint64_t i = 0; i < 2048; i++)
    table[1024 + i] = i * LARGE | PTE_PS | PTE_P | PTE_W;
}

static const char *load_unpacked(struct guest *g, const struct image *kernel, const struct image *initrd)
{
  struct elf e;
  const struct slot *s = &g->slot[g->slots - 1];
  if (!load_elf(g, kernel, &e,
                s->gpa)) // it stands as high above the beginning of memory as it wants; it finds out
    return "its kernel does not fit into its memory";
  uint8_t *zero = guest_ptr(g, LOW_INFO, 4096);
  memset(zero, 0, 4096);
  memcpy(zero + MAGIC, "HdrS", 4);
  zero[0x206] = 0x0f, zero[0x207] = 2; // protocol 2.15
  zero[LOADFLAGS] = 1;
  const char *wrong = zero_page(g, zero, initrd, UINT64_MAX);
  identity(g);
  vcpu_long_mode(g->vcpu[0], e.entry, LOW_TABLES);
  g->vcpu[0]->reg[RSI] = LOW_INFO;
  return wrong;
}

const char *linux_load(struct guest *g, const struct image *kernel, const struct image *initrd)
{
  return packed(kernel) ? load_packed(g, kernel, initrd) : load_unpacked(g, kernel, initrd);
}
