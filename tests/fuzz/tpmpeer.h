// A program at the other end of -tpmdev socket that keeps to swtpm's protocol only as far as its script says.
// For fuzz_tpm.
#ifndef FUZZ_TPMPEER_H
#define FUZZ_TPMPEER_H

#include "fuzz.h"

struct tpmpeer;

// Listens; the path is for tpm_socket_new. script: how it answers, message by message; at its end, properly.
struct tpmpeer *tpmpeer_start(struct fuzz_in script, char path[108]);
void tpmpeer_stop(struct tpmpeer *p);

// A response to a TPM command carries the command's last four bytes at the same place if it is an answer to
// it, and this where it is none.
#define TPMPEER_STALE 0xdeadbeefu

#endif
