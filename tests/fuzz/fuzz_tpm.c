// The TPM's two interfaces under any accesses, sizes, localities and hash cycles, before a backend that
// answers with any length or not at all, and before libtpms; the state file with any content; the socket
// backend before a program that breaks the protocol. Promises: the backend is asked as its interface says;
// who is active is one locality, and 4 only by SKINIT's cycles; after a reset a command and its answer go
// through; a state file is taken whole or refused in one line; an answer that the socket gives is one to the
// command that it was given.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "fuzz.h"
#include "tpm/crb.h"
#include "tpm/state.h"
#include "tpm/tis.h"
#include "tpmpeer.h"

#define STEPS 300

enum { LOCALITY4 = 0x4000, PAGE = 0x1000 };

// ---- a backend ----

struct fake {
  uint64_t noise;
  bool plain; // answers well
  enum tpm_hash last;
  unsigned commands, sum;
  size_t length; // of the last answer
};

static bool fake_reset(void *self, struct err *e)
{
  return true;
}

static size_t fake_command(void *self, unsigned locality, const uint8_t *cmd, size_t n,
                           uint8_t resp[TPM_BUFFER])
{
  struct fake *k = self;
  FUZZ_REQUIRE(locality < TPM_LOCALITIES && n >= TPM_HEADER && n <= TPM_BUFFER, "locality %u, %zu bytes",
               locality, n);
  k->commands++;
  for (size_t i = 0; i < n; i++)
    k->sum = k->sum * 31 + cmd[i];
  uint64_t r = fuzz_random(&k->noise);
  size_t len = k->plain ? n : r & 1 ? r >> 8 & 0xfff : r & 2 ? r >> 8 & 15 : r & 4 ? TPM_BUFFER : 0;
  for (size_t i = 0; i < len; i++)
    resp[i] = (uint8_t)(k->plain ? cmd[i] ^ 0xff : fuzz_random(&k->noise));
  k->length = len;
  return len;
}

static bool fake_hash(void *self, enum tpm_hash step, const uint8_t *data, size_t n)
{
  struct fake *k = self;
  FUZZ_REQUIRE(step == TPM_HASH_START || k->last != TPM_HASH_END, "step %u after the end", step);
  FUZZ_REQUIRE(n <= 8 && (step == TPM_HASH_DATA) == (data != NULL), "step %u, %zu bytes", step, n);
  for (size_t i = 0; data && i < n; i++)
    k->sum = k->sum * 31 + data[i];
  bool ok = k->plain || fuzz_random(&k->noise) & 3;
  k->last = ok || step == TPM_HASH_DATA ? step : TPM_HASH_END;
  return ok;
}

static bool fake_established(void *self)
{
  return fuzz_random(&((struct fake *)self)->noise) & 1;
}

static void fake_reset_established(void *self, unsigned locality)
{
  FUZZ_REQUIRE(locality >= 3 && locality < TPM_LOCALITIES, "locality %u", locality);
}

static void fake_free(void *self)
{
}

static const struct tpm_ops fake_ops = {fake_reset,       fake_command,           fake_hash,
                                        fake_established, fake_reset_established, fake_free};

// ---- an interface on a bus ----

struct bed {
  struct ram ram;
  struct log log;
  struct bus bus;
  struct clock clock;
  bool crb;
  struct tis tis;
  struct crb c;
};

static void bed_open(struct bed *x, bool crb, const struct tpm_backend *b)
{
  struct err e;
  memset(x, 0, sizeof *x);
  if (!ram_init(&x->ram, 4096, &e) || !bus_init(&x->bus, &x->ram, &x->log))
    abort();
  clock_init(&x->clock);
  x->crb = crb;
  if (crb)
    crb_init(&x->c, &x->bus, &x->clock, b, 0x00011014);
  else
    tis_init(&x->tis, &x->bus, &x->clock, b, 0x00011014);
}

