// CPUs' ways into PCI configuration space: ports CF8h and CFCh, with the extended offsets that NB_CFG allows,
// and the memory window of MSR C001_0058. Accesses to other nodes travel along the routing tables.
#ifndef MACHINE_CONFIG_SPACE_H
#define MACHINE_CONFIG_SPACE_H

#include "bus/bus.h"
#include "machine/config.h"

struct machine;

struct config_space {
  uint64_t mmcfg[CONFIG_CPUS]; // MSR C001_0058 of each CPU
  struct region region[CONFIG_CPUS];
};

// After board and CPUs.
void config_space_init(struct machine *m);
void config_space_reset(struct machine *m);

#endif
