// What is the same for every TPM; see backend.h. Commands are those of TPM Main part 3 (1.2) and TPM Library
// part 3 (2.0).
#include "tpm/backend.h"

#include <stdlib.h>
#include <string.h>

#include "bus/bus.h"
#include "tpm/bytes.h"

size_t tpm_command(const struct tpm_backend *b, unsigned locality, const uint8_t *cmd, size_t n,
                   uint8_t resp[TPM_BUFFER])
{
  size_t got = b->ops->command(b->self, locality, cmd, n, resp);
  if (got >= TPM_HEADER && got <= TPM_BUFFER)
    return got;
  tpm_put16(resp, b->version == TPM_2_0 ? 0x8001 : 0x00c4);
  tpm_put32(resp + 2, TPM_HEADER);
  tpm_put32(resp + 6, b->version == TPM_2_0 ? 0x101 : 9);
  return TPM_HEADER;
}

static size_t header(const struct tpm_backend *b, uint8_t *cmd, size_t size, uint32_t code)
{
  tpm_put16(cmd, b->version == TPM_2_0 ? 0x8001 : 0x00c1);
  tpm_put32(cmd + 2, (uint32_t)size);
  tpm_put32(cmd + 6, code);
  return size;
}

void tpm_startup(const struct tpm_backend *b)
{
  uint8_t cmd[12], resp[TPM_BUFFER];
  size_t n = header(b, cmd, sizeof cmd, b->version == TPM_2_0 ? 0x144 : 0x99);
  tpm_put16(cmd + TPM_HEADER, b->version == TPM_2_0 ? 0 : 1); // SU_CLEAR, ST_CLEAR
  tpm_command(b, 0, cmd, n, resp);
}

static unsigned pcr_2_0(const struct tpm_backend *b, unsigned index, unsigned bits, uint8_t digest[64])
{
  uint8_t cmd[20] = {0}, resp[TPM_BUFFER];
  size_t n = header(b, cmd, sizeof cmd, 0x17e);
  tpm_put32(cmd + 10, 1); // one selection
  tpm_put16(cmd + 14, bits == 160 ? 0x0004 : 0x000b);
  cmd[16] = 3; // bytes of the bit map
  cmd[17 + index / 8] = (uint8_t)(1u << index % 8);
  size_t got = tpm_command(b, 0, cmd, n, resp);
  // header, update counter, selection as sent (10 bytes), number of digests, size, digest
  size_t want = bits / 8;
  if (got < 30 + want || tpm_get32(resp + 6) != 0 || tpm_get32(resp + 24) != 1 ||
      (unsigned)(resp[28] << 8 | resp[29]) != want)
    return 0;
  memcpy(digest, resp + 30, want);
  return (unsigned)want;
}

static unsigned pcr_1_2(const struct tpm_backend *b, unsigned index, uint8_t digest[64])
{
  uint8_t cmd[14], resp[TPM_BUFFER];
  size_t n = header(b, cmd, sizeof cmd, 0x15);
  tpm_put32(cmd + TPM_HEADER, index);
  if (tpm_command(b, 0, cmd, n, resp) != TPM_HEADER + 20 || tpm_get32(resp + 6) != 0)
    return 0;
  memcpy(digest, resp + TPM_HEADER, 20);
  return 20;
}

unsigned tpm_pcr(const struct tpm_backend *b, unsigned index, unsigned bits, uint8_t digest[64])
{
  if (index > 23 || (bits != 160 && bits != 256))
    return 0;
  if (b->version == TPM_2_0)
    return pcr_2_0(b, index, bits, digest);
  return bits == 160 ? pcr_1_2(b, index, digest) : 0;
}

bool tpm_hash_cycle(const struct tpm_backend *b, bool *hashing, uint64_t cycle, unsigned size, uint64_t value)
{
  uint8_t data[8];
  switch (cycle) {
  case CYCLE_HASH_START:
    *hashing = b->ops->hash(b->self, TPM_HASH_START, NULL, 0);
    return true;
  case CYCLE_HASH_DATA:
    for (unsigned i = 0; i < sizeof data; i++)
      data[i] = (uint8_t)(value >> 8 * i);
    if (*hashing && size <= sizeof data)
      b->ops->hash(b->self, TPM_HASH_DATA, data, size);
    return true;
  case CYCLE_HASH_END:
    if (*hashing)
      b->ops->hash(b->self, TPM_HASH_END, NULL, 0);
    *hashing = false;
    return true;
  default:
    return false;
  }
}

void tpm_free(struct tpm_backend *b)
{
  if (!b)
    return;
  b->ops->free(b->self);
  free(b);
}