static void bed_close(struct bed *x)
{
  if (x->crb)
    crb_free(&x->c);
  else
    tis_free(&x->tis);
  bus_free(&x->bus);
  ram_free(&x->ram);
  clock_free(&x->clock);
}

static uint64_t touch(struct bed *x, uint64_t off, unsigned size, bool write, uint64_t v)
{
  struct txn t = {.addr = TPM_BASE + off,
                  .size = size,
                  .requester = TXN_FROM_CPU,
                  .kind = write ? TXN_WRITE : TXN_READ,
                  .space = TXN_MEM};
  bus_access(&x->bus, &t, &v);
  return v;
}

static void pass(struct bed *x, uint64_t ns)
{
  clock_advance(&x->clock, clock_now(&x->clock) + ns);
}

static void special(struct bed *x, uint64_t cycle, unsigned size, uint64_t v)
{
  enum txn_resp r = x->crb ? crb_special(&x->c, cycle, size, v) : tis_special(&x->tis, cycle, size, v);
  bool known = cycle == CYCLE_HASH_START || cycle == CYCLE_HASH_DATA || cycle == CYCLE_HASH_END;
  FUZZ_REQUIRE((r == TXN_OK) == known, "cycle %llx", (unsigned long long)cycle);
}

static void reset(struct bed *x)
{
  if (x->crb)
    crb_reset(&x->c);
  else
    tis_reset(&x->tis);
}

// What software can see of who is active.
static void check(struct bed *x, bool launching)
{
  unsigned active = 0;
  for (unsigned l = 0; l < 4; l++) {
    uint64_t v = touch(x, l * PAGE + (x->crb ? 0x0c : 0), 1, false, 0);
    active += x->crb ? v & 1 : v >> 5 & 1;
    uint64_t sts = x->crb ? 0 : touch(x, l * PAGE + 0x18, 4, false, 0);
    bool wants = !x->crb && sts != UINT32_MAX && (sts & 0x18);
    FUZZ_REQUIRE(!wants || (sts >> 8 & 0xffff), "locality %u: STS %llx: no burst", l,
                 (unsigned long long)sts);
  }
  FUZZ_REQUIRE(active <= 1, "%u localities are active", active);
  FUZZ_REQUIRE(!launching || !active, "a locality took the TPM in a launch");
  FUZZ_REQUIRE(touch(x, LOCALITY4, 4, false, 0) == UINT32_MAX, "locality 4 answers");
}

// Sends a command at a locality that has nobody above it, as a driver does; returns the answer's length.
static size_t tis_talk(struct bed *x, unsigned l, const uint8_t *cmd, size_t n, uint8_t *resp)
{
  uint64_t at = l * PAGE;
  size_t got = 0;
  touch(x, at, 1, true, 2);
  touch(x, at + 0x18, 1, true, 0x40);
  touch(x, at + 0x18, 1, true, 0x40);
  for (size_t i = 0; i < n; i++)
    touch(x, at + 0x24, 1, true, cmd[i]);
  touch(x, at + 0x18, 1, true, 0x20);
  pass(x, 1000000);
  while (got < TPM_BUFFER && (touch(x, at + 0x18, 1, false, 0) & 0x90) == 0x90)
    resp[got++] = (uint8_t)touch(x, at + 0x24, 1, false, 0);
  touch(x, at + 0x18, 1, true, 0x40);
  touch(x, at, 1, true, 0x20);
  return got;
}

static size_t crb_talk(struct bed *x, unsigned l, const uint8_t *cmd, size_t n, uint8_t *resp)
{
  uint64_t at = l * PAGE;
  touch(x, at + 8, 4, true, 1);
  touch(x, at + 0x40, 4, true, 1);
  for (size_t i = 0; i < n; i++)
    touch(x, at + 0x80 + i, 1, true, cmd[i]);
  touch(x, at + 0x4c, 4, true, 1);
  pass(x, 1000000);
  FUZZ_REQUIRE(touch(x, at + 0x4c, 4, false, 0) == 0, "the command does not end");
  for (size_t i = 0; i < n; i++)
    resp[i] = (uint8_t)touch(x, at + 0x80 + i, 1, false, 0);
  touch(x, at + 0x40, 4, true, 2);
  touch(x, at + 8, 4, true, 2);
  return n;
}

