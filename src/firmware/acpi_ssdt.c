// The SSDT: what the DSDT leaves open, because it depends on this machine: the PCI windows, whether there
// is an HPET, and one device per processor. AML encoding: ACPI 6.5, chapter 20.
#include "firmware/acpi_image.h"

enum { NAME_OP = 0x08, BYTE_PREFIX = 0x0a, STRING_PREFIX = 0x0d, QWORD_PREFIX = 0x0e, SCOPE_OP = 0x10 };
enum { EXT_PREFIX = 0x5b, DEVICE_OP = 0x82 };

static void bytes(struct acpi_image *im, const void *p, uint32_t len)
{
  uint32_t at = acpi_bytes(im, len);
  if (!im->failed)
    memcpy(im->data + at, p, len);
}

static void byte(struct acpi_image *im, uint8_t v)
{
  bytes(im, &v, 1);
}

static void name_qword(struct acpi_image *im, const char *name, uint64_t v)
{
  uint8_t code[15] = {NAME_OP, '\\'};
  memcpy(code + 2, name, 4);
  code[6] = QWORD_PREFIX;
  put64(code + 7, v);
  bytes(im, code, sizeof code);
}

// A package length in the two-byte form (20.2.4), which counts itself; the body follows. Up to 4095.
static void pkg_length(struct acpi_image *im, unsigned body)
{
  unsigned len = body + 2;
  byte(im, (uint8_t)(0x40 | (len & 15)));
  byte(im, (uint8_t)(len >> 4));
}

// Device (C0nn) { Name (_HID, "ACPI0007") Name (_UID, nn) }
static void processor(struct acpi_image *im, unsigned n)
{
  static const char digits[] = "0123456789ABCDEF";
  const char name[4] = {'C', '0', digits[n >> 4 & 15], digits[n & 15]};
  const uint8_t uid[7] = {NAME_OP, '_', 'U', 'I', 'D', BYTE_PREFIX, (uint8_t)n};
  static const char hid[] = "ACPI0007"; // with its NUL
  byte(im, EXT_PREFIX);
  byte(im, DEVICE_OP);
  pkg_length(im, 4 + 6 + sizeof hid + sizeof uid);
  bytes(im, name, 4);
  byte(im, NAME_OP);
  bytes(im, "_HID", 4);
  byte(im, STRING_PREFIX);
  bytes(im, hid, sizeof hid);
  bytes(im, uid, sizeof uid);
}

uint32_t acpi_ssdt(struct acpi_image *im, const struct board *b)
{
  uint32_t t = acpi_begin(im, "SSDT", 2);
  // Other chains take the first part of the window, and the buses from 20h on.
  name_qword(im, "P0S_", b->chains ? BOARD_CHAIN_MEM_END : b->ram_below_4g);
  name_qword(im, "P0BL", b->chains ? BOARD_CHAIN_BUSES - 1 : 0xff);
  name_qword(im, "P0E_", BOARD_PCI32_END - 1);
  name_qword(im, "P1S_", b->pci64_size ? b->pci64_base : 0);
  name_qword(im, "P1E_", b->pci64_size ? b->pci64_base + b->pci64_size - 1 : 0);
  name_qword(im, "HPTE", !b->no_hpet);
  enum { DEVICE = 2 + 2 + 4 + 6 + 9 + 7 };
  byte(im, SCOPE_OP);
  pkg_length(im, 5 + b->cpus * DEVICE);
  bytes(im, "\\_SB_", 5);
  for (unsigned i = 0; i < b->cpus; i++)
    processor(im, i);
  acpi_end(im, t);
  return t;
}
