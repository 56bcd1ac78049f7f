// What a guest begins with: an image in its memory, and the first CPU's state.
#ifndef GUEST_LOAD_H
#define GUEST_LOAD_H

#include "guest/guest.h"
#include "host/boot.h"

// Low memory of every guest.
enum {
  LOW_GDT = 0x500,
  LOW_INFO = 0x10000,
  LOW_TEXT = 0x11000,
  LOW_TABLES = 0x20000,
  LOW_END = 0x9fc00,
  BIOS_BASE = 0xf0000,
  ACPI_BASE = 0xe0000
};

struct image {
  const uint8_t *data;
  uint64_t size;
};

struct elf {
  uint64_t entry;
  bool wide; // 64 bits
};

// Puts image, tables and state in place by the configuration; NULL, or what is wrong.
const char *load_guest(struct guest *g);
// The module of that name.
bool load_find(const char *name, struct image *i);
void load_modules(const struct boot *b);
// Copies into the guest's memory; false if it does not fit.
bool load_copy(struct guest *g, uint64_t gpa, const void *data, uint64_t size);
// `shift`: added to the addresses that it asks for.
bool load_elf(struct guest *g, const struct image *i, struct elf *e, uint64_t shift);
// The guest's memory as E820 says it; returns the number of entries.
struct e820 {
  uint64_t base, size;
  uint32_t type;
} __attribute__((packed));
unsigned load_e820(const struct guest *g, struct e820 map[8]);

const char *linux_load(struct guest *g, const struct image *kernel, const struct image *initrd);
bool linux_is(const struct image *i);
const char *multiboot_load(struct guest *g, const struct image *kernel, const struct image *initrd);
bool multiboot_is(const struct image *i);
const char *boot_sector_load(struct guest *g, const struct image *disk);
void acpi_tables(struct guest *g);

#endif
