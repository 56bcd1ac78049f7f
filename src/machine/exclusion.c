// The Device Exclusion Vectors of a machine; see exclusion.h.
#include "machine/exclusion.h"

#include "base/err.h"
#include "cpu/mca.h"
#include "cpu/model.h"
#include "machine/machine.h"
#include "machine/mcbank.h"

// MC4_STATUS of a DEV error: BKDG 31116, F3x48, tables 93 and 94.
enum {
  EXTENDED_DEV = 9u << 16,
  BUS_ERROR = 0x0800u,
  OBSERVED = 2u << 9,
  READ = 1u << 4,
  WRITE = 2u << 4,
  TO_IO = 2u << 2,
  LEVEL_GENERIC = 3u,
  DEV_ERR_EN = 1u << 13, // MC4_CTL
};

static void machine_check(void *arg, uint8_t node, bool write, bool io, uint64_t addr)
{
  mcbank_log(arg, node,
             MCI_UC | EXTENDED_DEV | BUS_ERROR | OBSERVED | (write ? WRITE : READ) | (io ? TO_IO : 0) |
                 LEVEL_GENERIC,
             DEV_ERR_EN, addr);
}

bool exclusion_init(struct machine *m, struct err *e)
{
  if (!model_has(m->model, FEAT_SVM))
    return true;
  const struct dev_model *model = model_family(m->model) == 15 ? &dev_model_k8 : &dev_model_family10h;
  if (!fabric_add_dev(&m->fabric, model, &m->clock))
    return err_set(e, "out of memory");
  for (unsigned n = 0; n < m->fabric.nodes; n++) {
    struct dev *d = m->fabric.node[n].dev;
    d->machine_check = machine_check;
    d->machine_check_arg = m;
    nb_set_dev(&m->nodes.northbridge[n], &(struct nb_dev){.read = dev_read, .write = dev_write, .opaque = d});
  }
  return true;
}

void exclusion_reset(struct machine *m)
{
  for (unsigned n = 0; n < m->fabric.nodes; n++) {
    if (m->fabric.node[n].dev)
      dev_reset(m->fabric.node[n].dev, false);
  }
}

void exclusion_protect_loader(struct machine *m, uint64_t base)
{
  for (unsigned n = 0; n < m->fabric.nodes; n++) {
    if (m->fabric.node[n].dev)
      dev_protect_loader(m->fabric.node[n].dev, base);
  }
}
