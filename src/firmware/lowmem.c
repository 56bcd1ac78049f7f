// The first megabyte of a machine on which no BIOS has run: enough that a system which looks around finds
// what it should, and that one which calls the BIOS gets nothing back, instead of running into the void.
// Addresses of the BIOS data area: IBM PC/AT Technical Reference, "ROM BIOS data areas".
#include "firmware/lowmem.h"

#include "firmware/acpi.h"
#include "firmware/smbios.h"
#include "firmware/smp.h"

#include <stdlib.h>

enum {
  BDA = 0x400,
  RSDP = 0xe0000,
  MP_TABLE = 0xf0000,
  SMBIOS = 0xf1000,
  SMBIOS_TABLES = 0xf1020,
  TIMER = 0xffea5, // where AT BIOSes have their timer interrupt
  SLAVE = 0xfff00,
  MASTER = 0xfff10,
  IRET = 0xfff53, // and their IRET
  RESET = 0xffff0,
};

// Every vector leads to an IRET, those of the interrupt controllers to handlers that acknowledge.
static bool vectors(struct loader *l)
{
  static const struct {
    uint32_t at;
    uint8_t len, code[18];
  } rom[] = {
      {IRET, 1, {0xcf}},
      // push ds; push ax; xor ax, ax; mov ds, ax; inc dword [46ch]; mov al, 20h; out 20h, al; pop ax; pop ds;
      // iret
      {TIMER,
       18,
       {0x1e, 0x50, 0x31, 0xc0, 0x8e, 0xd8, 0x66, 0xff, 0x06, 0x6c, 0x04, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0x1f,
        0xcf}},
      // push ax; mov al, 20h; out 0a0h, al; out 20h, al; pop ax; iret
      {SLAVE, 9, {0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf}},
      {MASTER, 7, {0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf}},
      // mov dx, 0cf9h; mov al, 6; out dx, al; hlt; jmp to the hlt: a jump to the reset vector resets. FCh: an
      // AT.
      {RESET, 16, {0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xf4, 0xeb, 0xfd, 0, 0, 0, 0, 0, 0xfc, 0}},
  };
  uint8_t ivt[0x400];
  for (unsigned i = 0; i < 256; i++) {
    uint32_t handler = i == 8 ? TIMER : i >= 9 && i < 16 ? MASTER : i >= 0x70 && i < 0x78 ? SLAVE : IRET;
    put16(ivt + 4 * i, (uint16_t)(handler - 0xf0000));
    put16(ivt + 4 * i + 2, 0xf000);
  }
  for (unsigned i = 0; i < sizeof rom / sizeof rom[0]; i++)
    if (!loader_write(l, rom[i].at, rom[i].code, rom[i].len))
      return false;
  return loader_write(l, 0, ivt, sizeof ivt);
}

static bool data_areas(struct loader *l)
{
  uint8_t bda[0x100] = {0}, ebda[1] = {1};
  put16(bda, 0x3f8);     // COM1
  put16(bda + 2, 0x2f8); // COM2
  put16(bda + 0x0e, E820_EBDA >> 4);
  put16(bda + 0x10, 0x0426); // equipment: two serial ports, PS/2 mouse, 80 x 25 colour, FPU
  put16(bda + 0x13, E820_EBDA / 1024);
  put16(bda + 0x1a, 0x1e); // keyboard buffer: empty
  put16(bda + 0x1c, 0x1e);
  if (l->rq->vga_text) {
    bda[0x49] = 3;
    put16(bda + 0x4a, 80);
    put16(bda + 0x4c, 4096);
    put16(bda + 0x60, 0x0607); // cursor shape
    put16(bda + 0x63, 0x3d4);
    bda[0x84] = 24; // rows - 1
    put16(bda + 0x85, 16);
  }
  put16(bda + 0x80, 0x1e);
  put16(bda + 0x82, 0x3e);
  bda[0x96] = 0x10; // 101-key keyboard
  return loader_write(l, BDA, bda, sizeof bda) && loader_write(l, E820_EBDA, ebda, sizeof ebda);
}

static bool acpi(struct loader *l)
{
  const struct acpi_image *im = l->rq->acpi;
  uint8_t rsdp[ACPI_RSDP_SIZE];
  if (!im)
    return true;
  uint64_t base = acpi_direct_base(l->rq->board, im);
  uint8_t *tables = malloc(im->len);
  if (!tables)
    return err_set(l->e, "no memory");
  acpi_place(im, tables, base);
  acpi_rsdp(im, rsdp, base);
  bool ok = loader_write(l, base, tables, im->len) && loader_write(l, RSDP, rsdp, sizeof rsdp);
  free(tables);
  l->rsdp = RSDP;
  return ok;
}

static bool smbios(struct loader *l)
{
  struct smbios s;
  if (!smbios_build(&s, l->rq->board))
    return err_set(l->e, "no memory");
  smbios_place(&s, SMBIOS_TABLES);
  bool ok =
      loader_write(l, SMBIOS, s.anchor, sizeof s.anchor) && loader_write(l, SMBIOS_TABLES, s.tables, s.len);
  smbios_free(&s);
  return ok;
}

bool lowmem_write(struct loader *l)
{
  uint8_t mp[SMP_MAX];
  unsigned len = smp_build(l->rq->board, MP_TABLE, mp);
  return vectors(l) && data_areas(l) && loader_write(l, MP_TABLE, mp, len) && smbios(l) && acpi(l);
}
