// ELF executables: parsing, loading, and the start of those that belong to no boot protocol. See elf.h.
#include "firmware/elf.h"

enum {
  EI_CLASS = 4,
  EI_DATA = 5,
  EI_VERSION = 6,
  ET_EXEC = 2,
  ET_DYN = 3,
  EM_386 = 3,
  EM_X86_64 = 62,
  PT_LOAD = 1,
  PT_NOTE = 4,
};

bool elf_is(const struct image *im)
{
  return im->len >= 4 && memcmp(im->data, "\177ELF", 4) == 0;
}

static bool load_header(struct elf *f, const struct image *im, const struct elf_segment *s, unsigned n,
                        struct err *e)
{
  if (s->filesz > s->memsz)
    return err_set(e, "kernel %s: ELF segment %u has more bytes in the file than in memory", im->name, n);
  if (!image_has(im, s->offset, s->filesz))
    return err_set(e, "kernel %s: cut short: ELF segment %u ends at %llu, the file at %llu", im->name, n,
                   (unsigned long long)s->offset + s->filesz, (unsigned long long)im->len);
  if (s->memsz == 0)
    return true;
  if (s->paddr + s->memsz < s->paddr)
    return err_set(e, "kernel %s: ELF segment %u wraps around the address space", im->name, n);
  if (f->segments == ELF_SEGMENTS)
    return err_set(e, "kernel %s: more than %d ELF segments", im->name, ELF_SEGMENTS);
  f->segment[f->segments++] = *s;
  return true;
}

static bool program_header(struct elf *f, const struct image *im, uint64_t off, unsigned n, struct err *e)
{
  const uint8_t *p = im->data + off;
  struct elf_segment s;
  uint64_t align;
  if (f->wide) {
    s = (struct elf_segment){get64(p + 8), get64(p + 16), get64(p + 24), get64(p + 32), get64(p + 40)};
    align = get64(p + 48);
  } else {
    s = (struct elf_segment){get32(p + 4), get32(p + 8), get32(p + 12), get32(p + 16), get32(p + 20)};
    align = get32(p + 28);
  }
  uint32_t type = get32(p);
  if (type == PT_LOAD)
    return load_header(f, im, &s, n, e);
  if (type == PT_NOTE && image_has(im, s.offset, s.filesz) && f->notes < ELF_NOTES)
    f->note[f->notes++] = (struct elf_note){s.offset, s.filesz, align};
  return true;
}

bool elf_parse(struct elf *f, const struct image *im, struct err *e)
{
  *f = (struct elf){0};
  const uint8_t *d = im->data;
  if (im->len < 52)
    return err_set(e, "kernel %s: cut short: no whole ELF header", im->name);
  f->wide = d[EI_CLASS] == 2;
  if (d[EI_CLASS] != 1 && d[EI_CLASS] != 2)
    return err_set(e, "kernel %s: ELF class %u is neither 32 nor 64 bits", im->name, d[EI_CLASS]);
  if (d[EI_DATA] != 1)
    return err_set(e, "kernel %s: a big-endian ELF file, not for this machine", im->name);
  if (im->len < (f->wide ? 64 : 52))
    return err_set(e, "kernel %s: cut short: no whole ELF header", im->name);
  uint16_t type = get16(d + 16), machine = get16(d + 18);
  if (machine != EM_386 && machine != EM_X86_64)
    return err_set(e, "kernel %s: an ELF file for machine %u, not for x86", im->name, machine);
  if (f->wide && machine == EM_386)
    return err_set(e, "kernel %s: a 64-bit ELF file for a 32-bit processor", im->name);
  if (type != ET_EXEC && type != ET_DYN)
    return err_set(e, "kernel %s: an ELF file of type %u, not an executable", im->name, type);
  f->x86_64 = machine == EM_X86_64;
  f->entry = f->wide ? get64(d + 24) : get32(d + 24);
  uint64_t phoff = f->wide ? get64(d + 32) : get32(d + 28);
  unsigned phentsize = get16(d + (f->wide ? 54 : 42)), phnum = get16(d + (f->wide ? 56 : 44));
  if (phnum == 0)
    return err_set(e, "kernel %s: an ELF file without program headers: nothing to load", im->name);
  if (phentsize < (f->wide ? 56 : 32))
    return err_set(e, "kernel %s: ELF program headers of %u bytes are too small", im->name, phentsize);
  if (!image_has(im, phoff, (uint64_t)phnum * phentsize))
    return err_set(e, "kernel %s: cut short: the ELF program headers lie outside the file", im->name);
  for (unsigned i = 0; i < phnum; i++)
    if (!program_header(f, im, phoff + (uint64_t)i * phentsize, i, e))
      return false;
  if (!f->segments)
    return err_set(e, "kernel %s: an ELF file without a segment to load", im->name);
  return true;
}

