// Building blocks of the ACPI image. Inside firmware/ only.
#ifndef FIRMWARE_ACPI_IMAGE_H
#define FIRMWARE_ACPI_IMAGE_H

#include "firmware/acpi.h"
#include "firmware/bytes.h"

#define ACPI_HEADER 36 // of every table but FACS and RSDP

// Adds `len` zero bytes; returns their offset. After a failure offset 0 comes back, which is always there.
uint32_t acpi_bytes(struct acpi_image *im, uint32_t len);
// Starts a table: header with signature and revision. acpi_end fills in the length and notes the checksum.
uint32_t acpi_begin(struct acpi_image *im, const char *sig, uint8_t revision);
void acpi_end(struct acpi_image *im, uint32_t table);
// Notes that an address stands at `at`.
void acpi_point(struct acpi_image *im, uint32_t at, uint8_t size, uint32_t target);
void acpi_add_sum(struct acpi_image *im, uint32_t start, uint32_t len, uint32_t at);

// Each adds one table and returns its offset.
uint32_t acpi_fadt(struct acpi_image *im, uint32_t facs, uint32_t dsdt);
uint32_t acpi_madt(struct acpi_image *im, const struct board *b);
uint32_t acpi_hpet(struct acpi_image *im);
uint32_t acpi_srat(struct acpi_image *im, const struct board *b);
uint32_t acpi_slit(struct acpi_image *im, const struct board *b);
uint32_t acpi_tpm_device(struct acpi_image *im, const struct board *b); // only if there is one
uint32_t acpi_tpm(struct acpi_image *im, const struct board *b);        // with its event log
uint32_t acpi_ssdt(struct acpi_image *im, const struct board *b);
uint32_t acpi_dsdt(struct acpi_image *im);
uint32_t acpi_chain(struct acpi_image *im, unsigned node); // of a node other than 0

#endif
