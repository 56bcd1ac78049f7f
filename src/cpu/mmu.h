// The page walker: from a linear address to a physical one, by the tables that CR3 names.
//
// One walker for all paging modes and for both stages of nested paging. What a walk finds (struct walk) does
// not depend on who asks; what the asker may do with it is mmu_rights, which is also applied to what the TLB
// kept of a walk. APM2 chapter 5, 15.25.
#ifndef CPU_MMU_H
#define CPU_MMU_H

#include "cpu/tlb.h"

// What an access needs, and what a view of a page gives.
enum mmu_right { MMU_R = 1, MMU_W = 2, MMU_X = 4 };

// What the tables say about a page, all levels combined. Those of the nested tables come apart, because the
// guest's CR0.WP and CPL have no say in them.
enum mmu_perm {
  PERM_USER = 1,
  PERM_WRITE = 2,
  PERM_NX = 4,
  PERM_GLOBAL = 8, // only if CR4.PGE
  PERM_DIRTY = 16, // writing needs no walk
  PERM_NESTED_RO = 32,
  PERM_NESTED_NX = 64,
  PERM_NESTED_SUPER = 128, // U clear at some level: only with GMET is such a page good for anything
};

// #PF error code. APM2 8.4.2
enum pf_error {
  PF_P = 1,
  PF_WRITE = 2,
  PF_USER = 4,
  PF_RSVD = 8,
  PF_FETCH = 16,
  PF_PK = 32,
};

// Error code of a nested page fault, above the bits of enum pf_error. APM2 15.25.6
#define NPF_FINAL (1ull << 32) // the address of the access itself
#define NPF_TABLE (1ull << 33) // an entry of the guest's tables

struct walk {
  uint64_t pa;    // of the page, aligned to its size
  uint8_t shift;  // log2 of the size: 12, 21, 22, 30
  uint8_t gshift; // the size by the guest's own tables: what INVLPG removes
  uint16_t perm;  // enum mmu_perm
  uint8_t pkey;
  uint8_t pat;    // memory type by PAT
  uint32_t error; // on a fault: for #PF
  // On a fault: it is a nested page fault, and this is what EXITINFO1 and 2 say.
  bool nested;
  uint64_t npf_error, gpa;
};

// True if guest-physical addresses go through the nested tables now.
bool mmu_two_stages(const struct cpu *c);
enum walk_kind mmu_walk_kind(const struct cpu *c);

// Walks for an access that needs `need` (one of enum mmu_right) with the rights of `view`; sets accessed and
// dirty bits. False: a page fault, w->error, or a nested one. Valid with paging off too.
bool mmu_walk(struct cpu *c, uint64_t la, enum tlb_view view, unsigned need, struct walk *w);
// Without rights or side effects, for the debugger; false if not mapped.
bool mmu_peek(struct cpu *c, uint64_t la, struct walk *w);

// A guest-physical address through the nested tables, for an operand that names physical memory (virtual
// VMLOAD and VMSAVE). False: the nested page fault has been raised.
bool mmu_guest_physical(struct cpu *c, uint64_t gpa, unsigned need, uint64_t *pa);

// Raises the fault of an access to la whose walk failed.
void mmu_raise(struct cpu *c, uint64_t la, const struct walk *w);

// What the view gives on a page, with the current CR0.WP, CR4, EFER.NXE and PKRU: a mask of enum mmu_right.
unsigned mmu_rights(const struct cpu *c, enum tlb_view view, unsigned perm, unsigned pkey);
// The same by CR3's tables alone, whatever the nested ones say. *pk (may be NULL) becomes what the protection
// key takes away.
unsigned mmu_table_rights(const struct cpu *c, enum tlb_view view, unsigned perm, unsigned pkey,
                          unsigned *pk);

// What the nested tables take away.
unsigned mmu_nested_denied(const struct cpu *c, enum tlb_view view, unsigned perm);

// The error code of a #PF for an access without the bits that the walk decides (P, RSVD, PK).
uint32_t mmu_error(const struct cpu *c, enum tlb_view view, unsigned need);

// CR3 in a task switch: the check (false: #GP raised, PDPTEs of PAE paging), and after the point of no return
// the load. Implemented in cr.c.
bool mmu_cr3_check(struct cpu *c, uint32_t v);
void mmu_cr3_load(struct cpu *c, uint32_t v);

#endif
