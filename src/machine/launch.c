// What SKINIT's special cycles reach; see launch.h.
#include "machine/launch.h"

#include "machine/exclusion.h"
#include "machine/machine.h"

static enum txn_resp special(void *arg, const struct txn *t, uint64_t *value)
{
  struct machine *m = arg;
  switch (t->addr) {
  case CYCLE_SL_DEV:
    exclusion_protect_loader(m, *value);
    return TXN_OK;
  default: // no TPM
    return TXN_ABORT;
  }
}

void launch_init(struct machine *m)
{
  m->bus.special = special;
  m->bus.special_arg = m;
}
