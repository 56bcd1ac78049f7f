// Multiboot 2 (Multiboot2 Specification 2.0). Section 3.1 is the header and its tags, 3.3 the machine
// state, 3.6 the information tags.
#include "firmware/elf.h"

#include "firmware/acpi.h"

#include <stdlib.h>

enum {
  SEARCH = 32768,
  ARCH_I386 = 0,
  TAG_END = 0,
  TAG_REQUEST = 1,
  TAG_ADDRESS = 2,
  TAG_ENTRY = 3,
  TAG_CONSOLE = 4,
  TAG_RELOCATABLE = 10,
  OPTIONAL = 1,
  CONSOLE_REQUIRED = 1,
  INFO_CMDLINE = 1,
  INFO_LOADER = 2,
  INFO_MODULE = 3,
  INFO_MEMORY = 4,
  INFO_MMAP = 6,
  INFO_FRAMEBUFFER = 8,
  INFO_ACPI_OLD = 14,
  INFO_ACPI_NEW = 15,
  INFO_LOAD_BASE = 21,
};
#define HEADER_MAGIC 0xe85250d6u
#define BOOT_MAGIC   0x36d76289u

struct header {
  uint64_t at, len;
  bool address, entry_given, relocatable;
  uint64_t header_addr, load_addr, load_end, bss_end, entry;
};

static uint64_t find_header(const struct image *im)
{
  for (uint64_t at = 0; at + 16 <= im->len && at + 16 <= SEARCH; at += 8) {
    const uint8_t *p = im->data + at;
    if (get32(p) == HEADER_MAGIC && get32(p) + get32(p + 4) + get32(p + 8) + get32(p + 12) == 0)
      return at;
  }
  return UINT64_MAX;
}

static bool can_give(const struct loader *l, uint32_t type)
{
  switch (type) {
  case INFO_CMDLINE:
  case INFO_LOADER:
  case INFO_MODULE:
  case INFO_MEMORY:
  case INFO_MMAP:
    return true;
  case INFO_FRAMEBUFFER:
    return l->rq->vga_text;
  case INFO_ACPI_OLD:
  case INFO_ACPI_NEW:
    return l->rsdp != 0;
  }
  return false;
}

static bool tag(struct loader *l, const struct image *im, struct header *h, const uint8_t *p, uint32_t size)
{
  uint16_t type = get16(p);
  bool optional = get16(p + 2) & OPTIONAL;
  uint32_t least = type == TAG_ADDRESS ? 24 : type == TAG_ENTRY || type == TAG_CONSOLE ? 12 : 8;
  if (size < least)
    return err_set(l->e, "kernel %s: multiboot 2 header tag %u of %u bytes is too short", im->name, type,
                   size);
  switch (type) {
  case TAG_REQUEST:
    for (uint32_t i = 8; i + 4 <= size && !optional; i += 4)
      if (!can_give(l, get32(p + i)))
        return err_set(l->e, "kernel %s: needs multiboot 2 information of type %u, which is not there",
                       im->name, get32(p + i));
    return true;
  case TAG_ADDRESS:
    h->address = true;
    h->header_addr = get32(p + 8);
    h->load_addr = get32(p + 12);
    h->load_end = get32(p + 16);
    h->bss_end = get32(p + 20);
    return true;
  case TAG_ENTRY:
    h->entry_given = true;
    h->entry = get32(p + 8);
    return true;
  case TAG_CONSOLE:
    if ((get32(p + 8) & CONSOLE_REQUIRED) && !l->rq->vga_text && !optional)
      return err_set(l->e, "kernel %s: needs a text console, and the machine has no VGA", im->name);
    return true;
  case TAG_RELOCATABLE:
    h->relocatable = true; // it is loaded where it was linked
    return true;
  case 5: // framebuffer: a wish
  case 6: // module alignment: modules are aligned always
  case 7: // EFI boot services and entries: for EFI machines
  case 8:
  case 9:
    return true;
  }
  return optional || err_set(l->e, "kernel %s: multiboot 2 header tag %u is unknown", im->name, type);
}

