// Multiboot information, version 1 (spec 0.6.96, 3.3) and 2 (spec 2.0, 3.6).
#include "host/boot.h"

#include "host/print.h"

enum {
  MAGIC1 = 0x2badb002,
  MAGIC2 = 0x36d76289,
  HAS_CMDLINE = 1 << 2,
  HAS_MODULES = 1 << 3,
  HAS_MMAP = 1 << 6
};
enum { AVAILABLE = 1 };
enum { TAG_END, TAG_CMDLINE, TAG_MODULE = 3, TAG_MMAP = 6, TAG_ACPI_OLD = 14, TAG_ACPI_NEW = 15 };

static uint32_t get32(uint64_t at)
{
  return *(const uint32_t *)ptr(at);
}

static uint64_t get64(uint64_t at)
{
  return *(const uint64_t *)ptr(at);
}

static void add_ram(struct boot *b, uint64_t base, uint64_t size, uint32_t type)
{
  uint64_t end = ALIGN_DOWN(base + size, PAGE_SIZE);
  base = ALIGN_UP(base, PAGE_SIZE);
  if (type != AVAILABLE || base >= end)
    return;
  if (b->ram_count == BOOT_RANGES)
    fatal("the memory map has more than %u ranges of RAM", BOOT_RANGES);
  b->ram[b->ram_count].base = base;
  b->ram[b->ram_count++].end = end;
}

// A module is known by the last part of its first word: "/boot/bzImage quiet" is bzImage.
static void add_module(struct boot *b, uint64_t start, uint64_t end, const char *text)
{
  if (b->module_count == BOOT_MODULES) {
    print("vmm: module %s: more than %u; it is left out\n", text, BOOT_MODULES);
    return;
  }
  struct boot_module *m = &b->module[b->module_count++];
  m->start = start;
  m->end = end;
  const char *name = text;
  for (; *text && *text != ' '; text++)
    if (*text == '/')
      name = text + 1;
  size_t n = (size_t)(text - name) < sizeof m->name ? (size_t)(text - name) : sizeof m->name - 1;
  memcpy(m->name, name, n);
  m->name[n] = 0;
}

static void read1(struct boot *b, uint64_t info)
{
  uint32_t flags = get32(info);
  if (flags & HAS_CMDLINE)
    copy_string(b->command_line, sizeof b->command_line, ptr(get32(info + 16)));
  if (flags & HAS_MODULES)
    for (uint32_t i = 0, at = get32(info + 24); i < get32(info + 20); i++, at += 16)
      add_module(b, get32(at), get32(at + 4), ptr(get32(at + 8)));
  if (!(flags & HAS_MMAP))
    fatal("the boot loader gives no memory map");
  uint64_t at = get32(info + 48), end = at + get32(info + 44);
  for (; at < end; at += get32(at) + 4)
    add_ram(b, get64(at + 4), get64(at + 12), get32(at + 20));
}

static void read2(struct boot *b, uint64_t info)
{
  uint64_t end = info + get32(info);
  for (uint64_t at = info + 8; at < end && get32(at) != TAG_END; at = ALIGN_UP(at + get32(at + 4), 8)) {
    switch (get32(at)) {
    case TAG_CMDLINE:
      copy_string(b->command_line, sizeof b->command_line, ptr(at + 8));
      break;
    case TAG_MODULE:
      add_module(b, get32(at + 8), get32(at + 12), ptr(at + 16));
      break;
    case TAG_MMAP:
      for (uint64_t e = at + 16; e < at + get32(at + 4); e += get32(at + 8))
        add_ram(b, get64(e), get64(e + 8), get32(e + 16));
      break;
    case TAG_ACPI_OLD:
    case TAG_ACPI_NEW:
      b->rsdp = at + 8; // the tag holds a copy; acpi.c reads it before this memory is used again
      break;
    default:
      break;
    }
  }
}

void boot_read(struct boot *b, uint32_t magic, uint32_t info)
{
  if (magic == MAGIC1)
    read1(b, info);
  else if (magic == MAGIC2)
    read2(b, info);
  else
    fatal("not started by a multiboot loader (EAX %x)", magic);
}
