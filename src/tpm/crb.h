// The TPM's command-response buffer: TCG PC Client Platform TPM Profile 1.05, section 6.5, at FED4_0000h, 4
// KB for each locality. For TPM 2.0 only.
//
// As in tis.h: localities 0 to 3 are the processors', locality 4 is reached by SKINIT's special cycles alone.
#ifndef TPM_CRB_H
#define TPM_CRB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "bus/bus.h"
#include "tpm/backend.h"

enum { CRB_BUFFER = 0x1000 - 0x80, CRB_NOBODY = 0xff };

struct crb {
  struct bus *bus;
  const struct tpm_backend *backend;
  struct region region;
  struct timer done;
  uint32_t did_vid;
  uint8_t active;
  bool seized[TPM_LOCALITIES];
  bool idle, error, running, hashing;
  uint8_t buffer[CRB_BUFFER];
};

void crb_init(struct crb *c, struct bus *bus, struct clock *clock, const struct tpm_backend *b,
              uint32_t did_vid);
void crb_reset(struct crb *c);
void crb_free(struct crb *c);
// SKINIT's hash cycles (bus.h); TXN_ABORT for any other.
enum txn_resp crb_special(struct crb *c, uint64_t cycle, unsigned size, uint64_t value);

#endif
