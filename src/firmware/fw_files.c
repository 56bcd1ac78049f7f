// The files through which SeaBIOS learns about the board (SeaBIOS, docs/Runtime_config.md and
// src/fw/paravirt.c).
#include <stdio.h>
#include <stdlib.h>

#include "firmware/bios.h"
#include "firmware/bytes.h"
#include "firmware/smbios.h"

// Adds a file of `len` zero bytes, or with the bytes of `data`; returns its content or NULL.
static uint8_t *add(struct fw_files *f, const char *name, const void *data, size_t len)
{
  struct fw_file *file = &f->file[f->count];
  if (f->count == FW_FILES || !(file->data = calloc(1, len ? len : 1)))
    return NULL;
  if (data)
    memcpy(file->data, data, len);
  snprintf(file->name, sizeof file->name, "%s", name);
  file->len = len;
  f->count++;
  return file->data;
}

// The RAM, and nothing else: the BIOS knows what it takes for itself.
static bool add_e820(struct fw_files *f, const struct board *b)
{
  struct e820 m = {.count = 1, .entry = {{0, b->ram_below_4g, E820_RAM}}};
  if (b->ram_above_4g)
    m.entry[m.count++] = (struct e820_entry){0x100000000ull, b->ram_above_4g, E820_RAM};
  uint8_t *p = add(f, "etc/e820", NULL, m.count * (size_t)E820_PACKED);
  if (p)
    e820_pack(&m, p);
  return p != NULL;
}

static bool add_acpi(struct fw_files *f, const struct acpi_image *im)
{
  uint8_t rsdp[ACPI_RSDP_SIZE];
  size_t len;
  if (!im)
    return true;
  uint8_t *tables = add(f, ACPI_FILE_TABLES, im->data, im->len);
  if (!tables)
    return false;
  acpi_place(im, tables, 0); // offsets in place of addresses
  for (unsigned i = 0; i < im->sums; i++)
    tables[im->sum[i].at] = 0; // the BIOS makes the checksums
  acpi_rsdp_unplaced(im, rsdp);
  uint8_t *script = acpi_loader_script(im, &len);
  bool ok = script && add(f, ACPI_FILE_RSDP, rsdp, sizeof rsdp) && add(f, ACPI_FILE_SCRIPT, script, len);
  free(script);
  return ok;
}

static bool add_bootorder(struct fw_files *f, const char *const *paths)
{
  char *text = NULL;
  size_t len = 0;
  if (!paths || !paths[0])
    return true;
  FILE *out = open_memstream(&text, &len);
  if (!out)
    return false;
  for (unsigned i = 0; paths[i]; i++)
    fprintf(out, "%s%s", i ? "\n" : "", paths[i]);
  bool ok = fclose(out) == 0 && text && add(f, "bootorder", text, len + 1); // with its NUL
  free(text);
  return ok;
}

static bool add_smbios(struct fw_files *f, const struct board *b)
{
  struct smbios s;
  if (!smbios_build(&s, b))
    return false;
  bool ok = add(f, "etc/smbios/smbios-tables", s.tables, s.len) &&
            add(f, "etc/smbios/smbios-anchor", s.anchor, sizeof s.anchor);
  smbios_free(&s);
  return ok;
}

// How many root buses there are besides bus 0; SeaBIOS looks for them at all numbers.
static bool add_roots(struct fw_files *f, const struct board *b)
{
  uint8_t roots[8];
  put64(roots, b->chains);
  return !b->chains || add(f, "etc/extra-pci-roots", roots, sizeof roots);
}

bool fw_files_build(struct fw_files *f, const struct fw_request *rq, struct err *e)
{
  // One byte per state S0 to S5: bit 7 supported, bits 2:0 its type in PM1_CNT.
  static const uint8_t states[6] = {0x80, 0, 0, 1, 2, 0x80};
  uint8_t cpus[2];
  put16(cpus, (uint16_t)(rq->max_cpus > rq->board->cpus ? rq->max_cpus : rq->board->cpus));
  *f = (struct fw_files){0};
  if (add_e820(f, rq->board) && add(f, "etc/max-cpus", cpus, sizeof cpus) &&
      add(f, "etc/system-states", states, sizeof states) && add_acpi(f, rq->acpi) &&
      (!rq->smbios || add_smbios(f, rq->board)) && add_roots(f, rq->board) &&
      add_bootorder(f, rq->boot_paths))
    return true;
  fw_files_free(f);
  return err_set(e, "no memory for firmware tables");
}

void fw_files_free(struct fw_files *f)
{
  for (unsigned i = 0; i < f->count; i++)
    free(f->file[i].data);
  f->count = 0;
}
