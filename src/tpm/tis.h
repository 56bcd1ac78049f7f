// The TPM's FIFO interface: TCG PC Client TPM Interface Specification 1.3 (for TPM 1.2) and PC Client
// Platform TPM Profile 1.05 (for 2.0), at FED4_0000h, 4 KB for each locality.
//
// Localities 0 to 3 are the processors'. Locality 4 is reached by SKINIT's special cycles alone: its page
// answers nobody. A command starts at tpmGo and its answer is there a little later in virtual time.
#ifndef TPM_TIS_H
#define TPM_TIS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "bus/bus.h"
#include "bus/irq.h"
#include "tpm/backend.h"

#define TPM_BASE UINT64_C(0xfed40000)

enum { TIS_LINES = 16, TIS_NOBODY = 0xff };

enum tis_state { TIS_IDLE, TIS_READY, TIS_RECEPTION, TIS_EXECUTION, TIS_COMPLETION };

struct tis_locality {
  bool request; // waits for its turn
  bool seized;  // lost it to a higher one
  uint32_t int_enable, int_status;
  uint8_t int_vector;
};

struct tis {
  struct bus *bus;
  const struct tpm_backend *backend;
  struct region region;
  struct timer done;
  struct irq line[TIS_LINES]; // of the ISA interrupts, by number
  uint32_t did_vid;
  uint8_t active; // the locality whose turn it is, or TIS_NOBODY
  uint8_t state;  // enum tis_state
  struct tis_locality loc[TPM_LOCALITIES];
  uint8_t buffer[TPM_BUFFER]; // the command, then the response
  uint32_t fill;              // bytes of it
  uint32_t next;              // of the response: the next byte to be read
  bool hashing;
};

void tis_init(struct tis *t, struct bus *bus, struct clock *clock, const struct tpm_backend *b,
              uint32_t did_vid);
// Line to its state at reset; the backend is reset by its owner.
void tis_reset(struct tis *t);
void tis_free(struct tis *t);
// SKINIT's hash cycles (bus.h); TXN_ABORT for any other.
enum txn_resp tis_special(struct tis *t, uint64_t cycle, unsigned size, uint64_t value);

#endif
