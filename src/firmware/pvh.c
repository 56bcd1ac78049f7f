// The PVH boot protocol (Xen, docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h): an ELF note
// names a 32-bit entry; EBX has the address of struct hvm_start_info.
#include "firmware/elf.h"

enum { XEN_ELFNOTE_PHYS32_ENTRY = 18 };
#define START_MAGIC 0x336ec578u

enum { // struct hvm_start_info, version 1
  SI_MAGIC = 0,
  SI_VERSION = 4,
  SI_NR_MODULES = 12,
  SI_MODLIST = 16,
  SI_CMDLINE = 24,
  SI_RSDP = 32,
  SI_MEMMAP = 40,
  SI_MEMMAP_ENTRIES = 48,
  SI_SIZE = 56,
  MODULE_SIZE = 32,
  MEMMAP_SIZE = 24,
};

static bool find_in(const struct image *im, const struct elf_note *n, uint64_t *entry)
{
  uint64_t align = n->align == 8 ? 8 : 4, at = 0;
  while (n->size - at >= 12) {
    const uint8_t *p = im->data + n->offset + at;
    uint64_t name = align_up(get32(p), align == 8 ? 1 : 4), desc = get32(p + 4);
    uint64_t desc_at = align_up(12 + name, align), next = align_up(desc_at + desc, align);
    uint64_t left = n->size - at;
    if (desc_at > left || desc > left - desc_at)
      return false;
    if (get32(p + 8) == XEN_ELFNOTE_PHYS32_ENTRY && get32(p) == 4 && memcmp(p + 12, "Xen", 4) == 0 &&
        (desc == 4 || desc == 8)) {
      *entry = desc == 8 ? get64(p + desc_at) : get32(p + desc_at);
      return true;
    }
    if (next >= left)
      return false;
    at += next;
  }
  return false;
}

bool pvh_entry(const struct elf *f, const struct image *im, uint64_t *entry)
{
  for (unsigned i = 0; i < f->notes; i++)
    if (find_in(im, &f->note[i], entry))
      return true;
  return false;
}

bool pvh_start(struct loader *l, uint64_t entry)
{
  uint8_t si[SI_SIZE] = {0}, memmap[E820_MAX * MEMMAP_SIZE] = {0}, mod[MODULE_SIZE] = {0};
  const struct e820 *map = &l->st->map;
  uint64_t initrd, initrd_len;
  if (entry >= GB4)
    return err_set(l->e, "kernel %s: the PVH entry 0x%llx is not below 4 GB", l->rq->kernel,
                   (unsigned long long)entry);
  for (unsigned i = 0; i < map->count; i++) {
    uint8_t *p = memmap + i * MEMMAP_SIZE;
    put64(p, map->entry[i].base);
    put64(p + 8, map->entry[i].size);
    put32(p + 16, map->entry[i].type);
  }
  put32(si + SI_MAGIC, START_MAGIC);
  put32(si + SI_VERSION, 1);
  if (!loader_initrd(l, GB4, &initrd, &initrd_len))
    return false;
  if (initrd_len) {
    put64(mod, initrd);
    put64(mod + 8, initrd_len);
    uint64_t list = loader_low(l, mod, sizeof mod, 16);
    if (!list)
      return false;
    put32(si + SI_NR_MODULES, 1);
    put64(si + SI_MODLIST, list);
  }
  uint64_t cmdline = loader_string(l, l->rq->append ? l->rq->append : "");
  uint64_t map_at = loader_low(l, memmap, (uint64_t)map->count * MEMMAP_SIZE, 16);
  if (!cmdline || !map_at)
    return false;
  put64(si + SI_CMDLINE, cmdline);
  put64(si + SI_RSDP, l->rsdp);
  put64(si + SI_MEMMAP, map_at);
  put32(si + SI_MEMMAP_ENTRIES, map->count);
  uint64_t info = loader_low(l, si, sizeof si, 16);
  if (!info || !start_protected(l, entry))
    return false;
  l->st->kind = "ELF with PVH entry";
  l->st->rbx = info;
  return true;
}