static bool parse(struct loader *l, const struct image *im, struct header *h)
{
  const uint8_t *p = im->data + h->at;
  h->len = get32(p + 8);
  if (get32(p + 4) != ARCH_I386)
    return err_set(l->e, "kernel %s: multiboot 2 for architecture %u, not for a PC", im->name, get32(p + 4));
  if (h->len < 16 || !image_has(im, h->at, h->len) || h->at + h->len > SEARCH)
    return err_set(l->e,
                   "kernel %s: multiboot 2 header of %llu bytes does not end inside the file's first 32 KB",
                   im->name, (unsigned long long)h->len);
  for (uint64_t off = 16; off + 8 <= h->len;) {
    uint32_t size = get32(p + off + 4);
    if (get16(p + off) == TAG_END && size == 8)
      return true;
    if (size < 8 || size > h->len - off)
      return err_set(l->e, "kernel %s: multiboot 2 header tag at +%llu has size %u", im->name,
                     (unsigned long long)off, size);
    if (!tag(l, im, h, p + off, size))
      return false;
    off += align_up(size, 8);
  }
  return err_set(l->e, "kernel %s: multiboot 2 header has no end tag", im->name);
}

static bool load_addresses(struct loader *l, const struct image *im, const struct header *h)
{
  bool whole = h->load_addr == 0xffffffffu; // the file from its beginning
  uint64_t base = whole ? h->header_addr - h->at : h->load_addr;
  if (h->header_addr < base || h->header_addr - base > h->at || (whole && h->header_addr < h->at))
    return err_set(l->e, "kernel %s: multiboot 2 load_addr 0x%llx does not fit header_addr 0x%llx", im->name,
                   (unsigned long long)base, (unsigned long long)h->header_addr);
  uint64_t off = h->at - (h->header_addr - base), len = im->len - off;
  if (h->load_end) {
    if (h->load_end < base || h->load_end - base > len)
      return err_set(l->e, "kernel %s: cut short: multiboot 2 load_end_addr 0x%llx lies outside the file",
                     im->name, (unsigned long long)h->load_end);
    len = h->load_end - base;
  }
  uint64_t mem = len;
  if (h->bss_end) {
    if (h->bss_end < base + len)
      return err_set(l->e, "kernel %s: multiboot 2 bss_end_addr lies before load_end_addr", im->name);
    mem = h->bss_end - base;
  }
  if (!h->entry_given || h->entry < base || h->entry - base >= mem)
    return err_set(l->e, "kernel %s: multiboot 2 entry is missing or outside the image", im->name);
  return loader_claim(l, im->name, "the image", base, mem) && loader_write(l, base, im->data + off, len) &&
         loader_write(l, base + len, NULL, mem - len);
}

// The information structure grows tag by tag.
struct info {
  uint8_t *data;
  uint64_t len, room;
  bool failed;
};

// Adds a tag with `size` bytes after its 8-byte head, zeroed, and returns these; NULL: out of memory.
static uint8_t *add(struct info *in, uint32_t type, uint64_t size)
{
  uint64_t whole = align_up(8 + size, 8);
  if (in->len + whole > in->room) {
    uint64_t room = (in->len + whole) * 2;
    uint8_t *more = realloc(in->data, room);
    if (!more) {
      in->failed = true;
      return NULL;
    }
    in->data = more;
    in->room = room;
  }
  uint8_t *p = in->data + in->len;
  memset(p, 0, whole);
  put32(p, type);
  put32(p + 4, (uint32_t)(8 + size));
  in->len += whole;
  return p + 8;
}

static void add_string(struct info *in, uint32_t type, const char *s)
{
  uint8_t *p = add(in, type, strlen(s) + 1);
  if (p)
    memcpy(p, s, strlen(s) + 1);
}

static void add_mmap(struct info *in, const struct e820 *map)
{
  uint8_t *p = add(in, INFO_MMAP, 8 + map->count * 24ull);
  if (!p)
    return;
  put32(p, 24); // entry size
  for (unsigned i = 0; i < map->count; i++) {
    put64(p + 8 + i * 24, map->entry[i].base);
    put64(p + 16 + i * 24, map->entry[i].size);
    put32(p + 24 + i * 24, map->entry[i].type);
  }
  p = add(in, INFO_MEMORY, 8);
  if (p) {
    put32(p, E820_EBDA / 1024);
    put32(p + 4, (uint32_t)((e820_low_end(map) - 0x100000) / 1024));
  }
}

