// Multiboot 1 (Multiboot Specification 0.6.96). Section 3.1 is the header, 3.2 the machine state, 3.3 the
// information structure. The image is ELF (32 or 64 bits), or anything with the address fields.
#include "firmware/elf.h"

#include <stdio.h>

enum {
  SEARCH = 8192,
  HEADER_MAGIC = 0x1badb002,
  BOOT_MAGIC = 0x2badb002,
  // header flags
  PAGE_ALIGN = 1 << 0,
  MEMORY_INFO = 1 << 1,
  VIDEO_MODE = 1 << 2,
  REQUIRED = 0xffff, // an unknown bit in here must be refused
  ADDRESSES = 1 << 16,
  // information flags and offsets
  MBI_MEMORY = 1 << 0,
  MBI_CMDLINE = 1 << 2,
  MBI_MODS = 1 << 3,
  MBI_MMAP = 1 << 6,
  MBI_LOADER_NAME = 1 << 9,
  MBI_FRAMEBUFFER = 1 << 12,
  MBI_SIZE = 120,
  MMAP_ENTRY = 24,
  MOD_ENTRY = 16,
};

static uint64_t find_header(const struct image *im)
{
  for (uint64_t at = 0; at + 12 <= im->len && at + 12 <= SEARCH; at += 4) {
    const uint8_t *p = im->data + at;
    if (get32(p) == HEADER_MAGIC && get32(p) + get32(p + 4) + get32(p + 8) == 0)
      return at;
  }
  return UINT64_MAX;
}

// The address fields, for images that are not ELF ("a.out kludge").
static bool load_addresses(struct loader *l, const struct image *im, uint64_t at, uint64_t *entry)
{
  if (!image_has(im, at, 32) || at + 32 > SEARCH)
    return err_set(l->e, "kernel %s: cut short: no whole multiboot header", im->name);
  const uint8_t *p = im->data + at;
  uint64_t header = get32(p + 12), load = get32(p + 16), load_end = get32(p + 20), bss_end = get32(p + 24);
  *entry = get32(p + 28);
  if (header < load || header - load > at)
    return err_set(l->e, "kernel %s: multiboot load_addr 0x%llx does not fit header_addr 0x%llx", im->name,
                   (unsigned long long)load, (unsigned long long)header);
  uint64_t off = at - (header - load);
  uint64_t len = im->len - off;
  if (load_end) {
    if (load_end < load)
      return err_set(l->e, "kernel %s: multiboot load_end_addr lies before load_addr", im->name);
    if (load_end - load > len)
      return err_set(l->e, "kernel %s: cut short: multiboot wants %llu bytes, the file has %llu of them",
                     im->name, (unsigned long long)(load_end - load), (unsigned long long)len);
    len = load_end - load;
  }
  uint64_t mem = len;
  if (bss_end) {
    if (bss_end < load + len)
      return err_set(l->e, "kernel %s: multiboot bss_end_addr lies before load_end_addr", im->name);
    mem = bss_end - load;
  }
  if (*entry < load || *entry - load >= mem)
    return err_set(l->e, "kernel %s: multiboot entry 0x%llx is outside the image", im->name,
                   (unsigned long long)*entry);
  return loader_claim(l, im->name, "the image", load, mem) && loader_write(l, load, im->data + off, len) &&
         loader_write(l, load + len, NULL, mem - len);
}

static bool put_mods(struct loader *l, uint8_t *mbi, struct modules *m)
{
  uint8_t list[MODULES_MAX * MOD_ENTRY] = {0};
  if (!modules_load(l, m))
    return false;
  for (unsigned i = 0; i < m->count; i++) {
    uint64_t text = loader_string(l, m->mod[i].text);
    if (!text)
      return false;
    put32(list + i * MOD_ENTRY, (uint32_t)m->mod[i].base);
    put32(list + i * MOD_ENTRY + 4, (uint32_t)(m->mod[i].base + m->mod[i].len));
    put32(list + i * MOD_ENTRY + 8, (uint32_t)text);
  }
  put32(mbi + 20, m->count);
  if (!m->count)
    return true;
  uint64_t at = loader_low(l, list, m->count * (uint64_t)MOD_ENTRY, 16);
  put32(mbi + 24, (uint32_t)at);
  return at != 0;
}

