// The memory map that the guest is told, in the form of the BIOS call INT 15h AX=E820h (ACPI 6.5,
// section 15.1), and what is taken of it while images are being placed.
//
// Invariant: entries are sorted and do not overlap; whatever is placed lies inside one usable entry and
// overlaps nothing placed before.
#ifndef FIRMWARE_E820_H
#define FIRMWARE_E820_H

#include <stdbool.h>
#include <stdint.h>

enum e820_type { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4 };

#define E820_MAX 16

struct e820_entry {
  uint64_t base, size;
  uint32_t type;
};

struct e820 {
  unsigned count;
  struct e820_entry entry[E820_MAX];
};

#define E820_EBDA 0x9fc00u // end of conventional memory: the EBDA is the last KB below 640 KB

// The map of a machine without BIOS. tables: bytes at the top of the RAM below 4 GB that hold ACPI tables.
void e820_build(struct e820 *m, uint64_t ram_below_4g, uint64_t ram_above_4g, uint64_t tables);
// In the packed form of 20-byte entries (struct boot_e820_entry of Linux, etc/e820 of fw_cfg).
#define E820_PACKED 20
void e820_pack(const struct e820 *m, uint8_t *out);
// End of the usable range that begins at 1 MB, or 1 MB if there is none.
uint64_t e820_low_end(const struct e820 *m);

#define PLACE_MAX  224
#define PLACE_NONE UINT64_MAX

struct place {
  const struct e820 *map;
  unsigned count;
  struct {
    uint64_t base, size;
  } used[PLACE_MAX];
};

enum place_result { PLACE_OK, PLACE_NOT_RAM, PLACE_TAKEN, PLACE_FULL };

// Takes a fixed range.
enum place_result place_claim(struct place *p, uint64_t base, uint64_t size);
// Finds and takes a free range in [min, max), aligned, from below or from the top; PLACE_NONE if there
// is none.
uint64_t place_find(struct place *p, uint64_t size, uint64_t align, uint64_t min, uint64_t max, bool top);

#endif
