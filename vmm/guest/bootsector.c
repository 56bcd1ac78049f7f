// A guest that starts as a PC does: in real mode, with the first sector of its disk at 7C00h, and a small
// BIOS.
#include "guest/load.h"

#include "guest/bios.h"
#include "svm/vcpu.h"

enum { ENTRY = 0x7c00, SECTOR = 512, DRIVE = 0x80 };

// What a BIOS does to the 8259s and the 8254 before it starts a disk.
static void post(struct guest *g)
{
  static const uint8_t writes[][2] = {{0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, {0xa0, 0x11},
                                      {0xa1, 0x70}, {0xa1, 0x02}, {0xa1, 0x01}, {0x21, 0xfa}, {0xa1, 0xff}};
  for (unsigned i = 0; i < COUNT(writes); i++)
    vpic_write(g, writes[i][0], writes[i][1]);
  vpit_write(g, 0x43, 0x34);
  vpit_write(g, 0x40, 0);
  vpit_write(g, 0x40, 0);
}

const char *boot_sector_load(struct guest *g, const struct image *disk)
{
  struct vcpu *v = g->vcpu[0];
  if (disk->size < SECTOR || disk->data[510] != 0x55 || disk->data[511] != 0xaa)
    return "its boot image has no boot sector (55h AAh at 510)";
  g->disk = (struct boot_disk){addr(disk->data), disk->size};
  bios_install(g);
  acpi_tables(g);
  vlapic_virtual_wire(v);
  post(g);
  load_copy(g, ENTRY, disk->data, SECTOR);
  vcpu_real_mode(v, 0, ENTRY);
  v->reg[RDX] = DRIVE;
  v->reg[RSP] = ENTRY;
  v->vmcb->save.rflags |= RFLAGS_IF;
  return NULL;
}
