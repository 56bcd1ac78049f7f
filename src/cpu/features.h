// The names of CPUID features, for -cpu; see features.c.
#ifndef CPU_FEATURES_H
#define CPU_FEATURES_H

#include "cpu/model.h"

enum feature_flag {
  FF_HOST = 1,    // the host CPU executes it for the guest: it must have it
  FF_LATER = 2,   // this processor will have it, not yet
  FF_NEVER = 4,   // this processor does not have it; turning it off is fine
  FF_DYNAMIC = 8, // follows other state: not for -cpu
};

struct feature_row {
  const char *name;     // QEMU's
  const char *other;    // another spelling, or NULL
  enum feature feature; // FEAT_NONE: only the name is known
  uint8_t flags;
  enum feature needs[2]; // must be on too; 0: none
};

extern const struct feature_row feature_rows[];
extern const unsigned feature_count;

// By name; '_' and '.' are the same as '-'. NULL: no such feature.
const struct feature_row *feature_find(const char *name, unsigned len);
// True if the host CPU, and its operating system, offer the feature.
bool feature_on_host(enum feature f);

#endif
