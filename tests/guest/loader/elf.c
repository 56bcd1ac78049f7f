// The next stage: a 32-bit ELF file, as multiboot loaders take them. ELF specification 1.2.
#include "slb.h"

struct ehdr {
  uint8_t ident[16];
  uint16_t type, machine;
  uint32_t version, entry, phoff, shoff, flags;
  uint16_t ehsize, phentsize, phnum;
};
struct phdr {
  uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
};
enum { PT_LOAD = 1 };

// The file's header if all of its program headers and their bytes lie within it.
static const struct ehdr *header(const uint8_t *image, uint32_t size)
{
  const struct ehdr *h = (const struct ehdr *)image;
  if (size < sizeof *h || h->ident[0] != 0x7f || h->ident[1] != 'E' || h->ident[2] != 'L' ||
      h->ident[3] != 'F' || h->ident[4] != 1 || h->phentsize != sizeof(struct phdr) || h->phoff > size ||
      h->phnum > (size - h->phoff) / sizeof(struct phdr))
    return NULL;
  const struct phdr *p = (const struct phdr *)(image + h->phoff);
  for (unsigned i = 0; i < h->phnum; i++) {
    if (p[i].type != PT_LOAD || !p[i].memsz)
      continue;
    if (p[i].offset > size || p[i].filesz > size - p[i].offset || p[i].filesz > p[i].memsz ||
        p[i].paddr < 0x100000 || p[i].paddr + p[i].memsz < p[i].paddr)
      return NULL;
  }
  return h;
}

bool elf_extent(const uint8_t *image, uint32_t size, struct range *r)
{
  const struct ehdr *h = header(image, size);
  if (!h)
    return false;
  const struct phdr *p = (const struct phdr *)(image + h->phoff);
  *r = (struct range){UINT32_MAX, 0};
  for (unsigned i = 0; i < h->phnum; i++) {
    if (p[i].type != PT_LOAD || !p[i].memsz)
      continue;
    if (p[i].paddr < r->start)
      r->start = p[i].paddr;
    if (p[i].paddr + p[i].memsz > r->end)
      r->end = p[i].paddr + p[i].memsz;
  }
  return r->start < r->end;
}

uint32_t elf_load(const uint8_t *image, uint32_t size, const struct range *keep, unsigned n)
{
  struct range all;
  const struct ehdr *h = header(image, size);
  if (!h || !elf_extent(image, size, &all) || h->entry < all.start || h->entry >= all.end)
    return 0;
  for (unsigned i = 0; i < n; i++) {
    if (overlap(all.start, all.end, keep[i].start, keep[i].end))
      return 0;
  }
  const struct phdr *p = (const struct phdr *)(image + h->phoff);
  for (unsigned i = 0; i < h->phnum; i++) {
    if (p[i].type != PT_LOAD)
      continue;
    uint8_t *to = (uint8_t *)p[i].paddr;
    for (uint32_t k = 0; k < p[i].memsz; k++)
      to[k] = k < p[i].filesz ? image[p[i].offset + k] : 0;
  }
  return h->entry;
}
