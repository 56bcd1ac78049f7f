// The ACPI image: putting tables together and placing them. See acpi.h.
#include "firmware/acpi_image.h"

#include <stdlib.h>

uint32_t acpi_bytes(struct acpi_image *im, uint32_t len)
{
  if (im->len + len > im->room) {
    uint32_t room = (im->len + len) * 2;
    uint8_t *more = im->failed ? NULL : realloc(im->data, room);
    if (!more) {
      im->failed = true;
      return 0;
    }
    im->data = more;
    im->room = room;
  }
  uint32_t at = im->len;
  memset(im->data + at, 0, len);
  im->len += len;
  return at;
}

uint32_t acpi_begin(struct acpi_image *im, const char *sig, uint8_t revision)
{
  acpi_bytes(im, -im->len & 15);
  uint32_t t = acpi_bytes(im, ACPI_HEADER);
  if (im->failed)
    return 0;
  uint8_t *p = im->data + t;
  memcpy(p, sig, 4);
  p[8] = revision;
  memcpy(p + 10, "PCFICA", 6);
  memcpy(p + 16, "PACIFICA", 8);
  put32(p + 24, 1);
  memcpy(p + 28, "PCFA", 4);
  put32(p + 32, 1);
  return t;
}

void acpi_add_sum(struct acpi_image *im, uint32_t start, uint32_t len, uint32_t at)
{
  if (im->sums == sizeof im->sum / sizeof im->sum[0])
    im->failed = true;
  if (!im->failed)
    im->sum[im->sums++] = (struct acpi_sum){start, len, at};
}

void acpi_end(struct acpi_image *im, uint32_t table)
{
  if (im->failed)
    return;
  put32(im->data + table + 4, im->len - table);
  acpi_add_sum(im, table, im->len - table, table + 9);
}

void acpi_point(struct acpi_image *im, uint32_t at, uint8_t size, uint32_t target)
{
  if (im->pointers == sizeof im->pointer / sizeof im->pointer[0])
    im->failed = true;
  if (!im->failed)
    im->pointer[im->pointers++] = (struct acpi_pointer){at, size, target};
}

// A table that came whole from outside.
static uint32_t further(struct acpi_image *im, const struct board_table *t, struct err *e)
{
  const uint8_t *p = t->data;
  if (t->len < ACPI_HEADER || t->len > 1 << 20 || get32(p + 4) != t->len) {
    err_set(e, "ACPI table %.4s: its length field is not its length", t->len >= 4 ? (const char *)p : "?");
    return 0;
  }
  acpi_bytes(im, -im->len & 15);
  uint32_t at = acpi_bytes(im, (uint32_t)t->len);
  if (im->failed) {
    err_set(e, "no memory for ACPI tables");
    return 0;
  }
  memcpy(im->data + at, p, t->len);
  im->data[at + 9] = 0;
  acpi_add_sum(im, at, (uint32_t)t->len, at + 9);
  return at;
}

// RSDT (5.2.7) or XSDT (5.2.8).
static uint32_t root(struct acpi_image *im, const char *sig, uint8_t size, const uint32_t *table, unsigned n)
{
  uint32_t t = acpi_begin(im, sig, 1), list = acpi_bytes(im, n * size);
  for (unsigned i = 0; i < n; i++)
    acpi_point(im, list + i * size, size, table[i]);
  acpi_end(im, t);
  return t;
}

bool acpi_build(struct acpi_image *im, const struct board *b, struct err *e)
{
  uint32_t table[ACPI_TABLES];
  unsigned n = 0;
  *im = (struct acpi_image){0};
  uint32_t facs = acpi_bytes(im, ACPI_FACS_PAGE); // 5.2.10
  if (!im->failed) {
    memcpy(im->data + facs, "FACS", 4);
    put32(im->data + facs + 4, 64);
    im->data[facs + 32] = 1;
  }
  uint32_t dsdt = acpi_dsdt(im);
  table[n++] = acpi_fadt(im, facs, dsdt);
  table[n++] = acpi_ssdt(im, b);
  table[n++] = acpi_madt(im, b);
  for (unsigned i = 0; i < b->chains; i++)
    table[n++] = acpi_chain(im, b->chain[i].node);
  if (!b->no_hpet)
    table[n++] = acpi_hpet(im);
  if (b->nodes > 1) {
    table[n++] = acpi_srat(im, b);
    table[n++] = acpi_slit(im, b);
  }
  if (b->tpm) {
    table[n++] = acpi_tpm_device(im, b);
    table[n++] = acpi_tpm(im, b);
  }
  for (unsigned i = 0; i < b->tables && i < BOARD_TABLES; i++) {
    table[n] = further(im, &b->table[i], e);
    if (!table[n++]) {
      acpi_free(im);
      return false;
    }
  }
  im->rsdt = root(im, "RSDT", 4, table, n);
  im->xsdt = root(im, "XSDT", 8, table, n);
  if (im->failed) {
    acpi_free(im);
    return err_set(e, "no memory for ACPI tables");
  }
  return true;
}

void acpi_free(struct acpi_image *im)
{
  free(im->data);
  *im = (struct acpi_image){0};
}

uint64_t acpi_direct_size(const struct acpi_image *im)
{
  return align_up(im->len, 4096);
}

uint64_t acpi_direct_base(const struct board *b, const struct acpi_image *im)
{
  return (b->ram_below_4g & ~4095ull) - acpi_direct_size(im);
}

void acpi_place(const struct acpi_image *im, uint8_t *out, uint64_t base)
{
  memcpy(out, im->data, im->len);
  for (unsigned i = 0; i < im->pointers; i++) {
    const struct acpi_pointer *p = &im->pointer[i];
    if (p->size == 8)
      put64(out + p->at, base + p->target);
    else
      put32(out + p->at, (uint32_t)(base + p->target));
  }
  for (unsigned i = 0; i < im->sums; i++) {
    const struct acpi_sum *s = &im->sum[i];
    out[s->at] = 0;
    out[s->at] = checksum8(out + s->start, s->len);
  }
}

// 5.2.5.3
void acpi_rsdp(const struct acpi_image *im, uint8_t out[ACPI_RSDP_SIZE], uint64_t base)
{
  memset(out, 0, ACPI_RSDP_SIZE);
  memcpy(out, "RSD PTR ", 8);
  memcpy(out + 9, "PCFICA", 6);
  out[15] = 2;
  put32(out + 16, (uint32_t)(base + im->rsdt));
  put32(out + 20, ACPI_RSDP_SIZE);
  put64(out + 24, base + im->xsdt);
  out[8] = checksum8(out, 20);
  out[32] = checksum8(out, ACPI_RSDP_SIZE);
}
