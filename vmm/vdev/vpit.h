// A guest's 8254 timer: counter 0 is interrupt line 0, counter 2 with its gate and output at port 61h. Intel
// 8254 data sheet. Counts are worked out from the time-stamp counter when somebody looks.
#ifndef VDEV_VPIT_H
#define VDEV_VPIT_H

#include "host/types.h"

struct guest;

struct vpit_counter {
  uint8_t mode, access, status;
  bool write_high, read_high, latched, status_latched, running;
  uint16_t latch;
  uint8_t low;
  uint32_t count; // 1 to 65536
  uint64_t start; // TSC when the count was loaded
};

struct vpit {
  struct vpit_counter counter[3];
  uint8_t port61;
  uint64_t deadline; // TSC of counter 0's next interrupt
};

void vpit_reset(struct guest *g);
void vpit_update(struct guest *g, uint64_t now);
uint8_t vpit_read(struct guest *g, uint16_t port);
void vpit_write(struct guest *g, uint16_t port, uint8_t value);

#endif
