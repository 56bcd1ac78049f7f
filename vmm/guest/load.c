// See load.h.
#include "guest/load.h"

#include "svm/vcpu.h"

static const struct boot *modules;

void load_modules(const struct boot *b)
{
  modules = b;
}

bool load_find(const char *name, struct image *i)
{
  for (unsigned k = 0; k < modules->module_count; k++)
    if (!strcmp(modules->module[k].name, name)) {
      *i = (struct image){ptr(modules->module[k].start), modules->module[k].end - modules->module[k].start};
      return true;
    }
  return false;
}

bool load_copy(struct guest *g, uint64_t gpa, const void *data, uint64_t size)
{
  void *to = guest_ptr(g, gpa, size);
  if (!to)
    return false;
  memcpy(to, data, size);
  return true;
}

static uint64_t get(const uint8_t *p, unsigned n)
{
  uint64_t v = 0;
  while (n--)
    v = v << 8 | p[n];
  return v;
}

bool load_elf(struct guest *g, const struct image *i, struct elf *e, uint64_t shift)
{
  enum { PT_LOAD = 1 };
  const uint8_t *p = i->data;
  if (i->size < 64 || memcmp(p, "\177ELF", 4) != 0)
    return false;
  bool wide = e->wide = p[4] == 2;
  uint64_t at = wide ? get(p + 32, 8) : get(p + 28, 4);
  unsigned size = (unsigned)get(p + (wide ? 54 : 42), 2), n = (unsigned)get(p + (wide ? 56 : 44), 2);
  uint64_t entry = e->entry = wide ? get(p + 24, 8) : get(p + 24, 4);
  for (; n--; at += size) {
    if (at > i->size || i->size - at < (wide ? 56 : 32))
      return false;
    const uint8_t *h = p + at;
    if (get(h, 4) != PT_LOAD)
      continue;
    uint64_t offset = wide ? get(h + 8, 8) : get(h + 4, 4), va = wide ? get(h + 16, 8) : get(h + 8, 4);
    uint64_t pa = shift + (wide ? get(h + 24, 8) : get(h + 12, 4)),
             in_file = wide ? get(h + 32, 8) : get(h + 16, 4);
    uint64_t in_memory = wide ? get(h + 40, 8) : get(h + 20, 4);
    uint8_t *to = guest_ptr(g, pa, in_memory);
    if (!to || in_file > in_memory || offset > i->size || in_file > i->size - offset)
      return false;
    memcpy(to, p + offset, in_file);
    memset(to + in_file, 0, in_memory - in_file);
    if (entry >= va && entry - va < in_memory)
      e->entry = entry - va + pa;
    else if (entry >= pa - shift && entry - (pa - shift) < in_memory) // as Linux's: physical
      e->entry = entry + shift;
  }
  return true;
}

unsigned load_e820(const struct guest *g, struct e820 map[8])
{
  enum { RAM = 1, RESERVED = 2 };
  unsigned n = 0;
  map[n++] = (struct e820){0, LOW_END, RAM};
  map[n++] = (struct e820){LOW_END, 0xa0000 - LOW_END, RESERVED};
  map[n++] = (struct e820){ACPI_BASE, MB - ACPI_BASE, RESERVED};
  for (unsigned i = 0; i < g->slots; i++) {
    uint64_t from = g->slot[i].gpa < MB ? MB : g->slot[i].gpa, to = g->slot[i].gpa + g->slot[i].size;
    if (from < to)
      map[n++] = (struct e820){from, to - from, RAM};
  }
  return n;
}

const char *load_guest(struct guest *g)
{
  const struct config_guest *c = g->config;
  struct image kernel, initrd = {0};
  if (!load_find(c->boot[0] ? c->boot : c->kernel, &kernel))
    return "there is no module with its kernel or boot image";
  if (c->initrd[0] && !load_find(c->initrd, &initrd))
    return "there is no module with its initrd";
  if (c->boot[0])
    return boot_sector_load(g, &kernel);
  acpi_tables(g);
  vlapic_virtual_wire(g->vcpu[0]);
  if (linux_is(&kernel))
    return linux_load(g, &kernel, &initrd);
  if (multiboot_is(&kernel))
    return multiboot_load(g, &kernel, &initrd);
  return "its kernel is neither Linux nor multiboot";
}