static void one(struct bed *x, struct fuzz_in *in, bool *launching)
{
  static const uint16_t regs[2][24] = {
      {0x00, 0x00, 0x08, 0x0c, 0x10, 0x14, 0x18, 0x18,  0x18,  0x1a,  0x24, 0x24,
       0x24, 0x27, 0x30, 0x80, 0xbc, 0xbf, 0xc0, 0xf00, 0xf04, 0xffc, 0x01, 0x19},
      {0x00, 0x08, 0x08, 0x0c, 0x30, 0x34, 0x40, 0x40, 0x44, 0x48, 0x4c,  0x4c,
       0x58, 0x5c, 0x60, 0x64, 0x68, 0x6c, 0x80, 0x80, 0x84, 0x88, 0xff8, 0xffd}};
  static const uint64_t cycles[] = {CYCLE_HASH_START, CYCLE_HASH_DATA, CYCLE_HASH_END, CYCLE_SL_DEV};
  unsigned how = (unsigned)fuzz_take(in, 1), where = (unsigned)fuzz_take(in, 1), size = 1u << (how & 3);
  uint64_t off = (uint64_t)(where >> 5 & 3) * PAGE + regs[x->crb][(where & 31) % 24];
  if (how >> 2 == 63)
    off = fuzz_take(in, 2) % (5 * PAGE);
  switch (how >> 2 & 7) {
  case 0:
  case 1:
    touch(x, off, size, false, 0);
    break;
  case 2:
    pass(x, fuzz_take(in, 3));
    break;
  case 3:
    if (how >> 5) {
      touch(x, off, size, true, fuzz_take(in, size));
      break;
    }
    off = cycles[where & 3] + (where & 4 ? where >> 3 : 0);
    special(x, off, 1 + (where >> 4 & 7), fuzz_take(in, 8));
    *launching = off == CYCLE_HASH_START || (*launching && off != CYCLE_HASH_END);
    break;
  case 4: { // a command's bytes, and its start
    uint8_t cmd[64], resp[TPM_BUFFER];
    size_t n = 10 + fuzz_take(in, 1) % 50;
    for (size_t i = 0; i < n; i++)
      cmd[i] = (uint8_t)fuzz_take(in, 1);
    if (how & 32)
      memcpy(cmd + 2, (uint8_t[]){0, 0, 0, (uint8_t)n}, 4);
    if (x->crb)
      crb_talk(x, where >> 5 & 3, cmd, n, resp);
    else
      tis_talk(x, where >> 5 & 3, cmd, n, resp);
    break;
  }
  case 5:
    if (fuzz_take(in, 1) == 0x5a) {
      reset(x);
      *launching = false;
    }
    break;
  default:
    touch(x, off, size, true, fuzz_take(in, size));
  }
}

static void play_interface(struct fuzz_in *in, bool crb)
{
  static struct bed x;
  struct fake k = {.noise = fuzz_take(in, 2), .last = TPM_HASH_END};
  struct tpm_backend b = {.version = crb || (k.noise & 1) ? TPM_2_0 : TPM_1_2, .ops = &fake_ops, .self = &k};
  bool launching = false;
  bed_open(&x, crb, &b);
  for (unsigned i = 0; i < STEPS && in->left; i++) {
    one(&x, in, &launching);
    check(&x, launching);
  }
  reset(&x);
  k.plain = true;
  k.last = TPM_HASH_END;
  uint8_t cmd[] = {0x80, 1, 0, 0, 0, 13, 0, 0, 1, 0x44, 'a', 'b', 'c'}, resp[TPM_BUFFER];
  unsigned before = k.commands;
  size_t got = (crb ? crb_talk : tis_talk)(&x, k.noise & 3, cmd, sizeof cmd, resp);
  FUZZ_REQUIRE(k.commands == before + 1 && got == sizeof cmd, "%zu bytes", got);
  for (size_t i = 0; i < got; i++)
    FUZZ_REQUIRE(resp[i] == (cmd[i] ^ 0xff), "byte %zu", i);
  bed_close(&x);
}

