// What systems look for in the first megabyte, where no BIOS has run. Inside firmware/ only.
#ifndef FIRMWARE_LOWMEM_H
#define FIRMWARE_LOWMEM_H

#include "firmware/loader.h"

// Writes interrupt vectors, BIOS data area, EBDA, MP table, SMBIOS, and the ACPI tables with their root
// pointer; sets l->rsdp.
bool lowmem_write(struct loader *l);

#endif
