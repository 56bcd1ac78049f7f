// The Device Exclusion Vectors of a machine; see exclusion.h.
#include "machine/exclusion.h"

#include "base/err.h"
#include "cpu/cpu.h"
#include "cpu/mca.h"
#include "cpu/model.h"
#include "machine/machine.h"

// MC4_STATUS of a DEV error: BKDG 31116, F3x48, tables 93 and 94.
enum {
  NB_BANK = 4,
  DEV_ERR_EN = 1u << 13, // MC4_CTL
  EXTENDED_DEV = 9u << 16,
  BUS_ERROR = 0x0800u,
  OBSERVED = 2u << 9,
  READ = 1u << 4,
  WRITE = 2u << 4,
  TO_IO = 2u << 2,
  LEVEL_GENERIC = 3u,
};

// Reported to the first processor of the node.
static void machine_check(void *arg, uint8_t node, bool write, bool io, uint64_t addr)
{
  struct machine *m = arg;
  struct cpu *c = NULL;
  for (unsigned i = 0; i < m->cpus && !c; i++) {
    if (m->cpu[i]->node == node)
      c = m->cpu[i];
  }
  if (!c)
    return;
  uint64_t enabled = c->mc_ctl[NB_BANK] & DEV_ERR_EN ? MCI_EN : 0;
  mca_log(c, NB_BANK,
          MCI_VAL | MCI_UC | MCI_ADDRV | enabled | EXTENDED_DEV | BUS_ERROR | OBSERVED |
              (write ? WRITE : READ) | (io ? TO_IO : 0) | LEVEL_GENERIC,
          addr, 0);
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
