// The local APIC of a virtual CPU, in xAPIC mode. APM2 chapter 16. Its timer counts the time-stamp counter's
// ticks.
#ifndef VDEV_VLAPIC_H
#define VDEV_VLAPIC_H

#include "host/types.h"

struct guest;
struct vcpu;

enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVTS };

struct vlapic {
  uint64_t base; // MSR APIC_BASE
  uint32_t id;   // in bits 31:24; software may change it
  uint32_t tpr, ldr, dfr, svr, esr, icr_lo, icr_hi, lvt[LVTS], divide, initial;
  uint32_t irr[8], isr[8], tmr[8];
  uint64_t deadline, period; // of the timer, in ticks of the TSC; UINT64_MAX: off
  bool init;                 // an INIT waits for its CPU to see it
  int sipi;                  // page of a STARTUP that waits, or -1
};

void vlapic_reset(struct vcpu *v);
// As a BIOS leaves the first CPU's: on, LINT0 takes what the 8259s say. MP specification 1.4, 3.6.2.2
void vlapic_virtual_wire(struct vcpu *v);
bool vlapic_here(const struct vcpu *v, uint64_t gpa);
uint32_t vlapic_read(struct vcpu *v, uint32_t reg);
void vlapic_write(struct vcpu *v, uint32_t reg, uint32_t value);
void vlapic_update(struct vcpu *v, uint64_t now);
// Highest vector above the processor's priority, or -1.
int vlapic_pending(const struct vcpu *v);
void vlapic_acknowledge(struct vcpu *v, uint8_t vector);
bool vlapic_takes_pic(const struct vcpu *v);
// A message: delivery mode (ICR 10:8) and vector to the CPUs that `dest` names. APM2 16.5, 16.6
void vlapic_message(struct guest *g, unsigned mode, uint8_t vector, uint8_t dest, bool logical, bool level);

#endif
