// The FIFO interface at locality 0. See tpm.h.
#include "host/tpm.h"

#include "host/print.h"
#include "host/x86.h"

enum { ACCESS = 0x00, INTF_CAPABILITY = 0x14, STS = 0x18, FIFO = 0x24, INTERFACE_ID = 0x30 };
enum { ACTIVE = 0x20, REQUEST = 0x02, VALID = 0x80, READY = 0x40, GO = 0x20, AVAILABLE = 0x10, R_INIT = 2 };
enum { BUFFER = 128, SPINS = 100000000, DIGEST_1_2 = 20 };
#define BASE 0xfed40000ull

static uint8_t read(unsigned reg)
{
  return *(volatile uint8_t *)ptr(BASE + reg);
}

static void write(unsigned reg, uint8_t v)
{
  *(volatile uint8_t *)ptr(BASE + reg) = v;
}

bool tpm_skinit(void)
{
  return rdmsr(MSR_VM_CR) & R_INIT;
}

static bool wait(uint8_t bits)
{
  bits |= VALID;
  for (unsigned i = 0; i < SPINS; i++)
    if ((read(STS) & bits) == bits)
      return true;
  return false;
}

static uint32_t get32(const uint8_t *p)
{
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

// The answer comes into the command's buffer; its length, or 0 if there is none or it is an error.
static unsigned command(uint8_t p[BUFFER], unsigned n)
{
  write(STS, READY);
  if (!wait(READY))
    return 0;
  for (unsigned i = 0; i < n; i++)
    write(FIFO, p[i]);
  write(STS, GO);
  if (!wait(AVAILABLE))
    return 0;
  unsigned got = 0, size = 10;
  while (got < size && got < BUFFER && read(STS) & AVAILABLE) {
    p[got++] = read(FIFO);
    if (got == 6)
      size = get32(p + 2);
  }
  write(STS, READY);
  return got == size && !get32(p + 6) ? got : 0;
}

// Where the digest is in the answer, and its length; 0: it could not be read.
static unsigned pcr_read(uint8_t b[BUFFER], unsigned pcr, const uint8_t **digest)
{
  static const uint8_t two[20] = {0x80, 0x01, 0, 0, 0, 20, 0, 0, 0x01, 0x7e, 0, 0, 0, 1, 0x00, 0x0b, 3};
  static const uint8_t one[14] = {0x00, 0xc1, 0, 0, 0, 14, 0, 0, 0, 0x15};
  bool is_2 = (*(volatile uint32_t *)ptr(BASE + INTF_CAPABILITY) >> 28 & 7) == 3;
  if (!is_2) {
    memcpy(b, one, sizeof one);
    b[13] = (uint8_t)pcr;
    *digest = b + 10;
    return command(b, sizeof one) == 10 + DIGEST_1_2 ? DIGEST_1_2 : 0;
  }
  memcpy(b, two, sizeof two); // TPM2_PCR_Read of the bank of SHA-256: counter, selection, one digest
  b[17 + pcr / 8] = (uint8_t)(1 << pcr % 8);
  unsigned n = command(b, sizeof two);
  unsigned at = 10 + 4 + 4 + 2 + 1 + 3 + 4;
  if (n < at + 2)
    return 0;
  unsigned size = b[at] << 8 | b[at + 1];
  *digest = b + at + 2;
  return at + 2 + size == n ? size : 0;
}

void tpm_show(void)
{
  if (read(ACCESS) == 0xff || (*(volatile uint32_t *)ptr(BASE + INTERFACE_ID) & 0xf) == 1) {
    print("vmm: started by SKINIT; no TPM with the FIFO interface\n");
    return;
  }
  write(ACCESS, REQUEST);
  for (unsigned i = 0; i < SPINS && !(read(ACCESS) & ACTIVE); i++)
    cpu_pause();
  for (unsigned pcr = 17; pcr <= 18; pcr++) {
    uint8_t b[BUFFER];
    const uint8_t *digest;
    unsigned n = pcr_read(b, pcr, &digest);
    char text[2 * 64 + 1] = "", *p = text;
    for (unsigned i = 0; i < n && i < 64; i++)
      p += format_text(p, 3, "%02x", digest[i]);
    print("vmm: PCR %u %s\n", pcr, n ? text : "cannot be read");
  }
  write(ACCESS, ACTIVE);
}
