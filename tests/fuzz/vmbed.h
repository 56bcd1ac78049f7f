// A host that is about to run a guest, on the CPU of cpubed.h: host state in any mode, a VMCB, nested tables,
// each changed as the input says. For fuzz_vmrun.
#ifndef FUZZ_VMBED_H
#define FUZZ_VMBED_H

#include "cpu/svm/svm.h"
#include "cpubed.h"

enum {               // in RAM that the guest's own tables (cpubed.h) leave free
  VM_VMCB = 0x14000, // two of them
  VM_HSAVE = 0x16000,
  VM_HOST = 0x17000,   // the host's code
  VM_TABLES = 0x18000, // the host's page tables, 4 pages
  VM_NESTED = 0x1c000, // nested tables, 4 pages
  VM_IOPM = 0x20000,   // the maps are what noise lies there
  VM_MSRPM = 0x23000,
};

enum vm_host { VM_UNPAGED, VM_PAGE32, VM_PAE, VM_LONG, VM_HOSTS };

// A value for a field that was `old`: a flipped bit, an edge, a place of interest, or anything.
uint64_t vm_value(struct fuzz_in *in, uint64_t old);

struct vmcb *vm_vmcb(struct cpubed *b, unsigned n);
// The guest is what the CPU is now: writes the VMCB that a hypervisor would have made of it.
void vm_make_vmcb(struct cpubed *b, struct fuzz_in *in, unsigned n);
// Up to `most` fields of the VMCB (or host save area) at pa are changed.
void vm_change(struct cpubed *b, struct fuzz_in *in, uint64_t pa, unsigned most);
// Nested tables, in the format that the host mode has, changed up to `most` times.
void vm_make_nested(struct cpubed *b, struct fuzz_in *in, enum vm_host mode, unsigned most);
// Makes the CPU a host in that mode, at VM_HOST.
void vm_make_host(struct cpubed *b, enum vm_host mode);
// Bytes anywhere in RAM.
void vm_poke(struct cpubed *b, struct fuzz_in *in, unsigned most);
void vm_put(struct cpubed *b, uint64_t at, unsigned bytes, uint64_t v);

#endif
