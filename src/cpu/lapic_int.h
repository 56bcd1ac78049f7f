// What the parts of the local APIC share: lapic.c, lapic_timer.c, lapic_ipi.c. Bit names of APM2 chapter 16.
#ifndef CPU_LAPIC_INT_H
#define CPU_LAPIC_INT_H

#include "cpu/lapic.h"

enum {
  SVR_ENABLE = 1u << 8,
  LVT_REMOTE_IRR = 1u << 14,
  LVT_LEVEL = 1u << 15,
  LVT_MASKED = 1u << 16,
  LVT_MODE = 3u << 17, // of the timer
  LVT_ONE_SHOT = 0u << 17,
  LVT_PERIODIC = 1u << 17,
  LVT_TSC_DEADLINE = 2u << 17,
  ESR_SENT_ILLEGAL = 1u << 5,
  ESR_RECEIVED_ILLEGAL = 1u << 6,
  ESR_ILLEGAL_REGISTER = 1u << 7,
  ICR_WRITABLE = 0xcefff, // without delivery status and reserved bits
  ICR_LOGICAL = 1u << 11,
  ICR_ASSERT = 1u << 14,
  ICR_LEVEL = 1u << 15,
  EXT_IER = 1u << 0,
  EXT_SEOI = 1u << 1,
};

enum { // message type
  DELIVER_FIXED,
  DELIVER_LOWEST,
  DELIVER_SMI,
  DELIVER_NMI = 4,
  DELIVER_INIT,
  DELIVER_STARTUP,
  DELIVER_EXTINT,
};

// Makes PEND_INTR true again.
void lapic_update(struct lapic *a);
// A fixed interrupt arrives.
void lapic_accept(struct lapic *a, uint8_t vector, bool level);
void lapic_error(struct lapic *a, uint32_t bit);
uint8_t lapic_ppr(const struct lapic *a);
bool lapic_x2(const struct lapic *a); // in x2APIC mode
uint32_t lapic_ldr(const struct lapic *a);
// Raises what LINT0 or LINT1 asks for: `rose` on the edge, otherwise because a level is still there.
void lapic_lint_raise(struct lapic *a, unsigned pin, bool rose);
// Ends the service of a vector; of the highest one.
void lapic_finish(struct lapic *a, int vector);
void lapic_eoi(struct lapic *a);

// Sends what the interrupt command register says.
void lapic_icr_send(struct lapic *a);

void lapic_timer_init(struct lapic *a);
void lapic_timer_reset(struct lapic *a);
uint32_t lapic_timer_count(const struct lapic *a);
void lapic_timer_set_initial(struct lapic *a, uint32_t v);
void lapic_timer_set_divide(struct lapic *a, uint32_t v);
// The timer's LVT entry was written; old: what it was.
void lapic_timer_mode(struct lapic *a, uint32_t old);

#endif
