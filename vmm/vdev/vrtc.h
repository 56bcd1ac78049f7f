// A guest's clock: the time is the machine's own (MC146818 at 70h), its settings are the guest's.
#ifndef VDEV_VRTC_H
#define VDEV_VRTC_H

#include "host/types.h"

struct guest;

struct vrtc {
  uint8_t index, ram[128];
  bool flag;         // periodic interrupt pending, register C
  uint64_t deadline; // of the periodic interrupt
};

void vrtc_reset(struct guest *g);
void vrtc_update(struct guest *g, uint64_t now);
uint8_t vrtc_read(struct guest *g, uint16_t port);
void vrtc_write(struct guest *g, uint16_t port, uint8_t value);

#endif
