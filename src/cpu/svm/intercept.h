// Intercepts that need more than the instruction's name: which register, port or MSR, and what the exit tells
// about it. Each returns true if the instruction may go on, false if the exit was raised. Only to be called
// with c->guest. APM2 15.7 to 15.13.
#ifndef CPU_SVM_INTERCEPT_H
#define CPU_SVM_INTERCEPT_H

#include "cpu/op.h"
#include "cpu/svm/svm.h"

// MOV CR: n is the control register, gpr the number of the general register (decode assist).
bool svm_mov_cr(struct cpu *c, unsigned n, bool write, unsigned gpr);
// MOV to CR0, after svm_mov_cr: the selective intercept, for a change of any bit but TS and MP.
bool svm_cr0_selective(struct cpu *c, uint64_t value, unsigned gpr);
// LMSW and CLTS write CR0 too; the selective intercept takes any LMSW and no CLTS.
bool svm_lmsw(struct cpu *c);
bool svm_clts(struct cpu *c);
bool svm_mov_dr(struct cpu *c, unsigned n, bool write, unsigned gpr);
// IN, OUT, INS, OUTS. size in bytes.
bool svm_io(struct cpu *c, const struct op *op, uint16_t port, unsigned size, bool in, bool string);
// EXITINFO1 of such an intercept. APM2 15.10.2
uint64_t svm_io_info(const struct cpu *c, const struct op *op, uint16_t port, unsigned size, bool in,
                     bool string);
bool svm_msr(struct cpu *c, uint32_t msr, bool write);
bool svm_pause(struct cpu *c);
// After a write took effect: the traps for EFER and the control registers.
bool svm_write_trap(struct cpu *c, enum vmexit code, uint64_t value);

// By the TSC ratio.
uint64_t svm_scale(const struct cpu *c, uint64_t ticks);
// RDTSC in a guest: ratio and offset.
uint64_t svm_tsc(const struct cpu *c, uint64_t tsc);

#endif
