// A TPM by libtpms; see backend.h.
//
// The library keeps one TPM per process in variables of its own and calls back without an argument: the one
// pointer here says whose calls these are.
#include <libtpms/tpm_error.h>
#include <libtpms/tpm_library.h>
#include <libtpms/tpm_memory.h>
#include <libtpms/tpm_nvfilename.h>
#include <libtpms/tpm_tis.h>
#include <libtpms/tpm_types.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tpm/state.h"

struct libtpms {
  struct tpm_state state;
  enum tpm_version version;
  unsigned locality;
  bool running, refused; // refused: a write of the state failed, and was told
};

static struct libtpms *owner;

static TPM_RESULT nvram_init(void)
{
  return TPM_SUCCESS;
}

// What does not outlive a power cycle is not kept.
static bool kept(const char *name)
{
  return strcmp(name, TPM_VOLATILESTATE_NAME) != 0;
}

static TPM_RESULT load(unsigned char **data, uint32_t *length, uint32_t number, const char *name)
{
  const struct tpm_state_entry *x = tpm_state_find(&owner->state, name);
  if (!x)
    return TPM_RETRY; // the library's word for: there is none
  if (TPM_Malloc(data, x->size) != TPM_SUCCESS)
    return TPM_SIZE;
  memcpy(*data, x->data, x->size);
  *length = x->size;
  return TPM_SUCCESS;
}

static TPM_RESULT store(const unsigned char *data, uint32_t length, uint32_t number, const char *name)
{
  struct err e;
  if (!kept(name) || tpm_state_put(&owner->state, name, data, length, &e))
    return TPM_SUCCESS;
  if (!owner->refused)
    fprintf(stderr, "pacifica: %s; the TPM fails\n", e.text);
  owner->refused = true;
  return TPM_FAIL;
}

static TPM_RESULT delete_name(uint32_t number, const char *name, TPM_BOOL must_exist)
{
  struct err e;
  if (!tpm_state_find(&owner->state, name))
    return must_exist ? TPM_FAIL : TPM_SUCCESS;
  return tpm_state_put(&owner->state, name, NULL, 0, &e) ? TPM_SUCCESS : TPM_FAIL;
}

static TPM_RESULT io_init(void)
{
  return TPM_SUCCESS;
}

static TPM_RESULT get_locality(TPM_MODIFIER_INDICATOR *locality, uint32_t number)
{
  *locality = owner->locality;
  return TPM_SUCCESS;
}

static TPM_RESULT get_presence(TPM_BOOL *presence, uint32_t number)
{
  *presence = FALSE;
  return TPM_SUCCESS;
}

static bool reset(void *self, struct err *e)
{
  struct libtpms *t = self;
  if (t->running)
    TPMLIB_Terminate();
  t->running = false;
  t->locality = 0;
  TPM_RESULT rc = TPMLIB_MainInit();
  if (rc != TPM_SUCCESS)
    return err_set(e, "libtpms cannot start: error %02xh%s%s", (unsigned)rc,
                   t->state.path ? "; state file " : "", t->state.path ? t->state.path : "");
  t->running = true;
  return true;
}

static size_t command(void *self, unsigned locality, const uint8_t *cmd, size_t n, uint8_t resp[TPM_BUFFER])
{
  struct libtpms *t = self;
  unsigned char *buffer = NULL, *copy;
  uint32_t size = 0, room = 0;
  if (!t->running || n > TPM_BUFFER || !(copy = malloc(n ? n : 1)))
    return 0;
  memcpy(copy, cmd, n);
  t->locality = locality;
  TPM_RESULT rc = TPMLIB_Process(&buffer, &size, &room, copy, (uint32_t)n);
  free(copy);
  if (rc != TPM_SUCCESS || size > TPM_BUFFER)
    size = 0;
  if (size)
    memcpy(resp, buffer, size);
  TPM_Free(buffer);
  return size;
}

