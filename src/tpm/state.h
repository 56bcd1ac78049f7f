// The file that keeps a TPM's permanent state: locked while in use, checked when read, replaced whole.
//
// A new content is written beside the old one, synced, and renamed over it: whenever the program dies, the
// file is either the old one or the new one. Layout, little-endian: magic, version of the TPM, number of
// entries, then for each its name (16 bytes), its length and its bytes; at the end a checksum of all before
// it.
#ifndef TPM_STATE_H
#define TPM_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tpm/backend.h"

enum { TPM_STATE_ENTRIES = 4, TPM_STATE_NAME = 16, TPM_STATE_MAX = 1 << 20 };

struct tpm_state_entry {
  char name[TPM_STATE_NAME];
  uint8_t *data; // NULL: free
  uint32_t size;
};

struct tpm_state {
  char *path; // NULL: kept in memory only
  int fd;     // holds the lock
  enum tpm_version version;
  struct tpm_state_entry entry[TPM_STATE_ENTRIES];
};

// A file that is not there is made. False with the error set, and the file untouched, if it
// cannot be opened, is in use, or is not a whole state of this version.
bool tpm_state_open(struct tpm_state *s, const char *path, enum tpm_version version, struct err *e);
void tpm_state_close(struct tpm_state *s);
const struct tpm_state_entry *tpm_state_find(const struct tpm_state *s, const char *name);
// Sets (or with data NULL removes) an entry, and writes the file. False: not written, the error says why; the
// entry is as it was.
bool tpm_state_put(struct tpm_state *s, const char *name, const uint8_t *data, uint32_t size, struct err *e);

#endif
