// The script that lets SeaBIOS place the ACPI image: entries of 128 bytes, a 32-bit command and its
// operands; file names have 56 bytes (SeaBIOS, src/fw/romfile_loader.h). The files hold offsets where
// addresses belong: the BIOS adds where it put the file, then makes the checksums.
#include "firmware/acpi_image.h"

#include <stdlib.h>

enum { ALLOCATE = 1, ADD_POINTER = 2, ADD_CHECKSUM = 3, ZONE_HIGH = 1, ZONE_FSEG = 2, NAME = 56 };

void acpi_rsdp_unplaced(const struct acpi_image *im, uint8_t out[ACPI_RSDP_SIZE])
{
  acpi_rsdp(im, out, 0);
  out[8] = out[32] = 0;
}

static void allocate(uint8_t *p, const char *file, uint32_t align, uint8_t zone)
{
  put32(p, ALLOCATE);
  strcpy((char *)p + 4, file);
  put32(p + 4 + NAME, align);
  p[8 + NAME] = zone;
}

static void add_pointer(uint8_t *p, const char *in, uint32_t at, uint8_t size)
{
  put32(p, ADD_POINTER);
  strcpy((char *)p + 4, in);
  strcpy((char *)p + 4 + NAME, ACPI_FILE_TABLES);
  put32(p + 4 + 2 * NAME, at);
  p[8 + 2 * NAME] = size;
}

static void add_checksum(uint8_t *p, const char *in, uint32_t at, uint32_t start, uint32_t len)
{
  put32(p, ADD_CHECKSUM);
  strcpy((char *)p + 4, in);
  put32(p + 4 + NAME, at);
  put32(p + 8 + NAME, start);
  put32(p + 12 + NAME, len);
}

uint8_t *acpi_loader_script(const struct acpi_image *im, size_t *len)
{
  enum { E = ACPI_SCRIPT_ENTRY };
  *len = (2 + im->pointers + im->sums + 4) * (size_t)E;
  uint8_t *script = calloc(1, *len), *p = script;
  if (!script)
    return NULL;
  allocate(p, ACPI_FILE_TABLES, 4096, ZONE_HIGH);
  allocate(p += E, ACPI_FILE_RSDP, 16, ZONE_FSEG);
  for (unsigned i = 0; i < im->pointers; i++)
    add_pointer(p += E, ACPI_FILE_TABLES, im->pointer[i].at, im->pointer[i].size);
  for (unsigned i = 0; i < im->sums; i++)
    add_checksum(p += E, ACPI_FILE_TABLES, im->sum[i].at, im->sum[i].start, im->sum[i].len);
  add_pointer(p += E, ACPI_FILE_RSDP, 16, 4);
  add_pointer(p += E, ACPI_FILE_RSDP, 24, 8);
  add_checksum(p += E, ACPI_FILE_RSDP, 8, 0, 20);
  add_checksum(p + E, ACPI_FILE_RSDP, 32, 0, ACPI_RSDP_SIZE);
  return script;
}
