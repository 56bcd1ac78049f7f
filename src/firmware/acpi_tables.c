// The fixed-form ACPI tables. Section numbers are those of the ACPI Specification 6.5.
#include "firmware/acpi_image.h"

// Generic Address Structure (5.2.3.2): space 0 memory, 1 ports; access size in bytes is 1 << (access - 1).
static void gas(uint8_t *p, uint8_t space, uint8_t bits, uint8_t access, uint64_t addr)
{
  p[0] = space;
  p[1] = bits;
  p[3] = access;
  put64(p + 4, addr);
}

// FADT (5.2.9), revision 3.
uint32_t acpi_fadt(struct acpi_image *im, uint32_t facs, uint32_t dsdt)
{
  enum { LEN = 244, LEGACY_DEVICES = 1, I8042 = 2 };
  enum { WBINVD = 1 << 0, PROC_C1 = 1 << 2, SLP_BUTTON = 1 << 5, FIX_RTC = 1 << 6, RESET_REG = 1 << 10 };
  uint32_t t = acpi_begin(im, "FACP", 3);
  acpi_bytes(im, LEN - ACPI_HEADER);
  if (im->failed)
    return 0;
  uint8_t *p = im->data + t;
  acpi_point(im, t + 36, 4, facs);
  acpi_point(im, t + 40, 4, dsdt);
  p[44] = 1; // dual PIC, from before ACPI 2.0
  p[45] = 1; // preferred profile: desktop
  put16(p + 46, BOARD_SCI);
  put32(p + 48, BOARD_SMI_CMD);
  p[52] = 0xf1; // ACPI_ENABLE
  p[53] = 0xf0; // ACPI_DISABLE
  put32(p + 56, BOARD_PM_BASE);
  put32(p + 64, BOARD_PM_BASE + 4);
  put32(p + 76, BOARD_PM_BASE + 8);
  put32(p + 80, BOARD_GPE0);
  p[88] = 4;            // PM1_EVT_LEN
  p[89] = 2;            // PM1_CNT_LEN
  p[91] = 4;            // PM_TMR_LEN
  p[92] = 4;            // GPE0_BLK_LEN
  put16(p + 96, 0xfff); // no C2
  put16(p + 98, 0xfff); // no C3
  p[108] = 0x32;        // RTC century
  put16(p + 109, LEGACY_DEVICES | I8042);
  put32(p + 112, WBINVD | PROC_C1 | SLP_BUTTON | FIX_RTC | RESET_REG);
  gas(p + 116, 1, 8, 1, 0xcf9);
  p[128] = 0x0f; // RESET_VALUE
  acpi_point(im, t + 140, 8, dsdt);
  gas(p + 148, 1, 32, 2, BOARD_PM_BASE);
  gas(p + 172, 1, 16, 2, BOARD_PM_BASE + 4);
  gas(p + 208, 1, 32, 3, BOARD_PM_BASE + 8);
  gas(p + 220, 1, 32, 1, BOARD_GPE0);
  acpi_end(im, t);
  return t;
}

// MADT (5.2.12). The inputs of the I/O APIC are the ISA interrupts, but the timer's is input 2.
uint32_t acpi_madt(struct acpi_image *im, const struct board *b)
{
  enum { LAPIC = 0, IOAPIC = 1, OVERRIDE = 2, LAPIC_NMI = 4, PCAT_COMPAT = 1 };
  enum { ACTIVE_HIGH = 1, LEVEL = 3 << 2 };
  static const struct {
    uint8_t source, gsi, flags;
  } overrides[] = {
      {0, 2, 0},
      {5, 5, ACTIVE_HIGH | LEVEL},
      {9, 9, ACTIVE_HIGH | LEVEL},
      {10, 10, ACTIVE_HIGH | LEVEL},
      {11, 11, ACTIVE_HIGH | LEVEL},
  };
  uint32_t t = acpi_begin(im, "APIC", 1);
  enum { OVERRIDES = sizeof overrides / sizeof overrides[0] };
  uint32_t at = acpi_bytes(im, 8 + 8 * b->cpus + 12 + OVERRIDES * 10 + 6);
  if (im->failed)
    return 0;
  uint8_t *p = im->data + at;
  put32(p, BOARD_LAPIC);
  put32(p + 4, PCAT_COMPAT);
  p += 8;
  for (unsigned i = 0; i < b->cpus; i++, p += 8) {
    p[0] = LAPIC;
    p[1] = 8;
    p[2] = (uint8_t)i; // the processor device's _UID
    p[3] = b->cpu[i].apic_id;
    put32(p + 4, 1); // enabled
  }
  p[0] = IOAPIC;
  p[1] = 12;
  put32(p + 4, BOARD_IOAPIC);
  p += 12;
  for (unsigned i = 0; i < OVERRIDES; i++, p += 10) {
    p[0] = OVERRIDE;
    p[1] = 10;
    p[3] = overrides[i].source;
    put32(p + 4, overrides[i].gsi);
    put16(p + 8, overrides[i].flags);
  }
  p[0] = LAPIC_NMI;
  p[1] = 6;
  p[2] = 0xff; // all processors
  p[5] = 1;    // LINT1
  acpi_end(im, t);
  return t;
}

// HPET (IA-PC HPET Specification 1.0a, section 3.2.4).
uint32_t acpi_hpet(struct acpi_image *im)
{
  uint32_t t = acpi_begin(im, "HPET", 1), at = acpi_bytes(im, 20);
  if (im->failed)
    return 0;
  uint8_t *p = im->data + at;
  put32(p, 0x8086a201); // as in the capabilities register: 64 bits wide, three comparators
  gas(p + 4, 0, 64, 0, BOARD_HPET);
  acpi_end(im, t);
  return t;
}

// SRAT (5.2.16).
uint32_t acpi_srat(struct acpi_image *im, const struct board *b)
{
  uint32_t t = acpi_begin(im, "SRAT", 1);
  uint32_t at = acpi_bytes(im, 12 + 16 * b->cpus + 40 * b->ranges);
  if (im->failed)
    return 0;
  uint8_t *p = im->data + at;
  put32(p, 1); // a reserved field that must be 1
  p += 12;
  for (unsigned i = 0; i < b->cpus; i++, p += 16) {
    p[0] = 0; // processor affinity
    p[1] = 16;
    p[2] = b->cpu[i].node;
    p[3] = b->cpu[i].apic_id;
    put32(p + 4, 1); // enabled
  }
  for (unsigned i = 0; i < b->ranges; i++, p += 40) {
    p[0] = 1; // memory affinity
    p[1] = 40;
    put32(p + 2, b->range[i].node);
    put64(p + 8, b->range[i].base);
    put64(p + 16, b->range[i].size);
    put32(p + 28, 1); // enabled
  }
  acpi_end(im, t);
  return t;
}

// SLIT (5.2.17).
uint32_t acpi_slit(struct acpi_image *im, const struct board *b)
{
  uint32_t t = acpi_begin(im, "SLIT", 1), at = acpi_bytes(im, 8 + b->nodes * b->nodes);
  if (im->failed)
    return 0;
  uint8_t *p = im->data + at;
  put64(p, b->nodes);
  for (unsigned i = 0; i < b->nodes; i++)
    for (unsigned j = 0; j < b->nodes; j++) {
      uint8_t d = b->distance[i][j];
      p[8 + i * b->nodes + j] = d ? d : i == j ? 10 : 20;
    }
  acpi_end(im, t);
  return t;
}
