// A physical CPU: its tables, its place in the machine, and the virtual CPUs that it runs.
//
// The hypervisor runs with RFLAGS.IF = 0; interrupts come in only at cpu_window(), which the run loop opens
// after an exit for INTR and when it waits. So its code needs no care for interrupts in the middle.
#ifndef HOST_CPU_H
#define HOST_CPU_H

#include "host/types.h"
#include "host/x86.h"

enum { CPUS = 16, CPU_ASIDS = 256 };

struct vcpu;

struct cpu {
  struct cpu *self; // at GS:0
  unsigned id, node;
  uint32_t apic_id;
  volatile bool up;
  uint64_t hsave;     // host save area, APM2 15.30.4
  uint64_t host_vmcb; // FS, GS, TR, LDTR, syscall MSRs of the host, by VMSAVE
  uint64_t xcr0;      // as found, 0 without XSAVE
  uint64_t xcr0_all;  // what XSAVE can keep here
  // What runs here. The list changes only with `guard` held; this CPU alone looks at `current`.
  struct lock guard;
  struct vcpu *vcpus;   // linked by vcpu->next
  struct vcpu *last;    // that had a slice
  struct vcpu *current; // whose FPU and debug registers are loaded
  uint64_t slice_end;
  uint64_t timer_at; // what the timer is set to
  uint64_t idle_tsc; // time spent waiting
  uint32_t asids;    // of this CPU, APM2 15.25.1
  uint32_t next_asid;
  uint32_t free_asids[CPU_ASIDS], free_asid_count;
  uint64_t gdt[8];
  uint8_t tss[104];
};

extern struct cpu cpus[CPUS];
extern unsigned cpu_count;

static inline struct cpu *this_cpu(void)
{
  struct cpu *c;
  __asm__ volatile("mov %%gs:0, %0" : "=r"(c));
  return c;
}

struct acpi;
// The first CPU, and then the others.
void cpu_init_first(const struct acpi *a);
void cpu_start_others(void);
// Lets waiting interrupts in.
static inline void cpu_window(void)
{
  __asm__ volatile("sti; nop; cli" : : : "memory");
}
// Waits for an interrupt and takes it.
static inline void cpu_wait(void)
{
  __asm__ volatile("sti; hlt; cli" : : : "memory");
}
// Makes another CPU look at what changed.
void cpu_kick(struct cpu *c);

#endif