static bool hash(void *self, enum tpm_hash step, const uint8_t *data, size_t n)
{
  struct libtpms *t = self;
  if (!t->running)
    return false;
  t->locality = 4;
  switch (step) {
  case TPM_HASH_START:
    return TPM_IO_Hash_Start() == TPM_SUCCESS;
  case TPM_HASH_DATA:
    return TPM_IO_Hash_Data(data, (uint32_t)n) == TPM_SUCCESS;
  default:
    return TPM_IO_Hash_End() == TPM_SUCCESS;
  }
}

static bool established(void *self)
{
  const struct libtpms *t = self;
  TPM_BOOL yes = FALSE;
  return t->running && TPM_IO_TpmEstablished_Get(&yes) == TPM_SUCCESS && yes;
}

static void reset_established(void *self, unsigned locality)
{
  struct libtpms *t = self;
  t->locality = locality;
  if (t->running)
    TPM_IO_TpmEstablished_Reset();
}

static void free_libtpms(void *self)
{
  struct libtpms *t = self;
  if (t->running)
    TPMLIB_Terminate();
  tpm_state_close(&t->state);
  free(t);
  owner = NULL;
}

static const struct tpm_ops ops = {.reset = reset,
                                   .command = command,
                                   .hash = hash,
                                   .established = established,
                                   .reset_established = reset_established,
                                   .free = free_libtpms};

static bool start(struct libtpms *t, struct err *e)
{
  static struct libtpms_callbacks callbacks = {.sizeOfStruct = sizeof callbacks,
                                               .tpm_nvram_init = nvram_init,
                                               .tpm_nvram_loaddata = load,
                                               .tpm_nvram_storedata = store,
                                               .tpm_nvram_deletename = delete_name,
                                               .tpm_io_init = io_init,
                                               .tpm_io_getlocality = get_locality,
                                               .tpm_io_getphysicalpresence = get_presence};
  TPMLIB_TPMVersion v = t->version == TPM_2_0 ? TPMLIB_TPM_VERSION_2 : TPMLIB_TPM_VERSION_1_2;
  if (TPMLIB_ChooseTPMVersion(v) != TPM_SUCCESS)
    return err_set(e, "libtpms was built without TPM %s; choose the other version=",
                   t->version == TPM_2_0 ? "2.0" : "1.2");
  if (TPMLIB_RegisterCallbacks(&callbacks) != TPM_SUCCESS)
    return err_set(e, "libtpms does not take this program's callbacks; use another version of it");
  TPMLIB_SetBufferSize(TPM_BUFFER, NULL, NULL);
  const struct tpm_state_entry *x = tpm_state_find(&t->state, TPM_PERMANENT_ALL_NAME);
  if (x && TPMLIB_SetState(TPMLIB_STATE_PERMANENT, x->data, x->size) != TPM_SUCCESS)
    return err_set(e, "%s: libtpms does not accept the state in it; restore it from a copy, or remove it",
                   t->state.path);
  return reset(t, e);
}

struct tpm_backend *tpm_libtpms_new(enum tpm_version version, const char *state, struct err *e)
{
  if (owner) {
    err_set(e, "-tpmdev libtpms: only one such TPM is possible; take one away, or use -tpmdev socket");
    return NULL;
  }
  struct tpm_backend *b = calloc(1, sizeof *b);
  struct libtpms *t = calloc(1, sizeof *t);
  if (!b || !t) {
    free(b);
    free(t);
    err_set(e, "out of memory");
    return NULL;
  }
  *t = (struct libtpms){.version = version};
  *b = (struct tpm_backend){.version = version, .ops = &ops, .self = t};
  if (!tpm_state_open(&t->state, state, version, e)) {
    free(t);
    free(b);
    return NULL;
  }
  owner = t;
  if (!start(t, e)) {
    tpm_free(b);
    return NULL;
  }
  return b;
}
