// System-management mode: entry, RSM, and who sees SMRAM. APM2 chapter 10 and 15.22; BKDG for family
// 10h 2.13.2.
//
// Invariant: c->smm_ranges says whether any access may go elsewhere than the map says; whatever changes the
// answers of smm_route empties the whole TLB (smm_changed). So nothing of SMRAM outlives SMM, and outside of
// it a TLB fill costs one test.
#ifndef CPU_SMM_H
#define CPU_SMM_H

#include "cpu/cpu.h"

enum { // SMM_MASK, BKDG MSRC001_0113
  SMM_AVALID = 1u << 0,
  SMM_TVALID = 1u << 1,
  SMM_ACLOSE = 1u << 2,
  SMM_TCLOSE = 1u << 3,
};
enum { // SMM_CTL, APM2 15.30.3
  SMM_CTL_DISMISS = 1u << 0,
  SMM_CTL_ENTER = 1u << 1,
  SMM_CTL_SMI_CYCLE = 1u << 2,
  SMM_CTL_EXIT = 1u << 3,
  SMM_CTL_RSM_CYCLE = 1u << 4,
};

// ---- for the engine ----

// True if an SMI that is pending can be taken, apart from interrupt shadows.
static inline bool smi_open(const struct cpu *c)
{
  return c->gif && !c->in_smm;
}
// Takes the SMI: saves the state and goes to the handler.
void smm_enter(struct cpu *c);
// EXITINFO1 and 2 of an SMI that is intercepted. APM2 15.13.3
uint64_t smi_exitinfo1(const struct cpu *c);
uint64_t smi_exitinfo2(const struct cpu *c);

// ---- for instructions ----

bool smm_rsm(struct cpu *c); // like an exec function: leaves c->next_ip
// An I/O instruction was at work when the SMI came, with these values before it. info: the bits of EXITINFO1
// of IOIO.
void smi_on_io(struct cpu *c, uint64_t info, uint64_t rcx, uint64_t rsi, uint64_t rdi);
// MSRs C001_0111h to 0113h, 0116h, 0119h; false: #GP.
bool smm_msr_read(struct cpu *c, uint32_t index, uint64_t *v);
bool smm_msr_write(struct cpu *c, uint32_t index, uint64_t v);
void smm_reset(struct cpu *c);   // RESET#
void smm_changed(struct cpu *c); // in_smm, an SMM register or the chipset's SMRAM register changed

// ---- for memory ----

// The line A20M#: address line 20 is forced to 0, but not in SMM nor with VM_CR.DIS_A20M.
void cpu_a20m(struct cpu *c, bool masked);
void cpu_a20_update(struct cpu *c);

uint64_t smm_ram_page(struct cpu *c, uint64_t pa, bool *rom);
bool smm_access(struct cpu *c, const struct txn *t, uint64_t *v);

// bus_ram_page and bus_access as this CPU sees them.
static inline uint64_t cpu_ram_page(struct cpu *c, uint64_t pa, bool *rom)
{
  return likely(!c->smm_ranges) ? bus_ram_page(c->bus, pa, rom) : smm_ram_page(c, pa, rom);
}
static inline void cpu_bus_access(struct cpu *c, const struct txn *t, uint64_t *v)
{
  if (likely(!c->smm_ranges) || !smm_access(c, t, v))
    bus_access(c->bus, t, v);
}

#endif
