// A virtual CPU's life: its state at reset, running it, events into it.
#ifndef SVM_VCPU_H
#define SVM_VCPU_H

#include "guest/guest.h"

// VMCB and registers as after RESET, at F000:FFF0. APM2 14.1.3
void vcpu_reset(struct vcpu *v);
// Real mode at segment:0 (a STARTUP IPI, a boot sector).
void vcpu_real_mode(struct vcpu *v, uint16_t segment, uint64_t ip);
// Protected mode without paging, flat segments, at ip (multiboot, Linux).
void vcpu_protected_mode(struct vcpu *v, uint64_t ip);
// Long mode with paging by the tables at cr3 (Linux's 64-bit entry).
void vcpu_long_mode(struct vcpu *v, uint64_t ip, uint64_t cr3);
// Control registers, as the guest sets them; for shadow paging they reach the VMCB changed.
void vcpu_set_cr0(struct vcpu *v, uint64_t value);
void vcpu_set_cr3(struct vcpu *v, uint64_t value);
void vcpu_set_cr4(struct vcpu *v, uint64_t value);
void vcpu_set_efer(struct vcpu *v, uint64_t value);
// Loads and saves what VMRUN does not switch: FPU, XCR0, debug registers.
void vcpu_load(struct vcpu *v);
void vcpu_save(struct vcpu *v);
// Brings its timers up to date and says whether it has something to do.
bool vcpu_runnable(struct vcpu *v);
// TSC value of its next timer event, UINT64_MAX if none.
uint64_t vcpu_deadline(struct vcpu *v);
// Runs it until one exit was handled.
void vcpu_run(struct vcpu *v);
// Exceptions to be delivered at the next VMRUN; with an event on its way they may become a double fault.
void vcpu_fault(struct vcpu *v, uint8_t vector);
void vcpu_fault_error(struct vcpu *v, uint8_t vector, uint32_t error);
void vcpu_page_fault(struct vcpu *v, uint64_t linear, uint32_t error);
// The single step over an NMI's IRET was made.
void vcpu_nmi_stepped(struct vcpu *v);
// Another CPU has something for it: makes it look. With guard held.
void vcpu_wake(struct vcpu *v);

#endif
