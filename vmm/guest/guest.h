// A guest: memory, virtual CPUs, devices, console. And a virtual CPU.
//
// The devices of a guest, the local APICs of its virtual CPUs included, are touched only with guest->guard
// held. Guests are made, stopped and destroyed by the first CPU alone, in its run loop.
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include "cpu/svm/vmcb.h"
#include "guest/config.h"
#include "host/cpu.h"
#include "svm/shadow.h"
#include "vdev/assign.h"
#include "vdev/vioapic.h"
#include "vdev/vlapic.h"
#include "vdev/vpci.h"
#include "vdev/vpic.h"
#include "vdev/vpit.h"
#include "vdev/vpm.h"
#include "vdev/vrtc.h"
#include "vdev/vuart.h"

enum { GUEST_VCPUS = 16, GUEST_SLOTS = 2, EXIT_COUNTERS = 0x102, EXIT_NPF = 0x100, EXIT_OTHER = 0x101 };

enum reg { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 };

struct guest;

struct vcpu {
  struct guest *guest;
  unsigned number;
  struct cpu *cpu;
  struct vcpu *next; // on the same CPU
  struct vmcb *vmcb;
  uint64_t reg[16]; // RAX and RSP are the VMCB's while it runs
  // What the guest believes its control registers to be; with nested paging the VMCB has them (vcpu_cr0()
  // etc.)
  uint64_t cr0, cr3, cr4, efer;
  struct shadow shadow;
  uint32_t asid;
  bool flush;           // the TLB's entries of this ASID are to go before the next run
  volatile bool inside; // a CPU is between picking it and leaving it
  bool halted;          // HLT; until an interrupt
  bool wait_sipi;       // started by STARTUP only
  unsigned nmi;         // how many wait: one, and one more that came before the first was taken
  // From an NMI's delivery to the end of its IRET no other comes: IRET exits (nmi_iret, at nmi_rip) and, if
  // one waits, is stepped over.
  bool nmi_inside, nmi_iret, nmi_step;
  uint64_t nmi_rip, nmi_tf;
  struct vlapic lapic;
  uint64_t dr[4], xcr0, pat, tsc_aux, tsc_adjust, mtrr_def;
  uint64_t mtrr[28]; // fixed 11, variable 16
  void *fpu;         // XSAVE or FXSAVE area
  uint64_t exits[EXIT_COUNTERS], runs, guest_tsc;
  uint64_t walks, references; // of the guest's tables, made here in its CPU's place
};

enum guest_state { GUEST_NONE, GUEST_RUNNING, GUEST_PAUSED, GUEST_STOPPED };

struct slot {
  uint64_t gpa, size, hpa;
};

struct guest {
  struct lock guard; // first: all behind it is cleared when the guest is made
  char name[32];
  unsigned number;
  const struct config_guest *config;
  volatile enum guest_state state;
  unsigned started;              // how often
  volatile bool reset;           // asked for; the first CPU does it
  char reason[160];              // of GUEST_STOPPED
  struct vcpu *volatile culprit; // the virtual CPU that stopped it; its registers are still to be shown
  unsigned node;
  // Memory: at 0; or, with devices, 1 MB at 0 for the start and the rest where it really is, for the DEV does
  // not translate.
  struct slot slot[GUEST_SLOTS];
  unsigned slots;
  uint64_t n_cr3; // nested tables, 0 with shadow paging
  uint64_t tables, tables_size, tables_used;
  unsigned vcpu_count;
  struct vcpu *vcpu[GUEST_VCPUS];
  uint64_t fpu_size;
  uint64_t tsc_start;
  struct vpic pic;
  struct vpit pit;
  struct vioapic ioapic;
  struct vrtc rtc;
  struct vuart uart;
  struct vpm pm;
  struct vpci pci;
  struct assign assign;
  struct boot_disk {
    uint64_t at, size;
  } disk;           // of a real-mode guest
  uint8_t keys[32]; // of INT 16h
  unsigned key_count;
};

extern struct guest guests[CONFIG_GUESTS];

// Makes a guest and lets it run; what is wrong is a line on the console, and nothing is left behind.
bool guest_start(struct guest *g, const struct config_guest *c);
void guest_destroy(struct guest *g);
// Ends a guest for a reason, from any CPU that runs it. The console shows it with the registers of v.
void guest_stop(struct vcpu *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Asks for a reset, from any CPU: the first CPU does it.
void guest_reset(struct guest *g);
void guest_pause(struct guest *g);
void guest_continue(struct guest *g);
// A byte from the console, with guard held.
void guest_input(struct guest *g, uint8_t c);
// Things asked for by other CPUs: resets, registers to show. From the run loop of the first CPU.
void guest_attend(void);
// Whether any guest can still do something.
bool guest_any(void);
void guest_show(const struct guest *g);
void guest_show_registers(const struct vcpu *v);
void guest_show_exits(const struct guest *g);

// Memory. NULL if the range is not wholly RAM.
void *guest_ptr(const struct guest *g, uint64_t gpa, uint64_t len);
// Pages for page tables; 0 if all are used.
uint64_t guest_table(struct guest *g);

// What the guest sees in its control registers.
static inline bool vcpu_nested(const struct vcpu *v)
{
  return v->guest->n_cr3 != 0;
}
static inline uint64_t vcpu_cr0(const struct vcpu *v)
{
  return vcpu_nested(v) ? v->vmcb->save.cr0 : v->cr0;
}
static inline uint64_t vcpu_cr3(const struct vcpu *v)
{
  return vcpu_nested(v) ? v->vmcb->save.cr3 : v->cr3;
}
static inline uint64_t vcpu_cr4(const struct vcpu *v)
{
  return vcpu_nested(v) ? v->vmcb->save.cr4 : v->cr4;
}
static inline uint64_t vcpu_efer(const struct vcpu *v)
{
  return vcpu_nested(v) ? v->vmcb->save.efer & ~EFER_SVME : v->efer;
}
static inline bool vcpu_long(const struct vcpu *v)
{
  return vcpu_efer(v) & EFER_LMA && v->vmcb->save.cs.attrib & 0x200;
}

#endif
