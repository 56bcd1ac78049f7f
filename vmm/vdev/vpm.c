// See vpm.h.
#include "vdev/vpm.h"

#include "host/lapic.h"
#include "svm/vcpu.h"

enum { SCI_EN = 1, SLP_EN = 1 << 13, TIMER_HZ = 3579545 };

void vpm_reset(struct guest *g)
{
  g->pm = (struct vpm){.control = SCI_EN};
}

uint32_t vpm_read(struct vcpu *v, uint16_t port, unsigned size)
{
  const struct vpm *p = &v->guest->pm;
  uint32_t block[3] = {p->status | (uint32_t)p->enable << 16, p->control, 0};
  if (port >= PM_TMR)
    block[2] = (uint32_t)mul_div(rdtsc() - v->guest->tsc_start, TIMER_HZ, tsc_hz()) & 0xffffff;
  return block[(port - PM1A_EVT) / 4] >> port % 4 * 8;
}

void vpm_write(struct vcpu *v, uint16_t port, unsigned size, uint32_t value)
{
  struct vpm *p = &v->guest->pm;
  switch (port) {
  case PM1A_EVT:
    p->status &= (uint16_t)~value;
    if (size == 4)
      p->enable = (uint16_t)(value >> 16);
    break;
  case PM1A_EVT + 2:
    p->enable = (uint16_t)value;
    break;
  case PM1A_CNT:
    p->control = (uint16_t)value & (uint16_t)~SLP_EN;
    if (value & SLP_EN && (value >> 10 & 7) == S5_TYPE)
      guest_stop(v, "powered off");
    else if (value & SLP_EN)
      guest_stop(v, "asked for a sleep state that is not there (type %u)", value >> 10 & 7);
    break;
  default:
    break;
  }
}
