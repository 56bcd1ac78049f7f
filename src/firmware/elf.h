// ELF executables for x86, 32 and 64 bits (System V ABI, chapters 4 and 5; field names are its own).
//
// Invariant: after elf_parse every program header was read from inside the file and every PT_LOAD's bytes
// are inside it; nothing has been written yet.
#ifndef FIRMWARE_ELF_H
#define FIRMWARE_ELF_H

#include "firmware/loader.h"

#define ELF_SEGMENTS 96
#define ELF_NOTES    16

struct elf_segment {
  uint64_t offset, vaddr, paddr, filesz, memsz;
};

struct elf_note {
  uint64_t offset, size, align;
};

struct elf {
  bool wide;   // ELFCLASS64
  bool x86_64; // EM_X86_64
  uint64_t entry;
  unsigned segments;
  struct elf_segment segment[ELF_SEGMENTS];
  unsigned notes;
  struct elf_note note[ELF_NOTES];
};

// True if the file begins with the ELF magic number.
bool elf_is(const struct image *im);
bool elf_parse(struct elf *f, const struct image *im, struct err *e);
// Takes the memory of all segments and writes them.
bool elf_write(struct loader *l, const struct image *im, const struct elf *f);
// e_entry as a physical address inside a loaded segment: it may be given as a virtual one.
bool elf_entry(const struct elf *f, const char *name, uint64_t *pa, struct err *e);

// pvh.c: the note's entry; false with no error set (*bad false) if there is no such note.
bool pvh_entry(const struct elf *f, const struct image *im, uint64_t *entry);
bool pvh_start(struct loader *l, uint64_t entry);

#endif
