// Numbers of TPM commands and of swtpm's protocol: big-endian.
#ifndef TPM_BYTES_H
#define TPM_BYTES_H

#include <stdint.h>

static inline void tpm_put16(uint8_t *p, unsigned v)
{
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}

static inline void tpm_put32(uint8_t *p, uint32_t v)
{
  tpm_put16(p, v >> 16);
  tpm_put16(p + 2, v & 0xffff);
}

static inline uint32_t tpm_get32(const uint8_t *p)
{
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

#endif
