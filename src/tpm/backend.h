// A TPM behind its interface: takes commands, answers them, is measured into by locality 4.
//
// Commands are executed at once, in host time that the guest does not see; the interface (tis.h, crb.h) lets
// the answer appear later in virtual time. What a TPM answers is an outside input: its random numbers, keys
// and clock are the library's.
#ifndef TPM_BACKEND_H
#define TPM_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

enum tpm_version { TPM_1_2, TPM_2_0 };
enum tpm_hash { TPM_HASH_START, TPM_HASH_DATA, TPM_HASH_END };

enum {
  TPM_BUFFER = 4096, // bytes of the longest command and the longest response
  TPM_HEADER = 10,   // tag, size, code
  TPM_LOCALITIES = 5,
};

struct tpm_backend {
  enum tpm_version version;
  const struct tpm_ops *ops;
  void *self;
};

struct tpm_ops {
  // Power-on, and every RESET# after it: volatile state is lost. False: broken for good, the error is set.
  bool (*reset)(void *self, struct err *e);
  // Executes cmd[0..n) and returns the length of the response (at most TPM_BUFFER), 0: it could not.
  size_t (*command)(void *self, unsigned locality, const uint8_t *cmd, size_t n, uint8_t resp[TPM_BUFFER]);
  // Locality 4's hash sequence. False: refused.
  bool (*hash)(void *self, enum tpm_hash step, const uint8_t *data, size_t n);
  bool (*established)(void *self);
  void (*reset_established)(void *self, unsigned locality);
  void (*free)(void *self);
};

// As ops->command, but a failure becomes a response that says so (TPM_FAIL, TPM_RC_FAILURE).
size_t tpm_command(const struct tpm_backend *b, unsigned locality, const uint8_t *cmd, size_t n,
                   uint8_t resp[TPM_BUFFER]);
// What firmware sends after power-on: TPM_Startup(ST_CLEAR).
void tpm_startup(const struct tpm_backend *b);
// One PCR in the bank of `bits` (160: SHA-1, 256: SHA-256; a TPM 1.2 has 160 alone). Returns the number of
// bytes, 0: no such bank.
unsigned tpm_pcr(const struct tpm_backend *b, unsigned index, unsigned bits, uint8_t digest[64]);

// One of SKINIT's hash cycles (bus.h), for an interface that has given locality 4 its turn. *hashing: a
// sequence was begun, and was not refused. False: it is none of these cycles.
bool tpm_hash_cycle(const struct tpm_backend *b, bool *hashing, uint64_t cycle, unsigned size,
                    uint64_t value);

// A TPM by libtpms; state: the file that keeps its permanent state, or NULL. The library is one per process:
// the second one is refused. NULL with the error set on failure.
struct tpm_backend *tpm_libtpms_new(enum tpm_version version, const char *state, struct err *e);
// A TPM in another program, by swtpm's protocol: `path` is its control socket (swtpm socket --ctrl
// type=unixio,path=PATH). The version is asked of it.
struct tpm_backend *tpm_socket_new(const char *path, struct err *e);
void tpm_free(struct tpm_backend *b);

#endif