static void play_libtpms(struct fuzz_in *in)
{
  static struct bed x;
  struct err e = {""};
  unsigned how = (unsigned)fuzz_take(in, 1);
  bool crb = how & 1, launching = false;
  struct tpm_backend *b = tpm_libtpms_new(crb || how & 2 ? TPM_2_0 : TPM_1_2, NULL, &e);
  FUZZ_REQUIRE(b, "%s", e.text);
  if (how & 4)
    tpm_startup(b);
  bed_open(&x, crb, b);
  for (unsigned i = 0; i < STEPS / 4 && in->left; i++)
    one(&x, in, &launching);
  for (unsigned i = 0; i < 24; i += 8) {
    uint8_t digest[64];
    tpm_pcr(b, i, how & 8 ? 160 : 256, digest);
  }
  bed_close(&x);
  tpm_free(b);
}

// ---- the state file ----

static void require_line(const struct err *e)
{
  FUZZ_REQUIRE(e->text[0] && !strchr(e->text, '\n'), "\"%s\"", e->text);
}

static void play_state(struct fuzz_in *in)
{
  static uint8_t file[16384];
  static char path[64];
  unsigned how = (unsigned)fuzz_take(in, 1);
  enum tpm_version version = how & 1 ? TPM_2_0 : TPM_1_2;
  char name[TPM_STATE_NAME + 4];
  size_t n = 0;
  if (!path[0])
    snprintf(path, sizeof path, "/tmp/fuzz-tpm-state-%d", (int)getpid());
  while (n < sizeof file - 8 && in->left)
    file[n++] = (uint8_t)fuzz_take(in, 1);
  if (how & 2) { // a checksum that is right
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < n; i++)
      h = (h ^ file[i]) * 0x100000001b3;
    memcpy(file + n, &h, 8);
    n += 8;
  }
  FILE *f = fopen(path, "wb");
  if (!f || fwrite(file, 1, n, f) != n || fclose(f))
    abort();
  struct tpm_state s;
  struct err e = {""};
  if (!tpm_state_open(&s, path, version, &e)) {
    require_line(&e);
  } else {
    for (unsigned i = 0; i < TPM_STATE_ENTRIES; i++)
      FUZZ_REQUIRE(!s.entry[i].data || strnlen(s.entry[i].name, TPM_STATE_NAME) < TPM_STATE_NAME, "name %u",
                   i);
    snprintf(name, sizeof name, "%.*s", (int)(how >> 2 & 31) % 19, "permanentpermanentper");
    bool put = tpm_state_put(&s, name, file, how & 0x80 ? 0 : (uint32_t)n, &e);
    tpm_state_close(&s);
    FUZZ_REQUIRE(tpm_state_open(&s, path, version, &e), "%s", e.text);
    const struct tpm_state_entry *x = tpm_state_find(&s, name);
    FUZZ_REQUIRE(!put || (x && x->size == (how & 0x80 ? 0 : n) && !memcmp(x->data, file, x->size)),
                 "it is not there");
    tpm_state_close(&s);
  }
  unlink(path);
}

// ---- the socket ----

