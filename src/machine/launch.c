// What SKINIT's special cycles reach; see launch.h.
#include "machine/launch.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "machine/exclusion.h"
#include "machine/machine.h"
#include "machine/tpm.h"
#include "tpm/backend.h"

static void digest(const EVP_MD *md, const uint8_t *a, size_t an, const uint8_t *b, size_t bn, uint8_t *out)
{
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  if (ctx && EVP_DigestInit_ex(ctx, md, NULL)) {
    EVP_DigestUpdate(ctx, a, an);
    EVP_DigestUpdate(ctx, b, bn);
    EVP_DigestFinal_ex(ctx, out, NULL);
  }
  EVP_MD_CTX_free(ctx);
}

void launch_expected_pcr(const uint8_t *d, unsigned size, uint8_t *pcr)
{
  static const uint8_t zero[SHA256_SIZE];
  digest(size == SHA1_SIZE ? EVP_sha1() : EVP_sha256(), zero, size, d, size, pcr);
}

static void drop_hashes(struct launch *l)
{
  for (unsigned i = 0; i < 2; i++) {
    EVP_MD_CTX_free(l->hash[i]);
    l->hash[i] = NULL;
  }
}

// The block that the northbridges were told of.
static void begin(struct machine *m, const struct txn *t, uint64_t base)
{
  struct launch *l = &m->launch;
  struct txn look = {
      .addr = base, .kind = TXN_READ, .space = TXN_MEM, .requester = t->requester, .debug = true};
  uint8_t header[4];
  bus_transfer(&m->bus, &look, header, sizeof header);
  drop_hashes(l);
  *l = (struct launch){.count = l->count + 1,
                       .cpu = t->requester - TXN_FROM_CPU,
                       .when = clock_now(&m->clock),
                       .slb = (uint32_t)base,
                       .entry = (uint16_t)(header[0] | header[1] << 8),
                       .length = (uint16_t)(header[2] | header[3] << 8)};
}

static const char *hex(const uint8_t *p, unsigned n, char *out)
{
  for (unsigned i = 0; i < n; i++)
    sprintf(out + 2 * i, "%02x", p[i]);
  return out;
}

static void tell(struct machine *m, unsigned bits, const uint8_t *d)
{
  char a[2 * SHA256_SIZE + 1], b[2 * SHA256_SIZE + 1];
  uint8_t pcr[64];
  const struct tpm_backend *tpm = machine_tpm_backend(m);
  unsigned n = tpm ? tpm_pcr(tpm, 17, bits, pcr) : 0;
  log_line(&m->log, LOG_SKINIT, "skinit sent %u bytes, SHA-%u %s%s%s\n", m->launch.measured,
           bits == 160 ? 1 : bits, hex(d, bits / 8, a), n ? ", PCR 17 is " : "", n ? hex(pcr, n, b) : "");
}

static void hash_start(struct machine *m)
{
  struct launch *l = &m->launch;
  drop_hashes(l);
  l->measured = 0;
  for (unsigned i = 0; i < 2; i++) {
    l->hash[i] = EVP_MD_CTX_new();
    if (l->hash[i])
      EVP_DigestInit_ex(l->hash[i], i ? EVP_sha256() : EVP_sha1(), NULL);
  }
}

static void hash_data(struct machine *m, unsigned size, uint64_t value)
{
  struct launch *l = &m->launch;
  uint8_t p[8];
  for (unsigned i = 0; i < sizeof p; i++)
    p[i] = (uint8_t)(value >> 8 * i);
  for (unsigned i = 0; i < 2; i++) {
    if (l->hash[i])
      EVP_DigestUpdate(l->hash[i], p, size);
  }
  l->measured += size;
}

static void hash_end(struct machine *m)
{
  struct launch *l = &m->launch;
  if (l->hash[0])
    EVP_DigestFinal_ex(l->hash[0], l->sha1, NULL);
  if (l->hash[1])
    EVP_DigestFinal_ex(l->hash[1], l->sha256, NULL);
  drop_hashes(l);
  l->done = true;
  if (log_on(&m->log, LOG_SKINIT)) {
    tell(m, 160, l->sha1);
    tell(m, 256, l->sha256);
  }
}

static enum txn_resp special(void *arg, const struct txn *t, uint64_t *value)
{
  struct machine *m = arg;
  enum txn_resp resp = t->addr == CYCLE_SL_DEV ? TXN_OK : tpm_special(m, t, *value);
  switch (t->addr) {
  case CYCLE_SL_DEV:
    exclusion_protect_loader(m, *value);
    begin(m, t, *value);
    break;
  case CYCLE_HASH_START:
    m->launch.tpm = resp == TXN_OK;
    hash_start(m);
    break;
  case CYCLE_HASH_DATA:
    hash_data(m, t->size <= 8 ? t->size : 8, *value);
    break;
  case CYCLE_HASH_END:
    hash_end(m);
    break;
  default:
    break;
  }
  return resp;
}

void launch_init(struct machine *m)
{
  m->bus.special = special;
  m->bus.special_arg = m;
}

void launch_end(struct machine *m)
{
  drop_hashes(&m->launch);
}
