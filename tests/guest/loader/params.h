// What the launcher tells the secure loader. It stands behind the measured part of the block, so the loader
// must not believe it: wrong values can only make the launch fail, or measure something else.
#ifndef LOADER_PARAMS_H
#define LOADER_PARAMS_H

#include <stdint.h>

#define PARAMS_MAGIC 0x534c4231u // "SLB1"

struct params {
  uint32_t magic;
  uint32_t
      multiboot;  // the multiboot information; module 0 is the next stage, module 1 what is measured with it
  uint32_t table; // 128 KB, page-aligned: room for a DEV table over 4 GB
};

// Multiboot specification 0.6.96, section 3.3: the fields that are used here.
#define MULTIBOOT_MAGIC 0x2badb002u
#define MULTIBOOT_MODS  (1u << 3)
struct multiboot {
  uint32_t flags, unused[4];
  uint32_t mods_count, mods_addr;
};
struct module {
  uint32_t start, end, string, reserved;
};

#endif