static bool put_mmap(struct loader *l, uint8_t *mbi)
{
  const struct e820 *map = &l->st->map;
  uint8_t list[E820_MAX * MMAP_ENTRY] = {0};
  for (unsigned i = 0; i < map->count; i++) {
    uint8_t *p = list + i * MMAP_ENTRY;
    put32(p, MMAP_ENTRY - 4); // the size does not count itself
    put64(p + 4, map->entry[i].base);
    put64(p + 12, map->entry[i].size);
    put32(p + 20, map->entry[i].type);
  }
  uint64_t at = loader_low(l, list, map->count * (uint64_t)MMAP_ENTRY, 16);
  put32(mbi + 44, map->count * MMAP_ENTRY);
  put32(mbi + 48, (uint32_t)at);
  put32(mbi + 4, E820_EBDA / 1024);
  put32(mbi + 8, (uint32_t)((e820_low_end(map) - 0x100000) / 1024));
  return at != 0;
}

// The command line begins with the kernel's name, as a shell's would.
static uint64_t put_cmdline(struct loader *l)
{
  char text[8192];
  const char *append = l->rq->append ? l->rq->append : "";
  int n = snprintf(text, sizeof text, "%s %s", l->rq->kernel, append);
  if (n < 0 || (size_t)n >= sizeof text) {
    err_set(l->e, "-append: longer than %zu characters", sizeof text - strlen(l->rq->kernel) - 2);
    return 0;
  }
  return loader_string(l, text);
}

static bool put_info(struct loader *l, struct modules *m)
{
  uint8_t mbi[MBI_SIZE] = {0};
  uint32_t flags = MBI_MEMORY | MBI_CMDLINE | MBI_MODS | MBI_MMAP | MBI_LOADER_NAME;
  uint64_t cmdline = put_cmdline(l), name = cmdline ? loader_string(l, "pacifica") : 0;
  if (!name || !put_mmap(l, mbi) || !put_mods(l, mbi, m))
    return false;
  put32(mbi + 16, (uint32_t)cmdline);
  put32(mbi + 64, (uint32_t)name);
  if (l->rq->vga_text) {
    flags |= MBI_FRAMEBUFFER;
    put64(mbi + 88, 0xb8000);
    put32(mbi + 96, 160); // pitch
    put32(mbi + 100, 80);
    put32(mbi + 104, 25);
    mbi[108] = 16; // bits per cell
    mbi[109] = 2;  // EGA text
  }
  put32(mbi, flags);
  l->st->rbx = loader_low(l, mbi, sizeof mbi, 16);
  return l->st->rbx != 0;
}

enum load_result multiboot1_load(struct loader *l, const struct image *im)
{
  uint64_t at = find_header(im), entry = 0;
  if (at == UINT64_MAX)
    return LOAD_NOT_MINE;
  uint32_t flags = get32(im->data + at + 4);
  if (flags & REQUIRED & ~(uint32_t)(PAGE_ALIGN | MEMORY_INFO | VIDEO_MODE)) {
    err_set(l->e, "kernel %s: multiboot header flags 0x%x ask for something unknown", im->name, flags);
    return LOAD_BAD;
  }
  if (flags & ADDRESSES) {
    if (!load_addresses(l, im, at, &entry))
      return LOAD_BAD;
  } else {
    struct elf f;
    if (!elf_is(im)) {
      err_set(l->e, "kernel %s: multiboot, but neither ELF nor with address fields", im->name);
      return LOAD_BAD;
    }
    if (!elf_parse(&f, im, l->e) || !elf_entry(&f, im->name, &entry, l->e) || !elf_write(l, im, &f))
      return LOAD_BAD;
  }
  if (entry >= GB4) {
    err_set(l->e, "kernel %s: multiboot entry 0x%llx is not below 4 GB", im->name, (unsigned long long)entry);
    return LOAD_BAD;
  }
  struct modules m = {0};
  bool ok = put_info(l, &m) && start_protected(l, entry);
  modules_free(&m);
  l->st->kind = "multiboot 1";
  l->st->rax = BOOT_MAGIC;
  return ok ? LOAD_OK : LOAD_BAD;
}
