// Flushes as guests make them: functions to enter a guest at.
#ifndef GUEST_SVM_FLUSHES_H
#define GUEST_SVM_FLUSHES_H

#include "stale.h"

static uint64_t argument __attribute__((unused)); // an address, or INVPCID's kind

static inline void guest_invlpg(void)
{
  invlpg(argument);
  vmmcall();
}

static inline void guest_cr3(void)
{
  write_cr3(read_cr3());
  vmmcall();
}

static inline void guest_pge(void)
{
  write_cr4(read_cr4() ^ CR4_PGE);
  write_cr4(read_cr4() ^ CR4_PGE);
  vmmcall();
}

#endif
