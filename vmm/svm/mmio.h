// Accesses of a guest to physical addresses that are not its memory: local APIC, I/O APIC, nothing.
#ifndef SVM_MMIO_H
#define SVM_MMIO_H

#include "host/types.h"
#include "svm/decode.h"

struct vcpu;

// Does the instruction at CS:rIP, one of whose operands is at the address. access: as in a page fault's error
// code.
void mmio_access(struct vcpu *v, uint64_t gpa, uint32_t access);
// 16, 32 or 64: what CS and EFER say.
unsigned vcpu_bits(const struct vcpu *v);
// Decodes the instruction at CS:rIP; false: it cannot be fetched or is none that is known.
bool vcpu_decode(struct vcpu *v, struct insn *i);
// Linear address of the memory operand.
uint64_t vcpu_operand(const struct vcpu *v, const struct insn *i);
// Past the instruction: by NRIP where the CPU has it, else by its length. Ends an interrupt shadow.
void vcpu_skip(struct vcpu *v);
// Ends an instruction that was done here: the next one is at rip.
void vcpu_finish(struct vcpu *v, uint64_t rip);
void vcpu_advance(struct vcpu *v, unsigned length);

#endif
