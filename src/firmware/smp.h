// The MP configuration table, for systems that know no ACPI.
#ifndef FIRMWARE_SMP_H
#define FIRMWARE_SMP_H

#include <stdint.h>

#include "firmware/board.h"

#define SMP_MAX (16 + 44 + BOARD_CPUS * 20 + 2 * 8 + 8 + 16 * 8 + 2 * 8)

// Writes the floating pointer and, 16 bytes behind it, the table, for the physical address `base` (16-byte
// aligned, in F0000-FFFFF). Returns the bytes used.
unsigned smp_build(const struct board *b, uint32_t base, uint8_t out[SMP_MAX]);

#endif
