// The machine's TPM; see tpm.h.
#include "machine/tpm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/device.h"
#include "machine/machine.h"
#include "tpm/backend.h"
#include "tpm/crb.h"
#include "tpm/tis.h"

enum interface { NONE, TIS, CRB };

struct machine_tpm {
  struct machine *m;
  struct device device;
  char *id; // of -tpmdev
  struct tpm_backend *backend;
  enum interface interface;
  union {
    struct tis tis;
    struct crb crb;
  };
};

static bool open_libtpms(struct machine_tpm *t, struct opts *o, struct err *e)
{
  static const char *const versions[] = {"1.2", "2.0", NULL};
  unsigned version = 1;
  const char *state = opts_get(o, "state");
  if (!opts_choice(o, "version", versions, &version, e) || !opts_done(o, e))
    return false;
  t->backend = tpm_libtpms_new(version ? TPM_2_0 : TPM_1_2, state, e);
  return t->backend != NULL;
}

static bool open_socket(struct machine_tpm *t, struct opts *o, struct err *e)
{
  const char *path = opts_get(o, "path");
  if (!path)
    return err_set(e, "-tpmdev socket: path= is missing; give swtpm's control socket");
  if (!opts_done(o, e))
    return false;
  t->backend = tpm_socket_new(path, e);
  return t->backend != NULL;
}

static bool open_backend(struct machine_tpm *t, struct opts *o, struct err *e)
{
  const char *type = opts_get(o, "type"), *id = opts_get(o, "id");
  if (!id)
    return err_set(e, "-tpmdev: id= is missing");
  t->id = strdup(id);
  if (!t->id)
    return err_set(e, "out of memory");
  if (type && !strcmp(type, "libtpms"))
    return open_libtpms(t, o, e);
  if (type && !strcmp(type, "socket"))
    return open_socket(t, o, e);
  return err_set(e, "-tpmdev %s: there are libtpms and socket (swtpm)", type ? type : "");
}

bool tpm_init(struct machine *m, struct err *e)
{
  const struct text_list *l = &m->config->tpmdevs;
  struct opts o;
  if (l->count == 0)
    return true;
  if (l->count > 1)
    return err_set(e, "-tpmdev: a machine has one TPM; give it once");
  m->tpm = calloc(1, sizeof *m->tpm);
  if (!m->tpm)
    return err_set(e, "out of memory");
  m->tpm->m = m;
  if (!opts_parse(&o, "-tpmdev", l->item[0], "type", e))
    return false;
  bool ok = open_backend(m->tpm, &o, e);
  opts_free(&o);
  return ok;
}

bool tpm_used(struct machine *m, struct err *e)
{
  return !m->tpm || m->tpm->interface != NONE ||
         err_set(e, "-tpmdev: no device uses it; add -device tpm-tis,tpmdev=%s or tpm-crb", m->tpm->id);
}

void tpm_end(struct machine *m)
{
  if (!m->tpm)
    return;
  tpm_free(m->tpm->backend);
  free(m->tpm->id);
  free(m->tpm);
  m->tpm = NULL;
}

// ---- the devices ----

bool tpm_device(const char *name)
{
  return !strcmp(name, "tpm-tis") || !strcmp(name, "tpm-crb");
}

static void reset(struct device *d)
{
  struct machine_tpm *t = d->self;
  struct err e;
  if (!t->backend->ops->reset(t->backend->self, &e))
    fprintf(stderr, "pacifica: %s; the TPM fails from now on\n", e.text);
  if (t->interface == TIS)
    tis_reset(&t->tis);
  else
    crb_reset(&t->crb);
}

static void free_device(struct device *d)
{
  struct machine_tpm *t = d->self;
  if (t->interface == TIS)
    tis_free(&t->tis);
  else
    crb_free(&t->crb);
  t->interface = NONE;
  free(d->id);
  d->id = NULL;
}

