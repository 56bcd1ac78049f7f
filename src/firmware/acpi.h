// ACPI tables (ACPI Specification 6.5, chapter 5): one image that can go anywhere, made from struct board.
//
// All tables lie in one block of bytes. A list of fix-ups says where addresses stand in it and which
// ranges have checksums, so that the same block can be put into memory directly (acpi_place) or given to
// SeaBIOS with a script (acpi_loader_script), which places it itself. The block begins with the FACS on a
// page of its own, because it belongs to the firmware while all else may be reclaimed.
#ifndef FIRMWARE_ACPI_H
#define FIRMWARE_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "firmware/board.h"

#define ACPI_RSDP_SIZE 36
#define ACPI_FACS_PAGE 4096 // the tables begin here
#define ACPI_TABLES    32

struct acpi_pointer {
  uint32_t at;     // where in the block the address stands
  uint8_t size;    // 4 or 8
  uint32_t target; // offset in the block
};

struct acpi_sum {
  uint32_t start, len, at; // the byte at `at` makes the sum zero
};

struct acpi_image {
  uint8_t *data;
  uint32_t len, room;
  unsigned pointers, sums;
  struct acpi_pointer pointer[4 + 2 * ACPI_TABLES];
  struct acpi_sum sum[ACPI_TABLES];
  uint32_t rsdt, xsdt; // offsets
  bool failed;         // out of memory or too many tables; told by acpi_build
};

bool acpi_build(struct acpi_image *im, const struct board *b, struct err *e);
void acpi_free(struct acpi_image *im);

// Direct: where the block goes (top of the RAM below 4 GB), how many bytes it takes there, its content
// for that address. out has im->len bytes.
uint64_t acpi_direct_base(const struct board *b, const struct acpi_image *im);
uint64_t acpi_direct_size(const struct acpi_image *im);
void acpi_place(const struct acpi_image *im, uint8_t *out, uint64_t base);
// The root pointer for a block at `base`, with both checksums.
void acpi_rsdp(const struct acpi_image *im, uint8_t out[ACPI_RSDP_SIZE], uint64_t base);

// SeaBIOS: the root pointer with offsets in place of addresses, and the script that the BIOS follows:
// entries of 128 bytes, allocated; it names the files etc/acpi/tables and etc/acpi/rsdp.
#define ACPI_SCRIPT_ENTRY 128
#define ACPI_FILE_TABLES  "etc/acpi/tables"
#define ACPI_FILE_RSDP    "etc/acpi/rsdp"
#define ACPI_FILE_SCRIPT  "etc/table-loader"
void acpi_rsdp_unplaced(const struct acpi_image *im, uint8_t out[ACPI_RSDP_SIZE]);
uint8_t *acpi_loader_script(const struct acpi_image *im, size_t *len);

#endif
