// A guest's power management: ACPI's fixed registers at 600h (ACPI 6.4, 4.8), and the old ways to a reset.
#ifndef VDEV_VPM_H
#define VDEV_VPM_H

#include "host/types.h"

struct guest;
struct vcpu;

enum { PM1A_EVT = 0x600, PM1A_CNT = 0x604, PM_TMR = 0x608, SCI = 9, S5_TYPE = 5, RESET_CF9 = 0xcf9 };

struct vpm {
  uint16_t status, enable, control;
};

void vpm_reset(struct guest *g);
uint32_t vpm_read(struct vcpu *v, uint16_t port, unsigned size);
void vpm_write(struct vcpu *v, uint16_t port, unsigned size, uint32_t value);

#endif