static void add_framebuffer(struct info *in)
{
  uint8_t *p = add(in, INFO_FRAMEBUFFER, 24);
  if (!p)
    return;
  put64(p, 0xb8000);
  put32(p + 8, 160); // pitch
  put32(p + 12, 80);
  put32(p + 16, 25);
  p[20] = 16; // bits per cell
  p[21] = 2;  // EGA text
}

static bool put_info(struct loader *l, const struct header *h, uint64_t base)
{
  struct info in = {0};
  struct modules m = {0};
  bool ok = modules_load(l, &m);
  in.data = calloc(1, in.room = 4096);
  in.failed = !in.data;
  in.len = 8; // total size and a reserved word
  if (ok && !in.failed) {
    add_string(&in, INFO_CMDLINE, l->rq->append ? l->rq->append : "");
    add_string(&in, INFO_LOADER, "pacifica");
    for (unsigned i = 0; i < m.count; i++) {
      uint8_t *p = add(&in, INFO_MODULE, 8 + strlen(m.mod[i].args) + 1);
      if (!p)
        break;
      put32(p, (uint32_t)m.mod[i].base);
      put32(p + 4, (uint32_t)(m.mod[i].base + m.mod[i].len));
      memcpy(p + 8, m.mod[i].args, strlen(m.mod[i].args));
    }
    add_mmap(&in, &l->st->map);
    if (l->rq->vga_text)
      add_framebuffer(&in);
    if (l->rsdp) {
      uint8_t rsdp[ACPI_RSDP_SIZE];
      acpi_rsdp(l->rq->acpi, rsdp, acpi_direct_base(l->rq->board, l->rq->acpi));
      uint8_t *p = add(&in, INFO_ACPI_OLD, 20);
      if (p)
        memcpy(p, rsdp, 20);
      p = add(&in, INFO_ACPI_NEW, sizeof rsdp);
      if (p)
        memcpy(p, rsdp, sizeof rsdp);
    }
    if (h->relocatable) {
      uint8_t *p = add(&in, INFO_LOAD_BASE, 4);
      if (p)
        put32(p, (uint32_t)base);
    }
    add(&in, TAG_END, 0);
  }
  if (in.failed)
    ok = err_set(l->e, "no memory");
  else if (ok) {
    put32(in.data, (uint32_t)in.len);
    l->st->rbx = loader_low(l, in.data, in.len, 16);
    ok = l->st->rbx != 0;
  }
  free(in.data);
  modules_free(&m);
  return ok;
}

static bool load(struct loader *l, const struct image *im, struct header *h)
{
  uint64_t entry = 0, base;
  if (!parse(l, im, h))
    return false;
  if (h->address) {
    if (!load_addresses(l, im, h))
      return false;
    entry = h->entry;
    base = h->load_addr == 0xffffffffu ? h->header_addr - h->at : h->load_addr;
  } else {
    struct elf f;
    if (!elf_is(im))
      return err_set(l->e, "kernel %s: multiboot 2, but neither ELF nor with an address tag", im->name);
    if (!elf_parse(&f, im, l->e))
      return false;
    if (h->entry_given)
      f.entry = h->entry;
    if (!elf_entry(&f, im->name, &entry, l->e) || !elf_write(l, im, &f))
      return false;
    base = UINT64_MAX;
    for (unsigned i = 0; i < f.segments; i++)
      base = f.segment[i].paddr < base ? f.segment[i].paddr : base;
  }
  if (entry >= GB4)
    return err_set(l->e, "kernel %s: multiboot 2 entry 0x%llx is not below 4 GB", im->name,
                   (unsigned long long)entry);
  if (!put_info(l, h, base) || !start_protected(l, entry))
    return false;
  l->st->kind = "multiboot 2";
  l->st->rax = BOOT_MAGIC;
  return true;
}

enum load_result multiboot2_load(struct loader *l, const struct image *im)
{
  struct header h = {.at = find_header(im)};
  if (h.at == UINT64_MAX)
    return LOAD_NOT_MINE;
  return load(l, im, &h) ? LOAD_OK : LOAD_BAD;
}
