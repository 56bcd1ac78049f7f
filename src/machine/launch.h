// What SKINIT's special cycles reach: the northbridges and the TPM. And the record of the last launch.
#ifndef MACHINE_LAUNCH_H
#define MACHINE_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>

struct machine;

enum { SHA1_SIZE = 20, SHA256_SIZE = 32 };

// The last SKINIT, as its cycles showed it.
struct launch {
  unsigned count; // launches since the start; 0: none, and nothing else is valid
  unsigned cpu;
  uint64_t when;          // ns
  uint32_t slb;           // address of the secure loader block
  uint16_t entry, length; // its header
  uint32_t measured;      // bytes that were sent to the TPM
  bool tpm, done;         // a TPM answered; the sequence came to its end
  uint8_t sha1[SHA1_SIZE], sha256[SHA256_SIZE];
  void *hash[2]; // while it is under way
};

void launch_init(struct machine *m);
void launch_end(struct machine *m);

// PCR 17 after a launch that measured `digest` (20 or 32 bytes): H(0 || digest).
void launch_expected_pcr(const uint8_t *digest, unsigned size, uint8_t *pcr);

#endif
