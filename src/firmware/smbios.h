// SMBIOS structures: who made the machine, its processors and memory, for systems that ask.
#ifndef FIRMWARE_SMBIOS_H
#define FIRMWARE_SMBIOS_H

#include <stdbool.h>
#include <stdint.h>

#include "firmware/board.h"

#define SMBIOS_ANCHOR 31 // the 32-bit entry point of SMBIOS 2.x
#define SMBIOS_ROOM   8192

struct smbios {
  uint8_t anchor[SMBIOS_ANCHOR]; // without table address and checksums until smbios_place
  uint8_t *tables;
  uint16_t len, count, largest;
};

bool smbios_build(struct smbios *s, const struct board *b);
void smbios_free(struct smbios *s);
// Completes the anchor for tables at `pa`.
void smbios_place(struct smbios *s, uint32_t pa);

#endif
