// Control registers and EFER: writes with all their checks. APM2 3.1, 5.2, 5.5, 14.6.
//
// The functions return false after raising #GP(0), with nothing changed. They check values, not privilege.
#ifndef CPU_CR_H
#define CPU_CR_H

#include "cpu/cpu.h"

#define CR0_KNOWN                                                                                            \
  (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)

// True if a MOV of v to the register, or to CR0 by LMSW, is legal as far as can be told without memory; else
// #GP was raised. The writes check it too; intercepts come between this and what else may fault (APM2 15.9).
bool cr_check(struct cpu *c, unsigned n, uint64_t v);
bool cr0_write(struct cpu *c, uint64_t v);
bool cr3_write(struct cpu *c, uint64_t v); // bit 63: keep the PCID's entries
bool cr4_write(struct cpu *c, uint64_t v);
bool cr8_write(struct cpu *c, uint64_t v);
bool efer_write(struct cpu *c, uint64_t v);
// Local APIC's task priority 7:4.
uint64_t cr8_read(const struct cpu *c);

// Bits that the CPU model lets software set.
uint64_t cr4_allowed(const struct cpu *c);
uint64_t efer_allowed(const struct cpu *c);

// PAE paging: reads the four page-directory-pointer entries at CR3 into c->pdpte. False (raises nothing,
// changes nothing) if one that is present has reserved bits set. APM2 5.2.3. Under nested paging nothing is
// loaded: walks read them.
bool pdpte_load(struct cpu *c, uint64_t cr3);

#endif
