// What SKINIT's special cycles reach: the northbridges and the TPM. And the record of the last launch.
#ifndef MACHINE_LAUNCH_H
#define MACHINE_LAUNCH_H

struct machine;

void launch_init(struct machine *m);

#endif
