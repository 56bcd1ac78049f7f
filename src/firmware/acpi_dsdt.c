// The DSDT, compiled from acpi/dsdt.asl by iasl at build time.
#include "firmware/acpi_image.h"

// iasl writes one array definition; these words make it a constant of this file.
static const
#include "dsdt.hex"

    uint32_t
    acpi_dsdt(struct acpi_image *im)
{
  acpi_bytes(im, -im->len & 15);
  uint32_t t = acpi_bytes(im, sizeof dsdt_aml_code);
  if (im->failed)
    return 0;
  memcpy(im->data + t, dsdt_aml_code, sizeof dsdt_aml_code);
  im->data[t + 9] = 0;
  acpi_add_sum(im, t, sizeof dsdt_aml_code, t + 9);
  return t;
}
