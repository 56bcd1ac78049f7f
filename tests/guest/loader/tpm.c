// The TPM's FIFO interface at locality 2: TCG TIS 1.3; commands of TPM Main part 3 (1.2) and TPM Library part
// 3 (2.0). The TPM computes the digests itself.
#include "slb.h"

#define BASE 0xfed42000u // locality 2
enum { ACCESS = 0x00, INTF_CAPABILITY = 0x14, STS = 0x18, DATA_FIFO = 0x24 };
enum { ACTIVE = 0x20, REQUEST = 0x02, VALID = 0x80, READY = 0x40, GO = 0x20, AVAILABLE = 0x10 };
enum { BUFFER = 1100, CHUNK = 1024, SPINS = 100000000 };

static volatile uint8_t *reg(unsigned off)
{
  return (volatile uint8_t *)(BASE + off);
}

static bool is_2_0(void)
{
  return (*(volatile uint32_t *)reg(INTF_CAPABILITY) >> 28 & 7) == 3;
}

static void put16(uint8_t *p, uint32_t v)
{
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}
static void put32(uint8_t *p, uint32_t v)
{
  put16(p, v >> 16);
  put16(p + 2, v);
}
static uint32_t get32(const uint8_t *p)
{
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool wait(uint8_t bits)
{
  for (unsigned i = 0; i < SPINS; i++) {
    if ((*reg(STS) & (bits | VALID)) == (bits | VALID))
      return true;
  }
  return false;
}

bool tpm_open(void)
{
  if (*reg(ACCESS) == 0xff)
    return false;
  *reg(ACCESS) = REQUEST;
  return *reg(ACCESS) & ACTIVE;
}

void tpm_close(void)
{
  *reg(ACCESS) = ACTIVE;
}

// Sends a command, whose length stands in it, and takes the answer into the same buffer. Its length; 0: none,
// or not good.
static unsigned command(uint8_t *p, unsigned n)
{
  put32(p + 2, n);
  *reg(STS) = READY;
  if (!wait(READY))
    return 0;
  for (unsigned i = 0; i < n; i++)
    *reg(DATA_FIFO) = p[i];
  *reg(STS) = GO;
  if (!wait(AVAILABLE))
    return 0;
  unsigned got = 0, size = 10;
  while (got < size && got < BUFFER && (*reg(STS) & AVAILABLE)) {
    p[got++] = *reg(DATA_FIFO);
    if (got == 6)
      size = get32(p + 2);
  }
  *reg(STS) = READY;
  return got == size && get32(p + 6) == 0 ? got : 0;
}

static unsigned start(uint8_t *p, unsigned tag, uint32_t code)
{
  put16(p, tag);
  put32(p + 6, code);
  return 10;
}

static void copy(uint8_t *to, const uint8_t *from, uint32_t n)
{
  for (uint32_t i = 0; i < n; i++)
    to[i] = from[i];
}

// An authorization area of one or two empty password sessions.
static unsigned sessions(uint8_t *p, unsigned count)
{
  put32(p, 9 * count);
  for (unsigned i = 0; i < count; i++) {
    put32(p + 4 + 9 * i, 0x40000009); // TPM_RS_PW
    put32(p + 8 + 9 * i, 0);          // no nonce, attributes 0, no password
    p[12 + 9 * i] = 0;
  }
  return 4 + 9 * count;
}

static bool measure_2_0(uint8_t *b, unsigned pcr, const uint8_t *data, uint32_t size)
{
  unsigned n =
      start(b, 0x8001, 0x186); // HashSequenceStart: no password, TPM_ALG_NULL: an event in every bank
  put16(b + n, 0);
  put16(b + n + 2, 0x0010);
  if (command(b, n + 4) != 14)
    return false;
  uint32_t handle = get32(b + 10);
  while (size > CHUNK) { // SequenceUpdate
    n = start(b, 0x8002, 0x15c);
    put32(b + n, handle);
    n += 4;
    n += sessions(b + n, 1);
    put16(b + n, CHUNK);
    copy(b + n + 2, data, CHUNK);
    if (!command(b, n + 2 + CHUNK))
      return false;
    data += CHUNK;
    size -= CHUNK;
  }
  n = start(b, 0x8002, 0x185); // EventSequenceComplete
  put32(b + n, pcr);
  put32(b + n + 4, handle);
  n += 8;
  n += sessions(b + n, 2);
  put16(b + n, size);
  copy(b + n + 2, data, size);
  return command(b, n + 2 + size) != 0;
}

static bool measure_1_2(uint8_t *b, unsigned pcr, const uint8_t *data, uint32_t size)
{
  if (!command(b, start(b, 0x00c1, 0xa0))) // SHA1Start
    return false;
  while (size > CHUNK) {
    unsigned n = start(b, 0x00c1, 0xa1); // SHA1Update
    put32(b + n, CHUNK);
    copy(b + n + 4, data, CHUNK);
    if (!command(b, n + 4 + CHUNK))
      return false;
    data += CHUNK;
    size -= CHUNK;
  }
  unsigned rest = size & 63; // the last update takes whole blocks of 64 bytes
  if (size != rest) {
    unsigned n = start(b, 0x00c1, 0xa1);
    put32(b + n, size - rest);
    copy(b + n + 4, data, size - rest);
    if (!command(b, n + 4 + size - rest))
      return false;
  }
  unsigned n = start(b, 0x00c1, 0xa3); // SHA1CompleteExtend
  put32(b + n, pcr);
  put32(b + n + 4, rest);
  copy(b + n + 8, data + size - rest, rest);
  return command(b, n + 8 + rest) != 0;
}

bool tpm_measure(unsigned pcr, const uint8_t *data, uint32_t size)
{
  uint8_t b[BUFFER];
  return is_2_0() ? measure_2_0(b, pcr, data, size) : measure_1_2(b, pcr, data, size);
}

unsigned tpm_read(unsigned pcr, uint8_t digest[32])
{
  uint8_t b[BUFFER];
  unsigned n;
  if (!is_2_0()) {
    n = start(b, 0x00c1, 0x15); // PCRRead
    put32(b + n, pcr);
    if (command(b, n + 4) != 30)
      return 0;
    copy(digest, b + 10, 20);
    return 20;
  }
  n = start(b, 0x8001, 0x17e); // PCR_Read of one PCR in the SHA-256 bank
  put32(b + n, 1);
  put16(b + n + 4, 0x000b);
  put32(b + n + 6, 0x03000000);
  b[n + 7 + pcr / 8] = (uint8_t)(1u << pcr % 8);
  if (command(b, n + 10) != 62)
    return 0;
  copy(digest, b + 30, 32);
  return 32;
}
