// The secure loader, part by part.
#ifndef LOADER_SLB_H
#define LOADER_SLB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "params.h"
#include "serial.h"

// ---- dev.c: devices are kept out of memory ----

struct range {
  uint32_t start, end;
};
// Builds a table at `table` that excludes these ranges and itself, gives it to domain 0 of every node,
// switches DEV on, and opens the block, which the table excludes now. False: somebody changed the table
// meanwhile.
bool dev_protect(uint8_t *table, const struct range *r, unsigned n);

// ---- tpm.c: the TPM at locality 2 ----

bool tpm_open(void);
void tpm_close(void);
// Extends a PCR by the digest of these bytes, computed by the TPM.
bool tpm_measure(unsigned pcr, const uint8_t *data, uint32_t size);
// The SHA-1 (TPM 1.2) or SHA-256 (2.0) value; its length, 0: no answer.
unsigned tpm_read(unsigned pcr, uint8_t digest[32]);

// ---- elf.c: the next stage ----

// Puts the segments of a 32-bit ELF file where they belong and returns the entry; 0: it is none, or would
// overwrite one of the ranges.
uint32_t elf_load(const uint8_t *image, uint32_t size, const struct range *keep, unsigned n);
// Where its segments will go; false as above.
bool elf_extent(const uint8_t *image, uint32_t size, struct range *r);

void enter(uint32_t entry, uint32_t multiboot) __attribute__((noreturn));

static inline bool overlap(uint32_t a, uint32_t a_end, uint32_t b, uint32_t b_end)
{
  return a < b_end && b < a_end;
}

#endif