static bool attach(struct machine_tpm *t, bool crb, struct opts *o, struct err *e)
{
  uint64_t did_vid = 0x00011014; // IBM's, as software TPMs have it
  struct machine *m = t->m;
  if (!opts_u64(o, "did-vid", &did_vid, e))
    return false;
  if (did_vid > UINT32_MAX)
    return err_set(e, "-device %s: did-vid is device << 16 | vendor, 32 bits", t->device.type);
  if (!opts_done(o, e))
    return false;
  if (crb) {
    if (t->backend->version != TPM_2_0)
      return err_set(e, "-device tpm-crb: is for TPM 2.0; use tpm-tis for a TPM 1.2");
    crb_init(&t->crb, &m->bus, &m->clock, t->backend, (uint32_t)did_vid);
    t->interface = CRB;
    return true;
  }
  tis_init(&t->tis, &m->bus, &m->clock, t->backend, (uint32_t)did_vid);
  for (unsigned i = 0; i < TIS_LINES; i++)
    t->tis.line[i] = gsi_line(&m->pc.gsi, GSI_ISA, i);
  t->interface = TIS;
  return true;
}

struct device *tpm_device_create(struct machine *m, struct opts *o, struct err *e)
{
  const char *name = opts_get(o, "driver"), *id = opts_get(o, "id"), *tpmdev = opts_get(o, "tpmdev");
  struct machine_tpm *t = m->tpm;
  bool crb = !strcmp(name, "tpm-crb");
  if (!tpmdev || !t || strcmp(t->id, tpmdev) != 0) {
    err_set(e, "-device %s: there is no -tpmdev with id=%s; add -tpmdev libtpms,id=%s", name,
            tpmdev ? tpmdev : "", tpmdev ? tpmdev : "t");
    return NULL;
  }
  if (t->interface != NONE) {
    err_set(e, "-device %s: the TPM %s has an interface already; a machine has one", name, tpmdev);
    return NULL;
  }
  t->device =
      (struct device){.type = crb ? "tpm-crb" : "tpm-tis", .self = t, .reset = reset, .free = free_device};
  if (!attach(t, crb, o, e))
    return NULL;
  t->device.id = id ? strdup(id) : NULL;
  return &t->device;
}

// ---- for the rest of the machine ----

enum board_tpm tpm_board(const struct machine *m)
{
  if (!m->tpm || m->tpm->interface == NONE)
    return BOARD_TPM_NONE;
  if (m->tpm->interface == CRB)
    return BOARD_TPM_CRB;
  return m->tpm->backend->version == TPM_2_0 ? BOARD_TPM_FIFO : BOARD_TPM_1_2;
}

void tpm_start_without_bios(struct machine *m)
{
  if (m->tpm && m->tpm->interface != NONE)
    tpm_startup(m->tpm->backend);
}

enum txn_resp tpm_special(struct machine *m, const struct txn *t, uint64_t value)
{
  if (!m->tpm || m->tpm->interface == NONE)
    return TXN_ABORT;
  return m->tpm->interface == TIS ? tis_special(&m->tpm->tis, t->addr, t->size, value)
                                  : crb_special(&m->tpm->crb, t->addr, t->size, value);
}

void tpm_print_localities(const struct machine *m, FILE *out)
{
  static const char *const states[] = {"idle", "ready", "reception", "execution", "completion"};
  const struct machine_tpm *t = m->tpm;
  bool fifo = t->interface == TIS;
  unsigned active = fifo ? t->tis.active : t->crb.active;
  const char *state = fifo             ? states[t->tis.state]
                      : t->crb.running ? "execution"
                      : t->crb.idle    ? "idle"
                                       : "ready";
  fprintf(out, "  interface %s, state %s, active locality ", fifo ? "FIFO" : "CRB", state);
  fprintf(out, active < TPM_LOCALITIES ? "%u\n" : "none\n", active);
  for (unsigned l = 0; l < TPM_LOCALITIES; l++) {
    bool seized = fifo ? t->tis.loc[l].seized : t->crb.seized[l], request = fifo && t->tis.loc[l].request;
    if (seized || request)
      fprintf(out, "  locality %u:%s%s\n", l, request ? " requests it" : "",
              seized ? " was seized from" : "");
  }
}

const struct tpm_backend *machine_tpm_backend(const struct machine *m)
{
  return m->tpm && m->tpm->interface != NONE ? m->tpm->backend : NULL;
}
