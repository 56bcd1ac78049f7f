// The configuration: INI text in a module. docs/vmm.md lists the keys. Nothing of the hardware in here, so it
// is tested on the host too.
#ifndef GUEST_CONFIG_H
#define GUEST_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONFIG_GUESTS = 16, CONFIG_CPUS = 16, CONFIG_DEVICES = 8 };

struct config_guest {
  char name[32];
  unsigned line; // of its section
  bool bad;      // a mistake was reported: it is not started
  unsigned cpus[CONFIG_CPUS], cpu_count;
  uint64_t memory;
  char kernel[64], initrd[64], boot[64], append[512];
  bool shadow;    // paging = shadow
  bool asid;      // tagged TLB; else a flush at each VMRUN
  unsigned times; // how often it is started; after each end but the last it is destroyed and made anew
  bool com2;      // the console is the machine's second serial port
  bool dev;       // its devices are held to its memory
  uint32_t devices[CONFIG_DEVICES]; // bus << 8 | device << 3 | function
  unsigned device_count;
};

struct config {
  struct config_guest guest[CONFIG_GUESTS];
  unsigned count;
  bool power_off; // [host] end = off: when no guest runs any more
  bool dev;       // [host] dev = on
};

// Reports each mistake by `report`, with its line; a mistake in a guest's section marks that guest bad, and
// the rest goes on.
void config_read(struct config *c, const char *text, size_t len,
                 void (*report)(unsigned line, const char *what, const char *word));

#endif