bool elf_write(struct loader *l, const struct image *im, const struct elf *f)
{
  for (unsigned i = 0; i < f->segments; i++) {
    const struct elf_segment *s = &f->segment[i];
    if (!loader_claim(l, im->name, "an ELF segment", s->paddr, s->memsz) ||
        !loader_write(l, s->paddr, im->data + s->offset, s->filesz) ||
        !loader_write(l, s->paddr + s->filesz, NULL, s->memsz - s->filesz))
      return false;
  }
  return true;
}

static bool loaded(const struct elf *f, uint64_t pa)
{
  for (unsigned i = 0; i < f->segments; i++)
    if (pa - f->segment[i].paddr < f->segment[i].memsz)
      return true;
  return false;
}

bool elf_entry(const struct elf *f, const char *name, uint64_t *pa, struct err *e)
{
  *pa = f->entry;
  if (loaded(f, f->entry))
    return true;
  for (unsigned i = 0; i < f->segments; i++)
    if (f->entry - f->segment[i].vaddr < f->segment[i].memsz) {
      *pa = f->entry - f->segment[i].vaddr + f->segment[i].paddr;
      return true;
    }
  return err_set(e, "kernel %s: ELF entry 0x%llx is in no segment", name, (unsigned long long)f->entry);
}

// No boot protocol: flat 32-bit protected mode, or long mode for a 64-bit file. RSI has Linux' boot
// parameters, so that memory map, command line and initrd are known, and so that a Linux vmlinux built
// without PVH starts too (boot.rst, "64-bit boot protocol").
static bool flat_start(struct loader *l, const struct image *im, const struct elf *f)
{
  uint64_t entry;
  if (!elf_entry(f, im->name, &entry, l->e))
    return false;
  if (entry >= GB4)
    return err_set(l->e, "kernel %s: ELF entry 0x%llx is not below 4 GB", im->name,
                   (unsigned long long)entry);
  uint64_t params = linux_plain_params(l);
  if (!params || !(f->wide ? start_long(l, entry) : start_protected(l, entry)))
    return false;
  l->st->kind = f->wide ? "ELF64" : "ELF32";
  l->st->rsi = params;
  return true;
}

enum load_result elf_load(struct loader *l, const struct image *im)
{
  struct elf f;
  uint64_t entry;
  if (!elf_is(im))
    return LOAD_NOT_MINE;
  if (!elf_parse(&f, im, l->e) || !elf_write(l, im, &f))
    return LOAD_BAD;
  if (pvh_entry(&f, im, &entry)) {
    if (!loaded(&f, entry)) {
      err_set(l->e, "kernel %s: the PVH entry 0x%llx is in no segment", im->name, (unsigned long long)entry);
      return LOAD_BAD;
    }
    return pvh_start(l, entry) ? LOAD_OK : LOAD_BAD;
  }
  return flat_start(l, im, &f) ? LOAD_OK : LOAD_BAD;
}
