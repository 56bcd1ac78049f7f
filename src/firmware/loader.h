// What the loaders share: the request at work, where things are placed, and how they are written.
// Inside firmware/ only.
#ifndef FIRMWARE_LOADER_H
#define FIRMWARE_LOADER_H

#include "firmware/boot.h"
#include "firmware/bytes.h"
#include "firmware/image.h"

#define LOW_MIN 0x10000ull // structures for the guest go into low memory from here on
#define LOW_MAX 0x9f000ull
#define GB4     0x100000000ull

struct loader {
  const struct boot_request *rq;
  struct boot_state *st;
  struct err *e;
  struct place place;
  uint64_t rsdp;      // 0: there are no ACPI tables
  uint64_t image_end; // end of the highest byte of the kernel image below 4 GB
};

// Takes [pa, pa + len) for a piece of the named file; the error says what is wrong with the place.
bool loader_claim(struct loader *l, const char *name, const char *what, uint64_t pa, uint64_t len);
bool loader_write(struct loader *l, uint64_t pa, const void *data, uint64_t len);
// Finds room in low memory, writes there and returns the address, or 0 with the error set.
uint64_t loader_low(struct loader *l, const void *data, uint64_t len, uint64_t align);
// The same for a string with its NUL.
uint64_t loader_string(struct loader *l, const char *s);
// Reads the one file of -initrd and puts it as high as possible below `max`, page-aligned. No -initrd:
// *len is 0.
bool loader_initrd(struct loader *l, uint64_t max, uint64_t *pa, uint64_t *len);

// Registers of a start in flat 32-bit protected mode without paging. Linux' selectors: 10h and 18h.
bool start_protected(struct loader *l, uint64_t rip);
// Registers of a start in long mode with the first 4 GB mapped one to one by 2 MB pages.
bool start_long(struct loader *l, uint64_t rip);

// Each loader looks at the file. LOAD_NOT_MINE leaves everything as it was.
enum load_result { LOAD_NOT_MINE, LOAD_OK, LOAD_BAD };
enum load_result multiboot1_load(struct loader *l, const struct image *im);
enum load_result multiboot2_load(struct loader *l, const struct image *im);
enum load_result elf_load(struct loader *l, const struct image *im); // PVH and others
enum load_result linux_load(struct loader *l, const struct image *im);
enum load_result slb_load(struct loader *l, const struct image *im); // only when asked for

// Linux' boot parameters ("zero page") for a kernel that is not a bzImage; returns its address or 0.
#define ZERO_PAGE_SIZE 4096
void linux_zero_page(const struct loader *l, uint8_t *zp);
uint64_t linux_plain_params(struct loader *l);

// Multiboot modules: "file arg,file2 arg2".
#define MODULES_MAX 32
struct module {
  uint64_t base, len;
  char *text;       // "file arg", owned
  const char *args; // what follows the file's name, inside text
};
struct modules {
  unsigned count;
  struct module mod[MODULES_MAX];
};
bool modules_load(struct loader *l, struct modules *m);
void modules_free(struct modules *m);

#endif
