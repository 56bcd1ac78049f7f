// Delivery of one event, below except.h: what exceptions, interrupts, INT n, task switches and SVM's event
// injection share. APM2 8.7 to 8.9.
#ifndef CPU_EVENT_H
#define CPU_EVENT_H

#include "cpu/except.h"

// Takes the event through the IVT or IDT; `ip` is the instruction pointer to save. On success c->ip and
// c->next_ip are the handler's first instruction. On a fault: false, the fault is in c->fault, c->event is
// the event and c->delivering is still set, so that except_deliver can combine the two.
bool event_deliver(struct cpu *c, const struct event *e, uint64_t ip);
// The same, and then whatever becomes of it: nested faults, double fault, shutdown.
void event_dispatch(struct cpu *c, const struct event *e, uint64_t ip);
// INT n in virtual-8086 mode with CR4.VME: *done is set if the interrupt was redirected to the program's own
// handler; otherwise it takes the way of protected mode.
bool event_vme_int(struct cpu *c, uint8_t vector, bool *done);

// ---- task.c ----

enum task_reason { TASK_IRET = 0, TASK_JMP = 1, TASK_CALL = 2, TASK_INT = 3 };

// Switches to the task whose TSS descriptor `sel` names; access rights of gates and descriptors were
// checked by the caller. ip: what the old task resumes with. On success c->ip = c->next_ip = the new EIP, or
// the first instruction of the handler of a fault that the new task met while it was loaded. error: pushed on
// the new stack if has_error.
bool task_switch(struct cpu *c, uint16_t sel, enum task_reason why, uint64_t ip, bool has_error,
                 uint32_t error);
// Through a task gate descriptor of the IDT, GDT or LDT; presence and DPL are checked already.
bool task_gate(struct cpu *c, uint64_t gate, enum task_reason why, uint64_t ip, bool has_error,
               uint32_t error);
// The stack pointer for an inner level from the TSS (16- or 32-bit), or #TS.
bool task_inner_stack(struct cpu *c, unsigned dpl, uint16_t *ss, uint32_t *sp);
// RSPn (n = 0..2) or ISTn (n = 8 + 1..7 - 1: index of the quadword at offset 4 + 8 * n) from a 64-bit TSS, or
// #TS.
bool task_inner_rsp(struct cpu *c, unsigned index, uint64_t *rsp);
// I/O permission bitmap: true in *ok if all ports of the access are allowed.
bool task_io_allowed(struct cpu *c, uint16_t port, unsigned size, bool *ok);
// A bit of the VME interrupt redirection bitmap.
bool task_vme_redirects(struct cpu *c, uint8_t vector, bool *redirected);

#endif
