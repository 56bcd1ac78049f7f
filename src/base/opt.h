// Options in QEMU's spelling: "name,key=value,key2=value2,flag".
//
// A comma inside a value is written twice. A key without "=" is on ("key" is "key=on"); the first
// element may go without a key and then belongs to the implied key ("-drive disk.img" has none; "-device
// virtio-blk-pci,drive=d0" has driver). Whoever consumes an option takes its keys one by one; what is left
// over at the end is an error that names the key.
#ifndef BASE_OPT_H
#define BASE_OPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define OPT_MAX 32

struct opt {
  char *key, *value;
  bool used;
};

struct opts {
  const char *option; // as on the command line, for messages: "-drive"
  char *text;         // owned copy that key and value point into
  struct opt item[OPT_MAX];
  unsigned count;
};

// Splits. implied may be NULL. The option name must outlive the struct.
bool opts_parse(struct opts *o, const char *option, const char *text, const char *implied, struct err *e);
void opts_free(struct opts *o);

// The value of a key, marked as used, or NULL if absent. A key given twice: the last one counts.
const char *opts_get(struct opts *o, const char *key);
// Absent: *out is left as it is and true is returned. A bad value is an error that names it.
bool opts_bool(struct opts *o, const char *key, bool *out, struct err *e); // on/off, yes/no, true/false, 1/0
bool opts_u64(struct opts *o, const char *key, uint64_t *out,
              struct err *e); // decimal, 0x, 0 octal not taken
bool opts_size(struct opts *o, const char *key, uint64_t unit, uint64_t *out,
               struct err *e); // suffix K M G T
// One of a NULL-terminated list of names; *out becomes the index.
bool opts_choice(struct opts *o, const char *key, const char *const *names, unsigned *out, struct err *e);
// Fails, naming the key, if some key was not used.
bool opts_done(const struct opts *o, struct err *e);

// "512M" and friends; a bare number counts in `unit` bytes. The whole string must be a number.
bool parse_size(const char *text, uint64_t unit, uint64_t *out);
bool parse_u64(const char *text, uint64_t *out);

// For messages: the candidate nearest to `word` (edit distance, at most 3), or NULL. Ends with NULL.
const char *nearest(const char *word, const char *const *candidates);

#endif
