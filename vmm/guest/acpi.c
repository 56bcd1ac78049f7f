// A guest's ACPI tables: RSDP, RSDT, FADT, FACS, DSDT, MADT. ACPI 6.4, 5.2.
#include "guest/load.h"

#include "dsdt.hex"

enum { HEADER = 36, FADT_SIZE = 244, FACS_SIZE = 64 };

struct writer {
  uint8_t *at;
  uint32_t gpa;
};

static void put(uint8_t *p, uint64_t v, unsigned n)
{
  for (; n--; v >>= 8)
    *p++ = (uint8_t)v;
}

static void sum_up(uint8_t *p, unsigned n, unsigned at)
{
  uint8_t sum = 0;
  p[at] = 0;
  for (unsigned i = 0; i < n; i++)
    sum += p[i];
  p[at] = (uint8_t)-sum;
}

// Begins a table; returns its address for the guest.
static uint32_t begin(struct writer *w, const char *signature, uint8_t revision)
{
  memset(w->at, 0, 4096);
  memcpy(w->at, signature, 4);
  w->at[8] = revision;
  memcpy(w->at + 10, "PACIF VMMGUEST", 14);
  put(w->at + 24, 1, 4);
  memcpy(w->at + 28, "PACV", 4);
  put(w->at + 32, 1, 4);
  return w->gpa;
}

static void end(struct writer *w, unsigned size)
{
  put(w->at + 4, size, 4);
  sum_up(w->at, size, 9);
  w->at += ALIGN_UP(size, 64);
  w->gpa += (uint32_t)ALIGN_UP(size, 64);
}

static uint32_t madt(struct writer *w, unsigned n)
{
  uint32_t gpa = begin(w, "APIC", 1);
  uint8_t *p = w->at + 44;
  put(w->at + 36, 0xfee00000, 4);
  put(w->at + 40, 1, 4); // there are 8259s
  for (unsigned i = 0; i < n; i++, p += 8) {
    put(p, 0x0800, 2);
    p[2] = p[3] = (uint8_t)i;
    put(p + 4, 1, 4);
  }
  put(p, 0x0c01, 2); // I/O APIC
  p[2] = (uint8_t)n;
  put(p + 4, IOAPIC_BASE, 4);
  p += 12;
  static const uint8_t overrides[2][10] = {{2, 10, 0, 0, 2}, {2, 10, 0, SCI, SCI, 0, 0, 0, 0x0d}};
  memcpy(p, overrides, 20);
  p += 20;
  static const uint8_t nmi[6] = {4, 6, 0xff, 0, 0, 1};
  memcpy(p, nmi, 6);
  end(w, (unsigned)(p + 6 - w->at));
  return gpa;
}

static uint32_t fadt(struct writer *w, uint32_t facs, uint32_t dsdt)
{
  uint32_t gpa = begin(w, "FACP", 3);
  uint8_t *p = w->at;
  put(p + 36, facs, 4);
  put(p + 40, dsdt, 4);
  put(p + 46, SCI, 2);
  put(p + 56, PM1A_EVT, 4);
  put(p + 64, PM1A_CNT, 4);
  put(p + 76, PM_TMR, 4);
  p[88] = 4, p[89] = 2, p[91] = 4; // lengths of the three
  put(p + 96, 0xffff, 2);          // no C2
  put(p + 98, 0xffff, 2);          // no C3
  p[108] = 0x32;                   // RTC century
  put(p + 109, 1 | 4, 2);          // ISA devices; no VGA, no 8042
  put(p + 112, 1 | 4 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 10,
      4);                      // WBINVD, C1, no buttons, no RTC wake, reset register
  put(p + 116, 1 | 8 << 8, 4); // port, 8 bits
  put(p + 120, RESET_CF9, 8);
  p[128] = 6;
  end(w, FADT_SIZE);
  return gpa;
}

void acpi_tables(struct guest *g)
{
  struct writer w = {guest_ptr(g, ACPI_BASE, BIOS_BASE - ACPI_BASE), ACPI_BASE};
  uint8_t *rsdp = w.at;
  memset(rsdp, 0, 64);
  w.at += 64, w.gpa += 64;
  uint32_t facs = w.gpa;
  memset(w.at, 0, FACS_SIZE);
  memcpy(w.at, "FACS", 4);
  put(w.at + 4, FACS_SIZE, 4);
  w.at[32] = 1;
  w.at += FACS_SIZE, w.gpa += FACS_SIZE;
  uint32_t dsdt = w.gpa;
  memcpy(w.at, dsdt_aml_code, sizeof dsdt_aml_code);
  w.at += ALIGN_UP(sizeof dsdt_aml_code, 64);
  w.gpa += (uint32_t)ALIGN_UP(sizeof dsdt_aml_code, 64);
  uint32_t tables[2] = {fadt(&w, facs, dsdt), madt(&w, g->vcpu_count)};
  uint32_t rsdt = begin(&w, "RSDT", 1);
  memcpy(w.at + HEADER, tables, sizeof tables);
  end(&w, HEADER + sizeof tables);
  memcpy(rsdp, "RSD PTR ", 8);
  memcpy(rsdp + 9, "PACIF ", 6);
  put(rsdp + 16, rsdt, 4);
  sum_up(rsdp, 20, 8);
}
