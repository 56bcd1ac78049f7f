// What the boot loader tells: memory, modules, command line, where ACPI begins.
#ifndef HOST_BOOT_H
#define HOST_BOOT_H

#include "host/types.h"

enum { BOOT_RANGES = 64, BOOT_MODULES = 32 };

struct boot_module {
  uint64_t start, end;
  char name[64]; // of the file, without folders
};

struct boot {
  struct {
    uint64_t base, end;
  } ram[BOOT_RANGES];
  unsigned ram_count;
  struct boot_module module[BOOT_MODULES];
  unsigned module_count;
  char command_line[256];
  uint64_t rsdp; // 0: to be searched for
};

// Everything is copied out of the loader's structures, which may lie anywhere.
void boot_read(struct boot *b, uint32_t magic, uint32_t info);

#endif
