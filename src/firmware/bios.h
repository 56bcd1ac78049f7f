// A BIOS image as ROM, and the files through which a BIOS learns about the board.
#ifndef FIRMWARE_BIOS_H
#define FIRMWARE_BIOS_H

#include "base/err.h"
#include "bus/bus.h"
#include "firmware/acpi.h"
#include "firmware/board.h"
#include "firmware/e820.h"

#define BIOS_MAX     (4u << 20)
#define BIOS_DEFAULT "bios-256k.bin"

// Finds a firmware file: as it is named, or, for a name without a slash, in the distribution's
// directories. The path is allocated; NULL if it is nowhere.
char *bios_find(const char *name);

// A BIOS in the machine's RAM cells, and how it is seen: as ROM that ends at 4 GB. That its last 128 KB are
// also seen below 1 MB, under the shadow RAM, is the host bridge's affair: it is given ram_off and size.
struct bios {
  uint64_t ram_off, size;
  struct region region;
};

// Loads `path` (NULL: the default) into cells taken from `ram`; nothing is mapped yet. The machine must have
// asked for them in ram_init: bios_size tells how many.
bool bios_load(struct bios *b, struct ram *ram, const char *path, struct err *e);
// The size of the file without loading it; checks it like bios_load.
bool bios_size(const char *path, uint64_t *size, struct err *e);
void bios_map(struct bios *b, struct bus *bus);

// Files for fw_cfg.
struct fw_file {
  char name[56];
  uint8_t *data; // owned
  size_t len;
};
#define FW_FILES 16
struct fw_files {
  unsigned count;
  struct fw_file file[FW_FILES];
};

struct fw_request {
  const struct board *board;
  const struct acpi_image *acpi; // or NULL
  const char *const *boot_paths; // for "bootorder": OpenFirmware paths in order, NULL-terminated; or NULL
  unsigned max_cpus;             // 0: as many as there are
  bool smbios;
};

// Makes etc/e820, etc/max-cpus, etc/system-states, etc/acpi/*, etc/table-loader, etc/smbios/*, bootorder.
bool fw_files_build(struct fw_files *f, const struct fw_request *rq, struct err *e);
void fw_files_free(struct fw_files *f);

#endif
