// pc-testdev, the device that kvm-unit-tests drives: interrupt lines by port (2000h + line), four bytes of
// port storage (E0h), a port that drops what is cached about a page (E4h), 64 KB of device memory
// (FF000000h).
#ifndef CHIPSET_TESTDEV_H
#define CHIPSET_TESTDEV_H

#include <stdint.h>

#include "bus/bus.h"
#include "bus/irq.h"
#include "chipset/gsi.h"

enum { TESTDEV_MEMORY = 0x10000 };

struct testdev {
  struct region lines_region, storage_region, flush_region, memory_region;
  struct irq line[GSI_LINES];
  uint8_t storage[4];
  void (*flush)(void *arg, uint64_t addr); // may be NULL
  void *flush_arg;
  uint8_t memory[TESTDEV_MEMORY];
};

void testdev_init(struct testdev *d, struct bus *bus, struct gsi *gsi,
                  void (*flush)(void *arg, uint64_t addr), void *flush_arg);
void testdev_reset(struct testdev *d);

#endif
