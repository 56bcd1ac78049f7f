// Exceptions, interrupts and their delivery. APM2 chapter 8; 15.20 for injection.
#ifndef CPU_EXCEPT_H
#define CPU_EXCEPT_H

#include "cpu/cpu.h"

enum event_type { // as in EVENTINJ (APM2 15.20)
  EVENT_INTR = 0,
  EVENT_NMI = 2,
  EVENT_EXCEPTION = 3,
  EVENT_SOFT = 4,
};

// Delivers the exception in c->fault (c->ip: instruction that faulted), and whatever that leads to: double
// fault, shutdown. Afterwards c->ip is the handler's first instruction and c->faulted is clear.
void except_deliver(struct cpu *c);
// Delivers an external interrupt or NMI at c->ip.
void except_interrupt(struct cpu *c, uint8_t vector);
void except_nmi(struct cpu *c);
// INT n, INT3, INTO: c->ip is the instruction, c->next_ip what is saved. Returns false if a fault
// was raised instead (to be delivered by the caller's path).
bool except_software(struct cpu *c, uint8_t vector);
// Traps that are due after an instruction completed at c->ip: single step, data and I/O breakpoints.
void except_debug_trap(struct cpu *c, uint64_t dr6_bits);
// Instruction breakpoints (DR7) at the linear address of c->ip; raises #DB and returns false on a hit.
bool debug_check_fetch(struct cpu *c);
// The same at a VMRUN, which counts with GIF clear too: that is how it is run, and RFLAGS.RF is said to
// suppress a match on it (APM2 15.5.1).
bool debug_check_vmrun(struct cpu *c);
// True if DR7 has any enabled instruction breakpoint: the engine then steps.
bool debug_has_fetch_breakpoints(const struct cpu *c);
// DR6 bits for a data access of len bytes at la, 0 if none matches; accumulates into c->db_bits (mem.c calls
// it for pages that have watchpoints).
void debug_check_data(struct cpu *c, uint64_t la, unsigned len, bool write);
// True if a page has an enabled data watchpoint: it gets no fast tags.
bool debug_page_watched(const struct cpu *c, uint64_t la);
void debug_check_io(struct cpu *c, uint16_t port, unsigned len);
void cpu_shutdown(struct cpu *c);

#endif
