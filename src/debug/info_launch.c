// info skinit: the last secure launch. info tpm: the TPM's interface and its PCRs.
#include "debug/info.h"
#include "machine/launch.h"
#include "machine/machine.h"
#include "machine/tpm.h"
#include "tpm/backend.h"

static void print_hex(FILE *out, const uint8_t *p, unsigned n)
{
  for (unsigned i = 0; i < n; i++)
    fprintf(out, "%02x", p[i]);
}

static void print_digest(FILE *out, const struct machine *m, const char *name, const uint8_t *d,
                         unsigned size)
{
  const struct tpm_backend *tpm = machine_tpm_backend(m);
  uint8_t pcr[64];
  fprintf(out, "%s of the block: ", name);
  print_hex(out, d, size);
  launch_expected_pcr(d, size, pcr);
  fprintf(out, "\n  PCR 17 after it:  ");
  print_hex(out, pcr, size);
  unsigned n = tpm ? tpm_pcr(tpm, 17, size * 8, pcr) : 0;
  if (n) {
    fprintf(out, "\n  PCR 17 now:       ");
    print_hex(out, pcr, n);
  }
  fprintf(out, "\n");
}

void info_skinit(struct monitor_call *c)
{
  const struct launch *l = &c->machine->launch;
  if (!l->count) {
    fprintf(c->out, "no SKINIT was executed\n");
    return;
  }
  fprintf(c->out, "launch %u, at %llu ns, by CPU %u\n", l->count, (unsigned long long)l->when, l->cpu);
  fprintf(c->out, "secure loader block %08x-%08x, entry %04x, length %04x\n", l->slb, l->slb + 0xffff,
          l->entry, l->length);
  fprintf(c->out, "%u bytes measured, %s\n", l->measured,
          !l->tpm   ? "no TPM answered"
          : l->done ? "by the TPM"
                    : "the sequence is under way");
  if (!l->done)
    return;
  print_digest(c->out, c->machine, "SHA-1  ", l->sha1, SHA1_SIZE);
  print_digest(c->out, c->machine, "SHA-256", l->sha256, SHA256_SIZE);
}

static void print_pcrs(FILE *out, const struct tpm_backend *b, unsigned bits)
{
  uint8_t pcr[64];
  for (unsigned i = 0; i < 24; i++) {
    unsigned n = tpm_pcr(b, i, bits, pcr);
    if (!n)
      continue;
    fprintf(out, "  PCR %2u SHA-%u: ", i, bits == 160 ? 1 : bits);
    print_hex(out, pcr, n);
    fprintf(out, "\n");
  }
}

void info_tpm(struct monitor_call *c)
{
  const struct tpm_backend *b = machine_tpm_backend(c->machine);
  if (!b) {
    fprintf(c->out, "no TPM; add -tpmdev libtpms,id=t -device tpm-tis,tpmdev=t\n");
    return;
  }
  fprintf(c->out, "TPM %s, %s\n", b->version == TPM_2_0 ? "2.0" : "1.2",
          b->ops->established(b->self) ? "a dynamic launch was done" : "no dynamic launch yet");
  tpm_print_localities(c->machine, c->out);
  print_pcrs(c->out, b, 160);
  print_pcrs(c->out, b, 256);
}
