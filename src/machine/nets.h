// -netdev and -nic: the machine's networks and adapters.
#ifndef MACHINE_NETS_H
#define MACHINE_NETS_H

#include <stdbool.h>

struct err;
struct machine;
struct netdev;

// Opens the networks of -netdev; before devices are made.
bool nets_open(struct machine *m, struct err *e);
// For device_env: a network by its id that no adapter uses.
struct netdev *nets_find(void *machine, const char *id);
// Makes the adapters of -nic by way of `make`, which takes the text of a -device.
bool nets_nics(struct machine *m, bool (*make)(struct machine *m, const char *text, struct err *e),
               struct err *e);

#endif