static void play_socket(struct fuzz_in *in)
{
  char path[108];
  struct err e = {""};
  struct fuzz_in script = *in;
  unsigned ops = (unsigned)fuzz_take(in, 3);
  fuzz_take(&script, 3);
  struct tpmpeer *p = tpmpeer_start(script, path);
  struct tpm_backend *b = tpm_socket_new(path, &e);
  if (!b)
    require_line(&e);
  for (unsigned i = 0; b && i < 8; i++, ops >>= 3) {
    uint8_t cmd[TPM_BUFFER] = {0x80, 1}, resp[TPM_BUFFER], data[8] = {0};
    uint32_t id = 0x1000 + i;
    size_t n = 14 + (i & 1 ? 4000 : 0), got;
    switch (ops & 7) {
    case 0:
      b->ops->established(b->self);
      break;
    case 1:
      b->ops->hash(b->self, ops >> 3 & 3 ? TPM_HASH_DATA : TPM_HASH_START, data, ops >> 3 & 3 ? 8 : 0);
      break;
    case 2:
      b->ops->reset(b->self, &e);
      break;
    default:
      for (unsigned k = 0; k < 4; k++)
        cmd[n - 1 - k] = (uint8_t)(id >> 8 * k);
      got = b->ops->command(b->self, ops & 1, cmd, n, resp);
      FUZZ_REQUIRE(!got || (got >= TPM_HEADER && got <= TPM_BUFFER), "%zu bytes", got);
      if (got >= 14)
        FUZZ_REQUIRE(memcmp(resp + 10, "\xde\xad\xbe\xef", 4) != 0 &&
                         (resp[10] | resp[11] || resp[12] != 0x10 || resp[13] == (uint8_t)id),
                     "an answer to another command: %02x%02x%02x%02x", resp[10], resp[11], resp[12],
                     resp[13]);
    }
  }
  // Whoever waits for the program's answer must not hang: it hangs up by itself.
  tpm_free(b);
  tpmpeer_stop(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
  struct fuzz_in in = {data, len};
  unsigned kind = (unsigned)fuzz_take(&in, 1) & 63;
  if (kind < 24)
    play_interface(&in, false);
  else if (kind < 44)
    play_interface(&in, true);
  else if (kind < 54)
    play_state(&in);
  else if (kind < 62)
    play_socket(&in);
  else
    play_libtpms(&in);
  return 0;
}

size_t fuzz_seed(unsigned n, uint8_t *buf)
{
  struct fuzz_out out = {buf, 0};
  uint64_t noise = n;
  if (n >= 80)
    return 0;
  unsigned kind = n < 32 ? 0 : n < 56 ? 24 : n < 66 ? 44 : n < 78 ? 54 : 62;
  fuzz_put(&out, 1, kind);
  switch (kind) {
  case 44: // files with n % 5 entries
    fuzz_put(&out, 1, 2 | (n & 1) | 9 << 2);
    for (const char *s = "pacifica-tpm-1\n"; out.len < 18; s += *s != 0)
      fuzz_put(&out, 1, (uint8_t)*s);
    fuzz_put(&out, 4, n & 1 ? 20 : 12);
    fuzz_put(&out, 4, n % 6);
    for (unsigned i = 0; i < n % 6; i++) {
      fuzz_put(&out, 8, 0x6e656e616d726570 + i);
      fuzz_put(&out, 8, 0);
      fuzz_put(&out, 4, 8 * i);
      for (unsigned k = 0; k < i; k++)
        fuzz_put(&out, 8, k);
    }
    break;
  case 54: // all goes well up to some answer
    fuzz_put(&out, 3, fuzz_random(&noise));
    fuzz_put(&out, 4, 0);
    for (unsigned i = 0; i < 2 + n % 12; i++)
      fuzz_put(&out, 1, 0);
    fuzz_put(&out, 4, (uint64_t)(n % 7) * 0x01010101);
    break;
  default:
    fuzz_put(&out, 2, n);
    for (unsigned i = 0; i < 60; i++) {
      uint64_t r = fuzz_random(&noise);
      fuzz_put(&out, 1, i % 6 == 5 ? (uint64_t)(4 << 2 | 32) : r);
      fuzz_put(&out, 4, r >> 8 & 0x2f2f2f7f);
    }
  }
  return out.len;
}
