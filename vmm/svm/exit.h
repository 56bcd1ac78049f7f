// What is done about each #VMEXIT. APM2 appendix C.
#ifndef SVM_EXIT_H
#define SVM_EXIT_H

#include "host/types.h"

struct vcpu;

// With guest->guard held, after the event that the exit cut short is back in EVENTINJ.
void exit_handle(struct vcpu *v);
const char *exit_name(unsigned counter);

void exit_cpuid(struct vcpu *v);
void exit_msr(struct vcpu *v);
void exit_xsetbv(struct vcpu *v);
void exit_io(struct vcpu *v);
void exit_npf(struct vcpu *v);
void exit_page_fault(struct vcpu *v);
void exit_cr(struct vcpu *v);
void exit_invlpg(struct vcpu *v);
void exit_vmmcall(struct vcpu *v);

#endif
