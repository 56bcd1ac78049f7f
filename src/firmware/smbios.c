// SMBIOS structures (DMTF DSP0134, SMBIOS 2.8). See smbios.h.
#include "firmware/smbios.h"

#include <stdlib.h>

#include "firmware/bytes.h"

// Adds a structure with a formatted part of `len` bytes (head included) and its strings, separated by
// NUL and ended by an empty one. Returns its formatted part.
static uint8_t *add(struct smbios *s, uint8_t type, uint8_t len, uint16_t handle, const char *strings)
{
  uint8_t *p = s->tables + s->len;
  p[0] = type;
  p[1] = len;
  put16(p + 2, handle);
  unsigned size = len;
  if (!*strings)
    size++;
  for (; *strings; strings += strlen(strings) + 1) {
    memcpy(p + size, strings, strlen(strings) + 1);
    size += (unsigned)strlen(strings) + 1;
  }
  size++; // the empty string that ends the set
  s->len = (uint16_t)(s->len + size);
  s->count++;
  if (size > s->largest)
    s->largest = (uint16_t)size;
  return p;
}

static void memory(struct smbios *s, const struct board *b)
{
  uint64_t mb = (b->ram_below_4g + b->ram_above_4g) >> 20;
  uint8_t *p = add(s, 16, 0x17, 0x1000, ""); // physical memory array
  p[4] = 3;                                  // on the board
  p[5] = 3;                                  // system memory
  p[6] = 6;                                  // multi-bit ECC
  put32(p + 7, (uint32_t)(mb << 10));
  put16(p + 11, 0xfffe); // no error information
  put16(p + 13, 1);
  p = add(s, 17, 0x22, 0x1100, "DIMM 0\0"); // memory device
  put16(p + 4, 0x1000);
  put16(p + 6, 0xfffe);
  put16(p + 8, 72);
  put16(p + 10, 64);
  put16(p + 12, mb < 0x7fff ? (uint16_t)mb : 0x7fff);
  if (mb >= 0x7fff)
    put32(p + 0x1c, (uint32_t)mb);
  p[14] = 9; // DIMM
  p[16] = 1;
  p[18] = 7;                        // RAM
  p = add(s, 19, 0x0f, 0x1300, ""); // where the array is mapped
  put32(p + 4, 0);
  put32(p + 8, (uint32_t)((b->ram_below_4g >> 10) - 1));
  put16(p + 12, 0x1000);
  p[14] = 1;
  if (b->ram_above_4g) {
    p = add(s, 19, 0x1f, 0x1301, "");
    put32(p + 4, 0xffffffff);
    put32(p + 8, 0xffffffff);
    put16(p + 12, 0x1000);
    p[14] = 1;
    put64(p + 15, 0x100000000ull);
    put64(p + 23, 0x100000000ull + b->ram_above_4g - 1);
  }
}

bool smbios_build(struct smbios *s, const struct board *b)
{
  *s = (struct smbios){0};
  s->tables = calloc(1, SMBIOS_ROOM);
  if (!s->tables)
    return false;
  uint8_t *p = add(s, 0, 0x18, 0x0000,
                   "Pacifica\0"
                   "1\0"
                   "01/01/2026\0"); // BIOS
  p[4] = 1;
  p[5] = 2;
  put16(p + 6, 0xe800);
  p[8] = 3;
  put64(p + 10, 8); // characteristics not supported
  p[0x13] = 0x10;   // a virtual machine
  p[0x14] = p[0x15] = 0;
  p[0x16] = p[0x17] = 0xff;
  p = add(s, 1, 0x1b, 0x0100,
          "Pacifica\0"
          "Pacifica PC\0"
          "1\0"); // system
  p[4] = 1;
  p[5] = 2;
  p[6] = 3;
  p[0x18] = 6;                               // woken by the power switch
  p = add(s, 3, 0x15, 0x0300, "Pacifica\0"); // chassis
  p[4] = 1;
  p[5] = 1;                 // other
  p[9] = p[10] = p[11] = 3; // states: safe
  p[12] = 2;
  for (unsigned i = 0; i < b->cpus; i++) { // processors
    p = add(s, 4, 0x2a, (uint16_t)(0x0400 + i),
            "CPU\0"
            "AMD\0");
    p[4] = 1;
    p[5] = 3; // central processor
    p[6] = 2; // family unknown
    p[7] = 2;
    p[0x18] = 0x41; // populated, enabled
    p[0x19] = 1;
    put16(p + 0x1a, 0xffff); // no cache structures
    put16(p + 0x1c, 0xffff);
    put16(p + 0x1e, 0xffff);
    p[0x23] = p[0x24] = p[0x25] = 1; // cores, enabled cores, threads
  }
  memory(s, b);
  add(s, 32, 0x0b, 0x2000, ""); // no errors at boot
  add(s, 127, 4, 0x7f00, "");

  uint8_t *a = s->anchor;
  memcpy(a, "_SM_", 4);
  a[5] = SMBIOS_ANCHOR;
  a[6] = 2;
  a[7] = 8;
  put16(a + 8, s->largest);
  memcpy(a + 0x10, "_DMI_", 5);
  put16(a + 0x16, s->len);
  put16(a + 0x1c, s->count);
  a[0x1e] = 0x28;
  return true;
}

void smbios_place(struct smbios *s, uint32_t pa)
{
  uint8_t *a = s->anchor;
  a[4] = a[0x15] = 0;
  put32(a + 0x18, pa);
  a[0x15] = checksum8(a + 0x10, 15);
  a[4] = checksum8(a, SMBIOS_ANCHOR);
}

void smbios_free(struct smbios *s)
{
  free(s->tables);
  s->tables = NULL;
}
