// The local APIC: xAPIC (memory-mapped) and x2APIC (MSRs). APM2 chapter 16.
//
// The engine looks at PEND_INTR in c->pending, which says at all times whether lapic_has_interrupt would; it
// takes the interrupt with lapic_ack when RFLAGS.IF, GIF and the interrupt shadow allow. Time comes from the
// virtual clock.
#ifndef CPU_LAPIC_H
#define CPU_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct cpu;
struct err;
struct intr_msg;

enum {
  APIC_BASE_BSP = 1u << 8,
  APIC_BASE_EXTD = 1u << 10, // x2APIC mode
  APIC_BASE_EN = 1u << 11,
};
#define LAPIC_DEFAULT_BASE 0xfee00000u
#define LAPIC_HZ           1000000000u // the timer's clock before the divider

enum lapic_lvt {
  LVT_TIMER,
  LVT_THERMAL,
  LVT_PERF,
  LVT_LINT0,
  LVT_LINT1,
  LVT_ERROR,
  LVT_COUNT,
};

struct lapic {
  struct cpu *cpu;
  uint32_t id;       // xAPIC: the 8 bits of register 20h; x2APIC mode uses cpu->apic_id
  uint32_t ldr, dfr; // DFR as read: F000_0000h or FFFF_FFFFh; LDR of xAPIC mode in bits 31:24
  uint8_t tpr;
  uint32_t svr;
  uint32_t isr[8], tmr[8], irr[8];
  uint32_t esr, esr_pending; // as read; accumulated since the last write
  uint64_t icr;              // xAPIC: destination in bits 63:56; x2APIC: in 63:32
  uint32_t lvt[LVT_COUNT];
  uint32_t initial_count, divide;
  uint32_t ext_control, ext_lvt[4]; // 410h, 500h..530h (EXTAPIC)
  uint32_t ier[8];                  // 480h..4F0h
  uint64_t tsc_deadline;            // 0: not armed
  uint64_t timer_start;             // ns at which the current count began
  bool counting;                    // the count has not reached 0
  struct timer timer;
  struct timer mwaitx; // ends an MWAITX that has a time limit
  uint8_t lint_level;  // bits 0, 1: levels of LINT0 and LINT1
  bool extint;         // an ExtINT request is pending (LINT0 or a message)
  void (*eoi)(void *arg, uint8_t vector);
  void *eoi_arg;
};

// Makes c->lapic; cpu_new calls it. The APIC ID is c->apic_id.
bool lapic_new(struct cpu *c, struct err *e);
void lapic_free(struct cpu *c);
// RESET#: also APIC_BASE and the APIC ID. INIT: keeps those (APM2 16.3.3).
void lapic_reset(struct cpu *c);
void lapic_init(struct cpu *c);
// What a BIOS leaves behind: enabled, the PIC on LINT0 and NMI on LINT1. For kernels that are started without
// one.
void lapic_virtual_wire(struct cpu *c);
// Level-triggered vectors are reported here at EOI (I/O APICs).
void lapic_set_eoi(struct cpu *c, void (*eoi)(void *arg, uint8_t vector), void *arg);

// ---- towards the engine ----

// True if a fixed interrupt above the processor priority, or an ExtINT, waits to be taken.
bool lapic_has_interrupt(struct cpu *c);
// Takes it: returns the vector (from the PIC for ExtINT), or -1 if there is none any more.
int lapic_ack(struct cpu *c);
// CR8 writes (v = 0..15) and reads. c->cr8 mirrors it.
void lapic_set_tpr(struct cpu *c, uint8_t tpr);
static inline uint8_t lapic_cr8(const struct lapic *a)
{
  return a->tpr >> 4;
}

// ---- towards memory and MSRs ----

// True if a physical address is in this CPU's APIC page now (enabled, xAPIC mode).
bool lapic_mmio_hit(const struct cpu *c, uint64_t pa);
// off: 0..FFFh within the page; size 1, 2, 4 or 8. Anything but an aligned dword reads 0 or is lost.
uint64_t lapic_mmio_read(struct cpu *c, uint64_t off, unsigned size);
void lapic_mmio_write(struct cpu *c, uint64_t off, unsigned size, uint64_t v);

// As msr_read and msr_write: MSR 1Bh, 6E0h, 800h..8FFh.
bool lapic_base_write(struct cpu *c, uint64_t v);
uint64_t lapic_deadline_read(const struct cpu *c);
void lapic_deadline_write(struct cpu *c, uint64_t v);
// The TSC was written: an armed deadline moves with it.
void lapic_tsc_moved(struct cpu *c);
bool lapic_x2apic_read(struct cpu *c, uint32_t msr, uint64_t *v);
bool lapic_x2apic_write(struct cpu *c, uint32_t msr, uint64_t v);

// ---- towards the board ----

// Delivers a message to whoever of the n CPUs it addresses: what bus->intr must do.
void lapic_deliver(struct cpu **all, unsigned n, const struct intr_msg *m);
// Drives LINT0 (the PIC's INTR output) or LINT1 (NMI) of one CPU.
void lapic_lint(struct cpu *c, unsigned pin, int level);
// A performance counter overflowed, a thermal event happened: the LVT entry's interrupt.
void lapic_local(struct cpu *c, enum lapic_lvt which);

#endif
