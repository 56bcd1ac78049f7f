// See vrtc.h. The guest cannot set the machine's time: what it writes to the time registers is dropped. The
// alarm is not there.
#include "vdev/vrtc.h"

#include "host/lapic.h"
#include "svm/vcpu.h"

enum {
  SECONDS = 0,
  YEAR = 9,
  A = 10,
  B = 11,
  C = 12,
  D = 13,
  CENTURY = 0x32,
  PIE = 0x40,
  BINARY_24H = 6,
  IRQ = 8
};

static struct lock chip; // the machine's has one index for all

static uint8_t real(uint8_t index)
{
  lock(&chip);
  out8(0x70, index | 0x80);
  uint8_t v = in8(0x71);
  out8(0x70, 0x0d);
  unlock(&chip);
  return v;
}

void vrtc_reset(struct guest *g)
{
  g->rtc = (struct vrtc){.deadline = UINT64_MAX};
  g->rtc.ram[A] = 0x26;
  g->rtc.ram[B] = real(B) & BINARY_24H;
}

static uint64_t period(const struct vrtc *r)
{
  unsigned rate = r->ram[A] & 15;
  if (!rate || !(r->ram[B] & PIE))
    return 0;
  rate = rate < 3 ? rate + 7 : rate;
  return tsc_hz() / (32768u >> (rate - 1));
}

void vrtc_update(struct guest *g, uint64_t now)
{
  struct vrtc *r = &g->rtc;
  if (now < r->deadline)
    return;
  uint64_t p = period(r);
  r->deadline = p ? r->deadline + ((now - r->deadline) / p + 1) * p : UINT64_MAX;
  r->flag = true;
  guest_line(g, IRQ, true);
}

uint8_t vrtc_read(struct guest *g, uint16_t port)
{
  struct vrtc *r = &g->rtc;
  if (port == 0x70)
    return 0xff;
  uint8_t i = r->index;
  switch (i) {
  case A:
    return (uint8_t)((real(A) & 0x80) | (r->ram[A] & 0x7f));
  case C: {
    uint8_t v = r->flag ? 0xc0 : 0;
    r->flag = false;
    guest_line(g, IRQ, false);
    return v;
  }
  case D:
    return 0x80;
  default:
    if (i == 1 || i == 3 || i == 5) // alarm
      return r->ram[i];
    return i <= YEAR || i == CENTURY ? real(i) : r->ram[i];
  }
}

void vrtc_write(struct guest *g, uint16_t port, uint8_t value)
{
  struct vrtc *r = &g->rtc;
  if (port == 0x70) {
    r->index = value & 0x7f;
    return;
  }
  if (r->index == B)
    value = (value & (uint8_t)~BINARY_24H) | (r->ram[B] & BINARY_24H);
  r->ram[r->index] = value;
  if (r->index == A || r->index == B) {
    uint64_t p = period(r);
    r->deadline = p ? rdtsc() + p : UINT64_MAX;
    vcpu_wake(g->vcpu[0]);
  }
}
