// The northbridges' machine check banks; see mcbank.h. BKDG 31116, 2.13 and F3x40 to F3x54.
#include "machine/mcbank.h"

#include "cpu/cpu.h"
#include "cpu/mca.h"
#include "cpu/model.h"
#include "machine/machine.h"

static struct cpu *first_cpu(const struct machine *m, unsigned node)
{
  for (unsigned i = 0; i < m->cpus; i++) {
    if (m->cpu[i]->node == node)
      return m->cpu[i];
  }
  return NULL;
}

static uint64_t *bank(const struct machine *m, unsigned node, unsigned reg)
{
  struct cpu *c = first_cpu(m, node);
  if (!c)
    return NULL;
  return reg == 0 ? &c->mc_ctl[MCBANK_NB] : reg == 1 ? &c->mc_status[MCBANK_NB] : &c->mc_addr[MCBANK_NB];
}

static uint64_t read_bank(void *opaque, unsigned node, unsigned reg)
{
  const uint64_t *r = bank(opaque, node, reg);
  return r ? *r : 0;
}

static void write_bank(void *opaque, unsigned node, unsigned reg, uint64_t v)
{
  uint64_t *r = bank(opaque, node, reg);
  if (r)
    *r = v;
}

void mcbank_init(struct machine *m)
{
  if (!model_has(m->model, FEAT_MCA) || m->model->mc_banks <= MCBANK_NB)
    return;
  for (unsigned n = 0; n < m->fabric.nodes; n++)
    nb_set_mca(&m->nodes.northbridge[n], &(struct nb_mca){read_bank, write_bank, m});
}

void mcbank_log(struct machine *m, unsigned node, uint64_t status, uint64_t enable, uint64_t addr)
{
  struct cpu *c = first_cpu(m, node);
  if (!c)
    return;
  uint64_t enabled = c->mc_ctl[MCBANK_NB] & enable ? MCI_EN : 0;
  mca_log(c, MCBANK_NB, status | MCI_VAL | MCI_ADDRV | enabled, addr, 0);
}
