// ACPI for a TPM: its device, the table that describes it (TCG ACPI Specification 1.4: TCPA for 1.2, TPM2
// for 2.0), and the area of the event log, which firmware fills.
#include "firmware/acpi_image.h"

static const
#include "tpm12.hex"

    static const
#include "tpm20.hex"

#define LOG_SIZE 0x10000u // bytes; the least that the specification allows

    enum {
      START_FIFO = 6, // start methods of the TPM2 table
      START_CRB = 7,
    };

static uint32_t device(struct acpi_image *im, const uint8_t *aml, uint32_t size)
{
  acpi_bytes(im, -im->len & 15);
  uint32_t t = acpi_bytes(im, size);
  if (im->failed)
    return 0;
  memcpy(im->data + t, aml, size);
  im->data[t + 9] = 0;
  acpi_add_sum(im, t, size, t + 9);
  return t;
}

uint32_t acpi_tpm_device(struct acpi_image *im, const struct board *b)
{
  return b->tpm == BOARD_TPM_1_2 ? device(im, tpm12_aml_code, sizeof tpm12_aml_code)
                                 : device(im, tpm20_aml_code, sizeof tpm20_aml_code);
}

static uint32_t event_log(struct acpi_image *im)
{
  acpi_bytes(im, -im->len & 0xfff);
  return acpi_bytes(im, LOG_SIZE);
}

static uint32_t tcpa(struct acpi_image *im, uint32_t log)
{
  uint32_t t = acpi_begin(im, "TCPA", 2), body = acpi_bytes(im, 14); // platform class 0: a client
  if (!im->failed)
    put32(im->data + body + 2, LOG_SIZE);
  acpi_point(im, body + 6, 8, log);
  acpi_end(im, t);
  return t;
}

static uint32_t tpm2(struct acpi_image *im, bool crb, uint32_t log)
{
  uint32_t t = acpi_begin(im, "TPM2", 4), body = acpi_bytes(im, 40); // platform class 0: a client
  if (!im->failed) {
    uint8_t *p = im->data + body;
    if (crb)
      put64(p + 4, BOARD_TPM + 0x40); // the control area
    put32(p + 12, crb ? START_CRB : START_FIFO);
    put32(p + 28, LOG_SIZE);
  }
  acpi_point(im, body + 32, 8, log);
  acpi_end(im, t);
  return t;
}

uint32_t acpi_tpm(struct acpi_image *im, const struct board *b)
{
  uint32_t log = event_log(im);
  return b->tpm == BOARD_TPM_1_2 ? tcpa(im, log) : tpm2(im, b->tpm == BOARD_TPM_CRB, log);
}
