// The CPU's own interrupt controller and its timer, and the I/O APIC. APM2 chapter 16; 82093AA data sheet.
#ifndef HOST_LAPIC_H
#define HOST_LAPIC_H

#include "host/types.h"

// Vectors of the hypervisor.
enum {
  VECTOR_TIMER = 0x30,
  VECTOR_KICK = 0x31,
  VECTOR_SERIAL = 0x32,
  VECTOR_GSI = 0x40,
  VECTOR_SPURIOUS = 0xff
};

struct acpi;

// Measures the time-stamp counter and the timer against the 8254, once, on the first CPU.
void lapic_calibrate(void);
void lapic_init(void); // on each CPU
void lapic_eoi(void);
uint32_t lapic_id(void);
uint64_t tsc_hz(void);
// One interrupt when the time-stamp counter reaches `tsc`, or soon after; UINT64_MAX: none.
void lapic_timer(uint64_t tsc);
void lapic_send(uint32_t apic_id, uint8_t vector);
// INIT, then STARTUP at page 8, to one CPU. APM2 16.5
void lapic_start_ap(uint32_t apic_id);
void delay_us(unsigned us);

// An interrupt pin of the I/O APIC to one CPU. flags: polarity and trigger as in the MADT (2 bits each; low,
// level is 0Fh).
void ioapic_init(const struct acpi *a);
void ioapic_route(uint32_t gsi, uint8_t vector, uint32_t apic_id, uint16_t flags, bool masked);
void ioapic_mask(uint32_t gsi, bool masked);

#endif
